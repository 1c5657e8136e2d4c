"""Checkpoints of a supernet's training: all that it needs to go on from a step, captured and restored."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from tvnjax.core.checkpoints import Saved
from tvnjax.core.host_arrays import arrays_of_process_0
from tvnjax.core.hosts import ALONE, Hosts
from tvnjax.core.stages import Stage
from tvnjax.search.gradient.data import Data
from tvnjax.search.seconds import DeviceSeconds
from tvnjax.spaces.relaxing import Plan, WorkingSet
from tvnjax.trainers.supernet_state import SupernetState
from tvnjax.trainers.supernet_trainer import SupernetTrainer

_LOWERED = 0.1
"""What the learning rate is multiplied with, once, after a loss that is not finite."""


class SearchCheckpoint:
    """Captures and restores all that a supernet's training goes on with.

    Args:
        rng: draws plans and frames.
        seconds: charged so far.
        hosts: that take the same steps.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        trainer: SupernetTrainer,
        plans: WorkingSet,
        data: Data,
        seconds: DeviceSeconds,
        hosts: Hosts = ALONE,
    ):
        self._hosts = hosts
        self._rng, self._trainer, self._plans, self._data, self._seconds = rng, trainer, plans, data, seconds

    def capture(self, step: int, state: SupernetState) -> Saved:
        """The state after a step."""
        rest = {
            "rng": self._rng.bit_generator.state,
            "trainer": self._trainer.capture(),
            "plans": self._plans.capture(),
            "streams": self._data.capture(),
            "seconds": self._seconds.snapshot(),
        }
        return Saved(step=step, tree=state, state=rest)

    def restore(
        self, stage: Stage, fresh: SupernetState, compile_: Callable[[int, SupernetState], SupernetState] | None = None
    ) -> tuple[int, SupernetState]:
        """The step and state to go on from: the stage's newest good checkpoint, or the beginning.

        Args:
            compile_: compiles the programs of the plans that are gone on with; it is not charged. Without it each is
                compiled when it is first called.
        """
        saved = self._newest(stage, fresh)
        if saved is None:
            return 0, fresh
        self._plans.restore(saved.state["plans"])
        self._trainer.restore_weights(saved.state["trainer"])
        state = self._trainer.placed(saved.tree)
        if compile_ is not None:
            state = compile_(saved.step, state)
        self._restore(saved.state)
        self._seconds.restore(saved.state["seconds"])
        stage.resumed(saved.seq)
        return saved.step, state

    def _newest(self, stage: Stage, fresh: SupernetState) -> Saved | None:
        """The newest good checkpoint of process 0, the others' disks being of no account."""

        def like(state: dict[str, Any]) -> SupernetState:
            return self._trainer.like(fresh, state["trainer"])

        if self._hosts.count == 1:
            return stage.checkpoints.newest(like)
        fresh = jax.device_get(fresh)
        saved = stage.checkpoints.newest(like) if self._hosts.leads else None
        known = None if saved is None else {"step": saved.step, "state": saved.state, "seq": saved.seq}
        told = self._hosts.same("checkpoint", lambda: known)
        if told is None:
            return None
        return Saved(tree=arrays_of_process_0(like(told["state"]) if saved is None else saved.tree), **told)

    def go_back(
        self, stage: Stage, good: Saved, step: int, broken: SupernetState, plan: Plan
    ) -> tuple[int, SupernetState]:
        """Goes back to the last good place with a lower learning rate, the first time.

        Raises:
            FloatingPointError: it is the second time; the message names the steps, the last good checkpoint and what
                broke first.
        """
        what = self._trainer.broken_part(broken)
        # The last good place, not the broken one, is what the run may go on from.
        stage.checkpoints.remember(good.step, good.tree, good.state)
        stage.checkpoints.flush()
        stage.checkpoints.forget_after(good.step)
        where = stage.checkpoints.last_good
        lowered = self._trainer.capture()["rate"] < 1
        told = {"steps": [good.step + 1, step], "plan": str(plan), "broken": what, "checkpoint": where}
        stage.event("diverged", **told, taken_back=not lowered)
        if lowered:
            raise FloatingPointError(
                f"the search's loss is finite; between steps {good.step + 1} and {step} it is not, on plan {plan} "
                f"({what}), at {_LOWERED:g} of the learning rate too; the last good checkpoint is "
                f"{where or f'that of step {good.step}, in memory alone'}"
            )
        state = self.return_to(good)
        self._trainer.lower_rate(_LOWERED)
        return state

    def return_to(self, saved: Saved) -> tuple[int, SupernetState]:
        """Goes on from what ``capture`` gave, in this process; the seconds since are charged."""
        self._plans.restore(saved.state["plans"])
        self._restore(saved.state)
        return saved.step, saved.tree

    def _restore(self, state: dict[str, Any]) -> None:
        self._rng.bit_generator.state = state["rng"]
        self._trainer.restore(state["trainer"])
        self._data.restore(state["streams"])
