"""The module of a gate of channels."""

from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.nn.convolution import Form
from tvnjax.nn.layers.registry import build_layer
from tvnjax.nn.parts import BN_MOMENTUM, Dense, Initializer, times


class ContextGate(nnx.Module):
    def __init__(self, layer: graph.ContextGate, init: Initializer, form: Form):
        self.dense = Dense(layer.in_shape.c, layer.in_shape.c, init)

    def __call__(self, x: Array, *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        return times(x, nnx.sigmoid(self.dense(x.mean((1, 2, 3))))[:, None, None, None])


build_layer.register(graph.ContextGate, ContextGate)
