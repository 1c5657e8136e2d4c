"""Whether a supernet's weights have room in memory, told before any is drawn."""

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Sequence

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.tvn.operators import bypasses
from tvnjax.spaces.tvn.relaxed import OperatorChoices, RelaxedBlock, RelaxedPlan, relax_plan
from tvnjax.spaces.tvn.shapes import BlockPlan, Plan, ShapeKey, ShapeSpace, ShapeTable

_BYTES = 3 * 4
"""Of a weight in float32, with Adam's two moments."""

_PART = 0.8
"""Of a plan's weights that ``least_weights`` counts, roughly."""


def least_weights(plan: RelaxedPlan, channels: int = 3) -> int:
    """Weights that the supernet of a plan has at least, of clips of so many channels: in every unit those of the
    largest dense kernels in space, of the expansion behind them, of attention and of the two gates. Temporal kernels,
    1x1 convolutions in front and bypasses come on top."""
    total, received = 0, channels
    for block in plan.blocks:
        count, received = _of_block(block, received)
        total += count
    return total


def _of_block(block: RelaxedBlock, received: int) -> tuple[int, int]:
    """Of all its units, and how wide what it gives can be."""
    widest = max(block.filters)
    behind = widest * max(*block.expand, 1) if False in block.inverted_bottleneck else widest
    rest = (block.fixed.repeats - 1) * _of_unit(block, behind) if block.fixed.repeats > 1 else 0
    return _of_unit(block, received) + rest, behind


def _of_unit(block: RelaxedBlock, received: int) -> int:
    widest = max(block.filters)
    wide = widest * max(*block.expand, 1)
    kernels = {kind: max((k for other, k in block.spatial if other == kind), default=0) for kind in ("std", "1std")}
    count = kernels["std"] ** 2 * widest**2 + kernels["1std"] ** 2 * received * widest
    if False in block.inverted_bottleneck:
        # Behind a bypass the expansion receives what the unit does.
        passed = received if any(map(bypasses, block.spatial)) else widest
        convolved = 0 if all(map(bypasses, block.spatial)) else widest
        count += max(passed, convolved) * widest * max(block.expand)
    # Attention has three layers down to its bottleneck and one up again; a squeeze one each.
    count += 4 * max(block.non_local) * wide
    gates = (True in block.context_gate) + 2 * max(block.squeeze)
    return count + int(gates * wide**2)


def check_weights(plan: RelaxedPlan) -> None:
    """Refuses a supernet that cannot be trained on this machine, whatever its device.

    Raises:
        InvalidInputError: the least that its weights take with Adam's moments is more than the machine's memory.
    """
    count, memory = least_weights(plan), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if count * _BYTES > memory:
        raise InvalidInputError(
            f"a supernet holds the weights of its largest plan, and these fit in memory; {count:.2g} weights take "
            f"{count * _BYTES / 2**30:,.0f} GiB with the optimizer's moments, of {memory / 2**30:,.0f} GiB: lower the "
            "largest shapes.blocks.*.filters, repeats or num_blocks, or operators.expand and operators.spatial_kernel"
        )


class RoomyDraws:
    """Draws of plans that are likely to have room: widths and repeats that have none are not drawn.

    In the paper's full ranges a plan drawn without regard to its weights has room once in millions of times. Here every
    plan may have an equal part of the room, so that a working set has room together, and every block an equal part of
    what the blocks before it leave. The width and repeats of one that has more are drawn again, from the same
    probabilities among those that have room; where none has, the plan ends in front of it.

    Args:
        most: weights that a plan may have; ``None``: any number, and plans are left as they are.
    """

    def __init__(self, shapes: ShapeSpace, operators: OperatorChoices, most: Callable[[], int | None]):
        self._shapes, self._most = shapes, most
        self.passed_over = 0
        """Blocks so far that were drawn again, and those that ended a plan."""

        @functools.cache
        def of_units(filters: int, received: int) -> tuple[int, int, int]:
            """Weights of the first unit and of each further one, and the width behind them."""
            plan = Plan(image_size=1, num_frames=1, blocks=(BlockPlan(spatial_stride=1, filters=filters),))
            (block,) = relax_plan(plan, operators).blocks
            first, behind = _of_block(block, received)
            return first, _of_unit(block, behind), behind

        self._of_units = of_units

    @property
    def limited(self) -> bool:
        """Whether some plans have no room."""
        return self._most() is not None

    def of(self, plans: Sequence[Plan], together: int, weights: ShapeTable, rng: np.random.Generator) -> list[Plan]:
        """Plans of as many blocks, or of the first of them; without those that no network is short enough for. Where
        nothing has an equal part of the room, each may have all of it.

        Args:
            together: plans that are to have room.
        """
        most = self._most()
        if most is None:
            return list(plans)
        # Whether one plan has room is known exactly later; that it has too much is known here.
        for part in ([_PART / together] if together > 1 else []) + [1.0]:
            found = [self._within(plan, part * most, weights, rng) for plan in plans]
            if any(found):
                return [plan for plan in found if plan is not None]
        return []

    def _within(self, plan: Plan, left: float, weights: ShapeTable, rng: np.random.Generator) -> Plan | None:
        blocks, received = [], 3
        for index, block in enumerate(plan.blocks):
            room = left / (len(plan.blocks) - index)
            if self._needed(block, received) > room:
                self.passed_over += 1
                if (smaller := self._drawn(index, block, received, room, weights, rng)) is None:
                    break
                block = smaller
            blocks.append(block)
            left -= self._needed(block, received)
            received = self._of_units(block.filters, received)[2]
        length = max((length for length in self._shapes.choices.lengths if length <= len(blocks)), default=0)
        if not length:
            return None
        return self._shapes.canonical(dataclasses.replace(plan, blocks=tuple(blocks[:length])))

    def _needed(self, block: BlockPlan, received: int) -> int:
        first, further, _ = self._of_units(block.filters, received)
        return first + (block.repeats - 1) * further

    def _drawn(
        self,
        index: int,
        block: BlockPlan,
        received: int,
        room: float,
        weights: ShapeTable,
        rng: np.random.Generator,
    ) -> BlockPlan | None:
        """A block with a width and repeats that have room; ``None`` where none have, or none that have any chance."""
        keys = ShapeKey("filters", index), ShapeKey("repeats", index)
        pairs = list(itertools.product(*map(self._shapes.values, keys)))
        smaller = [dataclasses.replace(block, filters=filters, repeats=repeats) for filters, repeats in pairs]
        chances = np.outer(*(np.asarray(weights[key], float) for key in keys)).ravel()
        chances *= [self._needed(one, received) <= room for one in smaller]
        if not chances.sum() > 0:
            return None
        return smaller[int(rng.choice(len(pairs), p=chances / chances.sum()))]
