"""A network that is trained: the Flax module of a lowered network."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.nn.convolution import Form, default_form
from tvnjax.nn.layers import build_layer
from tvnjax.nn.parts import BN_MOMENTUM, Dense, Initializer, activation
from tvnjax.nn.rematerialised import rematerialised


class UnitModule(nnx.Module):
    """``act(layers(x) + shortcut(x))``, where ``x`` is its input or what ``join`` makes of several."""

    def __init__(self, unit: graph.Unit, init: Initializer, form: Form):
        self.join = None if unit.join is None else build_layer(unit.join, init, form)
        self.layers = nnx.List([build_layer(layer, init, form) for layer in unit.layers])
        shortcut = unit.shortcut
        self.shortcut = None if shortcut is None else nnx.List([build_layer(layer, init, form) for layer in shortcut])
        self.act = unit.act

    def __call__(self, *inputs: Array, train: bool, momentum: float | Array = BN_MOMENTUM) -> Array:
        """Arrays ``[B, T, H, W, C]`` of the unit's inputs to its output shape."""
        x = inputs[0] if self.join is None else self.join(inputs, train=train, momentum=momentum)
        y = x
        for layer in self.layers:
            y = layer(y, train=train, momentum=momentum)
        if self.shortcut is not None:
            for layer in self.shortcut:
                x = layer(x, train=train, momentum=momentum)
            y = y + x
        return activation(self.act)(y)


class HeadModule(nnx.Module):
    """Mean over time and space, dropout, dense; or a per-frame head (see ``graph.Head``)."""

    def __init__(self, head: graph.Head, init: Initializer):
        hidden = Dense(head.in_shape.c, head.hidden, init, gain=2.0, bias=head.hidden_bias) if head.hidden else None
        self.hidden, self.hidden_act = hidden, head.hidden_act
        self.dense = Dense(head.features, head.num_classes, init)
        self.pool, self.dropout = head.pool, head.dropout

    def __call__(self, x: Array, *, dropout_key: Array | None = None) -> Array:
        """``[B, T, H, W, C]`` to logits ``[B, classes]``, float32; no key, no dropout."""
        x = x.mean((1, 2, 3) if self.pool == "mean" else (2, 3), dtype=jnp.float32)
        if self.hidden is not None:
            x = activation(self.hidden_act)(self.hidden(x))
        if self.pool == "max_features":
            x = x.max(1)
        if dropout_key is not None and self.dropout > 0:
            kept = jax.random.bernoulli(dropout_key, 1 - self.dropout, x.shape)
            x = jnp.where(kept, x / (1 - self.dropout), 0)
        logits = self.dense(x)
        if self.pool == "softmax_time":
            # The released head divides by the root of the frame count, as scaled attention does.
            logits = (nnx.softmax(logits / np.sqrt(logits.shape[1]), axis=1) * logits).sum(1)
        elif self.pool == "max_time":
            logits = logits.max(1)
        return logits


class Child(nnx.Module):
    """A whole network.

    Args:
        lowered: the network, every shape known.
        seed: of the initial weights.
        form: which form its convolutions and pools take; ``None`` picks the fast one of the default device.
    """

    def __init__(self, lowered: graph.Network, seed: int = 0, *, form: Form | None = None):
        init, form = Initializer(seed), form or default_form()
        self.units = nnx.List([UnitModule(unit, init, form) for unit in lowered.units])
        self.wiring = lowered.wiring
        self.head = HeadModule(lowered.head, init)

    def __call__(
        self,
        clip: Array | Sequence[Array],
        *,
        train: bool = False,
        momentum: float | Array = BN_MOMENTUM,
        dropout_key: Array | None = None,
        remat: bool = False,
    ) -> Array:
        """Normalised clips ``[B, T, H, W, C]`` to logits ``[B, classes]``.

        Args:
            clip: of a network of several streams, one array for each, in a tuple.
            train: batch statistics, and the running ones move.
            momentum: of the running statistics.
            dropout_key: no key, no dropout.
            remat: a gradient keeps what goes in and out of the units, and computes the rest again.

        Raises:
            InvalidInputError: there are more or fewer streams than the network reads.
        """

        def run(number: int, inputs: list[Array]) -> Array:
            def call(unit: UnitModule, *inputs: Array) -> Array:
                return unit(*inputs, train=train, momentum=momentum)

            unit = self.units[number]
            return rematerialised(unit, call, *inputs) if remat else call(unit, *inputs)

        return self.head(self.wiring.run(clip, run), dropout_key=dropout_key)
