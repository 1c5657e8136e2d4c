"""The cheapest and the most expensive network, of one plan or of a whole space, by a cost that is a sum over layers."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.tvn.costs.contexts import InputContext, UnitContext, first_context
from tvnjax.spaces.tvn.costs.expected import ExpectedCost
from tvnjax.spaces.tvn.costs.factored.expected import FactoredCost
from tvnjax.spaces.tvn.costs.options import BlockOptions, Variant
from tvnjax.spaces.tvn.costs.steps import Extreme, extreme_by_steps
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.relaxed import relax_plan
from tvnjax.spaces.tvn.shapes import BlockPlan, Plan, ShapeKey

AnyCost = ExpectedCost | FactoredCost


@dataclasses.dataclass(frozen=True)
class _Choice:
    """One block of a path, and the blocks before it."""

    before: "_Choice | None"
    context: UnitContext
    repeats: int
    variant: Variant
    width: int
    cell: int


Paths = dict[InputContext, tuple[np.ndarray, dict[tuple[int, int], _Choice | None]]]
"""By size behind the last block: best cost ``[widths, relu]``, and how each was reached."""


def extreme_network(expected: AnyCost, plan: Plan, which: Extreme) -> Genotype:
    """The cheapest or most expensive network of one plan, exactly.

    Raises:
        InvalidInputError: the plan is not of the cost's space.
    """
    values = plan_values(expected, plan)
    if isinstance(expected, FactoredCost):
        return _of_family(expected, plan, which)
    return _extreme(expected, which, values)


def extreme_genotype(expected: AnyCost, which: Extreme) -> Genotype:
    """The cheapest or most expensive network of all plans of the space, by dynamic programming over what each block
    receives (frames, side, channels, and whether behind a relu).

    Exact, but in a space without tables: see ``extreme_by_steps`` for what it is there.
    """
    if isinstance(expected, FactoredCost):
        return extreme_by_steps(expected, which, extreme_network)
    return _extreme(expected, which, {key: expected.shapes.values(key) for key in expected.shapes.keys})


def tables_of(expected: AnyCost, plan: Plan) -> ExpectedCost:
    """Tables that hold the costs of a plan's networks.

    Raises:
        InvalidInputError: the plan is not of the cost's space.
    """
    plan_values(expected, plan)
    return expected.tables(plan) if isinstance(expected, FactoredCost) else expected


def plan_values(expected: AnyCost, plan: Plan) -> dict[ShapeKey, tuple[int, ...]]:
    """For every shape gene the value that makes a plan (several where they are equivalent).

    Raises:
        InvalidInputError: the plan is not of the cost's space.
    """
    try:
        masks = expected.shapes.equivalent(plan)
    except ValueError as error:
        raise InvalidInputError(
            f"a cost is asked about plans of its own space; {error}: make the cost for a space with this plan"
        ) from None
    return {
        key: tuple(value for value, same in zip(expected.shapes.values(key), mask) if same)
        for key, mask in masks.items()
    }


def _of_family(expected: FactoredCost, plan: Plan, which: Extreme) -> Genotype:
    """One plan's extreme: what is worked out for a plan holds for its prefixes, and at all distances between frames."""
    plan = expected.shapes.canonical(plan)

    def name(plan: Plan) -> tuple[Plan, Extreme]:
        return dataclasses.replace(plan, frame_stride=1), which

    if name(plan) not in expected.extremes:
        tables, sign = expected.tables(plan), _sign(which)
        values = {key: tables.shapes.values(key) for key in tables.shapes.keys}
        found = _by_length(tables, sign, values)
        for prefix in expected.shapes.prefixes(plan):
            expected.extremes[name(prefix)] = _genotype(tables, values, found[len(prefix.blocks)][1], sign)
    return dataclasses.replace(expected.extremes[name(plan)], frame_stride=plan.frame_stride)


def _extreme(expected: ExpectedCost, which: Extreme, values: Mapping[ShapeKey, tuple[int, ...]]) -> Genotype:
    found = _by_length(expected, _sign(which), values)
    # Of equal ones the shortest.
    last = min(found.values(), key=lambda ended: ended[0])[1]
    return _genotype(expected, values, last, _sign(which))


def _sign(which: Extreme) -> float:
    return 1.0 if which == "cheapest" else -1.0


def _by_length(
    expected: ExpectedCost, sign: float, values: Mapping[ShapeKey, tuple[int, ...]]
) -> dict[int, tuple[float, _Choice | None]]:
    """By number of blocks, the fewest first: the least cost (times ``sign``), and how it is reached."""
    start = np.full((1, 2), np.inf)
    start[0, 0] = 0.0
    paths: Paths = {
        InputContext(t, side): (start, {(0, 0): None})
        for t in values[ShapeKey("num_frames")]
        for side in values[ShapeKey("image_size")]
    }
    found: dict[int, tuple[float, _Choice | None]] = {}
    for index in range(max(values[ShapeKey("num_blocks")])):
        paths = _step(expected, index, paths, values, sign)
        if index + 1 not in values[ShapeKey("num_blocks")]:
            continue
        contexts, best = expected.blocks[index].contexts, (np.inf, None)
        for front, (costs, reached) in paths.items():
            heads = expected.heads[index + 1][contexts.next_fronts.index(front)]
            ended = costs + sign * heads[:, None]
            at = np.unravel_index(int(ended.argmin()), ended.shape)
            if ended[at] < best[0]:
                best = (float(ended[at]), reached[int(at[0]), int(at[1])])
        found[index + 1] = best
    return found


def _step(
    expected: ExpectedCost, index: int, paths: Paths, values: Mapping[ShapeKey, tuple[int, ...]], sign: float
) -> Paths:
    contexts = expected.blocks[index].contexts
    behind: Paths = {}
    chosen = np.isin(contexts.cells.filters, _filters(expected, index, values))
    strides = [values[ShapeKey(gene, index)] for gene in ("spatial_stride", "temporal_stride")]
    for front, (costs, reached) in paths.items():
        for context in dict.fromkeys(first_context(front, x, y) for x in strides[0] for y in strides[1]):
            if context.behind not in behind:
                behind[context.behind] = (np.full((len(contexts.next_widths), 2), np.inf), {})
            least, how = behind[context.behind]
            for repeats in values[ShapeKey("repeats", index)]:
                for variant in BlockOptions(expected, index, context, repeats).variants():
                    before = costs.min(1) if variant.after is None else costs[:, int(variant.after)]
                    total = sign * variant.base + before[:, None]
                    for group in variant.groups:
                        total = total + (sign * group.cost).min(0)
                    total = np.where(variant.cells & chosen, total, np.inf)
                    for width in np.unique(variant.out):
                        at = contexts.next_widths.index(int(width)), int(variant.relu)
                        row, cell = np.unravel_index(
                            int(np.where(variant.out == width, total, np.inf).argmin()), total.shape
                        )
                        if variant.out[row, cell] == width and total[row, cell] < least[at]:
                            relu = int(costs[row].argmin()) if variant.after is None else int(variant.after)
                            least[at] = total[row, cell]
                            how[at] = _Choice(reached[int(row), relu], context, repeats, variant, int(row), int(cell))
    return behind


def _filters(expected: ExpectedCost, index: int, values: Mapping[ShapeKey, tuple[int, ...]]) -> list[int]:
    return [f for top in values[ShapeKey("filters", index)] for f in expected.operators.filters(top)]


def _genotype(
    expected: ExpectedCost, values: Mapping[ShapeKey, tuple[int, ...]], last: _Choice | None, sign: float
) -> Genotype:
    chain: list[_Choice] = []
    while last is not None:
        chain.insert(0, last)
        last = last.before
    blocks, indices = [], []
    for index, choice in enumerate(chain):
        cells = expected.blocks[index].contexts.cells
        filters = int(cells.filters[choice.cell])
        top = next(top for top in values[ShapeKey("filters", index)] if filters in expected.operators.filters(top))
        blocks.append(
            BlockPlan(
                spatial_stride=choice.context.spatial_stride,
                temporal_stride=choice.context.temporal_stride,
                repeats=choice.repeats,
                filters=top,
            )
        )
        chosen = cell_indices(expected, index, top, choice.cell)
        for group in choice.variant.groups:
            option = int((sign * group.cost[:, choice.width, choice.cell]).argmin())
            chosen |= dict(zip(group.genes, map(int, group.indices[option])))
        indices.append(chosen)
    context = chain[0].context
    stride = values[ShapeKey("frame_stride")][0] if context.frames > 1 else 1
    if context.frames > 1:
        legal = expected.shapes.legal_strides(context.frames)
        fitting = [s for s, fits in zip(expected.shapes.choices.frame_stride, legal) if fits]
        stride = next(s for s in values[ShapeKey("frame_stride")] if s in fitting)
    plan = Plan(image_size=context.side, num_frames=context.frames, frame_stride=stride, blocks=tuple(blocks))
    return relax_plan(plan, expected.operators).decode(tuple(indices))


def cell_indices(expected: ExpectedCost, index: int, top: int, cell: int) -> dict[str, Any]:
    """Candidates of the genes that a cell decides, in a bucket."""
    cells, operators = expected.blocks[index].contexts.cells, expected.operators
    return {
        "filters": operators.filters(top).index(int(cells.filters[cell])),
        "expand": operators.expand.index(int(cells.expand[cell])),
        "inverted_bottleneck": operators.inverted_bottleneck.index(bool(cells.inverted[cell])),
    }
