"""The logits' side of a supernet: from logits to gene weights, and what costs and losses say of the weights.

Logits, masks and gene weights are arrays ``[blocks, choices, candidates]`` (see ``GeneLayout``).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.trainers.gene_layout import GeneLayout
from tvnjax.trainers.gene_weights import GeneWeights


class Draw(NamedTuple):
    """What makes gene weights a draw around the softmax (the concrete distribution, Maddison et al. 2017)."""

    noise: Array | float
    """Added to the argument."""
    sharpness: Array | float
    """The noisy argument is multiplied by it: the larger, the closer a draw is to one-hot. Its likeliest candidate
    stays what it was."""


STILL = Draw(0.0, 1.0)
"""No draw: the softmax itself."""


def gene_softmax(layout: GeneLayout, alphas: Array, mask: Array | np.ndarray, draw: Draw, temperature: Array) -> Array:
    """Gene weights: ``softmax((logits / temperature + noise) * sharpness)`` where the mask allows; a choice without
    logits takes the mask itself."""
    first = np.arange(layout.shape[-1]) == 0
    # A softmax over nothing is not a number, nor is its gradient.
    some = jnp.where(jnp.any(mask, -1, keepdims=True), mask, first)
    soft = jax.nn.softmax((alphas / temperature + draw.noise) * draw.sharpness, where=some)
    return jnp.where(layout.learned[..., None], soft, jnp.asarray(mask, jnp.float32))


def narrowed(mask: Array, weights: Array, paths: int, key: Array) -> Array:
    """``paths`` candidates a choice, drawn without replacement from its probabilities (the Gumbel top-k)."""
    log_p = jnp.where(mask, jnp.log(jnp.maximum(weights, 1e-12)), -jnp.inf)
    scores = log_p + jax.random.gumbel(key, log_p.shape)
    paths = min(paths, scores.shape[-1])
    kept = mask & (scores >= jnp.sort(scores, -1)[..., -paths, None])
    return jnp.where(mask.sum(-1, keepdims=True) > paths, kept, mask)


def cost_gradients(
    layout: GeneLayout,
    constraint: Callable[[GeneWeights, Any], Array],
    penalty: float,
    target: float,
    weights: Array,
    shapes: Any,
    multipliers: Array,
    latency_weight: Array,
) -> tuple[Array, Array, Any]:
    """Costs as parts of their budgets, and the gradients for gene and shape weights of the augmented Lagrangian of
    ``log(part / target) <= 0`` (no pull once a cost is well within it) plus the weight of the latency itself."""

    def value(weights: Array, shapes: Any) -> tuple[Array, Array]:
        parts = constraint(layout.unpack(weights), shapes)
        excess = jnp.log(parts / target)
        pull = jnp.maximum(multipliers + penalty * excess, 0)
        return (jnp.square(pull) / (2 * penalty)).sum() + latency_weight * excess[0], parts

    grads, parts = jax.grad(value, argnums=(0, 1), has_aux=True)(weights, shapes)
    return parts, *grads


def penalty_gradient(layout: GeneLayout, alphas: Array, weight: Array | float) -> Array:
    """Gradient of ``weight`` times the mean log-sum-exp of the logits (PV-NAS, Wang et al. 2020)."""
    learned = layout.learned[..., None]
    soft = jax.nn.softmax(alphas, where=layout.exists | ~learned)
    return jnp.where(learned & layout.exists, weight * soft / max(int(layout.learned.sum()), 1), 0)


def expected_loss(shapes: Any, losses: Array, members: Any) -> Array:
    """Mean of the members' losses under the policy restricted to them.

    Args:
        shapes: logits by ``ShapeKey``.
        members: by ``ShapeKey`` the values that make each member, and those legal beside its other genes.
    """
    logs = jnp.zeros(len(losses))
    for key, logits in shapes.items():
        made, legal = members[key]
        p = jax.nn.softmax(logits)
        logs += jnp.log(jnp.maximum((made * p).sum(-1), 1e-12)) - jnp.log(jnp.maximum((legal * p).sum(-1), 1e-12))
    return (jax.nn.softmax(logs) * losses).sum()
