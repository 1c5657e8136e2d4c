"""Memory of one clip: parameters, and the largest working set of a layer.

The rule: everything is float32; a layer's working set is what it reads and what it writes, and behind the first layer
of a unit with a shortcut also the unit's input, which waits to be added. (The projection of a shortcut counts by the
same rule, as a layer behind the first.) The head counts as a layer. What a compiler fuses or reuses is not modelled.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jax import Array

from tvnjax.graph import Head, Layer, Network
from tvnjax.latency.expected import ExpectedCost
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.shapes import ShapeKey, ShapeSpace

_BYTES = 4
_MIB = 2**20


def working_set(layer: Layer | Head) -> int:
    """Values a layer reads and writes."""
    return layer.in_shape.size + (layer.num_classes if isinstance(layer, Head) else layer.out_shape.size)


def peak_activation_bytes(network: Network) -> int:
    """The largest working set of a layer, in bytes."""
    peak = working_set(network.head)
    for unit in network.units:
        for index, layer in enumerate(unit.all_layers):
            held = unit.in_shape.size if unit.shortcut is not None and index > 0 else 0
            peak = max(peak, working_set(layer) + held)
    return _BYTES * peak


def memory_mb(network: Network) -> float:
    """Parameters and peak of activations, in MiB."""
    return (_BYTES * network.params + peak_activation_bytes(network)) / _MIB


class ExpectedMemory:
    """Expected memory of a relaxed space in MiB; called like ``ExpectedCost``.

    The mean of a maximum is not a sum over layers. Taken here is the maximum over layers (by block, repeat and kind) of
    their mean working sets: exact at one-hot probabilities, below the mean elsewhere (Jensen). Parameters are exact.
    """

    def __init__(
        self, shapes: ShapeSpace, operators: OperatorChoices, num_classes: int, *, channels: int = 3, **options: Any
    ):
        options |= {"channels": channels}
        self._sets = ExpectedCost(shapes, operators, num_classes, lambda layer: float(working_set(layer)), **options)
        self._params = ExpectedCost(shapes, operators, num_classes, lambda layer: float(layer.params), **options)

    def __call__(
        self, operators_p: Sequence[Mapping[str, Any]], shapes_p: Mapping[ShapeKey, Any] | None = None
    ) -> Array:
        """MiB, a scalar."""
        peak = self.peak_bytes(operators_p, shapes_p)
        return (_BYTES * self._params(operators_p, shapes_p) + peak) / _MIB

    def peak_bytes(
        self, operators_p: Sequence[Mapping[str, Any]], shapes_p: Mapping[ShapeKey, Any] | None = None
    ) -> Array:
        """Bytes of the largest mean working set, a scalar."""
        slots, _ = self._sets.slots(operators_p, shapes_p, largest=True)
        return _BYTES * slots.max()
