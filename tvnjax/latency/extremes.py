"""The cheapest and the dearest network of a plan, by a cost that is a sum over layers."""

from typing import Literal

import numpy as np

from tvnjax.latency.expected import ExpectedCost
from tvnjax.space.genotype import Genotype
from tvnjax.space.relaxed import GENES


def extreme_network(expected: ExpectedCost, which: Literal["cheapest", "dearest"], channels: int = 3) -> Genotype:
    """Exact, by dynamic programming over the width behind each block."""
    sign = 1.0 if which == "cheapest" else -1.0
    plan = expected.plan
    best: dict[int, tuple[float, tuple[dict[str, int], ...]]] = {channels: (0.0, ())}
    for index, block in enumerate(plan.blocks):
        following: dict[int, tuple[float, tuple[dict[str, int], ...]]] = {}
        sizes = np.outer(block.filters, block.expand)
        for c, (cost, path) in best.items():
            options = sign * expected.block_options(index, c)
            for width in block.widths:
                f_e = (sizes == width)[None, None, :, :, None, None, None]
                masked = np.where(f_e, options, np.inf)
                at = np.unravel_index(int(masked.argmin()), masked.shape)
                total = cost + float(masked[at])
                if width not in following or total < following[width][0]:
                    following[width] = (total, (*path, dict(zip(GENES, map(int, at)))))
        best = following
    heads = dict(zip(plan.blocks[-1].widths, sign * expected.head))
    _, path = min(((cost + heads[width], path) for width, (cost, path) in best.items()), key=lambda pair: pair[0])
    return plan.decode(path)
