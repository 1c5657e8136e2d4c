"""The expected cost of a space: by tables where they are small enough, else by structure."""

from typing import Any

from tvnjax.spaces.tvn.costs.expected import ExpectedCost
from tvnjax.spaces.tvn.costs.factored.expected import FactoredCost
from tvnjax.spaces.tvn.costs.table_sizes import numbers_by_block
from tvnjax.spaces.tvn.costs.unit_cost_tables import LayerCost
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.shapes import ShapeSpace

MOST_TABULATED = 10_000_000
"""Costs up to which tables are made. (Of 50 million they took 33 s, 2.4 GB, and 0.65 s a gradient.)"""


def expected_cost(
    shapes: ShapeSpace, operators: OperatorChoices, num_classes: int, cost: LayerCost, **options: Any
) -> ExpectedCost | FactoredCost:
    """The expected cost; arguments as for ``ExpectedCost``, which it is wherever tables are small enough."""
    count = sum(numbers_by_block(shapes.choices, operators, options.get("channels", 3)))
    kind = ExpectedCost if count <= MOST_TABULATED else FactoredCost
    return kind(shapes, operators, num_classes, cost, **options)
