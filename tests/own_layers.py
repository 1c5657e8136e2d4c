"""Operators of one's own, as people write them: a temporal shift, a grouped convolution with a shuffle, a blur of any
kernel and stride, and frames left out."""

import dataclasses
import math

import jax.numpy as jnp
from flax import nnx

import tvnjax as tvn
from tvnjax.graph import Layer, Shape


class ShiftModule(nnx.Module):
    """The first ``1 / fold`` of the channels from the frame behind, as many from the frame before (TSM)."""

    def __init__(self, fold):
        self.fold = fold

    def __call__(self, x):
        part = max(1, x.shape[-1] // self.fold)
        later = jnp.pad(x[:, 1:, ..., :part], [(0, 0), (0, 1), (0, 0), (0, 0), (0, 0)])
        earlier = jnp.pad(x[:, :-1, ..., part : 2 * part], [(0, 0), (1, 0), (0, 0), (0, 0), (0, 0)])
        return jnp.concatenate([later, earlier, x[..., 2 * part :]], axis=-1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shift(tvn.Layer):
    fold: int = 8

    def build(self, rngs):
        return ShiftModule(self.fold)


class ShuffledModule(nnx.Module):
    def __init__(self, width, groups, rngs):
        self.groups = groups
        options = {"feature_group_count": groups, "use_bias": False, "rngs": rngs}
        self.conv = nnx.Conv(width, width, (3, 3), **options)
        self.norm = nnx.BatchNorm(width, rngs=rngs)

    def __call__(self, x, *, train):
        b, t, h, w, c = x.shape
        y = self.conv(x.reshape(b * t, h, w, c))
        y = nnx.relu(self.norm(y, use_running_average=not train))
        apart = y.reshape(b * t, h, w, self.groups, c // self.groups)
        return jnp.swapaxes(apart, -1, -2).reshape(x.shape)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shuffled(Layer):
    """A grouped 3x3 convolution, batch normalisation, relu, and the channels of the groups in turns (ShuffleNet); in
    as many groups as divide the channels."""

    groups: int = 4

    @property
    def divided(self):
        return math.gcd(self.groups, self.in_shape.c)

    @property
    def params(self):
        width = self.in_shape.c
        return 9 * width * width // self.divided + 2 * width

    @property
    def macs(self):
        return 9 * self.in_shape.size * self.in_shape.c // self.divided

    def build(self, rngs):
        return ShuffledModule(self.in_shape.c, self.divided, rngs)


class BlurModule(nnx.Module):
    def __init__(self, width, kernel, stride):
        self.kernel, self.stride = kernel, stride
        self.gain = nnx.Param(jnp.ones(width))

    def __call__(self, x):
        b, t, h, w, c = x.shape
        windows, strides = (self.kernel, self.kernel), (self.stride, self.stride)
        y = nnx.avg_pool(x.reshape(b * t, h, w, c), windows, strides, "SAME")
        return self.gain * y.reshape(b, t, *y.shape[1:])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blur(Layer):
    """A mean over pixels, and a factor for every channel."""

    kernel: int = 3
    stride: int = 1

    @property
    def out_shape(self):
        t, h, w, c = self.in_shape
        return Shape(t, -(-h // self.stride), -(-w // self.stride), c)

    @property
    def params(self):
        return self.in_shape.c

    def build(self, rngs):
        return BlurModule(self.in_shape.c, self.kernel, self.stride)


class EveryModule(nnx.Module):
    def __init__(self, stride):
        self.stride = stride

    def __call__(self, x):
        return jnp.tanh(x[:, :: self.stride])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Every(Layer):
    """The hyperbolic tangent of every ``stride``-th frame."""

    stride: int = 1

    @property
    def out_shape(self):
        return self.in_shape._replace(t=-(-self.in_shape.t // self.stride))

    def build(self, rngs):
        return EveryModule(self.stride)
