"""The gradient of the validation loss behind a look-ahead step of the weights."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from tvnjax.trainers.plan_supernet import Batch
from tvnjax.trainers.programs import Run

_RADIUS = 0.01
"""Length of the step of the finite difference (DARTS, Liu et al. 2019, section 2.3)."""


def second_order(
    run: Run,
    gradients: Callable[[Array, Array, Batch], tuple[Array, Array, Array]],
    params: Array,
    weights: Array,
    train: Batch,
    val: Batch,
    rate: float | Array,
) -> tuple[Array, Array]:
    """Validation loss and gene gradient at ``params - rate * (training gradient)``, differentiated through that step.

    Source: DARTS (Liu et al. 2019), equations 7 and 8: the Hessian-vector product is a central difference, so that a
    step takes four gradients and no program of its own. The look-ahead step is the paper's, plain gradient descent,
    whatever optimizer the weights have: the derivative through Adam's or momentum's step is another one.

    Args:
        run: runs what is done between the gradients.
        gradients: loss, gradient of weights and of gene weights on a batch.
        rate: of the look-ahead step; the paper sets it to the present learning rate of the weights' optimizer.
    """
    _, step, _ = gradients(params, weights, train)
    loss, at_val, by_gene = gradients(run("ahead", _ahead, params, step, rate), weights, val)
    up, down, scale = run("around", _around, params, at_val, rate)
    (_, _, above), (_, _, below) = (gradients(moved, weights, train) for moved in (up, down))
    return loss, run("second order", _corrected, by_gene, above, below, scale)


def _ahead(params: Any, step: Any, rate: Any) -> Any:
    return jax.tree.map(lambda a, b: a - rate * b, params, step)


def _around(params: Any, at_val: Any, rate: Any) -> tuple[Any, Any, Array]:
    radius = _RADIUS / jnp.maximum(optax.tree.norm(at_val), 1e-8)
    up = jax.tree.map(lambda a, b: a + radius * b, params, at_val)
    down = jax.tree.map(lambda a, b: a - radius * b, params, at_val)
    return up, down, rate / (2 * radius)


def _corrected(by_gene: Any, above: Any, below: Any, scale: Array) -> Any:
    return by_gene - scale * (above - below)
