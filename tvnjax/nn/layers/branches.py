"""The module of layers side by side."""

from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.nn.convolution import Form
from tvnjax.nn.layers.merge import merged
from tvnjax.nn.layers.registry import build_layer
from tvnjax.nn.parts import BN_MOMENTUM, Initializer


class Branches(nnx.Module):
    """Chains of layers on one input, joined."""

    def __init__(self, layer: graph.Branches, init: Initializer, form: Form):
        self.branches = nnx.List(
            [nnx.List([build_layer(inner, init, form) for inner in branch]) for branch in layer.branches]
        )
        self.how: graph.Merging = layer.how

    def __call__(self, x: Array, *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        ends = []
        for branch in self.branches:
            y = x
            for layer in branch:
                y = layer(y, train=train, momentum=momentum)
            ends.append(y)
        return merged(ends, self.how)


build_layer.register(graph.Branches, Branches)
