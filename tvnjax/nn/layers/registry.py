"""From a primitive layer to its module, and layers that people write."""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.core.errors import InvalidInputError
from tvnjax.nn.convolution import Form
from tvnjax.nn.parts import BN_MOMENTUM, Initializer


@functools.singledispatch
def build_layer(layer: graph.Layer, init: Initializer, form: Form) -> nnx.Module:
    """The module of one primitive: called with ``x [B, T, H, W, C]``, ``train`` and ``momentum``. A class of layers has
    its own by ``build_layer.register``, or makes one itself (``Layer.build``).

    Raises:
        InvalidInputError: it has none, or one that gives another shape than the layer says.
    """
    return OwnModule(layer, init, form)


class OwnModule(nnx.Module):
    """The module that a layer makes itself, which may know of ``train`` or not."""

    def __init__(self, layer: graph.Layer, init: Initializer, form: Form):
        if not isinstance(layer, graph.Layer):
            raise graph.missing_facet(layer, "module", "the base class tvnjax.Layer")
        self.module: Any = layer.build(init.rngs())
        self.knows_train = "train" in inspect.signature(type(self.module).__call__).parameters
        _check_shape(layer, self.module, self.knows_train)

    def __call__(self, x: Array, *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        return self.module(x, train=train) if self.knows_train else self.module(x)


def _check_shape(layer: graph.Layer, module: Any, knows_train: bool) -> None:
    graphdef, state = nnx.split(module)
    options = {"train": False} if knows_train else {}
    clip = jax.ShapeDtypeStruct((1, *layer.in_shape), jnp.float32)
    given = jax.eval_shape(lambda state, x: nnx.merge(graphdef, state)(x, **options), state, clip)
    if given.shape != (1, *layer.out_shape):
        raise InvalidInputError(
            f"a layer gives what its out_shape says; {type(layer).__name__} says {tuple(layer.out_shape)} for "
            f"{tuple(layer.in_shape)}, and its module gives {tuple(given.shape[1:])}: correct one of them"
        )
