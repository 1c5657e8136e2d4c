"""What a relaxed network is tending to: marginals, entropies, and how much of it has no parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tvnjax.spaces.tvn.operators import Operator, is_free, named
from tvnjax.spaces.tvn.relaxed import RelaxedBlock
from tvnjax.spaces.tvn.shapes import ShapeKey, ShapeSpace

Weights = Sequence[Mapping[str, Any]]


def marginals(blocks: Sequence[RelaxedBlock], weights: Weights) -> list[dict[str, dict[str, float]]]:
    """Probability of every candidate of every active choice, by name."""
    return [
        {
            gene: {candidate_name(value): float(part) for value, part in zip(block.candidates(gene), p[gene])}
            for gene in block.active
        }
        for block, p in zip(blocks, weights)
    ]


def shape_marginals(shapes: ShapeSpace, weights: Mapping[ShapeKey, Any]) -> dict[str, dict[str, float]]:
    """Probability of every value of every searched shape gene, by name."""
    return {
        str(key): {str(value): float(p) for value, p in zip(shapes.values(key), weights[key])}
        for key in shapes.searched
    }


def describe(blocks: Sequence[RelaxedBlock], weights: Weights, shapes: Mapping[ShapeKey, Any]) -> dict[str, Any]:
    """Mean entropies as parts of the largest possible (1: undecided), and the mass on operators without parameters by
    block."""
    operators = [_entropy(p[gene]) for block, p in zip(blocks, weights) for gene in block.active]
    policy = [_entropy(p) for p in shapes.values() if len(p) > 1]
    return {
        "entropy": float(np.mean(operators)) if operators else 0.0,
        "shape_entropy": float(np.mean(policy)) if policy else 0.0,
        "parameter_free": [
            {axis: float(_free_mass(block.candidates(axis), p[axis])) for axis in ("spatial", "temporal")}
            for block, p in zip(blocks, weights)
        ],
    }


def candidate_name(value: Operator | float | bool | str) -> str:
    if isinstance(value, tuple):
        return named(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    return "off" if isinstance(value, float) and value == 0 else str(value)


def _entropy(p: Any) -> float:
    p = np.asarray(p, float)
    return float(-(p * np.log(np.maximum(p, 1e-12))).sum() / np.log(len(p)))


def _free_mass(operators: Sequence[Operator], p: Any) -> float:
    return sum(float(part) for operator, part in zip(operators, p) if is_free(operator))
