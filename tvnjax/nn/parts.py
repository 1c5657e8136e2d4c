"""What trainable layers are made of.

Arrays are ``[batch, time, height, width, channels]``. Weights are float32 and rounded to the dtype of what a layer
receives, so a bfloat16 clip makes the arithmetic bfloat16; statistics, and sums over positions, those of gradients
included, stay float32: see ``times`` and ``biased`` for factors and summands that positions share. ``train`` uses
batch statistics and moves the running ones by ``1 - momentum``; nothing here holds random state, so a dropout key is an
argument.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.nn.convolution import Form
from tvnjax.nn.normalised import HOMOGENEOUS, normalized
from tvnjax.nn.small_product import MOST, small_product

Precision = Literal["float32", "bfloat16"]
"""Of activations and of the products behind them; weights, statistics, losses and moments are float32 either way."""

BN_MOMENTUM = 0.9
"""Of the released code."""

PIXEL_MEAN, PIXEL_SCALE = 0.45, 0.225
"""Normalisation of a pixel in [0, 1], the same for all channels (the usual constants for video)."""


def normalize(clip: Array) -> Array:
    """uint8 pixels to float32 ``(x / 255 - mean) / scale``."""
    return clip.astype(jnp.float32) * (1 / (255 * PIXEL_SCALE)) - PIXEL_MEAN / PIXEL_SCALE


def activation(name: str | None) -> Callable[[Array], Array]:
    """relu, hswish ``x * relu6(x + 3) / 6``, swish, sigmoid, hsigmoid ``relu6(x + 3) / 6``; ``None``: identity."""
    return {
        None: lambda x: x,
        "relu": nnx.relu,
        "hswish": jax.nn.hard_swish,
        "swish": nnx.swish,
        "sigmoid": nnx.sigmoid,
        "hsigmoid": jax.nn.hard_sigmoid,
    }[name]


def times(a: Array, b: Array) -> Array:
    """``a * b`` of an array and a factor that its positions share, in the narrower of their dtypes; multiplied in
    float32.

    The factor's gradient is a sum over positions. A product in bfloat16 would make that sum bfloat16 as well, which
    stands still from 256 equal summands on; this one is float32, and no array is kept in it.
    """
    narrow = min(a.dtype, b.dtype, key=lambda dtype: dtype.itemsize)
    return (a.astype(jnp.promote_types(a.dtype, jnp.float32)) * b).astype(narrow)


def biased(x: Array, bias: Array) -> Array:
    """``x + bias`` in the dtype of ``x``, added in float32 (see ``times``)."""
    return (x.astype(jnp.promote_types(x.dtype, jnp.float32)) + bias).astype(x.dtype)


class Initializer:
    """Draws weights on the host: a network has dozens of shapes, and compiling a sampler for each takes seconds.

    Args:
        seed: ``None``: nothing is drawn, for networks too large to be. An array of random weights is then its standard
            deviation throughout, as a view of one number, which takes no memory whatever the shape.
    """

    def __init__(self, seed: int | None):
        self._draws = seed is not None
        self._rng = np.random.default_rng([seed or 0, 3])

    def rngs(self) -> nnx.Rngs:
        """For layers that people write, which draw as Flax does; each gets another stream."""
        return nnx.Rngs(int(self._rng.integers(2**31)))

    def normal(self, shape: tuple[int, ...], fan_in: int, gain: float = 2.0) -> Array:
        """He-normal weights: standard deviation ``sqrt(gain / fan_in)``."""
        if not self._draws:
            undrawn: Any = np.broadcast_to(np.float32(np.sqrt(gain / fan_in)), shape)
            return undrawn
        return jnp.asarray(self._rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(gain / fan_in)))


class BatchNorm(nnx.Module):
    """Batch normalisation whose running variance is the unbiased one, as in the released networks.

    (Flax's own keeps the biased one.)
    """

    def __init__(self, width: int, epsilon: float = graph.BN_EPSILON, form: Form = "shifted"):
        self.epsilon = epsilon
        self.form: Form = form
        self.scale = nnx.Param(jnp.ones(width))
        self.bias = nnx.Param(jnp.zeros(width))
        self.mean = nnx.BatchStat(jnp.zeros(width))
        self.var = nnx.BatchStat(jnp.ones(width))

    def __call__(
        self,
        x: Array,
        *,
        train: bool,
        momentum: float | Array = BN_MOMENTUM,
        act: str | None = None,
        mask: Array | None = None,
    ) -> Array:
        """``mask * act(normalised x)``, in the dtype of ``x``; the mask ``[C]`` is of ones by default."""
        if not train:
            scale = self.scale[...] * jax.lax.rsqrt(self.var[...] + self.epsilon)
            y = activation(act)((x * scale + (self.bias[...] - self.mean[...] * scale)).astype(x.dtype))
            return y if mask is None else times(mask, y)
        count = x.size // x.shape[-1]
        # Without a mask nothing is saved by an activation inside, and a CPU is a tenth slower with it.
        inside = act if mask is not None and act in HOMOGENEOUS else None
        folded = mask if mask is not None and act == inside else jnp.ones(x.shape[-1])
        made: Any = normalized(self.epsilon, inside, self.form, x, self.scale[...], self.bias[...], folded)
        y, mean, var = made
        unbiased = var * (count / max(count - 1, 1))
        self.mean[...] = momentum * self.mean[...] + (1 - momentum) * mean
        self.var[...] = momentum * self.var[...] + (1 - momentum) * unbiased
        if act != inside:
            y = activation(act)(y)
            return y if mask is None else times(mask, y)
        return y


class Dense(nnx.Module):
    """``x @ kernel + bias`` over the last axis."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        init: Initializer,
        gain: float = 1.0,
        *,
        bias: bool = True,
        form: Form = "shifted",
    ):
        self.form: Form = form
        self.kernel = nnx.Param(init.normal((c_in, c_out), c_in, gain))
        self.bias = nnx.Param(jnp.zeros(c_out)) if bias else None

    def __call__(self, x: Array) -> Array:
        if self.form == "plain" and x.ndim == 2 and x.size * self.kernel.shape[1] <= MOST:
            x = small_product(x.astype(jnp.float32), self.kernel[...]).astype(x.dtype)
        else:
            x = x @ self.kernel[...].astype(x.dtype)
        return x if self.bias is None else biased(x, self.bias[...])
