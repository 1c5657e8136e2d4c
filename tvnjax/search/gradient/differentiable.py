"""Differentiable search: weights, operator logits and shape logits by gradient, then projection under the budget.

Inside a plan (one assignment of the shape genes) the operator genes are a softmax mixture, trained bilevel as in DARTS.
Over plans there is a policy: independent softmaxes over the values of every shape gene. A working set of compiled plans
shares one set of weights; every few steps all its members are scored on the *same* validation clips, which gives the
exact gradient of the expected validation loss over the set, without sampling noise. The costs' gradient is exact over
all plans. Both meet in an augmented Lagrangian of ``log(expected cost / budget) <= 0`` with learned multipliers.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.literals import check_literals
from tvnjax.core.monitor import Monitor
from tvnjax.core.stages import Stage
from tvnjax.nn.parts import Precision
from tvnjax.search.base import SearchResult, SearchTask
from tvnjax.search.budget import Costs
from tvnjax.search.cost_account import CostAccount
from tvnjax.search.gradient.projection import Data, Projection, ProjectionConfig
from tvnjax.search.gradient.search_checkpoint import SearchCheckpoint
from tvnjax.search.gradient.step_trace import StepTrace
from tvnjax.spaces.relaxing import Plan, Relaxation, WorkingSet
from tvnjax.trainers.supernet_settings import ArchSchedule, Bilevel, Mode, SupernetTraining
from tvnjax.trainers.supernet_state import SupernetState
from tvnjax.trainers.supernet_trainer import SupernetTrainer

_NOT_NEGATIVE = (
    *("logit_penalty", "latency_weight", "redraws", "shape_decay", "penalty", "multiplier_rate"),
    *("arch_learning_rate", "shape_learning_rate", "trace"),
)
_HEAD_START = 0.1
"""Nats of validation loss below the others that make a plan e times as likely to be trained by lot."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DifferentiableConfig:
    """How the relaxed network is searched. Parts and rates are in units of progress, so that they mean the same
    however many steps there are."""

    steps: int = 400
    """Weight steps."""
    trace: int = 0
    """Steps that are recorded behind the warm-up (and the first step of the logits, which compiles), in trace/ of the
    run, for Perfetto and TensorBoard; the report lists their costliest operations. They take longer so. 0: none."""
    batch_size: int = 32
    mode: Mode = "concrete"
    """``mixture``: every candidate runs, weighted by its softmax (DARTS); a candidate can then live on a small weight
    that no single network will give it. ``concrete``: the weights are draws around that softmax (Gumbel noise is added
    to its argument, as in SNAS), so that an undecided choice cannot rest on a mixture, and a decided one is left alone.
    ``sampled``: one path a gene for the weights, drawn by Gumbel-max, and two for the logits' gradient (as
    ProxylessNAS); what is not drawn does not run."""
    draw_sharpness: float = 1.0
    """Of mode ``concrete``, at the end: what the noisy argument of the softmax is multiplied by (the inverse of SNAS's
    temperature). It grows from 1 in the second half of the search. With 1 a draw is soft, and an undecided choice can
    still lean on several candidates; the larger, the closer each draw is to a single network. (10 made no difference on
    ten spoken digits, one seed: 95.0 % on test clips against 95.5.)"""
    bilevel: Bilevel = "first"
    """Clips of a logit step: validation clips (``first``), the same behind a look-ahead step of the weights (``second``
    order, four times the work), or the training clips themselves (``one-level``, as PV-NAS)."""
    arch_warmup: float = 0.4
    """Part of the steps that train weights alone: logits that move while weights are raw favour what learns fastest."""
    learning_rate: float = 3e-3
    schedule: Literal["step", "cosine"] = "step"
    """Of the weights. Under a cosine one differentiable video search is known to collapse onto skips and pools."""
    drop: float = 0.4
    """What the step schedule multiplies the rate with at 60 % and at 85 % of the steps. The weights must keep up with
    choices that are decided late: on ten spoken digits (one seed) the relaxed network and the one taken out of it had
    44 and 14 % on validation clips with 0.1, and 68 and 62 % with 0.4."""
    arch_learning_rate: float = 0.05
    """Of the operator logits (Adam)."""
    arch_schedule: ArchSchedule = "constant"
    """Of that rate behind the warm-up: it falls as the temperature does, stays, or falls along a cosine."""
    temperature: float = 0.1
    """Softmax temperature at the end; it is 1 during the warm-up and falls by a constant factor a step from then on.
    Low enough that the relaxed network ends close to a single one: what is left over is lost in the projection."""
    logit_penalty: float = 0.0
    """Weight of the mean log-sum-exp of the logits, ramped with progress: keeps single logits from running away."""
    latency_weight: float = 0.0
    """Weight of ``log(expected ms)`` in the loss, ramped with progress: above 0 a network is wanted that is fast, not
    merely within the budget. (0.1: a doubling of the latency must be worth 0.07 nats.) Before anything is learned the
    latency would be all there is to go by, hence the ramp."""
    multiplier_rate: float = 0.5
    """Step of the budgets' multipliers, in units of ``log(expected / budget)``."""
    penalty: float = 4.0
    """Weight of the quadratic term of the augmented Lagrangian."""
    working_set: int = 6
    """Plans kept compiled; a handful on a CPU, 16 to 64 on an accelerator."""
    redraws: int = 3
    """How often the weakest third of the working set is drawn anew from the policy."""
    precision: Precision = "float32"
    """Of the supernet's activations and convolutions; weights, logits, statistics, losses and the optimizers' moments
    are float32 either way. ``bfloat16`` is for accelerators: a CPU is slower with it."""
    remat: bool = False
    """Compute the insides of the supernet's units again for the gradient instead of keeping them: less memory, about a
    third more work."""
    score_every: int = 4
    """Steps between scorings of the whole working set."""
    score_clips: int = 64
    """Validation clips of a scoring, the same for every plan."""
    shape_learning_rate: float = 3.0
    """Of the shape logits (plain gradient steps)."""
    shape_decay: float = 0.02
    """Pull of the shape logits towards uniform at each step, so that no value dies by a few unlucky scorings."""
    projection: ProjectionConfig = dataclasses.field(default_factory=ProjectionConfig)

    def __post_init__(self) -> None:
        check_literals(self, "search.")
        if self.steps < 1 or not 0 <= self.arch_warmup < 1 or not 0 < self.temperature <= 1:
            raise InvalidInputError(
                "a search has steps of at least 1, arch_warmup in [0, 1) and temperature in (0, 1]; got "
                f"{self.steps}, {self.arch_warmup} and {self.temperature}"
            )
        if not 0 < self.drop <= 1:
            raise InvalidInputError(f"search.drop is a factor in (0, 1]; got {self.drop}")
        for name in ("working_set", "score_every", "score_clips", "batch_size"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"search.{name} is at least 1; got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise InvalidInputError(f"search.learning_rate is above 0; got {self.learning_rate}")
        if not 1 <= self.draw_sharpness <= 100:
            raise InvalidInputError(f"search.draw_sharpness is in 1 to 100; got {self.draw_sharpness}")
        for name in _NOT_NEGATIVE:
            if not getattr(self, name) >= 0:
                raise InvalidInputError(f"search.{name} is 0 or above; got {getattr(self, name)}")

    def training(self) -> SupernetTraining:
        names = {field.name for field in dataclasses.fields(SupernetTraining)}
        return SupernetTraining(**{name: getattr(self, name) for name in names})


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
        **trainer_options: Any,
    ):
        self.config, self.relaxation, self.costs = config, relaxation, costs
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
        trainer = SupernetTrainer(
            self.relaxation,
            self.num_classes,
            data.view_of,
            self.costs.parts,
            len(self.costs.names),
            config.training(),
            seed=self.seed,
            **self._trainer_options,
        )
        projection = Projection(config.projection, trainer, self.costs, account, data, config.latency_weight)
        plans = self.relaxation.working_set(config.working_set, self._rng, projection.fits)
        state = self._train(stage, account, trainer, plans, projection, data)
        account.device.charge("compile", compiled := trainer.compile_seconds)
        account.device.charge("supernet", max(account.seconds - sum(account.device.parts.values()), 0.0))
        projection.run(state, plans, config.temperature)
        account.device.charge("compile", trainer.compile_seconds - compiled)
        return account.finish(), state

    def _train(
        self,
        stage: Stage,
        account: CostAccount,
        trainer: SupernetTrainer,
        plans: WorkingSet,
        projection: Projection,
        data: Data,
    ) -> SupernetState:
        """All steps, or those that are left; a loss that is not finite takes it back once."""
        config = self.config
        checkpoint = SearchCheckpoint(self._rng, trainer, plans, data, account.device)
        state = trainer.init()
        first, state = checkpoint.restore(stage, state)
        if first == 0:
            self._fill(plans, plans.fill, trainer, state, data, account)
        good = checkpoint.capture(first, state)
        step, plan = first, None
        trace = StepTrace(stage.folder("trace"), int(config.arch_warmup * config.steps) + 2, config.trace)
        while step < config.steps:
            step += 1
            trace.before(step)
            try:
                state, loss, plan = self._step(step, state, account, trainer, plans, projection, data)
            except BaseException:
                trace.stop()
                raise
            if (recorded := trace.after(step, state, step == config.steps)) is not None:
                stage.event("trace", strategy=self.name, seed=self.seed, **recorded)
            if step % max(config.steps // 50, 1) == 0 or step == config.steps:
                if not np.isfinite(loss):
                    step, state = checkpoint.go_back(stage, good, step, state, plan)
                    continue
                good = checkpoint.capture(step, state)
            stage.checkpoints.offer(step, state, checkpoint.capture(step, state).state)
        stage.checkpoints.write()
        return state

    def _step(
        self,
        step: int,
        state: SupernetState,
        account: CostAccount,
        trainer: SupernetTrainer,
        plans: WorkingSet,
        projection: Projection,
        data: Data,
    ) -> tuple[SupernetState, float, Plan]:
        """One step of the weights, behind the warm-up one of the logits; returns the loss (where it is not looked at:
        0) and the plan."""
        config = self.config
        warmup = int(config.arch_warmup * config.steps)
        redraw = {warmup + (config.steps - warmup) * (i + 1) // (config.redraws + 2) for i in range(config.redraws)}
        progress = max(step - warmup, 0) / max(config.steps - warmup, 1)
        temperature = config.temperature**progress
        if self.relaxation.searched and step % config.score_every == 0:
            self._score(plans, trainer, state, data, temperature, progress)
        plan, lengths = self._pick(plans, trainer, state, projection, progress)
        batch = data.cut(next(data.train), plan, self._rng)
        state, loss = trainer.weight_step(state, plan, batch, temperature, progress, lengths)
        val_loss, parts = None, None
        if step > warmup:
            val = data.cut(next(data.val), plan, self._rng) if config.bilevel != "one-level" else batch
            state, val_loss, parts = trainer.arch_step(state, plan, batch, val, temperature, progress, lengths)
            if self.relaxation.searched and step % config.score_every == 0:
                rates = {"rate": config.shape_learning_rate, "decay": config.shape_decay}
                losses = plans.scores()
                state = trainer.shape_step(state, losses, plans.members(), temperature, progress, **rates)
            if self.relaxation.searched and step in redraw:
                self._fill(plans, plans.renew, trainer, state, data, account)
        if step % max(config.steps // 50, 1) and step != config.steps:
            return state, 0.0, plan
        if np.isfinite(float(loss)):
            self._report(account, trainer, state, plans, step, warmup, temperature, loss, val_loss, parts)
        return state, float(loss), plan

    def _fill(
        self,
        plans: WorkingSet,
        fill: Callable[[Any], list[Plan]],
        trainer: SupernetTrainer,
        state: SupernetState,
        data: Data,
        account: CostAccount,
    ) -> None:
        """Compiles the programs that are new to the working set."""
        new = fill(jax.device_get(trainer.shape_weights(state.shapes)))
        account.monitor.progress(self.name, 0, self.config.steps, f"compiling {len(new)} plans")
        batch, scoring = next(data.train), next(data.scoring)
        trainer.compile(
            new, state, lambda plan: data.cut(batch, plan, None), lambda plan: data.cut(scoring, plan, None)
        )
        for plan in new:
            what = {"plan": str(plan), "members": len(plans.members_of(plan)), "charged_s": account.seconds}
            account.monitor.event("plan", strategy=self.name, seed=self.seed, **what)

    def _pick(
        self,
        plans: WorkingSet,
        trainer: SupernetTrainer,
        state: SupernetState,
        projection: Projection,
        progress: float,
    ) -> tuple[Plan, dict[int, float]]:
        """Members by the policy, part of the time by lot: half at first, a fifth at the end. Returns the longest of
        those picked together, and the part of each by its number of blocks.

        Those that differ in the number of blocks alone are trained together. The lot favours cheap plans, by the root
        of their largest latency: they need as many steps and take fewer seconds. And it favours plans that have begun
        to learn: where few can, they would drown in the others' noise.
        """
        p = plans.probabilities(jax.device_get(trainer.shape_weights(state.shapes)))
        share = 0.5 - 0.3 * progress
        lot = np.array([projection.predicted_range(plan)[1] ** -0.5 for plan in plans.plans])
        lot *= np.exp((plans.scores().min() - plans.scores()) / _HEAD_START)
        chances = dict(zip(plans.plans, (1 - share) * p + share * lot / lot.sum()))
        together = [sum(chances[plan] for plan in view) for view in plans.views]
        index = int(self._rng.choice(len(together), p=np.array(together) / sum(together)))
        view = plans.views[index]
        return view[-1], {len(plan.blocks): chances[plan] / together[index] for plan in view}

    def _score(
        self,
        plans: WorkingSet,
        trainer: SupernetTrainer,
        state: SupernetState,
        data: Data,
        temperature: float,
        progress: float,
    ) -> None:
        """Scores every member on the same clips, under the same draw of the choices."""
        clips, draw = next(data.scoring), trainer.draw(progress)
        losses = {}
        for view in plans.views:
            by_length = trainer.plan_losses(state, view[-1], data.cut(clips, view[-1], self._rng), temperature, draw)
            losses |= {plan: by_length[len(plan.blocks)] for plan in view}
        plans.scored(jax.device_get([losses[plan] for plan in plans.plans]))

    def _report(
        self,
        account: CostAccount,
        trainer: SupernetTrainer,
        state: SupernetState,
        plans: WorkingSet,
        step: int,
        warmup: int,
        temperature: float,
        loss: jax.Array,
        val_loss: jax.Array | None,
        parts: jax.Array | None,
    ) -> None:
        weights, shapes = jax.device_get(trainer.probabilities(state, temperature))
        if parts is None:
            parts = trainer.parts(state, temperature)
        budget = account.task.budget_ms
        expected_ms = float(parts[0]) * budget
        where = {"strategy": self.name, "seed": self.seed, "step": step}
        costs = {
            name: {"part": float(part), "multiplier": float(multiplier)}
            for name, part, multiplier in zip(self.costs.names, parts, state.multipliers)
        }
        account.monitor.event(
            "search_step",
            **where,
            steps=self.config.steps,
            phase="warmup" if step <= warmup else "search",
            loss=float(loss),
            val_loss=None if val_loss is None else float(val_loss),
            expected_ms=expected_ms,
            budget_ms=budget,
            multiplier=float(state.multipliers[0]),
            temperature=temperature,
            charged_s=account.seconds,
            costs=costs,
            **self.relaxation.describe(weights, shapes),
        )
        account.monitor.event("marginals", **where, **self.relaxation.marginals(weights, shapes))
        text = f"loss {float(loss):.3f}, expected {expected_ms:.3g} of {budget:.3g} ms"
        account.monitor.progress(self.name, step, self.config.steps, text)
