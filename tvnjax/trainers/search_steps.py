"""The steps of a supernet's training, as functions of how their parts are run (see ``programs``).

Settings of a step are one array, ``[temperature, noise, sharpness, progress]`` (``Settings``), so that a step takes few
arrays from the host; noise is made where the step runs.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from tvnjax.data.batch_fields import STORED
from tvnjax.trainers.arch_gradients import (
    STILL,
    Draw,
    cost_gradients,
    expected_loss,
    gene_softmax,
    narrowed,
    penalty_gradient,
)
from tvnjax.trainers.gene_layout import GeneLayout
from tvnjax.trainers.gene_weights import GeneWeights
from tvnjax.trainers.optim import Optimizer, updated
from tvnjax.trainers.param_layout import ParamLayout
from tvnjax.trainers.plan_supernet import Batch, PlanSupernet
from tvnjax.trainers.programs import Run, inline
from tvnjax.trainers.second_order import second_order
from tvnjax.trainers.supernet_settings import SupernetTraining
from tvnjax.trainers.supernet_state import SupernetState

Constraint = Callable[[GeneWeights, Any], Array]
"""Expected costs under gene and shape weights, each as a part of its budget: ``[constraints]``."""

Purpose = Literal["weights", "logits", "scoring"]
"""What gene weights are drawn for; each has draws of its own."""

_PATHS: dict[Purpose, int] = {"weights": 1, "logits": 2}
"""Candidates a choice that a step of mode ``sampled`` draws."""


class Settings(NamedTuple):
    """What changes from step to step."""

    temperature: float
    noise: float
    """How large the draw's noise is; 0 for none."""
    sharpness: float
    progress: float
    """Behind the warm-up, from 0 to 1."""

    @classmethod
    def of(cls, training: SupernetTraining, temperature: float, progress: float) -> "Settings":
        """In mode ``concrete`` weights are draws behind the warm-up, noisier and sharper until half of the progress, so
        that they serve single networks from then on: weights that learn under a mixture are lost when one network is
        taken out of it. In the warm-up they are the softmax itself, under which weights learn fastest: drawn from the
        first step on, those of planted sets that need motion had learnt nothing in 1000 steps."""
        if training.mode != "concrete":
            return cls(temperature, 0.0, 1.0, progress)
        part = min(1.0, 2 * progress)
        return cls(temperature, part, training.draw_sharpness**part, progress)

    def array(self) -> np.ndarray:
        return np.array(self, np.float32)


class SearchSteps:
    """Steps of weights and logits; see ``SupernetTrainer`` for what they do.

    Args:
        layout: of logits, masks and gene weights.
        weights: of the weights.
        constraint: expected costs as parts of their budgets; the first is the latency.
        keys: of all choices between plans.
        rate: what the weights' learning rate is multiplied with.
    """

    def __init__(
        self,
        training: SupernetTraining,
        layout: GeneLayout,
        weights: ParamLayout,
        constraint: Constraint,
        keys: Sequence[Any],
        rate: float = 1.0,
        *,
        unroll: bool = True,
    ):
        self.training, self.layout, self._constraint, self._keys = training, layout, constraint, tuple(keys)
        self.rate, self._unroll, self._weights = rate, unroll, weights
        optimizer = Optimizer(
            learning_rate=rate * training.learning_rate, schedule=training.schedule, drop=training.drop
        )
        self._schedule = optimizer.schedule_of(training.steps)
        self.tx = optimizer.build_vector(training.steps, weights.decayed, shared=True)
        # Adam would blow up the gradient of choices that hardly matter, as in blocks few plans have; hence its epsilon.
        self.arch_tx = optax.scale_by_adam(b1=0.5, eps=1e-3)

    def weight_step(
        self,
        run: Run,
        plan: PlanSupernet,
        state: SupernetState,
        mask: Array,
        batch: Batch,
        settings: Array,
        parts: Array,
    ) -> tuple[SupernetState, Array]:
        """One step of the weights; returns the loss."""
        weights = self.weights(run, state, mask, settings, "weights")
        loss, grads, _ = run((plan, "gradients"), plan.gradients, state.params, weights, batch, parts)
        return self._weights_moved(run, state, grads), loss

    def gene_gradient(
        self,
        run: Run,
        plan: PlanSupernet,
        state: SupernetState,
        mask: Array,
        train: Batch,
        val: Batch,
        settings: Array,
        parts: Array,
    ) -> tuple[Array, Array]:
        """The loss that the logits are trained by, and its gradient for the logits."""
        weights = self.weights(run, state, mask, settings, "logits")

        def gradients(params: Any, weights: Array, batch: Batch) -> Any:
            return run((plan, "gradients"), plan.gradients, params, weights, batch, parts)

        if self.training.bilevel == "second":
            rate = run(("rate", self.rate), self._schedule, state.step)
            loss, by_gene = second_order(run, gradients, state.params, weights, train, val, rate)
        else:
            batch = train if self.training.bilevel == "one-level" else val
            loss, _, by_gene = gradients(state.params, weights, batch)
        return loss, self._by_logit(run, state, mask, settings, "logits", by_gene)

    def logit_step(
        self, run: Run, state: SupernetState, by_logit: Array, settings: Array
    ) -> tuple[SupernetState, Array]:
        """One step of the operator logits and the budgets' multipliers; returns the expected costs as parts of their
        budgets.

        Args:
            by_logit: the loss's gradient for the logits.
        """
        parts, by_all, _ = self.costs(run, state, settings)
        moved = run("logits", self._logits_moved, state, by_logit, by_all, parts, settings)
        alphas, arch_opt, multipliers = moved
        return state._replace(alphas=alphas, arch_opt=arch_opt, multipliers=multipliers), parts

    def search_step(
        self,
        run: Run,
        plan: PlanSupernet,
        state: SupernetState,
        mask: Array,
        train: Batch,
        val: Batch,
        settings: Array,
        parts: Array,
    ) -> tuple[SupernetState, Array, Array, Array]:
        """A step of the weights, and the gradient for a step of the logits: the state, both losses, and the gradient.

        With ``bilevel`` first both gradients are taken at the weights before the step, as in a pass over clips of both
        kinds side by side (see ``PlanSupernet.gradients_of_both``), and under one draw, as in SNAS (Xie et al. 2019);
        in mode ``sampled``, where logits need more paths than weights do, under one each. Otherwise the gradient for
        the logits is taken behind the step.
        """
        if self.training.bilevel != "first":
            state, loss = self.weight_step(run, plan, state, mask, train, settings, parts)
            return state, loss, *self.gene_gradient(run, plan, state, mask, train, val, settings, parts)
        weights = self.weights(run, state, mask, settings, "weights")
        purpose: Purpose = "weights"
        if plan.joint:
            arguments = (state.params, weights, train, val, parts)
            loss, grads, val_loss, by_gene = run((plan, "both"), plan.gradients_of_both, *arguments)
        else:
            gradients = partial(run, (plan, "gradients"), plan.gradients, state.params)
            loss, grads, _ = gradients(weights, train, parts)
            if self.training.mode == "sampled":
                purpose = "logits"
                weights = self.weights(run, state, mask, settings, purpose)
            if run is inline:
                # One pass after the other: within one program they would take the memory of both at once.
                weights, grads = jax.lax.optimization_barrier((weights, grads))
            val_loss, _, by_gene = gradients(weights, val, parts)
        by_logit = self._by_logit(run, state, mask, settings, purpose, by_gene)
        return self._weights_moved(run, state, grads), loss, val_loss, by_logit

    def steps(
        self,
        plan: PlanSupernet,
        state: SupernetState,
        mask: Array,
        trains: Sequence[Batch],
        vals: Sequence[Batch] | None,
        settings: Array,
        parts: Array,
    ) -> tuple[SupernetState, Any]:
        """Several steps on one plan within one program; returns what the last of them did: the loss, and where the
        logits take steps too (there are ``vals``) theirs and the expected costs.

        Args:
            settings: ``[steps, 4]``.
        """

        def step(state: SupernetState, given: Any) -> tuple[SupernetState, Any]:
            train, val, settings = given
            if val is None:
                return self.weight_step(inline, plan, state, mask, train, settings, parts)
            found = self.search_step(inline, plan, state, mask, train, val, settings, parts)
            state, loss, val_loss, by_logit = found
            state, costs = self.logit_step(inline, state, by_logit, settings)
            return state, (loss, val_loss, costs)

        each = [(train, vals[i] if vals is not None else None, settings[i]) for i, train in enumerate(trains)]
        if self._unroll:
            told: Any = None
            for given in each:
                state, told = step(state, given)
            return state, told
        stored = jax.tree.map(lambda batch: batch.get(STORED), each[0][:2], is_leaf=_is_batch)

        def restored(given: Any) -> Any:
            return jax.tree.map(_with_stored, given[:2], stored, is_leaf=_is_batch) + given[2:]

        bare = [(*jax.tree.map(_without_stored, given[:2], is_leaf=_is_batch), given[2]) for given in each]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *bare)
        state, told = jax.lax.scan(lambda state, given: step(state, restored(given)), state, stacked)
        return state, jax.tree.map(lambda leaf: leaf[-1], told)

    def shape_step(
        self,
        run: Run,
        state: SupernetState,
        losses: Array,
        members: Any,
        settings: Array,
        rates: Array,
    ) -> SupernetState:
        """One step of the shape logits; ``rates`` are the step and the pull towards uniform."""
        _, _, by_shape = self.costs(run, state, settings)
        name = ("shapes", losses.shape)
        return state._replace(shapes=run(name, self._shapes_moved, state.shapes, by_shape, losses, members, rates))

    def plan_losses(
        self, run: Run, plan: PlanSupernet, state: SupernetState, mask: Array, batch: Batch, settings: Array
    ) -> Array:
        """Losses of a plan and its prefixes, under one draw for all plans."""
        weights = self.weights(run, state, mask, settings, "scoring")
        return run((plan, "losses"), plan.losses, state.params, weights, batch)

    def costs(self, run: Run, state: SupernetState, settings: Array) -> tuple[Array, Array, Any]:
        """Expected costs as parts of their budgets, and what they add to the gradient of gene and shape weights."""
        arguments = (state.alphas, state.shapes, state.multipliers, settings)
        return run("costs", self._costs, *arguments)

    def weights(self, run: Run, state: SupernetState, mask: Array, settings: Array, purpose: Purpose) -> Array:
        """Gene weights that a step draws."""
        function = partial(self._drawn, purpose)
        return run(("weights", purpose), function, state.alphas, mask, state.key, state.step, settings)

    def likeliest(self, alphas: Array, mask: Array | np.ndarray, temperature: Array) -> Array:
        """Gene weights without a draw."""
        return gene_softmax(self.layout, alphas, mask, STILL, temperature)

    def shape_weights(self, shapes: Any) -> Any:
        """Probabilities of every shape gene's values; genes of one value included."""
        return {key: jax.nn.softmax(shapes[key]) if key in shapes else jnp.ones(1) for key in self._keys}

    def _drawn(self, purpose: Purpose, alphas: Array, mask: Array, key: Array, step: Array, settings: Array) -> Array:
        mask, draw = self._draw(purpose, alphas, mask, key, step, settings)
        # Made once: XLA would write a softmax over a handful of numbers into every kernel that uses one of them.
        return jax.lax.optimization_barrier(gene_softmax(self.layout, alphas, mask, draw, settings[0]))

    def _draw(
        self, purpose: Purpose, alphas: Array, mask: Array, key: Array, step: Array, settings: Array
    ) -> tuple[Array, Draw]:
        """What may be used, and the noise."""
        temperature, noise, sharpness, _ = settings
        number = ("weights", "logits", "scoring").index(purpose)
        own = jax.random.fold_in(jax.random.fold_in(jax.random.wrap_key_data(key), step), number)
        if self.training.mode == "concrete":
            return mask, Draw(noise * jax.random.gumbel(own, alphas.shape), sharpness)
        if self.training.mode == "sampled" and purpose in _PATHS:
            weights = gene_softmax(self.layout, alphas, mask, STILL, temperature)
            return narrowed(mask, weights, _PATHS[purpose], own), STILL
        return mask, STILL

    def _by_logit(
        self, run: Run, state: SupernetState, mask: Array, settings: Array, purpose: Purpose, by_gene: Array
    ) -> Array:
        """The gradient for the logits, of that for gene weights drawn for a purpose."""
        function = partial(self._pulled, purpose)
        arguments = (state.alphas, mask, state.key, state.step, settings, by_gene)
        return run(("by logit", purpose), function, *arguments)

    def _pulled(
        self, purpose: Purpose, alphas: Array, mask: Array, key: Array, step: Array, settings: Array, by_gene: Array
    ) -> Array:
        mask, draw = self._draw(purpose, alphas, mask, key, step, settings)
        return jax.vjp(lambda a: gene_softmax(self.layout, a, mask, draw, settings[0]), alphas)[1](by_gene)[0]

    def _weights_moved(self, run: Run, state: SupernetState, grads: Array) -> SupernetState:
        moved = run(("update", self.rate, self._weights), self._updated, grads, state.opt, state.params, state.step)
        params, opt, step = moved
        return state._replace(params=params, opt=opt, step=step)

    def _updated(self, grads: Any, opt: optax.OptState, params: Any, step: Array) -> tuple[Any, optax.OptState, Array]:
        return *updated(self.tx, grads, opt, params), step + 1

    def _costs(self, alphas: Array, shapes: Any, multipliers: Array, settings: Array) -> tuple[Array, Array, Any]:
        temperature, progress = settings[0], settings[3]
        weights = self.likeliest(alphas, self.layout.exists, temperature)
        weight = self.training.latency_weight * progress
        arguments = (weights, self.shape_weights(shapes), multipliers, weight)
        return cost_gradients(self.layout, self._constraint, self.training.penalty, self.training.target, *arguments)

    def _logits_moved(
        self, state: SupernetState, by_logit: Array, by_all: Array, parts: Array, settings: Array
    ) -> tuple[Array, optax.OptState, Array]:
        alphas, temperature, progress = state.alphas, settings[0], settings[3]
        exists = self.layout.exists
        still = jax.vjp(lambda a: gene_softmax(self.layout, a, exists, STILL, temperature), alphas)[1]
        grads = by_logit + still(by_all)[0]
        grads += penalty_gradient(self.layout, alphas, self.training.logit_penalty * progress)
        # Computed once: XLA would make the gradient anew for each of the moments.
        grads = jax.lax.optimization_barrier(grads)
        updates, opt = self.arch_tx.update(grads, state.arch_opt, alphas)
        # As the temperature falls: a step then moves the softmax's argument by the same amount throughout.
        falls = {"temperature": temperature, "constant": 1.0, "cosine": 0.5 * (1 + jnp.cos(jnp.pi * progress))}
        rate = -self.training.arch_learning_rate * falls[self.training.arch_schedule]
        excess = jnp.log(parts / self.training.target)
        multipliers = jnp.maximum(state.multipliers + self.training.multiplier_rate * excess, 0)
        return alphas + rate * updates, opt, multipliers

    def _shapes_moved(self, shapes: Any, by_shape: Any, losses: Array, members: Any, rates: Array) -> Any:
        (pulls,) = jax.vjp(self.shape_weights, shapes)[1](by_shape)
        grads = jax.tree.map(jnp.add, jax.grad(expected_loss)(shapes, losses, members), pulls)
        return {
            key: logits - rates[0] * grads[key] - rates[1] * (logits - logits.mean()) for key, logits in shapes.items()
        }


def _is_batch(value: Any) -> bool:
    return isinstance(value, dict)


def _without_stored(batch: Batch) -> dict[str, Any]:
    return {name: value for name, value in batch.items() if name != STORED}


def _with_stored(batch: Batch, stored: Any) -> dict[str, Any]:
    return {**batch} if stored is None else {**batch, STORED: stored}
