"""Steps of a supernet: weights on one batch, architecture logits on another, one compiled gradient for both.

The gradient of the loss for weights *and* logits is one program, called for either step: a logit's gradient needs
the same backward pass, and a second program would double the compilation.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from tvnjax.core.variables import ArchParam
from tvnjax.nn.layers import BN_MOMENTUM, normalize
from tvnjax.nn.supernet import GeneWeights, Supernet, softmax_weights
from tvnjax.space.relaxed import RelaxedPlan
from tvnjax.train.objective import count_correct, cross_entropy
from tvnjax.train.optim import Optimizer
from tvnjax.train.trainer import Batch, Score, sum_score


class SupernetState(NamedTuple):
    """Everything a search step changes."""

    params: nnx.State
    stats: nnx.State
    alphas: nnx.State
    opt: optax.OptState
    arch_opt: optax.OptState
    multiplier: Array
    """Of the latency constraint; non-negative."""
    step: Array


class SupernetTrainer:
    """Trains a supernet's weights and logits.

    Args:
        plan: what the supernet relaxes.
        expected: expected milliseconds under gene weights.
        steps: weight steps of the whole search, for the learning rate's schedule.
        budget_ms: where the expected latency is pushed to.
        penalty: weight of the quadratic term of the augmented Lagrangian.
        multiplier_rate: how fast the multiplier follows ``log(expected / budget)``.
    """

    def __init__(
        self,
        plan: RelaxedPlan,
        num_classes: int,
        expected: Callable[[GeneWeights], Array],
        *,
        steps: int,
        learning_rate: float,
        arch_learning_rate: float,
        budget_ms: float,
        penalty: float,
        multiplier_rate: float,
        seed: int,
    ):
        self._plan = plan
        self._expected, self._budget, self._penalty, self._rate = expected, budget_ms, penalty, multiplier_rate
        # A step schedule: under a cosine one differentiable video search is known to collapse onto skips and pools.
        self._tx = Optimizer(learning_rate=learning_rate, schedule="step").build(steps)
        self._arch_tx = optax.adam(arch_learning_rate, b1=0.5)
        self._graph, *self._fresh = nnx.split(Supernet(plan, num_classes, seed), ArchParam, nnx.Param, ...)
        self._compiled: dict[str, Any] = {}
        self.compile_seconds = 0.0

    def init(self) -> SupernetState:
        """Fresh weights, uniform choices."""

        alphas, params, stats = self._fresh
        opt, arch_opt = self._call("init", lambda p, a: (self._tx.init(p), self._arch_tx.init(a)), params, alphas)
        return SupernetState(params, stats, alphas, opt, arch_opt, jnp.float32(0), jnp.int32(0))

    def weight_step(self, state: SupernetState, batch: Batch, temperature: float) -> tuple[SupernetState, Array]:
        """One step of the weights; returns the training loss."""
        loss, stats, grads, _ = self._gradients(state, batch, temperature)
        params, opt = self._call("update", self._update, grads, state.opt, state.params)
        return state._replace(params=params, stats=stats, opt=opt, step=state.step + 1), loss

    def arch_step(self, state: SupernetState, batch: Batch, temperature: float) -> tuple[SupernetState, Array, Array]:
        """One step of the logits and of the multiplier; returns the validation loss and the expected milliseconds."""
        loss, _, _, grads = self._gradients(state, batch, temperature)
        arguments = (grads, state.arch_opt, state.alphas, state.multiplier, jnp.float32(temperature))
        alphas, arch_opt, multiplier, expected_ms = self._call("arch_update", self._arch_update, *arguments)
        return state._replace(alphas=alphas, arch_opt=arch_opt, multiplier=multiplier), loss, expected_ms

    def probabilities(self, state: SupernetState, temperature: float) -> GeneWeights:
        """Softmax of the logits."""
        return self._call("probabilities", self._probabilities, state.alphas, jnp.float32(temperature))

    def score(self, state: SupernetState, weights: GeneWeights, batches: Iterable[Batch]) -> Score:
        """Accuracy under given gene weights (relaxed or one-hot) in evaluation mode; the same program for all."""
        return sum_score(
            self._call("score", self._score, _model_state(state), weights, b["clip"], b["label"], b["weight"])
            for b in batches
        )

    def recalibrate(self, state: SupernetState, weights: GeneWeights, batches: Sequence[Batch]) -> SupernetState:
        """The running statistics of one network: reset, then the plain mean over the batches."""
        for number, batch in enumerate(batches):
            momentum = jnp.float32(number / (number + 1))
            stats = self._call("statistics", self._statistics, _model_state(state), weights, batch["clip"], momentum)
            state = state._replace(stats=stats)
        return state

    def _gradients(
        self, state: SupernetState, batch: Batch, temperature: float
    ) -> tuple[Array, nnx.State, nnx.State, nnx.State]:
        arguments = (state.params, state.alphas, state.stats, batch["clip"], batch["label"], jnp.float32(temperature))
        return self._call("gradients", self._loss_gradients, *arguments)

    def _loss_gradients(
        self, params: nnx.State, alphas: nnx.State, stats: nnx.State, clip: Array, label: Array, temperature: Array
    ) -> tuple[Array, nnx.State, nnx.State, nnx.State]:
        def loss_fn(params: nnx.State, alphas: nnx.State) -> tuple[Array, nnx.State]:
            model = nnx.merge(self._graph, alphas, params, stats, copy=True)
            logits = model(normalize(clip), model.probabilities(temperature), train=True, momentum=BN_MOMENTUM)
            return cross_entropy(logits, label), nnx.state(model, nnx.BatchStat)

        (loss, stats), grads = jax.value_and_grad(loss_fn, argnums=(0, 1), has_aux=True)(params, alphas)
        return loss, stats, *grads

    def _update(self, grads: nnx.State, opt: optax.OptState, params: nnx.State) -> tuple[Any, optax.OptState]:
        updates, opt = self._tx.update(grads, opt, params)
        return optax.apply_updates(params, updates), opt

    def _arch_update(
        self, grads: nnx.State, opt: optax.OptState, alphas: nnx.State, multiplier: Array, temperature: Array
    ) -> tuple[Any, optax.OptState, Array, Array]:
        def constraint(alphas: nnx.State) -> tuple[Array, tuple[Array, Array]]:
            expected_ms = self._expected(self._probabilities(alphas, temperature))
            excess = jnp.log(expected_ms / self._budget)
            # Augmented Lagrangian of an inequality: no pull once the network is well within the budget.
            pull = jnp.maximum(multiplier + self._penalty * excess, 0)
            return jnp.square(pull) / (2 * self._penalty), (expected_ms, excess)

        (_, (expected_ms, excess)), pulls = jax.value_and_grad(constraint, has_aux=True)(alphas)
        updates, opt = self._arch_tx.update(jax.tree.map(jnp.add, grads, pulls), opt, alphas)
        return (
            optax.apply_updates(alphas, updates),
            opt,
            jnp.maximum(multiplier + self._rate * excess, 0),
            expected_ms,
        )

    def _probabilities(self, alphas: nnx.State, temperature: Array) -> GeneWeights:
        blocks = alphas.get("alphas", {})
        return softmax_weights(self._plan, [blocks.get(i, {}) for i in range(len(self._plan.blocks))], temperature)

    def _score(
        self, model_state: tuple[nnx.State, ...], weights: GeneWeights, clip: Array, label: Array, weight: Array
    ) -> dict[str, Array]:
        model = nnx.merge(self._graph, *model_state, copy=True)
        return count_correct(model(normalize(clip), weights), label, weight)

    def _statistics(
        self, model_state: tuple[nnx.State, ...], weights: GeneWeights, clip: Array, momentum: Array
    ) -> nnx.State:
        model = nnx.merge(self._graph, *model_state, copy=True)
        model(normalize(clip), weights, train=True, momentum=momentum)
        return nnx.state(model, nnx.BatchStat)

    def _call(self, name: str, function: Callable, *args: Any) -> Any:
        if name not in self._compiled:
            start = time.monotonic()
            self._compiled[name] = jax.jit(function).lower(*args).compile()
            self.compile_seconds += time.monotonic() - start
        return self._compiled[name](*args)


def _model_state(state: SupernetState) -> tuple[nnx.State, nnx.State, nnx.State]:
    return state.alphas, state.params, state.stats
