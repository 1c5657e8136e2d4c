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
    """The module of one primitive: called with ``x [B, T, H, W, C]``, or a tuple of such where it is a ``graph.Join``,
    ``train`` and ``momentum``. A class of layers has its own by ``build_layer.register``, or makes one itself
    (``Layer.build``).

    Raises:
        InvalidInputError: it has none, or one that gives another shape than the layer says.
    """
    return OwnModule(layer, init, form)


class OwnModule(nnx.Module):
    """The module that a layer makes itself.

    It is told whether it trains by an argument ``train`` where it takes one, and otherwise as Flax does, by ``train()``
    and ``eval()``. Running statistics of ``nnx.BatchNorm`` move with the engine's momentum, whatever their own is:
    statistics are taken anew behind a search, from the first batch on.

    Raises:
        InvalidInputError: it cannot be made or called where it stands, or gives another shape than the layer says.
    """

    def __init__(self, layer: graph.Layer, init: Initializer, form: Form):
        if not isinstance(layer, graph.Layer):
            raise graph.missing_facet(layer, "module", "the base class tvnjax.Layer")
        try:
            self.module: Any = layer.build(init.rngs())
            self.knows_train = "train" in inspect.signature(type(self.module).__call__).parameters
            self._set(False)
            given = self._shape(layer)
        except InvalidInputError:
            raise
        except Exception as error:
            raise InvalidInputError(
                f"a layer's module takes what comes in where the layer stands; {type(layer).__name__} with in_shape "
                f"{_takes(layer)}: {type(error).__name__}: {error!s:.300}"
            ) from error
        _check_shape(layer, given)

    def __call__(self, x: Array | tuple[Array, ...], *, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        norms = [part for _, part in nnx.iter_modules(self.module) if isinstance(part, nnx.BatchNorm)]
        own = [norm.momentum for norm in norms]
        try:
            self._set(train)
            for norm in norms:
                # Not by assignment: Flax refuses an array where a number stood, though it is gone before it looks.
                vars(norm)["momentum"] = momentum
            y = self.module(x, train=train) if self.knows_train else self.module(x)
            # What people write may go on in float32, as their weights are; the layers behind it do not.
            return y.astype((x if isinstance(x, Array) else x[0]).dtype)
        finally:
            # What a module is, apart from its variables, is the same before and after each call.
            self._set(False)
            for norm, before in zip(norms, own):
                vars(norm)["momentum"] = before

    def _set(self, train: bool) -> None:
        if not self.knows_train and isinstance(self.module, nnx.Module):
            self.module.train() if train else self.module.eval()

    def _shape(self, layer: graph.Layer) -> Any:
        graphdef, state = nnx.split(self)
        arrays = tuple(jax.ShapeDtypeStruct((1, *shape), jnp.float32) for shape in layer.in_shapes)
        taken = arrays if isinstance(layer, graph.Join) else arrays[0]
        return jax.eval_shape(lambda state, x: nnx.merge(graphdef, state)(x, train=False), state, taken)


def _check_shape(layer: graph.Layer, given: Any) -> None:
    if given.shape != (1, *layer.out_shape):
        raise InvalidInputError(
            f"a layer gives what its out_shape says; {type(layer).__name__} says {tuple(layer.out_shape)} for "
            f"{_takes(layer)}, and its module gives {tuple(given.shape[1:])}: correct one of them"
        )


def _takes(layer: graph.Layer) -> str:
    return " and ".join(str(tuple(shape)) for shape in layer.in_shapes)
