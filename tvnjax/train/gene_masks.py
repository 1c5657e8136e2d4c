"""Which candidates of every gene a step may use."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tvnjax.spaces.tvn.relaxed import GENES, RelaxedPlan

Masks = tuple[dict[str, np.ndarray], ...]
"""For each block and each of ``GENES`` whether each candidate may be used."""


def plan_masks(plan: RelaxedPlan, blocks: int) -> Masks:
    """Which candidates each block of a plan can have: the legal ones; of an inactive gene its default alone.

    Blocks the plan has not are padded with its last block's masks, so that every plan's masks have one structure.
    """
    masks = []
    for block in plan.blocks:
        row = {}
        for gene in GENES:
            mask = block.legal(gene)
            if gene not in block.active:
                mask = np.arange(len(mask)) == block.default(gene)
            row[gene] = mask
        masks.append(row)
    return tuple(masks + [masks[-1]] * (blocks - len(masks)))


def sampled_masks(masks: Masks, weights: Sequence[Any], paths: int, rng: np.random.Generator) -> Masks:
    """``paths`` candidates a gene, drawn without replacement from its probabilities (the Gumbel top-k)."""
    narrow = []
    for index, block in enumerate(masks):
        row = dict(block)
        for gene, mask in block.items() if index < len(weights) else ():
            if mask.sum() > paths:
                log_p = np.where(mask, np.log(np.maximum(weights[index][gene], 1e-12)), -np.inf)
                chosen = np.argsort(-(log_p + rng.gumbel(size=len(mask))))[:paths]
                row[gene] = np.isin(np.arange(len(mask)), chosen)
        narrow.append(row)
    return tuple(narrow)
