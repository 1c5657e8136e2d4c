"""The module of a convolution."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.nn.convolution import Form, conv
from tvnjax.nn.layers.registry import build_layer
from tvnjax.nn.parts import BN_MOMENTUM, BatchNorm, Initializer, activation, biased, times


class ConvNorm(nnx.Module):
    """SAME convolution, batch normalisation, activation; ``kernel`` is ``[kt, kh, kw, c_in / groups, c_out]``."""

    def __init__(self, layer: graph.Conv, init: Initializer, form: Form):
        width, per_group = layer.out_shape.c, layer.in_shape.c // layer.groups
        fan_in = int(np.prod(layer.kernel)) * per_group
        self.kernel = nnx.Param(init.normal((*layer.kernel, per_group, width), fan_in))
        self.bias = nnx.Param(jnp.zeros(width)) if layer.bias else None
        self.norm = BatchNorm(width, layer.epsilon, form) if layer.norm else None
        self.stride, self.act, self.centered = layer.stride, layer.act, layer.centered
        self.form: Form = form

    def __call__(
        self, x: Array, *, train: bool, momentum: float | Array = BN_MOMENTUM, mask: Array | None = None
    ) -> Array:
        """``mask``, of the channels that come out, is a factor behind the activation."""
        # A product of matrices takes the kernel as it lies, and so do its gradients; a GPU's convolution transposes it.
        form: Form = "shifted" if train and self.kernel.shape[:4] == (1, 1, 1, x.shape[-1]) else self.form
        x = conv(x, self.kernel[...].astype(x.dtype), self.stride, form=form, centered=self.centered)
        if self.bias is not None:
            x = biased(x, self.bias[...])
        if self.norm is not None:
            return self.norm(x, train=train, momentum=momentum, act=self.act, mask=mask)
        x = activation(self.act)(x)
        return x if mask is None else times(mask, x)


build_layer.register(graph.Conv, ConvNorm)
