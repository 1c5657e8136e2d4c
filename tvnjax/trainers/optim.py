"""The optimizer of a network's weights."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.literals import check_literals


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer:
    """AdamW with a linear warm-up, clipped by global norm.

    Adam rather than the paper's momentum SGD: the networks of one search differ by orders of magnitude in width, and
    one learning rate has to serve them all.
    """

    learning_rate: float = 3e-3
    schedule: Literal["cosine", "step"] = "cosine"
    """``cosine`` to 0; ``step`` multiplies by ``drop`` at 60 % and 85 % of the steps."""
    drop: float = 0.1
    warmup: float = 0.05
    """Part of the steps over which the rate rises from 0."""
    weight_decay: float = 1e-2
    clip_norm: float = 5.0

    def __post_init__(self) -> None:
        check_literals(self)
        if not self.learning_rate > 0:
            raise InvalidInputError(f"learning_rate is above 0; got {self.learning_rate}")
        if not 0 < self.drop <= 1:
            raise InvalidInputError(f"a step schedule's drop is a factor in (0, 1]; got {self.drop}")
        if not 0 <= self.warmup < 1:
            raise InvalidInputError(f"warmup is a part of the steps in [0, 1); got {self.warmup}")
        if not self.weight_decay >= 0:
            raise InvalidInputError(f"weight_decay is 0 or above; got {self.weight_decay}")
        if not self.clip_norm > 0:
            raise InvalidInputError(f"clip_norm is above 0: with 0 no gradient is left; got {self.clip_norm}")

    def schedule_of(self, steps: int) -> optax.Schedule:
        """The learning rate by step, from 0 on, of a training of ``steps`` steps."""
        warmup = int(self.warmup * steps)
        if self.schedule == "cosine":
            main = optax.cosine_decay_schedule(self.learning_rate, max(steps - warmup, 1))
        else:
            edges = {int(part * steps) - warmup: self.drop for part in (0.6, 0.85)}
            main = optax.piecewise_constant_schedule(self.learning_rate, edges)
        rise = optax.linear_schedule(0.0, self.learning_rate, max(warmup, 1))
        return optax.join_schedules([rise, main], [warmup])

    def build(self, steps: int) -> optax.GradientTransformation:
        """The optax transform for a training of ``steps`` steps.

        Clipping and Adam's moments work on one vector of all weights: a few loops instead of some for each array, which
        were half of what there was to compile in a training step.
        """
        moments = optax.flatten(optax.chain(optax.clip_by_global_norm(self.clip_norm), optax.scale_by_adam()))
        return optax.chain(moments, *self._decay_and_rate(steps))

    def build_vector(
        self, steps: int, decayed: Callable[[Array], Array], *, shared: bool = False
    ) -> optax.GradientTransformation:
        """``build`` for weights that are one vector.

        Args:
            decayed: the weights that decay, 0 for the others.
            shared: networks share them: a step leaves those alone that have no gradient in it. Momentum and decay would
                go on to move the weights of blocks a step's plan lacks, and of paths it did not draw. Every weight's
                moments count the steps it was part of, so that it moves as it would if there were no others.
        """
        adam = _scale_by_sparse_adam() if shared else optax.scale_by_adam()
        moments = optax.chain(optax.clip_by_global_norm(self.clip_norm), adam)
        rate = optax.scale_by_learning_rate(self.schedule_of(steps))

        def init(params: optax.Params) -> tuple[optax.OptState, optax.OptState]:
            return moments.init(params), rate.init(params)

        def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, optax.OptState]:
            of_moments, of_rate = state
            moves: Any
            moves, of_moments = moments.update(updates, of_moments)
            moves, of_rate = rate.update(moves + self.weight_decay * decayed(params), of_rate)
            return (jnp.where(updates != 0, moves, 0) if shared else moves), (of_moments, of_rate)

        return optax.GradientTransformation(init, update)

    def build_unclipped(self, steps: int) -> optax.GradientTransformation:
        """The same for gradients that are clipped already; arrays can then be updated apart from one another."""
        return optax.chain(optax.scale_by_adam(), *self._decay_and_rate(steps))

    def _decay_and_rate(self, steps: int) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
        """What makes Adam AdamW (Loshchilov and Hutter 2019), for the weights array by array."""
        decay = optax.add_decayed_weights(self.weight_decay, _decayed)
        return decay, optax.scale_by_learning_rate(self.schedule_of(steps))


def updated(
    tx: optax.GradientTransformation, grads: Any, opt: optax.OptState, params: Any
) -> tuple[Any, optax.OptState]:
    """Weights and optimizer state after one step."""
    updates, opt = tx.update(grads, opt, params)
    return optax.apply_updates(params, updates), opt


class _SparseAdamState(NamedTuple):
    steps: Array
    """Of each weight: steps in which it had a gradient."""
    mu: Array
    nu: Array


def _scale_by_sparse_adam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> optax.GradientTransformation:
    """Adam (Kingma and Ba 2015, algorithm 1) of every element by itself, over the steps in which its gradient is not
    exactly 0; in others its moments stay and it does not move. For one array."""

    def init(params: Any) -> _SparseAdamState:
        return _SparseAdamState(jnp.zeros(params.shape, jnp.int32), jnp.zeros_like(params), jnp.zeros_like(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        there = updates != 0
        steps = state.steps + there
        mu = jnp.where(there, b1 * state.mu + (1 - b1) * updates, state.mu)
        nu = jnp.where(there, b2 * state.nu + (1 - b2) * jnp.square(updates), state.nu)
        count = jnp.maximum(steps, 1).astype(mu.dtype)
        moved = (mu / (1 - b1**count)) / (jnp.sqrt(nu / (1 - b2**count)) + eps)
        return jnp.where(there, moved, 0), _SparseAdamState(steps, mu, nu)

    return optax.GradientTransformation(init, update)


def _decayed(params: optax.Params) -> optax.Params:
    """Weights decay; biases and batch-norm vectors do not."""
    return jax.tree.map(lambda array: array.ndim > 1, params)
