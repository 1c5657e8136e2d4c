"""Networks of the kind a search makes of a latency model."""

from collections.abc import Callable

import numpy as np

from tvnjax.spaces.base import Genotype, Space


def promising_genotype(
    space: Space,
    start: Genotype,
    costs: Callable[[Genotype], tuple[float, int]],
    limit_ms: float,
    steps: int,
    rng: np.random.Generator,
) -> Genotype:
    """Towards the most multiply-adds that are predicted to take at most ``limit_ms``, one mutation at a time.

    What a search makes of a latency model is of this kind: it ends where predictions are too low. Networks like these
    show by how much, and measured in a profile they put it right.

    Args:
        start: a network, where the climb begins.
        costs: predicted milliseconds and multiply-adds of a network.
        steps: mutations tried.
    """
    best, most = start, -1
    for _ in range(steps):
        genotype = space.mutate(best, rng)
        ms, macs = costs(genotype)
        if ms <= limit_ms and macs >= most:
            best, most = genotype, macs
    return best
