"""Where a unit stands: what it receives, how it strides, and which candidates its block cannot have.

Plans share most of their surroundings, so tables of costs are made for distinct ones, not for plans.
"""

import dataclasses
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from tvnjax.spaces.tvn.relaxed import OperatorChoices, RelaxedBlock, relax_plan
from tvnjax.spaces.tvn.shapes import BlockPlan, BlockShapes, Plan


class InputContext(NamedTuple):
    """Size of what a block receives, channels aside."""

    frames: int
    side: int


class UnitContext(NamedTuple):
    """Surroundings of a unit, channels aside."""

    frames: int
    side: int
    spatial_stride: int
    temporal_stride: int
    """Strides of this unit: no longer than what they meet, and 1 behind the first repeat."""
    strides_space: bool
    strides_time: bool
    """Whether the unit's *block* strides, so that the identity is illegal in all its repeats."""
    block_timed: bool
    """Whether the block receives several frames, so that its temporal operator means something."""
    timed: bool
    """Whether this unit has a temporal layer."""

    @property
    def middle(self) -> int:
        """Side between the spatial and the temporal layer."""
        return -(-self.side // self.spatial_stride)

    @property
    def behind(self) -> InputContext:
        return InputContext(-(-self.frames // self.temporal_stride), self.middle)

    @property
    def keeps_time(self) -> bool:
        return self.behind.frames == self.frames

    def repeated(self, *, timed: bool) -> "UnitContext":
        """The context of a later repeat of the same block."""
        frames, side = self.behind
        return self._replace(frames=frames, side=side, spatial_stride=1, temporal_stride=1, timed=timed and frames > 1)


def first_context(front: InputContext, spatial_stride: int, temporal_stride: int) -> UnitContext:
    """The context of a block's first unit; strides past the end of an axis are cut to it."""
    spatial, temporal = min(spatial_stride, front.side), min(temporal_stride, front.frames)
    timed = front.frames > 1
    return UnitContext(front.frames, front.side, spatial, temporal, spatial > 1, temporal > 1, timed, timed)


@dataclasses.dataclass(frozen=True)
class WidthGenes:
    """Assignments of the genes that decide widths inside a unit: filters, expand, inverted."""

    filters: np.ndarray
    expand: np.ndarray
    inverted: np.ndarray

    @staticmethod
    def of(filters: tuple[int, ...], operators: OperatorChoices) -> "WidthGenes":
        """All assignments, filters outermost, ``[filters * expand * inverted]``."""
        f, e, i = np.meshgrid(filters, operators.expand, operators.inverted_bottleneck, indexing="ij")
        return WidthGenes(f.ravel(), e.ravel(), i.ravel().astype(bool))

    def __len__(self) -> int:
        return len(self.filters)

    @property
    def inner(self) -> np.ndarray:
        """``[cells]``: width of the convolutions."""
        return np.where(self.inverted, np.maximum(self.filters * self.expand, self.filters), self.filters)

    @property
    def open(self) -> np.ndarray:
        """``[cells]``: whether nothing behind the operators sets the width, so that bypasses alone keep the input's."""
        return ~self.inverted & (self.expand == 0)

    @property
    def gated(self) -> np.ndarray:
        """``[cells]``: width at the gates, behind a convolution where the cell is open."""
        expanded = np.maximum(self.filters * self.expand, self.filters)
        return np.where(self.open, self.filters, expanded)

    @property
    def out(self) -> np.ndarray:
        """``[cells]``: width behind the unit, behind a convolution where the cell is open."""
        return np.where(self.inverted, self.filters, self.gated)


class BlockContexts:
    """Sites and widths of one block over all plans of a space.

    Args:
        fronts: every size the block can receive.
        widths: every number of channels it can receive, ascending.
    """

    def __init__(self, fronts: list[InputContext], widths: list[int], shapes: BlockShapes, operators: OperatorChoices):
        self.fronts, self.widths, self.shapes, self.operators = fronts, widths, shapes, operators
        flow = [
            [[first_context(g, x, y) for y in shapes.temporal_stride] for x in shapes.spatial_stride] for g in fronts
        ]
        self.first = sorted({context for plane in flow for row in plane for context in row})
        at = {context: index for index, context in enumerate(self.first)}
        self.flow = np.array([[[at[context] for context in row] for row in plane] for plane in flow])
        """``[fronts, spatial strides, temporal strides]``: index of the first unit's context."""
        self.later: dict[bool, list[UnitContext]] = {
            timed: sorted({context.repeated(timed=timed) for context in self.first}) for timed in (False, True)
        }
        """Sites of odd repeats (``False``) and of even ones behind the first."""
        self.onto_later = {
            timed: positions([context.repeated(timed=timed) for context in self.first], contexts)
            for timed, contexts in self.later.items()
        }
        self.next_fronts = sorted({context.behind for context in self.first})
        self.onto_next = positions([context.behind for context in self.first], self.next_fronts)
        tops = [operators.filters(top) for top in shapes.filters]
        values = tuple(sorted({width for row in tops for width in row}))
        self.filters = values
        self.onto_filters = np.array([[[width == value for value in values] for width in row] for row in tops], float)
        """``[buckets, parts, filters]``: 1 where a part of a bucket is that many filters."""
        self.cells = WidthGenes.of(values, operators)
        self.relaxed = candidates(operators, shapes.filters[0])
        self.can_keep = bool(self.cells.open.any())
        """Whether some block of bypasses keeps the width it receives."""
        self.next_widths = sorted({*self.cells.out.tolist(), *(widths if self.can_keep else ())})

    @property
    def repeats(self) -> int:
        return max(self.shapes.repeats)


def positions(items: Sequence[Hashable], among: Sequence[Hashable]) -> np.ndarray:
    """``[items]``: where each stands in a list of distinct ones."""
    at = {item: index for index, item in enumerate(among)}
    return np.array([at[item] for item in items], int)


def candidates(operators: OperatorChoices, top: int = 2048) -> RelaxedBlock:
    """Candidates of every gene where nothing is illegal (but non-local layers over the cap)."""
    plan = Plan(image_size=1, num_frames=1, blocks=(BlockPlan(spatial_stride=1, filters=top),))
    return relax_plan(plan, operators).blocks[0]
