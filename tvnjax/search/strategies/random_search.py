"""Random search: the baseline every search has to beat."""

import numpy as np

from tvnjax.search.base import Candidate
from tvnjax.spaces.base import Genotype, Space

_TRIES = 200
"""Draws without a new network before the space counts as exhausted."""


class RandomSearch:
    """Draws every gene uniformly; a network already proposed is drawn again."""

    name = "random"

    def __init__(self, space: Space, seed: int):
        self._space, self._rng = space, np.random.default_rng([seed, 1])
        self._seen: set[str] = set()

    def ask(self) -> Genotype | None:
        for _ in range(_TRIES):
            genotype = self._space.sample(self._rng)
            if genotype.id not in self._seen:
                self._seen.add(genotype.id)
                return genotype
        return None

    def tell(self, candidate: Candidate) -> None:
        """Learns nothing: that is the point."""
