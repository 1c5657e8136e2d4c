"""Scores of single networks with the weights they inherit from the supernet, on the same clips for all of them."""

import math
from typing import Any

from tvnjax.search.gradient.data import Data
from tvnjax.search.gradient.projection_config import ProjectionConfig
from tvnjax.search.gradient.proposals import Proposed
from tvnjax.spaces.relaxing import Plan
from tvnjax.trainers.gene_weights import one_hot
from tvnjax.trainers.supernet_trainer import SupernetState, SupernetTrainer
from tvnjax.trainers.trainer import Score


class Inherited:
    """Keeps what it scored: scores differ by what networks are, not by the clips they met.

    Args:
        latency_weight: of ``log(predicted ms)`` in what networks are ranked by, as in the search's loss.
    """

    def __init__(
        self,
        config: ProjectionConfig,
        trainer: SupernetTrainer,
        data: Data,
        state: SupernetState,
        latency_weight: float = 0.0,
    ):
        self._latency_weight = latency_weight
        self._config, self._trainer, self._data, self._state = config, trainer, data, state
        self._batches = [next(data.train) for _ in range(config.recalibration_batches)]
        self._tuning = [next(data.train) for _ in range(max(config.rank_steps, config.fine_tune_steps))]
        self._known: dict[str, Score] = {}

    def score(self, one: Proposed) -> Score:
        """Of a network behind ``rank_steps`` steps of its own, on the validation split."""
        if one.genotype.id not in self._known:
            self._known[one.genotype.id] = self.tuned(one, self._config.rank_steps)
        return self._known[one.genotype.id]

    def worth(self, one: Proposed) -> float:
        """Top-1 plus top-5; where a millisecond has a weight, minus the loss that the search had: cross-entropy and
        weighted logarithm of the latency."""
        score = self.score(one)
        if self._latency_weight == 0:
            return score.fitness
        return -(score.loss + self._latency_weight * math.log(one.predicted_ms))

    def order(self, one: Proposed) -> tuple[float, float]:
        """Sorts the best first: by their worth, equal ones by their loss."""
        return -self.worth(one), self.score(one).loss

    def tuned(self, one: Proposed, steps: int) -> Score:
        """The same behind so many steps."""
        plan, state = one.plan, self._state
        weights = one_hot(self._trainer.relaxed(plan), one.genotype)
        if steps:
            tuning = [self._data.cut(batch, plan, None) for batch in self._tuning[:steps]]
            state = self._trainer.fine_tune(state, plan, weights, tuning)
        return self._scored(state, plan, weights, self._statistics(state, plan, weights))

    def scored(self, plan: Plan, weights: Any, stats: Any) -> Score:
        """Under any weights of the choices, relaxed or of one network, with given batch statistics."""
        return self._scored(self._state, plan, weights, stats)

    def statistics(self, plan: Plan, weights: Any) -> Any:
        """Batch statistics under any weights of the choices."""
        return self._statistics(self._state, plan, weights)

    def _scored(self, state: SupernetState, plan: Plan, weights: Any, stats: Any) -> Score:
        batches = (self._data.cut(batch, plan, None) for batch in self._data.val_once())
        return self._trainer.score(state, plan, stats, weights, batches)

    def _statistics(self, state: SupernetState, plan: Plan, weights: Any) -> Any:
        batches = [self._data.cut(batch, plan, None) for batch in self._batches]
        return self._trainer.recalibrate(state, plan, weights, batches)
