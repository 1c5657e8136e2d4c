"""The paper's evolution: a tournament picks a parent, one gene of it changes (section 3.3)."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.search.base import Candidate
from tvnjax.space.canonical import genotype_id
from tvnjax.space.genotype import Genotype
from tvnjax.space.search_space import SearchSpace

_TRIES = 200
"""Draws without a new network before the space counts as exhausted."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvolutionConfig:
    """Sizes of the paper; a search of few evaluations wants smaller ones."""

    population: int = 200
    """Feasible random networks trained before the first tournament."""
    tournament: int = 50
    """Members of the pool drawn for each tournament; the fittest is the parent."""
    rounds: int = 500
    """Most mutations; the seconds usually end the search before."""

    def __post_init__(self) -> None:
        if self.population < 1 or self.tournament < 1 or self.rounds < 0:
            raise InvalidInputError(
                f"evolution needs population and tournament of at least 1 and rounds of at least 0; got "
                f"{self.population}, {self.tournament} and {self.rounds}"
            )


class Evolution:
    """Tournament selection over a pool that only grows; one mutation a child.

    The paper does not say whether members leave the pool or how mutations are weighted: here none leaves, and a gene is
    drawn uniformly from those with another value (``SearchSpace.mutate``). A child the filter refuses is dropped
    untrained and takes no place in the pool; a network already proposed is not proposed again.

    Args:
        known: candidates of another strategy that the pool starts with.
    """

    def __init__(
        self,
        space: SearchSpace,
        config: EvolutionConfig,
        seed: int,
        *,
        known: Sequence[Candidate] = (),
        name: str = "evolution",
    ):
        self.name = name
        self._space, self._config = space, config
        self._rng = np.random.default_rng([seed, 2])
        self._pool: list[Candidate] = []
        self._seen: set[str] = {candidate.id for candidate in known}
        self._rounds = 0
        for candidate in known:
            self.tell(candidate)

    def ask(self) -> Genotype | None:
        mutating = len(self._pool) >= self._config.population
        if mutating and self._rounds >= self._config.rounds:
            return None
        for _ in range(_TRIES):
            genotype = self._child() if mutating else self._space.sample(self._rng)
            if genotype_id(genotype) not in self._seen:
                self._seen.add(genotype_id(genotype))
                self._rounds += mutating
                return genotype
        return None

    def tell(self, candidate: Candidate) -> None:
        if candidate.fitness > float("-inf"):
            self._pool.append(candidate)

    def _child(self) -> Genotype:
        size = min(self._config.tournament, len(self._pool))
        drawn = self._rng.choice(len(self._pool), size=size, replace=False)
        parent = max((self._pool[index] for index in drawn), key=lambda member: member.fitness)
        return self._space.mutate(parent.genotype, self._rng)
