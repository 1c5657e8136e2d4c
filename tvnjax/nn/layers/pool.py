"""The module of a pool."""

from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.nn.convolution import Form
from tvnjax.nn.layers.registry import build_layer
from tvnjax.nn.parts import BN_MOMENTUM, Initializer
from tvnjax.nn.pooling import avg_pool, max_pool, trained_form


class Pool(nnx.Module):
    def __init__(self, layer: graph.Pool, init: Initializer, form: Form):
        self.kind, self.window, self.stride = layer.kind, layer.window, layer.stride
        self.form: Form = form

    def __call__(self, x: Array, *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        if self.kind == "max":
            return max_pool(x, self.window, self.stride, form=trained_form(self.form, train))
        return avg_pool(x, self.window, self.stride, form=self.form)


build_layer.register(graph.Pool, Pool)
