"""The module of a merge."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.nn.convolution import Form
from tvnjax.nn.layers.registry import build_layer
from tvnjax.nn.parts import BN_MOMENTUM, Initializer


class Merge(nnx.Module):
    """Several arrays ``[B, T, H, W, C]`` to one."""

    def __init__(self, layer: graph.Merge, init: Initializer, form: Form):
        self.how: graph.Merging = layer.how

    def __call__(self, arrays: Sequence[Array], *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        return merged(arrays, self.how)


def merged(arrays: Sequence[Array], how: graph.Merging) -> Array:
    """Arrays ``[B, T, H, W, C]`` concatenated over channels, added or averaged."""
    if how == "concat":
        return jnp.concatenate(arrays, axis=-1) if len(arrays) > 1 else arrays[0]
    total = sum(arrays[1:], start=arrays[0])
    return total / len(arrays) if how == "mean" else total


build_layer.register(graph.Merge, Merge)
