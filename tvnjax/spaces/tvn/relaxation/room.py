"""Whether a supernet's weights have room in memory, told before any is drawn."""

import os

from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.tvn.relaxed import RelaxedBlock, RelaxedPlan

_BYTES = 3 * 4
"""Of a weight in float32, with Adam's two moments."""


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
