"""Steps of a supernet over many plans: weights on one batch, architecture logits on another.

All plans share one set of weights and one set of operator logits; each has a supernet of its own sizes (see
``plan_supernet``). What a step computes is in ``search_steps``, how it is compiled in ``programs``: on an accelerator a
step is one program; on a CPU its parts are, so that the gradient of a plan, the longest to compile, is compiled once
for weights and logits alike.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.graph import HeadKind
from tvnjax.spaces.relaxing import Plan, Relaxation, RelaxedPlan
from tvnjax.trainers.param_layout import ParamLayout
from tvnjax.trainers.plan_compiler import PlanCompiler
from tvnjax.trainers.plan_store import Fitted, PlanStore
from tvnjax.trainers.plan_supernet import Batch, PlanSupernet, View
from tvnjax.trainers.plan_weights import Growth, PlanWeights, most_weights
from tvnjax.trainers.programs import Programs, inline
from tvnjax.trainers.search_steps import Constraint, SearchSteps, Settings
from tvnjax.trainers.single_networks import SingleNetworks
from tvnjax.trainers.supernet_choices import SupernetChoices
from tvnjax.trainers.supernet_settings import SupernetTraining
from tvnjax.trainers.supernet_state import SupernetState, broken_part

Lengths = Mapping[int, float]
"""Parts of a loss by the number of blocks, for a plan and its prefixes."""


class SupernetTrainer:
    """Trains the shared weights and all logits.

    Args:
        relaxation: the plans, and what is relaxed inside each.
        view_of: cuts a plan's clips out of stored ones.
        constraint: expected costs as parts of their budgets; the first is the latency.
        programs: where and how steps are compiled; default: for JAX's first device.
        most: weights that can be held. Where the largest plan has more, arrays of weights grow with the plans that are
            trained (see ``add``). Default: by the memory of devices and machine.
    """

    def __init__(
        self,
        relaxation: Relaxation,
        num_classes: int,
        view_of: Callable[[Plan], View],
        constraint: Constraint,
        constraints: int,
        training: SupernetTraining,
        *,
        seed: int,
        head: HeadKind = "mean",
        programs: Programs | None = None,
        most: int | None = None,
    ):
        self.relaxation, self.training = relaxation, training
        self._constraint, self._constraints = constraint, constraints
        self._programs = programs or Programs()
        self._run = self._programs.run
        most = most_weights(self._programs) if most is None else most
        self.arrays = PlanWeights(relaxation, num_classes, seed, head, self._programs, most)
        """Which weights there are."""
        self.largest, self.layout = self.arrays.largest, self.arrays.genes
        self._steps = self._steps_at(1.0)
        self._key = np.asarray(jax.random.key_data(jax.random.key(seed)))
        self.store = PlanStore(
            relaxation, self.layout, self.arrays, num_classes, view_of, training, self._programs, head
        )
        """Supernets of plans."""
        networks = SingleNetworks(self.store, self.layout, self.arrays, self._programs, training)
        self.score, self.recalibrate, self.fine_tune = networks.score, networks.recalibrate, networks.fine_tune
        choices = SupernetChoices(self.layout, self._programs, training, lambda: self._steps)
        self.weights, self.probabilities = choices.weights, choices.probabilities
        self.parts, self.shape_weights = choices.parts, choices.shape_weights
        self._compiler = PlanCompiler(self.store, self._programs)

    @property
    def weights_layout(self) -> ParamLayout:
        """Where every array of weights stands."""
        return self.arrays.layout

    @property
    def compile_seconds(self) -> float:
        """Of all programs so far; those compiled side by side count once."""
        return self._compiler.seconds

    @property
    def donates(self) -> bool:
        """Whether a step takes the memory of the state it is given, so that only the state it returns is there."""
        return self._programs.donate

    def capture(self) -> dict[str, Any]:
        """What a search goes on with besides the state, to be kept as JSON."""
        return {
            "rate": self._steps.rate,
            "compile_seconds": self.compile_seconds,
            "plans": self.store.capture(),
            "weights": self.arrays.capture(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what ``capture`` gave."""
        self._compiler.restore(state["compile_seconds"])
        self.restore_weights(state)
        self._steps = self._steps_at(state["rate"])
        self.store.restore(state["plans"])

    def restore_weights(self, state: Mapping[str, Any]) -> None:
        """Takes the arrays of weights for those that ``capture`` told of, which a state has from then on."""
        if self.arrays.restore(state.get("weights")):
            self._new_arrays()

    def like(self, fresh: SupernetState, state: Mapping[str, Any]) -> SupernetState:
        """What has the shapes of the state that was there when ``capture`` gave this; contents aside."""
        return self.arrays.like(fresh, state.get("weights"))

    def lower_rate(self, factor: float) -> None:
        """Multiplies the weights' learning rate from here on."""
        self._steps = self._steps_at(factor * self._steps.rate)

    def _steps_at(self, rate: float) -> SearchSteps:
        unroll, layouts = self._programs.platform == "cpu", (self.layout, self.arrays.layout)
        return SearchSteps(self.training, *layouts, self._constraint, self.relaxation.keys, rate, unroll=unroll)

    def init(self) -> SupernetState:
        """Fresh weights, uniform choices. Where arrays grow there are no weights before plans are added."""
        put = self._programs.put
        shapes = {key: np.zeros(len(self.relaxation.values(key)), np.float32) for key in self.relaxation.searched}
        params, alphas = put(self.arrays.start), put(self.layout.start)
        return SupernetState(
            params=params,
            alphas=alphas,
            shapes=put(shapes),
            opt=self._run("init", self._steps.tx.init, params),
            arch_opt=self._run("arch init", self._steps.arch_tx.init, alphas),
            multipliers=put(np.zeros(self._constraints, np.float32)),
            step=put(np.int32(0)),
            key=put(self._key),
        )

    def placed(self, state: Any) -> SupernetState:
        """A state of the host where programs run."""
        return self._programs.put(state)

    def copied(self, state: SupernetState) -> SupernetState:
        """A state that further steps leave alone: a copy where they would take its memory."""
        return self._run("copy", partial(jax.tree.map, jnp.copy), state) if self.donates else state

    def broken_part(self, state: SupernetState) -> str:
        """Which part of a state is not finite, in words."""
        return broken_part(state, self.layout, self.arrays.layout)

    def supernet(self, plan: Plan) -> PlanSupernet:
        """Of a plan and its prefixes, whatever the distance between frames; made on first use."""
        return self.store.supernet(plan)

    def has_room(self, plan: Plan) -> bool:
        """Whether a plan is not known to be too large for a device, or to have too many weights."""
        return self.store.has_room(plan)

    def add(
        self, state: SupernetState, plans: Sequence[Plan], working: Sequence[Plan]
    ) -> tuple[SupernetState, Growth, list[Fitted]]:
        """Makes weights for plans, where arrays grow; returns the plans that are left out for want of room, too.

        Args:
            working: the working set's programs; where there is no room beside these for what other plans trained, that
                is dropped.
        """
        state, growth = self.arrays.added(state, plans, working)
        if growth.changed:
            self._new_arrays()
        return state, growth, [self.store.left_out(plan, reason) for plan, reason in growth.left_out]

    def _new_arrays(self) -> None:
        """What is compiled for other arrays of weights goes."""
        self.store.forget()
        self._compiler.forget()
        self._steps = self._steps_at(self._steps.rate)

    def lessen(self, plan: Plan, reason: str) -> Fitted:
        """Takes a plan, behind a step that had no memory left, to a way of working that needs less."""
        return self.store.lessen(plan, reason)

    def relaxed(self, plan: Plan) -> RelaxedPlan:
        """What is relaxed in a plan."""
        return self.relaxation.relaxed(plan)

    def compile(
        self,
        plans: Sequence[Plan],
        state: SupernetState,
        batch: Callable[[Plan], Batch],
        scoring: Callable[[Plan], Batch],
        *,
        learning: bool = True,
    ) -> list[Fitted]:
        """Compiles what a search needs of some plans, and the expected costs; see ``PlanCompiler``."""
        settings = self._settings(1.0, 0.0)

        def compile_(plan: Plan, supernet: PlanSupernet) -> None:
            self._compile(state, batch(plan), scoring(plan), learning, supernet)

        costs = partial(self._steps.costs, self._run, state, settings)
        return self._compiler.compile(plans, compile_, costs, learning=learning)

    def ready(self, plans: Sequence[Plan], *, learning: bool) -> bool:
        """Whether ``compile`` has nothing to do for some plans."""
        return self._compiler.ready(plans, learning=learning)

    def weight_step(
        self,
        state: SupernetState,
        plan: Plan,
        batch: Batch,
        temperature: float,
        progress: float = 0.0,
        lengths: Lengths | None = None,
    ) -> tuple[SupernetState, Array]:
        """One step of the weights on one plan; returns the training loss.

        Args:
            lengths: default: the plan alone.
        """
        settings, parts = self._settings(temperature, progress), self._parts(plan, lengths)
        return self._step("weight_step", self.supernet(plan), state, batch, settings, parts)

    def arch_step(
        self,
        state: SupernetState,
        plan: Plan,
        train: Batch,
        val: Batch,
        temperature: float,
        progress: float,
        lengths: Lengths | None = None,
    ) -> tuple[SupernetState, Array, Array]:
        """One step of the operator logits on one plan, without one of the weights; returns the loss and the expected
        costs as parts of their budgets. ``lengths`` as for ``weight_step``.

        ``bilevel`` says on which clips: validation clips at the present weights (``first``), at the weights after a
        look-ahead step (``second``), or the training clips themselves (``one-level``).
        """
        supernet, settings = self.supernet(plan), self._settings(temperature, progress)
        found = self._step("gene_gradient", supernet, state, train, val, settings, self._parts(plan, lengths))
        loss, by_logit = found
        state, costs = self._shared("logit_step", state, by_logit, settings)
        return state, loss, costs

    def weight_steps(
        self,
        state: SupernetState,
        plan: Plan,
        batches: Sequence[Batch],
        temperatures: Sequence[float],
        progress: Sequence[float],
        lengths: Lengths | None = None,
    ) -> tuple[SupernetState, Array]:
        """``weight_step`` on each batch, in one program where steps are fused; the loss is the last one's."""
        loss: Any = None
        if len(batches) > 1 and self._programs.fused:
            return self._several(state, plan, (tuple(batches), None), temperatures, progress, lengths)
        for batch, temperature, part in zip(batches, temperatures, progress, strict=True):
            state, loss = self.weight_step(state, plan, batch, temperature, part, lengths)
        return state, loss

    def search_steps(
        self,
        state: SupernetState,
        plan: Plan,
        trains: Sequence[Batch],
        vals: Sequence[Batch],
        temperatures: Sequence[float],
        progress: Sequence[float],
        lengths: Lengths | None = None,
    ) -> tuple[SupernetState, Array, Array, Array]:
        """A step of the weights and one of the logits on each pair of batches; both losses and the expected costs are
        the last one's. With ``bilevel`` first both gradients are those at the weights before the step."""
        loss = val_loss = costs = None
        if len(trains) > 1 and self._programs.fused:
            batches = (tuple(trains), tuple(vals))
            state, (loss, val_loss, costs) = self._several(state, plan, batches, temperatures, progress, lengths)
            return state, loss, val_loss, costs
        supernet, parts = self.supernet(plan), self._parts(plan, lengths)
        for train, val, temperature, part in zip(trains, vals, temperatures, progress, strict=True):
            settings = self._settings(temperature, part)
            found = self._step("search_step", supernet, state, train, val, settings, parts)
            state, loss, val_loss, by_logit = found
            state, costs = self._shared("logit_step", state, by_logit, settings)
        assert loss is not None and val_loss is not None and costs is not None, "there is a batch"
        return state, loss, val_loss, costs

    def shape_step(
        self,
        state: SupernetState,
        losses: Any,
        members: Any,
        temperature: float,
        progress: float,
        *,
        rate: float,
        decay: float,
    ) -> SupernetState:
        """One step of the shape logits: the exact gradient of the expected loss over the working set, and of the
        expected costs over all plans.

        Args:
            losses: ``[K]``, of every plan of the working set on the same clips.
            members: what ``WorkingSet.members`` says of the working set.
        """
        rates = np.array([rate, decay], np.float32)
        given = self._programs.put((np.asarray(losses, np.float32), members, rates))
        losses, members, rates = given
        return self._shared("shape_step", state, losses, members, self._settings(temperature, progress), rates)

    def plan_losses(
        self, state: SupernetState, batches: Mapping[Plan, Batch], temperature: float, progress: float = 0.0
    ) -> dict[Plan, dict[int, float]]:
        """Losses of plans under the relaxed choices, each on a batch: for a plan and its prefixes, by the number of
        blocks. All plans that are scored between two steps are under one draw."""
        settings = self._settings(temperature, progress)
        supernets = [self.supernet(plan) for plan in batches]
        losses = [
            self._step("plan_losses", supernet, state, batch, settings)
            for supernet, batch in zip(supernets, batches.values())
        ]
        # Read when all are on their way.
        rows = [map(float, row) for row in jax.device_get(losses)]
        return {plan: dict(zip(supernet.lengths, row)) for plan, supernet, row in zip(batches, supernets, rows)}

    def _compile(
        self, state: SupernetState, batch: Batch, scoring: Batch, learning: bool, supernet: PlanSupernet
    ) -> None:
        parts = self._programs.put(np.eye(len(supernet.lengths), dtype=np.float32)[-1])
        settings = self._settings(1.0, 0.0)
        if self.relaxation.searched:
            self._step("plan_losses", supernet, state, scoring, settings)
        if not self._programs.fused:
            self._step("weight_step", supernet, state, batch, settings, parts)
            return
        name, batches = ("search_step", (batch, batch)) if learning else ("weight_step", (batch,))
        self._step(name, supernet, state, *batches, settings, parts, ahead=True)

    def _several(
        self,
        state: SupernetState,
        plan: Plan,
        batches: tuple[Any, Any],
        temperatures: Sequence[float],
        progress: Sequence[float],
        lengths: Lengths | None,
    ) -> Any:
        """Several steps in one program."""
        supernet, pairs = self.supernet(plan), zip(temperatures, progress, strict=True)
        rows = [Settings.of(self.training, temperature, part).array() for temperature, part in pairs]
        settings, parts = self._programs.put(np.stack(rows)), self._parts(plan, lengths)
        name, whole = (supernet, "steps", self._steps.rate), partial(self._steps.steps, supernet)
        arguments = (state, self.store.mask(supernet), *batches, settings, parts)
        return self._programs.run(name, whole, *arguments, donate=(0,) if self.donates else ())

    def _step(self, name: str, supernet: PlanSupernet, state: SupernetState, *args: Any, ahead: bool = False) -> Any:
        """A step of a plan: one program, or one for each of its parts. ``ahead``: it is compiled alone."""
        function, mask = getattr(self._steps, name), self.store.mask(supernet)
        if not self._programs.fused:
            return function(self._run, supernet, state, mask, *args)
        # Gradients and losses leave the state to the step that uses them.
        donate = (0,) if self.donates and name in ("weight_step", "search_step") else ()
        run = self._programs.prepare if ahead else self._programs.run
        whole = partial(function, inline, supernet)
        return run((supernet, name, self._steps.rate), whole, state, mask, *args, donate=donate)

    def _shared(self, name: str, state: SupernetState, *args: Any) -> Any:
        """A step that is the same for all plans."""
        function = getattr(self._steps, name)
        if not self._programs.fused:
            return function(self._run, state, *args)
        donate = (0,) if self.donates else ()
        return self._programs.run((name, self._steps.rate), partial(function, inline), state, *args, donate=donate)

    def _parts(self, plan: Plan, lengths: Lengths | None) -> Array:
        """Parts of the loss in the order of the supernet's lengths."""
        lengths = lengths or {len(plan.blocks): 1.0}
        return self._programs.put(
            np.array([lengths.get(length, 0.0) for length in self.supernet(plan).lengths], np.float32)
        )

    def _settings(self, temperature: float, progress: float) -> Array:
        return self._programs.put(Settings.of(self.training, temperature, progress).array())
