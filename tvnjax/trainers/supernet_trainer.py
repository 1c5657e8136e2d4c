"""Steps of a supernet over many plans: weights on one batch, architecture logits on another.

All plans share one set of weights and one set of operator logits; each has compiled programs of its own (see
``plan_programs``), and what does not depend on sizes (optimizers, softmax, latency term) is compiled once for all. The
gradient for weights *and* gene weights is one program, called for either step: a logit's gradient needs the same
backward pass, and a second program would double the compilation.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from tvnjax.core.variables import ArchParam
from tvnjax.graph import HeadKind
from tvnjax.spaces.relaxing import Plan, Relaxation, RelaxedPlan
from tvnjax.trainers.arch_gradients import (
    Draw,
    cost_gradients,
    expected_loss,
    gene_softmax,
    gumbel_draw,
    penalty_gradient,
)
from tvnjax.trainers.compilation import compile_program
from tvnjax.trainers.gene_weights import GeneWeights, Masks, default_weights, plan_masks, sampled_masks
from tvnjax.trainers.optim import Optimizer, updated
from tvnjax.trainers.plan_programs import PlanPrograms, View
from tvnjax.trainers.second_order import second_order
from tvnjax.trainers.supernet_settings import SupernetTraining
from tvnjax.trainers.supernet_state import SupernetState
from tvnjax.trainers.trainer import Score, sum_score

Constraint = Callable[[GeneWeights, Any], Array]
"""Expected costs under gene and shape weights, each as a part of its budget: ``[constraints]``."""


class SupernetTrainer:
    """Trains the shared weights and all logits.

    Args:
        relaxation: the plans, and what is relaxed inside each.
        view_of: cuts a plan's clips out of stored ones.
        constraint: expected costs as parts of their budgets; the first is the latency.
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
    ):
        self.relaxation, self.training = relaxation, training
        self._num_classes, self._view_of = num_classes, view_of
        self._head: HeadKind = head
        self._constraint, self._constraints = constraint, constraints
        self._rate = 1.0
        self._tx = self._optimizer().build_shared(training.steps)
        # Adam would blow up the gradient of choices that hardly matter, as in blocks few plans have; hence its epsilon.
        self._arch_tx = optax.scale_by_adam(b1=0.5, eps=1e-3)
        self.largest = relaxation.largest()
        self._genes = tuple(block.genes for block in self.largest.blocks)
        self._softmax = partial(gene_softmax, self._genes)
        model = relaxation.supernet(self.largest, num_classes, seed, head=self._head)
        _, self._alphas, self._params, _ = nnx.split(model, ArchParam, nnx.Param, ...)
        self._free = tuple(
            {gene: np.ones(len(block.candidates(gene)), bool) for gene in block.genes} for block in self.largest.blocks
        )
        self._still = Draw(jax.tree.map(lambda mask: np.zeros(mask.shape, np.float32), self._free), np.float32(1))
        self._plans: dict[Plan, PlanPrograms] = {}
        self._compiled: dict[str, Any] = {}
        self._rng = np.random.default_rng([seed, 5])
        self._compile_seconds = 0.0

    @property
    def compile_seconds(self) -> float:
        """Of all programs so far; those compiled side by side count once."""
        return self._compile_seconds

    def capture(self) -> dict[str, Any]:
        """What a search goes on with besides the state, to be kept as JSON."""
        return {"rng": self._rng.bit_generator.state, "rate": self._rate, "compile_seconds": self._compile_seconds}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what ``capture`` gave."""
        self._rng.bit_generator.state = state["rng"]
        self._compile_seconds = state["compile_seconds"]
        self.lower_rate(state["rate"] / self._rate)

    def lower_rate(self, factor: float) -> None:
        """Multiplies the weights' learning rate from here on."""
        if factor != 1:
            self._rate *= factor
            self._tx = self._optimizer().build_shared(self.training.steps)
            for name in ("update", "rate"):
                self._compiled.pop(name, None)

    def _optimizer(self) -> Optimizer:
        training = self.training
        rate = self._rate * training.learning_rate
        return Optimizer(learning_rate=rate, schedule=training.schedule, drop=training.drop)

    def _learning_rate(self, state: SupernetState) -> Array:
        """Of the next weight step."""
        return self._call("rate", self._optimizer().schedule_of(self.training.steps), state.step)

    def init(self) -> SupernetState:
        """Fresh weights, uniform choices."""
        shapes = {key: jnp.zeros(len(self.relaxation.values(key))) for key in self.relaxation.searched}
        opt = self._call("init", self._tx.init, self._params)
        arch_opt = self._call("arch_init", self._arch_tx.init, self._alphas)
        multipliers = jnp.zeros(self._constraints)
        return SupernetState(self._params, self._alphas, shapes, opt, arch_opt, multipliers, jnp.int32(0))

    def programs(self, plan: Plan) -> PlanPrograms:
        """The programs of a plan and its prefixes, whatever the distance between frames; made on first use."""
        plan = self.relaxation.program(plan)
        if plan not in self._plans:
            prefixes = self.relaxation.prefixes(plan)
            programs = PlanPrograms(
                self.relaxation,
                self.relaxed(plan),
                tuple(len(prefix.blocks) for prefix in prefixes),
                self._num_classes,
                self._view_of(plan),
                sampled=self.training.mode == "sampled",
                head=self._head,
                precision=self.training.precision,
                remat=self.training.remat,
            )
            for prefix in prefixes:
                self._plans.setdefault(prefix, programs)
        return self._plans[plan]

    def relaxed(self, plan: Plan) -> RelaxedPlan:
        """What is relaxed in a plan."""
        return self.relaxation.relaxed(plan)

    def compile(
        self,
        plans: Sequence[Plan],
        state: SupernetState,
        batch: Callable[[Plan], Mapping[str, Any]],
        scoring: Callable[[Plan], Mapping[str, Any]],
    ) -> None:
        """Compiles what a search needs of some plans, and the expected costs, two at a time (XLA lets go of the
        interpreter)."""
        new = {id(self.programs(plan)): (self.programs(plan), plan) for plan in plans}
        jobs: list[Callable[[], Any]] = [partial(self._costs, state, 1.0)]
        for programs, plan in new.values():
            weights = self.weights(programs.plan, state, 1.0)
            jobs.append(partial(programs.gradients, state.params, weights, batch(plan)))
            if self.relaxation.searched:
                jobs.append(partial(programs.losses, state.params, weights, scoring(plan)))
        before, start = self._compile_seconds, time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            for job in [pool.submit(job) for job in jobs]:
                job.result()
        self._compile_seconds = before + time.monotonic() - start

    def weight_step(
        self,
        state: SupernetState,
        plan: Plan,
        batch: Mapping[str, Any],
        temperature: float,
        progress: float = 0.0,
        lengths: Mapping[int, float] | None = None,
    ) -> tuple[SupernetState, Array]:
        """One step of the weights on one plan; returns the training loss.

        Args:
            lengths: parts of the loss by the number of blocks, for the plan and its prefixes; default: the plan alone.
        """
        programs = self.programs(plan)
        masks = self._masks(programs.plan, state, temperature, paths=1)
        weights = self._weights(programs.plan, state, masks, temperature, self.draw(progress))
        parts = self._parts(plan, lengths)
        loss, grads, _ = self._timed(programs, "gradients", state.params, weights, batch, parts)
        params, opt = self._call("update", partial(updated, self._tx), grads, state.opt, state.params)
        return state._replace(params=params, opt=opt, step=state.step + 1), loss

    def arch_step(
        self,
        state: SupernetState,
        plan: Plan,
        train: Mapping[str, Any],
        val: Mapping[str, Any],
        temperature: float,
        progress: float,
        lengths: Mapping[int, float] | None = None,
    ) -> tuple[SupernetState, Array, Array]:
        """One step of the operator logits on one plan; returns the loss and the expected costs as parts of their
        budgets. ``lengths`` as for ``weight_step``.

        ``bilevel`` says on which clips: validation clips at the present weights (``first``), at the weights after a
        look-ahead step (``second``), or the training clips themselves (``one-level``).
        """
        programs, bilevel = self.programs(plan), self.training.bilevel
        masks = self._masks(programs.plan, state, temperature, paths=2)
        draw = self.draw(progress)
        weights = self._weights(programs.plan, state, masks, temperature, draw)

        def gradients(params: nnx.State, weights: GeneWeights, batch: Mapping[str, Any]) -> Any:
            return self._timed(programs, "gradients", params, weights, batch, self._parts(plan, lengths))

        if bilevel == "second":
            rate = self._learning_rate(state)
            loss, by_gene = second_order(gradients, state.params, weights, train, val, rate)
        else:
            loss, _, by_gene = gradients(state.params, weights, train if bilevel == "one-level" else val)
        parts, by_all, _ = self._costs(state, temperature, progress)
        arguments = (
            self._filled(by_gene),
            masks,
            draw,
            by_all,
            parts,
            state.arch_opt,
            state.alphas,
            state.multipliers,
            jnp.float32(temperature),
            jnp.float32(progress),
        )
        alphas, arch_opt, multipliers = self._call("arch_update", self._arch_update, *arguments)
        return state._replace(alphas=alphas, arch_opt=arch_opt, multipliers=multipliers), loss, parts

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
        _, _, by_shape = self._costs(state, temperature, progress)
        arguments = (state.shapes, by_shape, losses, members)
        grads = self._call(f"shape_gradient {len(losses)}", self._shape_gradient, *arguments)
        shapes = {
            key: logits - rate * grads[key] - decay * (logits - logits.mean()) for key, logits in state.shapes.items()
        }
        return state._replace(shapes=shapes)

    def plan_losses(
        self, state: SupernetState, plan: Plan, batch: Mapping[str, Any], temperature: float, draw: Draw | None = None
    ) -> dict[int, Array]:
        """Validation losses of a plan and its prefixes under the relaxed choices, by the number of blocks."""
        programs = self.programs(plan)
        masks = plan_masks(programs.plan, self.relaxation.longest)
        weights = self._weights(programs.plan, state, masks, temperature, draw or self._still)
        return dict(zip(programs.lengths, self._timed(programs, "losses", state.params, weights, batch)))

    def weights(self, plan: RelaxedPlan, state: SupernetState, temperature: float) -> GeneWeights:
        """Probabilities of what a plan can have."""
        masks = plan_masks(plan, self.relaxation.longest)
        return self._weights(plan, state, masks, temperature, self._still)

    def draw(self, progress: float) -> Draw:
        """What makes one step's weights a draw in mode ``concrete``: Gumbel noise, so that the likeliest candidate is a
        draw from the softmax itself. It grows to its full size at half of the progress (weights learn slowly under
        it); from then on draws grow sharper, to ``draw_sharpness`` in the end."""
        scale = min(1.0, 2 * progress)
        if self.training.mode != "concrete" or scale == 0:
            return self._still
        sharpness = self.training.draw_sharpness ** max(2 * progress - 1, 0.0)
        return gumbel_draw(self._still, scale, sharpness, self._rng)

    def probabilities(self, state: SupernetState, temperature: float) -> tuple[GeneWeights, Any]:
        """Gene probabilities of every block, no plan's limits applied, and those of the shape genes."""
        weights = self._call("weights", self._softmax, state.alphas, self._free, self._still, jnp.float32(temperature))
        return weights, self._call("shape_weights", self.shape_weights, state.shapes)

    def parts(self, state: SupernetState, temperature: float) -> Array:
        """Expected costs as parts of their budgets."""
        return self._costs(state, temperature)[0]

    def _costs(self, state: SupernetState, temperature: float, ramp: float = 1.0) -> tuple[Array, GeneWeights, Any]:
        """Expected costs as parts of their budgets, and what they add to the gradient of gene and shape weights; the
        weight of the latency is ramped by ``ramp``.

        One program for every step that asks: the expectation over a whole space is the longest to compile.
        """
        weights, shapes = self.probabilities(state, temperature)
        weight = jnp.float32(self.training.latency_weight * ramp)
        function = partial(cost_gradients, self._constraint, self.training.penalty)
        return self._call("costs", function, weights, shapes, state.multipliers, weight)

    def shape_weights(self, shapes: Any) -> Any:
        """Probabilities of every shape gene's values; genes of one value included."""
        return {key: jax.nn.softmax(shapes[key]) if key in shapes else jnp.ones(1) for key in self.relaxation.keys}

    def score(
        self, state: SupernetState, plan: Plan, stats: nnx.State, weights: GeneWeights, batches: Iterable[Any]
    ) -> Score:
        """Accuracy under given gene weights (relaxed or one-hot) in evaluation mode."""
        programs = self.programs(plan)
        return sum_score(self._timed(programs, "score", state.params, stats, weights, batch) for batch in batches)

    def recalibrate(
        self, state: SupernetState, plan: Plan, weights: GeneWeights, batches: Sequence[Mapping[str, Any]]
    ) -> nnx.State:
        """The running statistics of one network: the plain mean over the batches."""
        programs = self.programs(plan)
        stats = programs.fresh_stats
        for number, batch in enumerate(batches):
            momentum = number / (number + 1)
            stats = self._timed(programs, "statistics", state.params, stats, weights, batch, momentum)
        return stats

    def fine_tune(
        self, state: SupernetState, plan: Plan, weights: GeneWeights, batches: Sequence[Mapping[str, Any]]
    ) -> SupernetState:
        """Trains the shared weights further for one network alone: a step for every batch, the rate falling to 0."""
        programs, params = self.programs(plan), state.params
        tx = Optimizer(learning_rate=self.training.learning_rate).build(len(batches))
        # The program runs on to its last block; one path there is the least it can do.
        rest = tuple(map(default_weights, programs.plan.blocks[len(weights) :]))
        opt = self._call("fine_tune_init", tx.init, params)
        for batch in batches:
            _, grads, _ = self._timed(programs, "gradients", params, weights + rest, batch, self._parts(plan, None))
            params, opt = self._call(f"fine_tune {len(batches)}", partial(updated, tx), grads, opt, params)
        return state._replace(params=params)

    def _arch_update(
        self,
        by_gene: GeneWeights,
        masks: Any,
        draw: Draw,
        by_all: GeneWeights,
        parts: Array,
        opt: optax.OptState,
        alphas: nnx.State,
        multipliers: Array,
        temperature: Array,
        progress: Array,
    ) -> tuple[Any, optax.OptState, Array]:
        (grads,) = jax.vjp(lambda a: self._softmax(a, masks, draw, temperature), alphas)[1](by_gene)
        (pulls,) = jax.vjp(lambda a: self._softmax(a, self._free, self._still, temperature), alphas)[1](by_all)
        penalty = penalty_gradient(alphas, self.training.logit_penalty * progress)
        updates, opt = self._arch_tx.update(jax.tree.map(lambda *g: sum(g), grads, pulls, penalty), opt, alphas)
        # As the temperature falls: a step then moves the softmax's argument by the same amount throughout.
        falls = {"temperature": temperature, "constant": 1.0, "cosine": 0.5 * (1 + jnp.cos(jnp.pi * progress))}
        rate = -self.training.arch_learning_rate * falls[self.training.arch_schedule]
        alphas = jax.tree.map(lambda a, u: a + rate * u, alphas, updates)
        multipliers = jnp.maximum(multipliers + self.training.multiplier_rate * jnp.log(parts), 0)
        return alphas, opt, multipliers

    def _shape_gradient(self, shapes: Any, by_shape: Any, losses: Array, members: Any) -> Any:
        (pulls,) = jax.vjp(self.shape_weights, shapes)[1](by_shape)
        return jax.tree.map(jnp.add, jax.grad(expected_loss)(shapes, losses, members), pulls)

    def _parts(self, plan: Plan, lengths: Mapping[int, float] | None) -> np.ndarray:
        """Parts of the loss in the order of the program's lengths."""
        lengths = lengths or {len(plan.blocks): 1.0}
        return np.array([lengths.get(length, 0.0) for length in self.programs(plan).lengths], np.float32)

    def _masks(self, plan: RelaxedPlan, state: SupernetState, temperature: float, paths: int) -> Masks:
        """What a step may use: all a plan can have, or in sampled mode ``paths`` candidates a gene."""
        masks = plan_masks(plan, self.relaxation.longest)
        if self.training.mode != "sampled":
            return masks
        return sampled_masks(masks, jax.device_get(self.weights(plan, state, temperature)), paths, self._rng)

    def _weights(
        self, plan: RelaxedPlan, state: SupernetState, masks: Any, temperature: float, draw: Draw
    ) -> GeneWeights:
        weights = self._call("weights", self._softmax, state.alphas, masks, draw, jnp.float32(temperature))
        return weights[: len(plan.blocks)]

    def _filled(self, by_gene: GeneWeights) -> GeneWeights:
        """Gradients of the gene weights of every block; zero for those the plan has not."""
        blocks = self.largest.blocks[len(by_gene) :]
        zeros = tuple({gene: jnp.zeros(len(block.candidates(gene))) for gene in block.genes} for block in blocks)
        return (*by_gene, *zeros)

    def _timed(self, programs: PlanPrograms, name: str, *args: Any) -> Any:
        before = programs.compile_seconds
        result = getattr(programs, name)(*args)
        self._compile_seconds += programs.compile_seconds - before
        return result

    def _call(self, name: str, function: Callable, *args: Any) -> Any:
        if name not in self._compiled:
            self._compiled[name], seconds = compile_program(function, *args)
            self._compile_seconds += seconds
        return self._compiled[name](*args)
