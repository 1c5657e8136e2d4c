"""The module of a trained factor."""

import jax.numpy as jnp
from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.nn.convolution import Form
from tvnjax.nn.layers.registry import build_layer
from tvnjax.nn.parts import BN_MOMENTUM, Initializer, times


class Scale(nnx.Module):
    """``x`` times a scalar that starts at 0."""

    def __init__(self, layer: graph.Scale, init: Initializer, form: Form):
        self.scale = nnx.Param(jnp.zeros(()))

    def __call__(self, x: Array, *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        return times(x, self.scale[...])


build_layer.register(graph.Scale, Scale)
