"""Weights of every choice's candidates, and which of them a step may use."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.spaces.relaxing import RelaxedPart, RelaxedPlan

GeneWeights = tuple[dict[str, Array], ...]
"""For each block and each of its choices a vector of weights over its candidates, summing to one."""

Masks = tuple[dict[str, np.ndarray], ...]
"""For each block and each of its choices whether each candidate may be used."""


def plan_masks(plan: RelaxedPlan, blocks: int) -> Masks:
    """Which candidates each block of a plan can have: the legal ones; of an inactive gene its default alone.

    Blocks the plan has not are padded with its last block's masks, so that every plan's masks have one structure.
    """
    masks = []
    for block in plan.blocks:
        row = {}
        for gene in block.genes:
            mask = block.legal(gene)
            if gene not in block.active:
                mask = np.arange(len(mask)) == block.default(gene)
            row[gene] = mask
        masks.append(row)
    return tuple(masks + [masks[-1]] * (blocks - len(masks)))


def default_weights(block: RelaxedPart) -> dict[str, Array]:
    """All weight of every choice on its default."""
    return {gene: jnp.eye(len(block.candidates(gene)))[block.default(gene)] for gene in block.genes}


def one_hot(plan: RelaxedPlan, genotype: Any) -> GeneWeights:
    """Gene weights that pick one network of the plan.

    Raises:
        ValueError: the genotype is not of this plan.
    """
    return tuple(
        {gene: jnp.eye(len(block.candidates(gene)))[index] for gene, index in chosen.items()}
        for block, chosen in zip(plan.blocks, plan.encode(genotype))
    )
