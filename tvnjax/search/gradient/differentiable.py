"""Differentiable search: weights, operator logits and shape logits by gradient, then projection under the budget.

Inside a plan (one assignment of the shape genes) the operator genes are a softmax mixture, trained bilevel as in DARTS.
Over plans there is a policy: independent softmaxes over the values of every shape gene. A working set of compiled plans
shares one set of weights; every few steps all its members are scored on the *same* validation clips, which gives the
exact gradient of the expected validation loss over the set, without sampling noise. The costs' gradient is exact over
all plans. Both meet in an augmented Lagrangian of ``log(expected cost / budget) <= 0`` with learned multipliers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx

from tvnjax.core.hosts import ALONE, Hosts
from tvnjax.core.monitor import Monitor
from tvnjax.core.stages import Stage
from tvnjax.core.variables import ArchParam
from tvnjax.search.base import SearchResult, SearchTask
from tvnjax.search.budget import Costs
from tvnjax.search.cost_account import CostAccount
from tvnjax.search.gradient.config import DifferentiableConfig
from tvnjax.search.gradient.data import Data
from tvnjax.search.gradient.projection import Projection
from tvnjax.search.gradient.search_loop import SearchLoop
from tvnjax.spaces.relaxing import Relaxation
from tvnjax.trainers.plan_weights import most_weights
from tvnjax.trainers.programs import Programs
from tvnjax.trainers.supernet_state import SupernetState
from tvnjax.trainers.supernet_trainer import SupernetTrainer


class DifferentiableSearch:
    """Trains the supernet and the policy, then hands over to the projection."""

    name = "differentiable"

    def __init__(
        self,
        config: DifferentiableConfig,
        relaxation: Relaxation,
        costs: Costs,
        num_classes: int,
        seed: int,
        devices: Sequence[Any] | None = None,
        hosts: Hosts = ALONE,
        **trainer_options: Any,
    ):
        self.config, self.relaxation, self.costs, self.devices = config, relaxation, costs, devices
        self.hosts = hosts
        self.num_classes, self.seed, self._trainer_options = num_classes, seed, trainer_options
        self._rng = np.random.default_rng([seed, 4])

    def run(
        self, task: SearchTask, data: Data, monitor: Monitor, initial_seconds: Mapping[str, float] | None = None
    ) -> tuple[SearchResult, SupernetState]:
        """Returns the result and the trained supernet's state.

        Args:
            initial_seconds: charged already, by kind.
        """
        config = self.config
        stage = monitor if isinstance(monitor, Stage) else Stage(monitor)
        account = CostAccount(self.name, self.seed, task, stage, initial_seconds=initial_seconds)
        limit = None if config.memory_gb is None else config.memory_gb * 2**30
        programs = Programs(self.devices, memory_bytes=limit)
        # A program has to fit every process's devices: what fits decides which plans are trained, and how.
        programs.memory_bytes = self.hosts.least("memory", programs.memory_bytes)
        most = self.hosts.least("weights", most_weights(programs))
        trainer = SupernetTrainer(
            self.relaxation,
            self.num_classes,
            data.view_of,
            self.costs.parts,
            len(self.costs.names),
            config.training(len(programs.devices)),
            seed=self.seed,
            programs=programs,
            most=None if most is None else int(most),
            **self._trainer_options,
        )
        self._trainer = trainer
        projection = Projection(config.projection, trainer, self.costs, account, data, config.latency_weight)

        def allowed(plan: Any) -> bool:
            return trainer.has_room(plan) and projection.fits(plan)

        plans = self.relaxation.working_set(config.working_set, self._rng, allowed, lambda: trainer.arrays.most)
        names = self.costs.names
        about = (config, self.relaxation, names, account, stage, trainer, plans, projection, data, self._rng)
        loop = SearchLoop(*about, self.hosts)
        state = loop.run()
        account.device.charge("compile", compiled := trainer.compile_seconds)
        account.device.charge("supernet", max(account.seconds - sum(account.device.parts.values()), 0.0))
        projection.run(state, plans, config.temperature)
        account.device.charge("compile", trainer.compile_seconds - compiled)
        return account.finish(), state

    def weights(self, state: SupernetState) -> nnx.State:
        """The weights of a state that ``run`` gave, by name: those of the largest plan, or, where these had no room, of
        the plans that were trained."""
        return self._trainer.weights_layout.unflatten(jax.device_get(state.params))

    def logits(self, state: SupernetState) -> nnx.State:
        """The operator logits of a state that ``run`` gave, by block and choice; a choice without any has zeros."""
        rows = self._trainer.layout.unpack(jax.device_get(state.alphas))
        return nnx.State({block: {gene: ArchParam(row[gene]) for gene in row} for block, row in enumerate(rows)})
