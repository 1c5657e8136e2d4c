"""An id of what a network's weights were made for, so that weights are never read into another network."""

import dataclasses
import hashlib
import json
from typing import Any

from tvnjax.graph.head import Head
from tvnjax.graph.network import Network
from tvnjax.graph.shape import Shape
from tvnjax.graph.unit import Unit


def layers_id(network: Network) -> str:
    """Returns 16 hexadecimal digits of all layers: kernels, strides, widths, groups, activations, shortcuts, what each
    unit of a graph reads, and how scores are pooled.

    The size of a clip, the number of classes and dropout are no part of it: weights serve any of them. Two networks
    whose weights have the same shapes and do different things (another activation, another pool) have different ids.
    """
    told = [[_plain(unit) for unit in network.units], _plain(network.head)]
    if not network.is_chain:
        told.append([[shape.c for shape in network.input_shapes], network.wiring.reads])
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """Layers as what JSON knows. Fields at their defaults are left out, so that a field that is added later, with a
    default that changes nothing, leaves the ids of older networks as they are."""
    if isinstance(value, Shape):
        return value.c
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    # What a unit reads is told of the whole network, which knows it where a unit says nothing.
    free = {Head: ("num_classes", "dropout"), Unit: ("inputs",)}.get(type(value), ())
    fields = [f for f in dataclasses.fields(value) if f.name not in free and getattr(value, f.name) != f.default]
    return [type(value).__name__, {field.name: _plain(getattr(value, field.name)) for field in fields}]
