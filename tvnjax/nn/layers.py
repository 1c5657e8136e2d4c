"""Trainable layers, each built from one primitive of a lowered network.

Arrays are ``[batch, time, height, width, channels]``. Weights are float32 and rounded to the dtype of what a layer
receives, so a bfloat16 clip makes the arithmetic bfloat16; statistics, and sums over positions, stay float32. ``train``
uses batch statistics and moves the running ones by ``1 - momentum``; nothing here holds random state, so a dropout key
is an argument.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax.graph import network
from tvnjax.nn.convolution import Form, conv
from tvnjax.nn.pooling import avg_pool, max_pool

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


class Initializer:
    """Draws weights on the host: a network has dozens of shapes, and compiling a sampler for each takes seconds."""

    def __init__(self, seed: int):
        self._rng = np.random.default_rng([seed, 3])

    def normal(self, shape: tuple[int, ...], fan_in: int, gain: float = 2.0) -> Array:
        """He-normal weights: standard deviation ``sqrt(gain / fan_in)``."""
        return jnp.asarray(self._rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(gain / fan_in)))


class BatchNorm(nnx.Module):
    """Batch normalisation whose running variance is the unbiased one, as in the released networks.

    (Flax's own keeps the biased one.)
    """

    def __init__(self, width: int, epsilon: float = network.BN_EPSILON):
        self.epsilon = epsilon
        self.scale = nnx.Param(jnp.ones(width))
        self.bias = nnx.Param(jnp.zeros(width))
        self.mean = nnx.BatchStat(jnp.zeros(width))
        self.var = nnx.BatchStat(jnp.ones(width))

    def __call__(self, x: Array, *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        if train:
            axes = tuple(range(x.ndim - 1))
            count = x.size // x.shape[-1]
            wide = x.astype(jnp.float32)
            mean = wide.mean(axes)
            var = jnp.maximum(jnp.square(wide).mean(axes) - jnp.square(mean), 0)
            unbiased = var * (count / max(count - 1, 1))
            self.mean[...] = momentum * self.mean[...] + (1 - momentum) * mean
            self.var[...] = momentum * self.var[...] + (1 - momentum) * unbiased
        else:
            mean, var = self.mean[...], self.var[...]
        scale = self.scale[...] * jax.lax.rsqrt(var + self.epsilon)
        return (x * scale + (self.bias[...] - mean * scale)).astype(x.dtype)


class ConvNorm(nnx.Module):
    """SAME convolution, batch normalisation, activation; ``kernel`` is ``[kt, kh, kw, c_in / groups, c_out]``."""

    def __init__(self, layer: network.Conv, init: Initializer, form: Form):
        width, per_group = layer.out_shape.c, layer.in_shape.c // layer.groups
        fan_in = int(np.prod(layer.kernel)) * per_group
        self.kernel = nnx.Param(init.normal((*layer.kernel, per_group, width), fan_in))
        self.bias = nnx.Param(jnp.zeros(width)) if layer.bias else None
        self.norm = BatchNorm(width, layer.epsilon) if layer.norm else None
        self.stride, self.act, self.centered = layer.stride, layer.act, layer.centered
        self.form: Form = form

    def __call__(self, x: Array, *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        x = conv(x, self.kernel[...].astype(x.dtype), self.stride, form=self.form, centered=self.centered)
        if self.bias is not None:
            x = x + self.bias[...].astype(x.dtype)
        if self.norm is not None:
            x = self.norm(x, train=train, momentum=momentum)
        return activation(self.act)(x)


class Pool(nnx.Module):
    def __init__(self, layer: network.Pool, init: Initializer, form: Form):
        self.kind, self.window, self.stride = layer.kind, layer.window, layer.stride
        self.form: Form = form

    def __call__(self, x: Array, *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        pool = max_pool if self.kind == "max" else avg_pool
        return pool(x, self.window, self.stride, form=self.form)


class Dense(nnx.Module):
    """``x @ kernel + bias`` over the last axis."""

    def __init__(self, c_in: int, c_out: int, init: Initializer, gain: float = 1.0, *, bias: bool = True):
        self.kernel = nnx.Param(init.normal((c_in, c_out), c_in, gain))
        self.bias = nnx.Param(jnp.zeros(c_out)) if bias else None

    def __call__(self, x: Array) -> Array:
        x = x @ self.kernel[...].astype(x.dtype)
        return x if self.bias is None else x + self.bias[...].astype(x.dtype)


class SqueezeExcite(nnx.Module):
    """``x * gate``, one gate a clip or a frame, then an activation where the layer has one."""

    def __init__(self, layer: network.SqueezeExcite, init: Initializer, form: Form):
        self.reduce = Dense(layer.in_shape.c, layer.hidden, init, gain=2.0)
        self.restore = Dense(layer.hidden, layer.in_shape.c, init)
        self.hidden_act, self.gate, self.act = layer.hidden_act, layer.gate, layer.act
        self.per_frame = layer.per_frame

    def __call__(self, x: Array, *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        mean = x.mean((2, 3)) if self.per_frame else x.mean((1, 2, 3))
        gate = activation(self.gate)(self.restore(activation(self.hidden_act)(self.reduce(mean))))
        gate = gate[:, :, None, None] if self.per_frame else gate[:, None, None, None]
        return activation(self.act)(x * gate)


class Scale(nnx.Module):
    """``x`` times a scalar that starts at 0."""

    def __init__(self, layer: network.Scale, init: Initializer, form: Form):
        self.scale = nnx.Param(jnp.zeros(()))

    def __call__(self, x: Array, *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        return x * self.scale[...].astype(x.dtype)


class ContextGate(nnx.Module):
    def __init__(self, layer: network.ContextGate, init: Initializer, form: Form):
        self.dense = Dense(layer.in_shape.c, layer.in_shape.c, init)

    def __call__(self, x: Array, *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        return x * nnx.sigmoid(self.dense(x.mean((1, 2, 3))))[:, None, None, None]


class NonLocal(nnx.Module):
    """Embedded-Gaussian attention, residual; starts as the identity (Wang et al. 2018, sections 3.2 and 3.3)."""

    def __init__(self, layer: network.NonLocal, init: Initializer, form: Form):
        c, k = layer.in_shape.c, layer.bottleneck
        self.query, self.key, self.value = Dense(c, k, init), Dense(c, k, init), Dense(c, k, init)
        self.out = Dense(k, c, init, gain=0.0)

    def __call__(self, x: Array, *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        return x + self.attention(x)

    def attention(self, x: Array, keep: Array | None = None) -> Array:
        """What is added to ``x [B, T, H, W, C]``; ``keep [bottleneck]`` is a mask over the bottleneck's channels."""
        tokens = x.reshape(x.shape[0], -1, x.shape[-1])
        query, value = self.query(tokens), self.value(tokens)
        if keep is not None:
            query, value = query * keep, value * keep
        scores = jnp.einsum("bik,bjk->bij", query, self.key(tokens))
        return self.out(nnx.softmax(scores, axis=-1) @ value).reshape(x.shape)


def build_layer(layer: network.Layer, init: Initializer, form: Form) -> nnx.Module:
    """The module of one primitive."""
    modules = {
        network.Conv: ConvNorm,
        network.Pool: Pool,
        network.SqueezeExcite: SqueezeExcite,
        network.ContextGate: ContextGate,
        network.NonLocal: NonLocal,
        network.Scale: Scale,
    }
    return modules[type(layer)](layer, init, form)
