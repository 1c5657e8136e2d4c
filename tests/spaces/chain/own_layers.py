"""Two operators of one's own, as people write them: a temporal shift, and a grouped convolution with a shuffle."""

import dataclasses

import jax.numpy as jnp
from flax import nnx

from tvnjax.graph import Layer


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
class Shift(Layer):
    fold: int = 8

    def build(self, rngs):
        return ShiftModule(self.fold)


class ShuffledModule(nnx.Module):
    def __init__(self, width, groups, rngs):
        self.groups = groups
        options = {"feature_group_count": groups, "use_bias": False, "rngs": rngs}
        self.conv = nnx.Conv(width, width, (1, 3, 3), **options)
        self.norm = nnx.BatchNorm(width, rngs=rngs)

    def __call__(self, x, *, train):
        x = nnx.relu(self.norm(self.conv(x), use_running_average=not train))
        apart = x.reshape(*x.shape[:-1], self.groups, x.shape[-1] // self.groups)
        return jnp.swapaxes(apart, -1, -2).reshape(x.shape)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shuffled(Layer):
    """A grouped 3x3 convolution, batch normalisation, relu, and the channels of the groups in turns (ShuffleNet)."""

    groups: int = 4

    @property
    def params(self):
        width = self.in_shape.c
        return 9 * width * width // self.groups + 2 * width

    @property
    def macs(self):
        return 9 * self.in_shape.size * self.in_shape.c // self.groups

    def build(self, rngs):
        return ShuffledModule(self.in_shape.c, self.groups, rngs)
