"""Evolution: the paper's (section 3.3), in which a tournament picks a parent and one gene of it changes, and the
regularised one, whose members grow old and leave (Real et al. 2019).

PyGlove and EvoTorch have the same operators; the pool and the draw are thirty lines here, and what matters (one gene of
a genotype that means something, by the paper's kinds) would be ours in either.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.literals import check_literals
from tvnjax.search.base import WAIT, Candidate, Wait
from tvnjax.spaces.base import Draw, Genotype, Space

_TRIES = 200
"""Draws without a new network before the space counts as exhausted."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvolutionConfig:
    """Sizes of the paper; a search of few evaluations wants smaller ones. Where the paper is silent there is an option,
    and its default says how we read it."""

    population: int = 200
    """Feasible random networks trained before the first tournament."""
    tournament: int = 50
    """Members of the pool drawn for each tournament; the fittest is the parent."""
    rounds: int = 500
    """Most rounds; the seconds usually end the search before."""
    children: int = 1
    """Mutants of a round, each of a tournament of its own, before any of them joins the pool."""
    leaves: Literal["none", "oldest", "worst"] = "none"
    """Which member leaves the pool when a child joins it. ``oldest`` is ageing, as in regularised evolution."""
    mutation: Draw = "gene"
    """How the gene that changes is drawn: uniformly from all, or ``kind``: first image size, frames, frame stride,
    number of blocks or one of the blocks, then a gene of it."""
    revisit: bool = False
    """Whether a network that was proposed before may be proposed again."""

    def __post_init__(self) -> None:
        check_literals(self, "evolution.")
        if self.population < 1 or self.tournament < 1 or self.children < 1 or self.rounds < 0:
            raise InvalidInputError(
                f"evolution needs population, tournament and children of at least 1 and rounds of at least 0; got "
                f"{self.population}, {self.tournament}, {self.children} and {self.rounds}"
            )


class Evolution:
    """Tournament selection over a pool; one mutation a child.

    A child the filter refuses is dropped untrained and takes no place in the pool, but the round counts. Proposals wait
    for results only where the first population or a round of several children is under way: with workers, a tournament
    is over those who are back, as in the paper.

    Args:
        known: candidates of another strategy that the pool starts with.
    """

    def __init__(
        self,
        space: Space,
        config: EvolutionConfig,
        seed: int,
        *,
        known: Sequence[Candidate] = (),
        name: str = "evolution",
    ):
        self.name = name
        self._space, self._config = space, config
        self._mutate = _mutation(space, config.mutation)
        self._rng = np.random.default_rng([seed, 2])
        self._pool: list[Candidate] = []
        self._seen: set[str] = {candidate.id for candidate in known}
        self._rounds = self._children = 0
        self._round: list[Candidate] = []
        self._drawn = 0
        """Random networks proposed whose results are not back."""
        for candidate in known:
            self._join(candidate)

    def ask(self) -> Genotype | Wait | None:
        config = self._config
        mutating = len(self._pool) >= config.population
        if not mutating and len(self._pool) + self._drawn >= config.population:
            return WAIT
        if mutating and self._children == config.children:
            if config.children > 1 and len(self._round) < config.children:
                return WAIT
            self._close_round()
        if mutating and self._rounds >= config.rounds and self._children == 0:
            return None
        for _ in range(_TRIES):
            genotype = self._child() if mutating else self._space.sample(self._rng)
            if config.revisit or genotype.id not in self._seen:
                self._seen.add(genotype.id)
                if mutating:
                    self._rounds += self._children == 0
                    self._children += 1
                else:
                    self._drawn += 1
                return genotype
        return None

    def tell(self, candidate: Candidate) -> None:
        if self._drawn:
            self._drawn -= 1
            self._join(candidate)
        elif self._config.children == 1:
            self._join(candidate)
        else:
            self._round.append(candidate)

    def _close_round(self) -> None:
        for candidate in self._round:
            self._join(candidate)
        self._round, self._children = [], 0

    def _join(self, candidate: Candidate) -> None:
        if candidate.fitness == float("-inf"):
            return
        self._pool.append(candidate)
        if len(self._pool) > self._config.population:
            if self._config.leaves == "oldest":
                self._pool.pop(0)
            elif self._config.leaves == "worst":
                self._pool.remove(min(self._pool, key=lambda member: member.fitness))

    def _child(self) -> Genotype:
        size = min(self._config.tournament, len(self._pool))
        drawn = self._rng.choice(len(self._pool), size=size, replace=False)
        parent = max((self._pool[index] for index in drawn), key=lambda member: member.fitness)
        return self._mutate(parent.genotype, self._rng)


def _mutation(space: Space, draw: Draw) -> Callable[[Genotype, np.random.Generator], Genotype]:
    """A space's mutation, with the gene drawn as asked.

    Raises:
        InvalidInputError: the space has no choice of how it is drawn.
    """
    if draw == "gene":
        return space.mutate
    if "draw" not in inspect.signature(space.mutate).parameters:
        raise InvalidInputError(
            f"evolution.mutation {draw} is for spaces whose mutate takes draw; {type(space).__name__} does not: "
            "leave it at gene"
        )
    mutate: Any = space.mutate
    return functools.partial(mutate, draw=draw)
