"""What trainable layers are made of.

Arrays are ``[batch, time, height, width, channels]``. Weights are float32 and rounded to the dtype of what a layer
receives, so a bfloat16 clip makes the arithmetic bfloat16; statistics, and sums over positions, those of gradients
included, stay float32: see ``times`` and ``biased`` for factors and summands that positions share. ``train`` uses
batch statistics and moves the running ones by ``1 - momentum``; nothing here holds random state, so a dropout key is an
argument.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax import graph

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
    """Draws weights on the host: a network has dozens of shapes, and compiling a sampler for each takes seconds."""

    def __init__(self, seed: int):
        self._rng = np.random.default_rng([seed, 3])

    def rngs(self) -> nnx.Rngs:
        """For layers that people write, which draw as Flax does; each gets another stream."""
        return nnx.Rngs(int(self._rng.integers(2**31)))

    def normal(self, shape: tuple[int, ...], fan_in: int, gain: float = 2.0) -> Array:
        """He-normal weights: standard deviation ``sqrt(gain / fan_in)``."""
        return jnp.asarray(self._rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(gain / fan_in)))


class BatchNorm(nnx.Module):
    """Batch normalisation whose running variance is the unbiased one, as in the released networks.

    (Flax's own keeps the biased one.)
    """

    def __init__(self, width: int, epsilon: float = graph.BN_EPSILON):
        self.epsilon = epsilon
        self.scale = nnx.Param(jnp.ones(width))
        self.bias = nnx.Param(jnp.zeros(width))
        self.mean = nnx.BatchStat(jnp.zeros(width))
        self.var = nnx.BatchStat(jnp.ones(width))

    def __call__(self, x: Array, *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        if train:
            count = x.size // x.shape[-1]
            mean, var = moments(x)
            unbiased = var * (count / max(count - 1, 1))
            self.mean[...] = momentum * self.mean[...] + (1 - momentum) * mean
            self.var[...] = momentum * self.var[...] + (1 - momentum) * unbiased
        else:
            mean, var = self.mean[...], self.var[...]
        scale = self.scale[...] * jax.lax.rsqrt(var + self.epsilon)
        return (x * scale + (self.bias[...] - mean * scale)).astype(x.dtype)


def moments(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of every channel of ``x [..., C]``, in float32.

    ``E[x^2] - E[x]^2`` loses the variance of channels whose mean is many times their deviation (7 % of it at 1000
    times). So it is taken of ``x`` less one of its elements, which changes nothing in exact arithmetic (Chan, Golub and
    LeVeque 1983, "Algorithms for computing the sample variance"): the relative error is then that of a sum in float32
    times ``1 + k^2``, with k the distance of that element from the mean in standard deviations. A second pass over
    ``x`` would do without the factor, and costs an accelerator one more kernel for each of dozens of layers.
    """
    wide = x.astype(jnp.float32)
    # Of the first clip, away from the edges, where padding makes other values. What it is depends on no device count.
    middle = jax.lax.stop_gradient(wide[(0, *(size // 2 for size in x.shape[1:-1]))])
    axes = tuple(range(x.ndim - 1))
    rest = wide - middle
    mean = rest.mean(axes)
    var = jnp.maximum(jnp.square(rest).mean(axes) - jnp.square(mean), 0)
    return middle + mean, var


class Dense(nnx.Module):
    """``x @ kernel + bias`` over the last axis."""

    def __init__(self, c_in: int, c_out: int, init: Initializer, gain: float = 1.0, *, bias: bool = True):
        self.kernel = nnx.Param(init.normal((c_in, c_out), c_in, gain))
        self.bias = nnx.Param(jnp.zeros(c_out)) if bias else None

    def __call__(self, x: Array) -> Array:
        x = x @ self.kernel[...].astype(x.dtype)
        return x if self.bias is None else biased(x, self.bias[...])
