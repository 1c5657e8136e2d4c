"""How many costs a space's tables would hold, counted before a table or a context is made.

What a block receives is every number of frames with every side, and it strides along both alike, so that contexts are
products of what time and space can be apart; their counts are products too.
"""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.tvn.costs.contexts import WidthGenes, candidates
from tvnjax.spaces.tvn.costs.unit_cost_tables import Lengths, count_numbers, table_shapes
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.shapes import BLOCK_SHAPE_GENES, BlockShapes, ShapeChoices

MOST_NUMBERS = 50_000_000
"""Most costs that are tabulated."""


class Reach(NamedTuple):
    """What can come in front of a block."""

    frames: frozenset[int]
    sides: frozenset[int]
    widths: frozenset[int]

    def behind(self, block: BlockShapes, cells: WidthGenes) -> "Reach":
        """What can come out of a block."""
        return Reach(
            frozenset(-(-t // min(stride, t)) for t in self.frames for stride in block.temporal_stride),
            frozenset(-(-side // min(stride, side)) for side in self.sides for stride in block.spatial_stride),
            frozenset(cells.out.tolist()) | (self.widths if cells.open.any() else frozenset()),
        )


def reaches(choices: ShapeChoices, operators: OperatorChoices, channels: int = 3) -> list[Reach]:
    """In front of every block, and behind the last."""
    found = [Reach(frozenset(choices.num_frames), frozenset(choices.image_size), frozenset({channels}))]
    for block in choices.blocks:
        found.append(found[-1].behind(block, cells_of(block, operators)))
    return found


def cells_of(block: BlockShapes, operators: OperatorChoices) -> WidthGenes:
    """Assignments of a block's width genes."""
    return WidthGenes.of(tuple(sorted({w for top in block.filters for w in operators.filters(top)})), operators)


def numbers_by_block(choices: ShapeChoices, operators: OperatorChoices, channels: int = 3) -> list[int]:
    """How many costs the tables of every block hold."""
    found = reaches(choices, operators, channels)
    return [
        _numbers(before, behind, block, operators) for before, behind, block in zip(found, found[1:], choices.blocks)
    ]


def _numbers(before: Reach, behind: Reach, block: BlockShapes, operators: OperatorChoices) -> int:
    cells, relaxed = cells_of(block, operators), candidates(operators, block.filters[0])
    time = {(t, min(stride, t)) for t in before.frames for stride in block.temporal_stride}
    space = {(side, min(stride, side)) for side in before.sides for stride in block.spatial_stride}
    sizes = len(behind.frames) * len(behind.sides)
    kept = len(before.widths) if cells.open.any() else 0
    inverted = bool(cells.inverted.any())
    # Convolutions of a first unit depend on whether the cell is inverted, and on their width.
    groups = len(set(zip(cells.inverted.tolist(), cells.inner.tolist())))
    rows = {
        "a": len(before.frames) * len(space),
        "b": len(time) * len(behind.sides),
        "d": sizes,
        "s": len({(stride == 1, t) for t, stride in time}) * len(space),
    }
    units = [Lengths(**rows, c=len(before.widths), n=len(cells), q=groups, k=kept)]
    # Later units stride no more, but their block's striding is told apart, which makes the identity illegal.
    later_space = {(-(-side // stride), stride > 1) for side, stride in space}
    later_time = {(-(-t // stride), stride > 1) for t, stride in time}
    rows = {
        "a": len(behind.frames) * len(later_space),
        "b": len(later_time) * len(behind.sides),
        "d": sizes,
        "s": sizes,
    }
    units += [Lengths(**rows, c=1, n=len(cells), q=len(cells), k=kept)] * (min(max(block.repeats), 3) - 1)
    return sum(count_numbers(table_shapes(lengths, relaxed, inverted=inverted)) for lengths in units)


def tabulates(choices: ShapeChoices, operators: OperatorChoices, channels: int = 3) -> bool:
    """Whether a space's costs fit tables of at most ``MOST_NUMBERS``."""
    return sum(numbers_by_block(choices, operators, channels)) <= MOST_NUMBERS


def check_size(choices: ShapeChoices, operators: OperatorChoices, channels: int = 3) -> None:
    """Refuses a space that is too large to tabulate; names the genes whose halving leaves fewest costs.

    Raises:
        InvalidInputError: there are more than ``MOST_NUMBERS`` costs.
    """
    whole = sum(numbers_by_block(choices, operators, channels))
    if whole <= MOST_NUMBERS:
        return
    left = {name: sum(numbers_by_block(*fewer, channels)) for name, fewer in _halved(choices, operators)}
    best = sorted((name for name in left if left[name] < whole), key=lambda name: left[name])[:3]
    advice = ", ".join(f"half of {name} leaves {left[name]:,}" for name in best)
    raise InvalidInputError(
        f"an expected cost tabulates at most {MOST_NUMBERS:,} costs of layers; this space has {whole:,}: shorten a "
        f"gene's values ({advice or 'but every one has one value: take fewer blocks'})"
    )


def _halved(
    choices: ShapeChoices, operators: OperatorChoices
) -> Iterator[tuple[str, tuple[ShapeChoices, OperatorChoices]]]:
    """The space with every other value of one gene, for each gene that has several."""
    for gene in ("image_size", "num_frames"):
        yield gene, (dataclasses.replace(choices, **{gene: getattr(choices, gene)[::2]}), operators)
    for gene in BLOCK_SHAPE_GENES:
        blocks = tuple(dataclasses.replace(b, **{gene: getattr(b, gene)[::2]}) for b in choices.blocks)
        yield gene, (dataclasses.replace(choices, blocks=blocks), operators)
    for field in dataclasses.fields(operators):
        values = getattr(operators, field.name)
        if isinstance(values, tuple) and len(values) > 1:
            # A kernel of 1 alone would leave operators out that need one.
            half = values[1::2] if field.name.endswith("_kernel") else values[::2]
            yield field.name, (choices, dataclasses.replace(operators, **{field.name: half}))
