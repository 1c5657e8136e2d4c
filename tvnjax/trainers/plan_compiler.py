"""Compiling what a search needs of its plans, side by side."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from tvnjax.spaces.relaxing import Plan
from tvnjax.trainers.plan_store import Fitted, PlanStore
from tvnjax.trainers.plan_supernet import PlanSupernet
from tvnjax.trainers.programs import Programs


class PlanCompiler:
    """Knows which plans are compiled, and counts the seconds that took."""

    def __init__(self, store: PlanStore, programs: Programs):
        self._store, self._programs = store, programs
        self._ready: set[tuple[PlanSupernet, bool]] = set()
        self._other = 0.0

    @property
    def seconds(self) -> float:
        """Of all programs so far; those compiled side by side count once."""
        return self._other + self._programs.seconds

    def restore(self, seconds: float) -> None:
        """Goes on from so many seconds."""
        self._other = seconds - self._programs.seconds

    def forget(self) -> None:
        """No plan is compiled any more."""
        self._ready.clear()

    def compile(
        self,
        plans: Sequence[Plan],
        compile_: Callable[[Plan, PlanSupernet], None],
        also: Callable[[], Any],
        *,
        learning: bool,
    ) -> list[Fitted]:
        """Compiles plans that are not ready, two at a time (XLA lets go of the interpreter); one at a time where
        processes do so together, for what is run meanwhile has to have one order. Returns those that do not fit the
        device as they were asked for, and what became of them.

        Args:
            plans: of programs of their own.
            compile_: compiles a plan's programs, or raises ``DoesNotFitError``.
            also: what is compiled besides.
            learning: whether the logits are about to take steps; otherwise only the weights are.
        """
        new, found = [plan for plan in plans if not self.ready([plan], learning=learning)], []

        def fit(plan: Plan) -> None:
            if (fitted := self._store.fit(plan, partial(compile_, plan))) is not None:
                found.append(fitted)
            if self._store.has_room(plan):
                self._ready.add((self._store.supernet(plan), learning))

        before, start = self.seconds, time.monotonic()
        with ThreadPoolExecutor(1 if self._programs.placement.spans_processes else 2) as pool:
            jobs: list[Any] = [pool.submit(also)]
            for job in jobs + [pool.submit(fit, plan) for plan in new]:
                job.result()
        self._other = before + time.monotonic() - start - self._programs.seconds
        return found

    def ready(self, plans: Sequence[Plan], *, learning: bool) -> bool:
        """Whether ``compile`` has nothing to do for some plans."""
        # Where parts of steps are compiled, those of both kinds are the same.
        kinds = [learning] if self._programs.fused else [True, False]
        return all(any((self._store.supernet(plan), kind) in self._ready for kind in kinds) for plan in plans)
