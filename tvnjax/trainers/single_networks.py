"""Networks taken out of a supernet: their statistics, their scores, and a little training of their own."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from flax import nnx

from tvnjax.spaces.relaxing import Plan
from tvnjax.trainers.gene_layout import GeneLayout
from tvnjax.trainers.gene_weights import GeneWeights, default_weights
from tvnjax.trainers.optim import Optimizer, updated
from tvnjax.trainers.plan_store import PlanStore
from tvnjax.trainers.plan_supernet import Batch
from tvnjax.trainers.plan_weights import PlanWeights
from tvnjax.trainers.programs import Programs
from tvnjax.trainers.supernet_settings import SupernetTraining
from tvnjax.trainers.supernet_state import SupernetState
from tvnjax.trainers.trainer import Score, sum_score


class SingleNetworks:
    """Runs a supernet under weights that pick one network (or under relaxed ones)."""

    def __init__(
        self,
        store: PlanStore,
        layout: GeneLayout,
        weights: PlanWeights,
        programs: Programs,
        training: SupernetTraining,
    ):
        self._store, self._layout, self._weights = store, layout, weights
        self._programs, self._training = programs, training

    def score(
        self, state: SupernetState, plan: Plan, stats: nnx.State, weights: GeneWeights, batches: Iterable[Any]
    ) -> Score:
        """Accuracy under given gene weights (relaxed or one-hot) in evaluation mode."""
        supernet, weights = self._store.supernet(plan), self._programs.put(weights)
        name, given = (supernet, "score", len(weights)), (state.params, stats, weights)
        return sum_score(self._programs.run(name, supernet.score, *given, batch) for batch in batches)

    def recalibrate(
        self, state: SupernetState, plan: Plan, weights: GeneWeights, batches: Sequence[Batch]
    ) -> nnx.State:
        """The running statistics of one network: the plain mean over the batches."""
        supernet, weights = self._store.supernet(plan), self._programs.put(weights)
        name, stats = (supernet, "statistics", len(weights)), self._programs.put(supernet.fresh_stats)
        for number, batch in enumerate(batches):
            momentum = self._programs.put(np.float32(number / (number + 1)))
            stats = self._programs.run(name, supernet.statistics, state.params, stats, weights, batch, momentum)
        return stats

    def fine_tune(
        self, state: SupernetState, plan: Plan, weights: GeneWeights, batches: Sequence[Batch]
    ) -> SupernetState:
        """Trains the shared weights further for one network alone: a step for every batch, the rate falling to 0."""
        supernet, params, arrays = self._store.supernet(plan), state.params, self._weights.layout
        tx = Optimizer(learning_rate=self._training.learning_rate).build_vector(len(batches), arrays.decayed)
        # The program runs on to its last block; one path there is the least it can do.
        rest = tuple(map(default_weights, supernet.plan.blocks[len(weights) :]))
        own = np.array([length == len(plan.blocks) for length in supernet.lengths], np.float32)
        packed, parts = self._programs.put((self._layout.pack(weights + rest), own))
        opt = self._programs.run("fine-tuning init", tx.init, params)
        for batch in batches:
            _, grads, _ = self._programs.run((supernet, "gradients"), supernet.gradients, params, packed, batch, parts)
            params, opt = self._programs.run(
                ("fine-tuning", len(batches), arrays), partial(updated, tx), grads, opt, params
            )
        return state._replace(params=params)
