"""The module of attention over positions."""

import jax.numpy as jnp
from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.nn.convolution import Form
from tvnjax.nn.layers.registry import build_layer
from tvnjax.nn.parts import BN_MOMENTUM, Dense, Initializer, times


class NonLocal(nnx.Module):
    """Embedded-Gaussian attention, residual; starts as the identity (Wang et al. 2018, sections 3.2 and 3.3)."""

    def __init__(self, layer: graph.NonLocal, init: Initializer, form: Form):
        c, k = layer.in_shape.c, layer.bottleneck
        self.query, self.key, self.value = Dense(c, k, init), Dense(c, k, init), Dense(c, k, init)
        self.out = Dense(k, c, init, gain=0.0)

    def __call__(self, x: Array, *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        return x + self.attention(x)

    def attention(self, x: Array, keep: Array | None = None) -> Array:
        """What is added to ``x [B, T, H, W, C]``; ``keep [bottleneck]`` is a mask over the bottleneck's channels."""
        tokens = x.reshape(x.shape[0], -1, x.shape[-1])
        query, value = self.query(tokens), self.value(tokens)
        if keep is not None:
            query, value = times(query, keep), times(value, keep)
        # Scores grow with the bottleneck: the definition does not divide them by its root, so a bfloat16 score of 64
        # would be a quarter off and its weight 1.3 times too large. They are kept, and normalised, in float32.
        scores = jnp.einsum("bik,bjk->bij", query, self.key(tokens), preferred_element_type=jnp.float32)
        shares = nnx.softmax(scores, axis=-1).astype(value.dtype)
        return self.out(shares @ value).reshape(x.shape)


build_layer.register(graph.NonLocal, NonLocal)
