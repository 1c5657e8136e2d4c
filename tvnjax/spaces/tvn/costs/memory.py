"""Memory of the relaxed space."""

from collections.abc import Mapping, Sequence
from typing import Any

from jax import Array

from tvnjax.latency.memory import BYTES, MIB, working_set
from tvnjax.spaces.tvn.costs.of_space import expected_cost
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.shapes import ShapeKey, ShapeSpace


class ExpectedMemory:
    """Expected memory of a relaxed space in MiB; called like ``ExpectedCost``.

    The mean of a maximum is not a sum over layers. Taken here is the maximum over layers (by block, repeat and kind) of
    their mean working sets: exact at one-hot probabilities, below the mean elsewhere (Jensen). Parameters are exact.
    """

    def __init__(
        self, shapes: ShapeSpace, operators: OperatorChoices, num_classes: int, *, channels: int = 3, **options: Any
    ):
        options |= {"channels": channels}
        self._sets = expected_cost(shapes, operators, num_classes, lambda layer: float(working_set(layer)), **options)
        self._params = expected_cost(shapes, operators, num_classes, lambda layer: float(layer.params), **options)

    def __call__(
        self, operators_p: Sequence[Mapping[str, Any]], shapes_p: Mapping[ShapeKey, Any] | None = None
    ) -> Array:
        """MiB, a scalar."""
        peak = self.peak_bytes(operators_p, shapes_p)
        return (BYTES * self._params(operators_p, shapes_p) + peak) / MIB

    def peak_bytes(
        self, operators_p: Sequence[Mapping[str, Any]], shapes_p: Mapping[ShapeKey, Any] | None = None
    ) -> Array:
        """Bytes of the largest mean working set, a scalar."""
        slots, _ = self._sets.slots(operators_p, shapes_p, largest=True)
        return BYTES * slots.max()
