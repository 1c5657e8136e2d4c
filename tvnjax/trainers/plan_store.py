"""The supernets of plans: made when they are first asked for, and worked on in parts where a device lacks the room."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
from jax import Array

from tvnjax.graph import HeadKind
from tvnjax.spaces.relaxing import Plan, Relaxation
from tvnjax.trainers.gene_layout import GeneLayout
from tvnjax.trainers.plan_supernet import PlanSupernet, View
from tvnjax.trainers.plan_weights import PlanWeights
from tvnjax.trainers.programs import DoesNotFitError, Programs
from tvnjax.trainers.supernet_settings import SupernetTraining


class Working(NamedTuple):
    """How a plan's batches are worked on; what takes less memory takes more time."""

    remat: bool
    """Insides of units are computed again for the gradient instead of kept."""
    accumulate: int
    """Parts of a batch, one after the other, each with batch statistics of its own."""
    joint: bool = True
    """Whole batches, units kept: training and validation clips are computed in one pass where a step can, instead of
    one after the other. What saves memory in other ways has arrays too large to gain by it."""

    def __str__(self) -> str:
        parts = "whole batches" if self.accumulate == 1 else f"batches in {self.accumulate} parts"
        apart = "" if self.joint else ", training and validation clips one after the other"
        return f"{parts}, units {'computed again' if self.remat else 'kept'}{apart}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fitted:
    """What became of a plan that does not fit a device as it was asked for."""

    plan: Plan
    working: Working | None
    """How it is worked on instead; ``None``: no way fits, and it is left out."""
    reason: str


class PlanStore:
    """Makes each plan's supernet once; its prefixes share it, whatever the distance between frames."""

    def __init__(
        self,
        relaxation: Relaxation,
        layout: GeneLayout,
        weights: PlanWeights,
        num_classes: int,
        view_of: Callable[[Plan], View],
        training: SupernetTraining,
        programs: Programs,
        head: HeadKind,
    ):
        self._relaxation, self._num_classes, self._view_of = relaxation, num_classes, view_of
        self._layout, self._weights = layout, weights
        self._training, self._programs = training, programs
        self._head: HeadKind = head
        # Of several devices each would need its part of both batches; by parts, a CPU compiles one gradient for both.
        self._joins = programs.fused and len(programs.devices) == 1
        self._joins &= training.bilevel == "first" and training.mode != "sampled"
        self._made: dict[Plan, PlanSupernet] = {}
        self._masks: dict[PlanSupernet, Array] = {}
        self._working: dict[str, Working] = {}
        self._left_out: set[str] = set()

    def capture(self) -> dict[str, Any]:
        """How plans are worked on that are not worked on as was asked for, to be kept as JSON."""
        return {"working": {name: list(way) for name, way in self._working.items()}, "left_out": sorted(self._left_out)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what ``capture`` gave."""
        self._left_out = set(state["left_out"])
        working = {name: Working(*way) for name, way in state["working"].items()}
        if working != self._working:
            self._working, self._made, self._masks = working, {}, {}

    def has_room(self, plan: Plan) -> bool:
        """Whether a plan is not known to be too large for a device."""
        return self._name(plan) not in self._left_out and self._weights.has_room(plan)

    def left_out(self, plan: Plan, reason: str) -> Fitted:
        """Leaves a plan out from here on."""
        self._left_out.add(self._name(plan))
        return Fitted(plan=plan, working=None, reason=reason)

    def forget(self) -> None:
        """Makes all supernets anew when they are next asked for: their programs are of other arrays of weights."""
        self._programs.forget(set(self._made.values()))
        self._made, self._masks = {}, {}

    def supernet(self, plan: Plan) -> PlanSupernet:
        """Of a plan and its prefixes."""
        program = self._relaxation.program(plan)
        if program not in self._made:
            # A network's first arrays are put on a device when it is made, wherever that is.
            with jax.transfer_guard("allow"):
                self._make(program)
        return self._made[program]

    def mask(self, supernet: PlanSupernet) -> Array:
        """What its plan can have, where programs run."""
        return self._masks[supernet]

    def fit(self, plan: Plan, compile_: Callable[[PlanSupernet], Any]) -> Fitted | None:
        """Compiles a plan's programs in the first way that fits; ``None`` where that is the one asked for.

        Args:
            compile_: compiles them, or raises ``DoesNotFitError``.
        """
        reason = ""
        for way in self._ways(plan):
            if reason:
                self._work(plan, way)
            try:
                compile_(self.supernet(plan))
            except DoesNotFitError as error:
                reason = reason or str(error)
            else:
                return Fitted(plan=plan, working=way, reason=reason) if reason else None
        return self.left_out(plan, reason)

    def lessen(self, plan: Plan, reason: str) -> Fitted:
        """Takes a plan to the next way that needs less memory, behind a step that had none left; at the end of them it
        is left out."""
        ways = list(self._ways(plan))[1:]
        if not ways:
            return self.left_out(plan, reason)
        self._work(plan, ways[0])
        return Fitted(plan=plan, working=ways[0], reason=reason)

    def _ways(self, plan: Plan) -> Iterator[Working]:
        """From the present one on, each takes less memory than the one before."""
        training = self._training
        way = self._working.get(self._name(plan), Working(training.remat, training.accumulate))
        yield way
        if self._joint(way):
            yield (way := way._replace(joint=False))
        if not way.remat:
            yield (way := way._replace(remat=True))
        for parts in range(way.accumulate + 1, training.most_parts + 1):
            if training.most_parts % parts == 0 and parts % way.accumulate == 0:
                yield (way := way._replace(accumulate=parts))

    def _joint(self, way: Working) -> bool:
        return self._joins and way.joint and not way.remat and way.accumulate == 1

    def _work(self, plan: Plan, way: Working) -> None:
        program = self._relaxation.program(plan)
        self._working[self._name(plan)] = way
        old = self._made.pop(program, None)
        self._made = {key: made for key, made in self._made.items() if made is not old}

    def _name(self, plan: Plan) -> str:
        return str(self._relaxation.program(plan))

    def _make(self, program: Plan) -> None:
        prefixes, training = self._relaxation.prefixes(program), self._training
        way = self._working.get(str(program), Working(training.remat, training.accumulate))
        made = PlanSupernet(
            self._relaxation,
            self._relaxation.relaxed(program),
            tuple(len(prefix.blocks) for prefix in prefixes),
            self._num_classes,
            self._layout,
            self._weights.layout,
            self._view_of(program),
            sampled=training.mode == "sampled",
            head=self._head,
            platform=self._programs.platform,
            precision=training.precision,
            remat=way.remat,
            accumulate=way.accumulate,
            joint=self._joint(way),
            unroll=self._programs.platform == "cpu",
            undrawn=self._weights.grow,
        )
        self._masks[made] = self._programs.put(made.mask)
        for prefix in prefixes:
            self._made.setdefault(prefix, made)
