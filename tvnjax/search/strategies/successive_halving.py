"""Successive halving: many networks trained a little, the best of them further (Jamieson and Talwalkar 2016).

Optuna and Ray Tune have it for hyperparameters, as pruners inside trials of their own; here a trial is a proposal that
passes the runtime filter and is charged in device seconds, so the brackets are counted here.
"""

import dataclasses

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.search.base import WAIT, Candidate, Proposal, Wait
from tvnjax.spaces.base import Genotype, Space

_TRIES = 200
"""Draws without a new network before the space counts as exhausted."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HalvingConfig:
    """One bracket after another until the seconds are spent."""

    networks: int = 27
    """Feasible random networks a bracket starts with."""
    keep: int = 3
    """One in so many goes on to the next rung, which trains so many times as long."""
    rungs: int = 3
    """The last one is the whole short training."""

    def __post_init__(self) -> None:
        if self.networks < 1 or self.keep < 2 or self.rungs < 1:
            raise InvalidInputError(
                f"halving needs networks and rungs of at least 1 and keep of at least 2; got {self.networks}, "
                f"{self.rungs} and {self.keep}"
            )

    @property
    def parts(self) -> tuple[float, ...]:
        """Part of the short training's steps at each rung."""
        return tuple(self.keep ** (1.0 + rung - self.rungs) for rung in range(self.rungs))


class SuccessiveHalving:
    """Random networks in brackets; the training of one that goes on is continued, not begun again."""

    name = "successive_halving"

    def __init__(self, space: Space, config: HalvingConfig, seed: int):
        self._space, self._config = space, config
        self._rng = np.random.default_rng([seed, 6])
        self._seen: set[str] = set()
        self._begin()

    def ask(self) -> Proposal | Wait | None:
        if not self._queue and self._rung == 0 and len(self._results) + self._away < self._config.networks:
            self._queue = self._new()
        if not self._queue and self._away:
            return WAIT
        if not self._queue:
            self._end_rung()
        return self._propose(self._queue.pop(0)) if self._queue else None

    def tell(self, candidate: Candidate) -> None:
        self._away -= 1
        if candidate.fitness > float("-inf"):
            self._results.append(candidate)

    def _begin(self) -> None:
        self._rung, self._away = 0, 0
        self._results: list[Candidate] = []
        self._queue: list[Genotype] = []

    def _end_rung(self) -> None:
        """Queues the networks that go on, or the first of a new bracket; nothing where no further one exists."""
        best = sorted(self._results, key=lambda candidate: -candidate.fitness)
        best = best[: max(1, len(best) // self._config.keep)]
        self._rung, self._results = self._rung + 1, []
        if best and self._rung < self._config.rungs:
            self._queue = [candidate.genotype for candidate in best]
        else:
            self._begin()
            self._queue = self._new()

    def _propose(self, genotype: Genotype) -> Proposal:
        self._away += 1
        return Proposal(genotype=genotype, part=self._config.parts[self._rung])

    def _new(self) -> list[Genotype]:
        """A network not proposed before; none where no further one exists."""
        for _ in range(_TRIES):
            genotype = self._space.sample(self._rng)
            if genotype.id not in self._seen:
                self._seen.add(genotype.id)
                return [genotype]
        return []
