"""The module of a fusion."""

from collections.abc import Sequence

from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.nn.convolution import Form, conv
from tvnjax.nn.layers.registry import build_layer
from tvnjax.nn.parts import BN_MOMENTUM, Initializer, times
from tvnjax.nn.pooling import max_pool, trained_form

GATE_DEVIATION = 0.01
"""Of the gates' start around 0, where an input counts half (the released code's)."""


class Fuse(nnx.Module):
    """See ``graph.Fuse``; ``gates [inputs]`` before their sigmoid, and ``kernels`` ``[1, 1, 1, c, widest]`` of the
    channel counts below the largest, in the order of ``graph.Fuse.projected``."""

    def __init__(self, layer: graph.Fuse, init: Initializer, form: Form):
        gates, widest = layer.gates, layer.out_shape.c
        self.gates = nnx.Param(init.normal((gates,), 1, GATE_DEVIATION**2)) if gates else None
        self.kernels = nnx.List([nnx.Param(init.normal((1, 1, 1, c, widest), c)) for c in layer.projected])
        self.windows, self.groups, self.projected = layer.windows, layer.groups, layer.projected
        self.form: Form = form

    def __call__(self, arrays: Sequence[Array], *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        """Arrays ``[B, T, H, W, C]`` of the layer's ``in_shapes`` to one of its ``out_shape``."""
        groups: dict[int, Array] = {}
        for number, (x, window) in enumerate(zip(arrays, self.windows, strict=True)):
            if window != (1, 1, 1):
                x = max_pool(x, window, window, form=trained_form(self.form, train))
            if self.gates is not None:
                x = times(x, nnx.sigmoid(self.gates[...][number]))
            channels = x.shape[-1]
            groups[channels] = groups[channels] + x if channels in groups else x
        for channels, kernel in zip(self.projected, self.kernels, strict=True):
            groups[channels] = conv(groups[channels], kernel[...].astype(groups[channels].dtype), form=self.form)
        first, *others = groups.values()
        return sum(others, start=first)


build_layer.register(graph.Fuse, Fuse)
