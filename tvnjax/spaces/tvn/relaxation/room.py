"""Whether a supernet's weights have room in memory, told before any is drawn."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.tvn.relaxed import OperatorChoices, RelaxedBlock, RelaxedPlan, relax_plan
from tvnjax.spaces.tvn.shapes import BlockPlan, Plan, ShapeSpace, ShapeTable

_BYTES = 3 * 4
"""Of a weight in float32, with Adam's two moments."""

_PART = 0.3
"""Of a plan's weights that ``least_weights`` counts, roughly: 0.2 to 0.7 of those of the paper's ranges."""

_REDRAWS = 32
"""Times a block is drawn again before a plan ends in front of it."""


def least_weights(plan: RelaxedPlan) -> int:
    """Weights that the supernet of a plan has at least: in every unit those of the largest dense spatial kernel,
    the expansion behind it, and the two gates. Other kernels, bypasses and attention come on top."""
    return sum(block.fixed.repeats * _of_unit(block) for block in plan.blocks)


def _of_unit(block: RelaxedBlock) -> int:
    widest = max(block.filters)
    kernels = [kernel for kind, kernel in block.spatial if kind == "std"]
    convolutions = (max(kernels, default=0) ** 2 + max(block.expand)) * widest**2
    # A squeeze has a layer down to its part of the channels and one up again.
    gates = (True in block.context_gate) + 2 * max(block.squeeze)
    return convolutions + int(gates * (widest * max(*block.expand, 1)) ** 2)


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
    """Draws of plans that are likely to have room: blocks with too many weights are drawn again.

    In the paper's full ranges a plan drawn without regard to its weights has room once in millions of times. Here every
    plan may have an equal part of the room, so that a working set has room together, and every block an equal part of
    what the blocks before it leave; one that has more is drawn again from the same probabilities, and where none is
    found the plan ends in front of it. So plans have the lengths they were drawn with as far as may be, and widths and
    repeats of the smaller values more often than the probabilities say.

    Args:
        most: weights that a plan may have; ``None``: any number, and plans are left as they are.
    """

    def __init__(self, shapes: ShapeSpace, operators: OperatorChoices, most: Callable[[], int | None]):
        self._shapes, self.most = shapes, most
        self.passed_over = 0
        """Draws that were made again or left out."""

        @functools.cache
        def of_unit(filters: int) -> int:
            block = BlockPlan(spatial_stride=1, filters=filters)
            return least_weights(relax_plan(Plan(image_size=1, num_frames=1, blocks=(block,)), operators))

        self._of_unit = of_unit

    def of(self, plans: Sequence[Plan], together: int, weights: ShapeTable, rng: np.random.Generator) -> list[Plan]:
        """Plans of as many blocks, or of the first of them; without those that no network is short enough for. Where
        nothing has an equal part of the room, each may have all of it.

        Args:
            together: plans that are to have room.
        """
        most = self.most()
        if most is None:
            return list(plans)
        for part in (_PART / together, 1.0):
            found = [self._within(plan, part * most, weights, rng) for plan in plans]
            if any(found):
                return [plan for plan in found if plan is not None]
        return []

    def _within(self, plan: Plan, left: float, weights: ShapeTable, rng: np.random.Generator) -> Plan | None:
        blocks = []
        for index, block in enumerate(plan.blocks):
            room = left / (len(plan.blocks) - index)
            for _ in range(_REDRAWS):
                if (needed := block.repeats * self._of_unit(block.filters)) <= room:
                    break
                self.passed_over += 1
                block = self._shapes.block(index, weights, rng)
            else:
                break
            blocks.append(block)
            left -= needed
        length = max((length for length in self._shapes.choices.lengths if length <= len(blocks)), default=0)
        if not length:
            return None
        return self._shapes.canonical(dataclasses.replace(plan, blocks=tuple(blocks[:length])))
