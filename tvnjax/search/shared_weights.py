"""A supernet trained without any choice being learned: what candidates inherit their weights from.

Every step trains one path, drawn uniformly, of one plan, drawn uniformly from a working set that covers the values of
the shape genes (single-path training as in Guo et al. 2020).
"""

import dataclasses
import warnings

import jax.numpy as jnp
import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Monitor
from tvnjax.core.stages import Stage
from tvnjax.graph import HeadKind
from tvnjax.search.base import Evaluation
from tvnjax.search.gradient.config import DifferentiableConfig
from tvnjax.search.gradient.data import Data
from tvnjax.search.gradient.search_checkpoint import SearchCheckpoint
from tvnjax.search.seconds import DeviceSeconds
from tvnjax.spaces.base import Genotype, Space
from tvnjax.spaces.relaxing import Covered, Relaxation, WorkingSet
from tvnjax.trainers.gene_weights import one_hot
from tvnjax.trainers.supernet_trainer import SupernetTrainer
from tvnjax.trainers.trainer import Score


class SharedWeights:
    """Trains the supernet when made; ``inherit`` then scores networks of its plans.

    Args:
        config: steps, batch size, first rate and working set are those of the differentiable search; the rate falls
            along a cosine.
        fine_tune_steps: that a network's weights are trained for it alone before it is scored.
    """

    def __init__(
        self,
        config: DifferentiableConfig,
        relaxation: Relaxation,
        space: Space,
        num_classes: int,
        data: Data,
        seed: int,
        monitor: Monitor,
        *,
        fine_tune_steps: int = 0,
        head: HeadKind = "mean",
    ):
        self._config, self._data = config, data
        stage = monitor if isinstance(monitor, Stage) else Stage(monitor)
        rng = np.random.default_rng([seed, 7])
        # No choice is decided late that weights would have to keep up with, so the rate falls to 0.
        training = dataclasses.replace(config.training(), mode="sampled", schedule="cosine")
        self._trainer = SupernetTrainer(
            relaxation, num_classes, data.view_of, lambda *_: jnp.zeros(0), 0, training, seed=seed, head=head
        )
        arrays, room = self._trainer.arrays, self._trainer.has_room
        plans: WorkingSet = relaxation.working_set(config.working_set, rng, room, lambda: arrays.most)
        plans.fill(relaxation.uniform())
        state, _, left_out = self._trainer.add(self._trainer.init(), plans.programs, plans.programs)
        for fitted in left_out:
            plans.drop(relaxation.program(fitted.plan))
        if not plans.programs:
            raise InvalidInputError(
                f"some plan's weights fit the memory; of {len(left_out)} drawn none do, {arrays.most} have room: give "
                "narrower blocks or fewer repeats"
            )
        if arrays.grow:
            warnings.warn(
                f"the largest plan of the space has {arrays.of_largest:.3g} weights, and {arrays.most:.3g} have room: "
                f"weights are shared by {len(plans.programs)} plans that have, {len(left_out)} more are left out",
                stacklevel=2,
            )
        self.covered: Covered = relaxation.covered(space, plans.plans)
        seconds = DeviceSeconds()
        checkpoint = SearchCheckpoint(rng, self._trainer, plans, data, seconds)
        step, state = checkpoint.restore(stage, state)
        good = checkpoint.capture(step, state)
        while step < config.steps:
            step += 1
            plan = plans.plans[int(rng.integers(len(plans.plans)))]
            state, loss = self._trainer.weight_step(state, plan, data.cut(next(data.train), plan, rng), 1.0)
            if step % max(config.steps // 50, 1) == 0 or step == config.steps:
                if not np.isfinite(float(loss)):
                    step, state = checkpoint.go_back(stage, good, step, state, plan)
                    continue
                stage.progress("shared weights", step, config.steps, f"loss {float(loss):.3f}")
                good = checkpoint.capture(step, state)
            stage.checkpoints.offer(step, state, checkpoint.capture(step, state).state)
        # The same clips for every network: scores differ by what the networks are, not by luck.
        count = config.projection.recalibration_batches
        self._batches = [next(data.train) for _ in range(count)]
        self._tuning = [next(data.train) for _ in range(fine_tune_steps)]
        self._state = state
        self.compile_seconds = self._trainer.compile_seconds
        self.seconds = seconds.total
        """Of training, compilation included."""
        stage.checkpoints.flush()
        stage.event("shared_weights", seed=seed, steps=config.steps, seconds=self.seconds)

    def inherit(self, genotype: Genotype) -> Evaluation:
        """Score on the validation split with inherited weights, trained a little further and with running statistics
        computed for this network."""
        before = self._trainer.compile_seconds
        score = self.score(genotype)
        return Evaluation(top1=score.top1, top5=score.top5, compile_seconds=self._trainer.compile_seconds - before)

    def score(self, genotype: Genotype, *, fine_tune_steps: int | None = None) -> Score:
        """The same with the loss, behind all or the first of the steps there are clips for.

        Raises:
            InvalidInputError: the supernet does not cover the network.
        """
        plan = self.covered.plan_of(genotype)
        if plan is None:
            raise InvalidInputError(
                f"weights are shared with networks that the supernet covers; {genotype.id} is none: draw from the "
                "space that start is given"
            )
        tuning = self._tuning if fine_tune_steps is None else self._tuning[:fine_tune_steps]
        batches, tuning = ([self._data.cut(batch, plan, None) for batch in some] for some in (self._batches, tuning))
        relaxed = self._trainer.relaxed(plan)
        # The relaxed plan has its frames next to each other; which are read is an argument.
        weights = one_hot(relaxed, genotype)
        state = self._trainer.fine_tune(self._state, plan, weights, tuning) if tuning else self._state
        stats = self._trainer.recalibrate(state, plan, weights, batches)
        clips = (self._data.cut(batch, plan, None) for batch in self._data.val_once())
        return self._trainer.score(state, plan, stats, weights, clips)
