"""The logits' side of a supernet: from logits to gene weights, and what costs and losses say of the weights."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax.trainers.gene_weights import GeneWeights


class Draw(NamedTuple):
    """What makes gene weights a draw around the softmax (the concrete distribution, Maddison et al. 2017)."""

    noise: Any
    """Added to the argument, for every block and gene ``[candidates]``."""
    sharpness: Any
    """The noisy argument is multiplied by it: the larger, the closer a draw is to one-hot. Its likeliest candidate
    stays what it was."""


def gumbel_draw(still: Draw, scale: float, sharpness: float, rng: np.random.Generator) -> Draw:
    """Gumbel noise of some size, in the arrays of a draw without any."""

    def noise(zeros: np.ndarray) -> np.ndarray:
        return (scale * rng.gumbel(size=zeros.shape)).astype(np.float32)

    return Draw(jax.tree.map(noise, still.noise), np.float32(sharpness))


def gene_softmax(
    genes: Sequence[tuple[str, ...]], alphas: nnx.State, masks: Any, draw: Draw, temperature: Array
) -> GeneWeights:
    """Gene weights of every block: ``softmax((logits / temperature + noise) * sharpness)`` where the masks allow.

    Args:
        genes: names of every block's choices.
    """
    logits = alphas.get("alphas", {})
    weights = []
    for index, block in enumerate(masks):
        own = logits.get(index, {})
        row: dict[str, Array] = {}
        for gene in genes[index]:
            mask = jnp.asarray(block[gene])
            if gene in own:
                argument = (own[gene][...] / temperature + draw.noise[index][gene]) * draw.sharpness
                row[gene] = jax.nn.softmax(argument, where=mask)
            else:
                row[gene] = mask.astype(jnp.float32)
        weights.append(row)
    return tuple(weights)


def cost_gradients(
    constraint: Callable[[GeneWeights, Any], Array],
    penalty: float,
    weights: GeneWeights,
    shapes: Any,
    multipliers: Array,
    latency_weight: Array,
) -> tuple[Array, GeneWeights, Any]:
    """Costs as parts of their budgets, and the gradients for gene and shape weights of the augmented Lagrangian of
    ``log(part) <= 0`` (no pull once a cost is well within its budget) plus the weight of the latency itself."""

    def value(weights: GeneWeights, shapes: Any) -> tuple[Array, Array]:
        parts = constraint(weights, shapes)
        excess = jnp.log(parts)
        pull = jnp.maximum(multipliers + penalty * excess, 0)
        return (jnp.square(pull) / (2 * penalty)).sum() + latency_weight * excess[0], parts

    grads, parts = jax.grad(value, argnums=(0, 1), has_aux=True)(weights, shapes)
    return parts, *grads


def penalty_gradient(alphas: nnx.State, weight: Array) -> Any:
    """Gradient of ``weight`` times the mean log-sum-exp of the logits (PV-NAS, Wang et al. 2020)."""

    def mean(alphas: nnx.State) -> Any:
        leaves = jax.tree.leaves(alphas)
        return weight * sum(jax.nn.logsumexp(leaf) for leaf in leaves) / max(len(leaves), 1)

    return jax.grad(mean)(alphas)


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
