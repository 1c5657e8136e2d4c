"""The module of a squeeze-excite gate."""

from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.nn.convolution import Form
from tvnjax.nn.layers.registry import build_layer
from tvnjax.nn.parts import BN_MOMENTUM, Dense, Initializer, activation, times


class SqueezeExcite(nnx.Module):
    """``x * gate``, one gate a clip or a frame, then an activation where the layer has one."""

    def __init__(self, layer: graph.SqueezeExcite, init: Initializer, form: Form):
        self.reduce = Dense(layer.in_shape.c, layer.hidden, init, gain=2.0)
        self.restore = Dense(layer.hidden, layer.in_shape.c, init)
        self.hidden_act, self.gate, self.act = layer.hidden_act, layer.gate, layer.act
        self.per_frame = layer.per_frame

    def __call__(self, x: Array, *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        mean = x.mean((2, 3)) if self.per_frame else x.mean((1, 2, 3))
        gate = activation(self.gate)(self.restore(activation(self.hidden_act)(self.reduce(mean))))
        gate = gate[:, :, None, None] if self.per_frame else gate[:, None, None, None]
        return activation(self.act)(times(x, gate))


build_layer.register(graph.SqueezeExcite, SqueezeExcite)
