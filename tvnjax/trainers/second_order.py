"""The gradient of the validation loss behind a look-ahead step of the weights."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from tvnjax.trainers.gene_weights import GeneWeights

_RADIUS = 0.01
"""Length of the step of the finite difference (DARTS, Liu et al. 2019, section 2.3)."""


def second_order(
    gradients: Callable[[nnx.State, GeneWeights, Mapping[str, Any]], tuple[Array, nnx.State, GeneWeights]],
    params: nnx.State,
    weights: GeneWeights,
    train: Mapping[str, Any],
    val: Mapping[str, Any],
    rate: float | Array,
) -> tuple[Array, GeneWeights]:
    """Validation loss and gene gradient at ``params - rate * (training gradient)``, differentiated through that step.

    Source: DARTS (Liu et al. 2019), equations 7 and 8: the Hessian-vector product is a central difference, so that a
    step takes four gradients and no program of its own. The look-ahead step is the paper's, plain gradient descent,
    whatever optimizer the weights have: the derivative through Adam's or momentum's step is another one.

    Args:
        gradients: loss, gradient of weights and of gene weights on a batch.
        rate: of the look-ahead step; the paper sets it to the present learning rate of the weights' optimizer.
    """
    _, step, _ = gradients(params, weights, train)
    loss, at_val, by_gene = gradients(_axpy(params, step, -rate), weights, val)
    radius = _RADIUS / jnp.maximum(optax.tree.norm(at_val), 1e-8)
    up, down = (gradients(_axpy(params, at_val, sign * radius), weights, train)[2] for sign in (1.0, -1.0))
    scale = rate / (2 * radius)
    return loss, jax.tree.map(lambda g, a, b: g - scale * (a - b), by_gene, up, down)


@jax.jit
def _axpy(x: nnx.State, y: nnx.State, scale: Any) -> Any:
    return jax.tree.map(lambda a, b: a + scale * b, x, y)
