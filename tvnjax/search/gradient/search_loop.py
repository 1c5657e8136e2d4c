"""The steps of a differentiable search, window by window.

Between two windows the host reads what it decides by (losses of plans, probabilities of shapes), draws the plans of the
next steps, reports, and keeps checkpoints. Within one it only sends work: no step waits for a number of the one before,
and arrays go to the device by explicit calls alone, which ``jax.transfer_guard`` watches over.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from tvnjax.core.checkpoints import Saved
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.hosts import ALONE, Hosts
from tvnjax.core.stages import Stage
from tvnjax.search.cost_account import CostAccount
from tvnjax.search.gradient.config import DifferentiableConfig
from tvnjax.search.gradient.data import Data
from tvnjax.search.gradient.projection import Projection
from tvnjax.search.gradient.search_checkpoint import SearchCheckpoint
from tvnjax.search.gradient.step_trace import StepTrace
from tvnjax.spaces.relaxing import Plan, Relaxation, WorkingSet
from tvnjax.trainers.plan_store import Fitted
from tvnjax.trainers.programs import is_out_of_memory
from tvnjax.trainers.supernet_state import SupernetState
from tvnjax.trainers.supernet_trainer import SupernetTrainer

_REPLACED = 3
"""Plans left out for want of memory, in sizes of the working set, behind which no more are tried."""

_HEAD_START = 0.1
"""Nats of validation loss below the others that make a plan e times as likely to be trained by lot."""


class Told(NamedTuple):
    """What the last step of a window says, still on the device."""

    plan: Plan
    loss: jax.Array
    val_loss: jax.Array | None = None
    """Behind the warm-up, as the expected ``costs``."""
    costs: jax.Array | None = None


class SearchLoop:
    """Trains the supernet and the policy.

    Args:
        costs: names of what has a budget.
        rng: draws plans and frames.
        hosts: that take the same steps.
    """

    def __init__(
        self,
        config: DifferentiableConfig,
        relaxation: Relaxation,
        costs: Sequence[str],
        account: CostAccount,
        stage: Stage,
        trainer: SupernetTrainer,
        plans: WorkingSet,
        projection: Projection,
        data: Data,
        rng: np.random.Generator,
        hosts: Hosts = ALONE,
    ):
        self._hosts = hosts
        self._config, self._relaxation, self._costs = config, relaxation, tuple(costs)
        self._account, self._stage, self._trainer, self._plans = account, stage, trainer, plans
        self._projection, self._data, self._rng = projection, data, rng
        steps = config.steps
        self._warmup = int(config.arch_warmup * steps)
        behind, count = steps - self._warmup, config.redraws
        self._redraws = {self._warmup + behind * (i + 1) // (count + 2) for i in range(count)}
        self._report_every = max(steps // 50, 1)
        self._searched = bool(relaxation.searched)
        self._too_large: list[str] = []
        self._at: Any = None
        """The plan of the step that was sent last."""
        # What programs are compiled with, whichever step that is before: a search that goes on reads the same clips.
        self._sample = next(data.train), next(data.scoring)

    def run(self) -> SupernetState:
        """All steps, or those that are left; a loss that is not finite takes it back once."""
        config, stage, trainer = self._config, self._stage, self._trainer
        checkpoint = SearchCheckpoint(self._rng, trainer, self._plans, self._data, self._account.device, self._hosts)

        def compile_(done: int, state: SupernetState) -> SupernetState:
            return self._compile(self._plans.programs, state, learning=done >= self._warmup)

        done, state = checkpoint.restore(stage, trainer.init(), compile_)
        self._say_that_it_grows()
        if done == 0:
            state = self._fill(self._plans.fill, state, learning=self._warmup == 0)
        good = kept = checkpoint.capture(done, trainer.copied(state))
        trace = StepTrace(stage.folder("trace"), self._warmup + 2, config.trace)
        while done < config.steps:
            window = self._window(done + 1)
            reported = window[-1] % self._report_every == 0 or window[-1] == config.steps
            try:
                state, told = self._steps(window, state, trace)
                loss = jax.device_get(told.loss) if reported else 0.0
            except BaseException as error:
                trace.stop()
                if not is_out_of_memory(error):
                    raise
                done, state = self._lessen(checkpoint, kept, error)
                # With the new way of working: should memory lack again, the next one is tried, not this one.
                kept = checkpoint.capture(done, trainer.copied(state))
                continue
            done = window[-1]
            if reported:
                if not np.isfinite(loss):
                    done, state = checkpoint.go_back(stage, good, done, state, told.plan)
                    kept, state = good, trainer.copied(state)
                    continue
                self._report(state, done, told)
            if self._searched and done in self._redraws and done > self._warmup:
                state = self._fill(self._plans.renew, state, learning=True)
            elif done == self._warmup:
                state = self._compile(self._plans.programs, state, learning=True)
            kept = checkpoint.capture(done, trainer.copied(state))
            if done % self._report_every == 0:
                good = kept
            stage.checkpoints.offer(done, kept.tree, kept.state)
        stage.checkpoints.write()
        return state

    def _lessen(self, checkpoint: SearchCheckpoint, kept: Saved, error: BaseException) -> tuple[int, SupernetState]:
        """Goes back to where the last window ended, its plan taken to a way of working that needs less memory: on all
        processes, which have the same programs and so the same need."""
        self._hosts.met(f"no memory left behind step {kept.step} for {self._at}")
        done, state = checkpoint.return_to(kept)
        state = self._trainer.copied(state)
        self._fitted(self._trainer.lessen(self._at, str(error).splitlines()[0]))
        self._refill(state)
        return done, self._compile(self._plans.programs, state, learning=done >= self._warmup)

    def _window(self, first: int) -> range:
        """The steps from ``first`` on that nothing is read between."""
        last = first
        while not self._ends(last):
            last += 1
        return range(first, last + 1)

    def _ends(self, step: int) -> bool:
        config = self._config
        scored = self._searched and (step + 1) % config.score_every == 0
        redrawn = self._searched and step in self._redraws
        return scored or redrawn or step % self._report_every == 0 or step in (self._warmup, config.steps)

    def _steps(self, window: range, state: SupernetState, trace: StepTrace) -> tuple[SupernetState, Told]:
        """The steps of a window: of the weights, behind the warm-up each with one of the logits."""
        config, data, trainer = self._config, self._data, self._trainer
        scored = self._searched and window[0] % config.score_every == 0
        if scored:
            self._score(state, window[0])
        p = self._plans.probabilities(trainer.shape_weights(state.shapes))
        groups = [(steps, *self._pick(p, self._progress(steps[0]))) for steps in self._groups(window)]
        told: Told | None = None
        # Nothing is read back either: a read waits for all that was sent.
        with jax.transfer_guard("disallow"), jax.transfer_guard_device_to_host("disallow_explicit"):
            for steps, plan, lengths in groups:
                self._at = plan
                for step in steps:
                    trace.before(step)
                progress = [self._progress(step) for step in steps]
                temperatures = [config.temperature**part for part in progress]
                batches = [data.cut(next(data.train), plan, self._rng) for _ in steps]
                learning = steps[0] > self._warmup
                vals = batches
                if learning and config.bilevel != "one-level":
                    vals = [data.cut(next(data.val), plan, self._rng) for _ in steps]
                if learning:
                    found = trainer.search_steps(state, plan, batches, vals, temperatures, progress, lengths)
                    state, loss, val_loss, costs = found
                    told = Told(plan, loss, val_loss, costs)
                else:
                    state, loss = trainer.weight_steps(state, plan, batches, temperatures, progress, lengths)
                    told = Told(plan, loss)
                if scored and learning and steps[0] == window[0]:
                    rates = {"rate": config.shape_learning_rate, "decay": config.shape_decay}
                    losses, members = self._plans.scores(), self._plans.members()
                    state = trainer.shape_step(state, losses, members, temperatures[-1], progress[-1], **rates)
                for step in steps:
                    self._recorded(trace.after(step, state, step == config.steps))
        assert told is not None, "a window has a step"
        return state, told

    def _groups(self, window: range) -> Iterator[range]:
        """Steps that are sent together, on one plan; those that are left over go one by one."""
        size, first = self._config.steps_per_dispatch, window[0]
        while first <= window[-1]:
            count = size if first + size - 1 <= window[-1] else 1
            yield range(first, first + count)
            first += count

    def _progress(self, step: int) -> float:
        """Behind the warm-up, from 0 to 1."""
        return max(step - self._warmup, 0) / max(self._config.steps - self._warmup, 1)

    def _recorded(self, recorded: dict[str, Any] | None) -> None:
        if recorded is not None:
            account = self._account
            self._stage.event("trace", strategy=account.name, seed=account.seed, **recorded)

    def _fill(self, fill: Callable[[Any], list[Plan]], state: SupernetState, *, learning: bool) -> SupernetState:
        """Compiles the programs that are new to the working set."""
        account, before = self._account, self._plans.programs
        new = fill(self._trainer.shape_weights(state.shapes))
        account.monitor.progress(account.name, 0, self._config.steps, f"compiling {len(new)} plans")
        state = self._compile(new, state, learning=learning)
        for plan in self._plans.programs:
            if plan in before:
                continue
            what = {"plan": str(plan), "members": len(self._plans.members_of(plan)), "charged_s": account.seconds}
            account.monitor.event("plan", strategy=account.name, seed=account.seed, **what)
        return state

    def _compile(self, plans: Sequence[Plan], state: SupernetState, *, learning: bool) -> SupernetState:
        """Compiles what is new; plans that a device has no room for are replaced by others, as long as there are.
        Returns the state, which where arrays of weights grow has new plans' weights, too."""
        cut, (train, scoring) = self._data.cut, self._sample
        of_train, of_scoring = (lambda plan: cut(train, plan, None)), (lambda plan: cut(scoring, plan, None))
        if self._trainer.arrays.grow:
            state, plans = self._with_weights(plans, state)
        while plans and not self._trainer.ready(plans, learning=learning):
            found = self._trainer.compile(plans, state, of_train, of_scoring, learning=learning)
            for fitted in found:
                self._fitted(fitted)
            gone = any(fitted.working is None for fitted in found)
            plans = self._refill(state) if gone else []
            if self._trainer.arrays.grow:
                state, plans = self._with_weights(plans, state)
        if not self._plans.programs:
            most, gone = self._trainer.arrays.most, self._too_large
            weights = "" if most is None else f", and of weights {most} have room"
            met = f"none of {len(gone)} does ({gone[-1]})" if gone else "none was drawn that does"
            raise InvalidInputError(
                f"a plan fits a device's memory, a clip at a time and with its units computed again{weights}; {met}: "
                "give smaller images, fewer frames or narrower blocks"
            )
        return state

    def _with_weights(self, plans: Sequence[Plan], state: SupernetState) -> tuple[SupernetState, list[Plan]]:
        """Makes arrays of weights for plans that have none; returns the plans to compile, which are all where arrays
        are others than before. Plans whose weights have no room are replaced as those are that do not fit."""
        account, trainer, changed, pending = self._account, self._trainer, False, list(plans)
        while pending:
            state, growth, left_out = trainer.add(state, pending, self._plans.programs)
            for fitted in left_out:
                self._fitted(fitted)
            changed |= growth.changed
            if growth.dropped:
                # What other plans were trained to is there no more: no network is taken out of them.
                self._plans.seen = list(self._plans.plans)
            if growth.changed:
                account.monitor.event(
                    "weights",
                    strategy=account.name,
                    seed=account.seed,
                    weights=trainer.arrays.layout.size,
                    before=growth.before,
                    dropped=growth.dropped,
                    most=trainer.arrays.most,
                    of_largest=trainer.arrays.of_largest,
                    plans=len(self._plans.programs),
                    left_out=len(self._too_large),
                    passed_over=self._plans.passed_over,
                )
            new = self._refill(state) if left_out else []
            plans, pending = [*plans, *new], new
        there = self._plans.programs
        return state, there if changed else [plan for plan in plans if plan in there]

    def _say_that_it_grows(self) -> None:
        arrays = self._trainer.arrays
        if arrays.grow:
            warnings.warn(
                f"the largest plan of the space has {arrays.of_largest:.3g} weights, and {arrays.most:.3g} have room: "
                "only the plans that are trained get weights, and plans are drawn that have no more than that",
                stacklevel=2,
            )

    def _refill(self, state: SupernetState) -> list[Plan]:
        """New plans in the place of those left out, unless too many were: then the set stays smaller."""
        if not self._too_large or len(self._too_large) > _REPLACED * self._config.working_set:
            return []
        new = self._plans.fill(self._trainer.shape_weights(state.shapes))
        for plan in new:
            if not self._trainer.has_room(plan):
                # Where nothing else is left, a set takes what it is told not to.
                self._plans.drop(plan)
        return [plan for plan in new if self._trainer.has_room(plan)]

    def _fitted(self, fitted: Fitted) -> None:
        """Says what became of a plan that has no room as it was asked for."""
        account, name = self._account, str(fitted.plan)
        if fitted.working is None:
            self._too_large.append(f"{name}: {fitted.reason}")
            self._plans.drop(self._relaxation.program(fitted.plan))
        how = "left out" if fitted.working is None else str(fitted.working)
        account.monitor.event(
            "plan_memory", strategy=account.name, seed=account.seed, plan=name, reason=fitted.reason, becomes=how
        )
        warnings.warn(f"plan {name} is now {how}: {fitted.reason}", stacklevel=2)

    def _pick(self, p: np.ndarray, progress: float) -> tuple[Plan, dict[int, float]]:
        """Members by the policy, part of the time by lot: half at first, a fifth at the end. Returns the longest of
        those picked together, and the part of each by its number of blocks.

        Those that differ in the number of blocks alone are trained together. The lot favours cheap plans, by the root
        of their largest latency: they need as many steps and take fewer seconds. And it favours plans that have begun
        to learn: where few can, they would drown in the others' noise.

        Args:
            p: probabilities of the members.
        """
        plans = self._plans
        share = 0.5 - 0.3 * progress
        lot = np.array([self._projection.predicted_range(plan)[1] ** -0.5 for plan in plans.plans])
        lot *= np.exp((plans.scores().min() - plans.scores()) / _HEAD_START)
        chances = dict(zip(plans.plans, (1 - share) * p + share * lot / lot.sum()))
        together = [sum(chances[plan] for plan in view) for view in plans.views]
        index = int(self._rng.choice(len(together), p=np.array(together) / sum(together)))
        view = plans.views[index]
        return view[-1], {len(plan.blocks): chances[plan] / together[index] for plan in view}

    def _score(self, state: SupernetState, step: int) -> None:
        """Scores every member on the same clips, under the same draw of the choices."""
        plans, data, progress = self._plans, self._data, self._progress(step)
        clips = next(data.scoring)
        batches = {view[-1]: data.cut(clips, view[-1], self._rng) for view in plans.views}
        temperature = self._config.temperature**progress
        by_length = self._trainer.plan_losses(state, batches, temperature, progress)
        losses = {plan: by_length[view[-1]][len(plan.blocks)] for view in plans.views for plan in view}
        plans.scored([losses[plan] for plan in plans.plans])

    def _report(self, state: SupernetState, step: int, told: Told) -> None:
        account, trainer = self._account, self._trainer
        temperature = self._config.temperature ** self._progress(step)
        weights, shapes = trainer.probabilities(state, temperature)
        costs = trainer.parts(state, temperature) if told.costs is None else told.costs
        loss, val_loss, parts, multipliers = jax.device_get((told.loss, told.val_loss, costs, state.multipliers))
        budget = account.task.budget_ms
        expected_ms = float(parts[0]) * budget
        where = {"strategy": account.name, "seed": account.seed, "step": step}
        account.monitor.event(
            "search_step",
            **where,
            steps=self._config.steps,
            phase="warmup" if step <= self._warmup else "search",
            loss=float(loss),
            val_loss=None if val_loss is None else float(val_loss),
            expected_ms=expected_ms,
            budget_ms=budget,
            multiplier=float(multipliers[0]),
            temperature=temperature,
            charged_s=account.seconds,
            costs={
                name: {"part": float(part), "multiplier": float(multiplier)}
                for name, part, multiplier in zip(self._costs, parts, multipliers)
            },
            **self._relaxation.describe(weights, shapes),
        )
        account.monitor.event("marginals", **where, **self._relaxation.marginals(weights, shapes))
        text = f"loss {float(loss):.3f}, expected {expected_ms:.3g} of {budget:.3g} ms"
        account.monitor.progress(account.name, step, self._config.steps, text)
