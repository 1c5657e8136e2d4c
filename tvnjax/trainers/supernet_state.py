"""What a step of a supernet changes, and where it broke."""

from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax import Array

from tvnjax.trainers.gene_layout import GeneLayout
from tvnjax.trainers.param_layout import ParamLayout


class SupernetState(NamedTuple):
    """Everything a search step changes, and what it draws from."""

    params: Array
    """Weights in one vector (see ``ParamLayout``), those of the largest plan or as many as plans need that are trained
    (see ``PlanWeights``); a plan's are slices of the arrays."""
    alphas: Array
    """Operator logits ``[blocks, choices, candidates]`` (see ``GeneLayout``)."""
    shapes: Any
    """Shape logits by ``ShapeKey``."""
    opt: optax.OptState
    arch_opt: optax.OptState
    multipliers: Array
    """One for each constraint; non-negative."""
    step: Array
    key: Array
    """What every step's draws are made from, together with its number: uint32 ``[2]``."""


def broken_part(state: SupernetState, layout: GeneLayout, params: ParamLayout) -> str:
    """Which part of a state is not finite, choices before weights; where all are, the largest weights."""
    genes, weights = layout.unpack(np.asarray(state.alphas)), params.unflatten(np.asarray(state.params))
    for name, part in (("gene", genes), ("shape gene", state.shapes), ("weights", weights)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(part):
            if not np.isfinite(np.asarray(leaf)).all():
                return f"{name} {_named(path)} is not finite"
    leaves = jax.tree_util.tree_leaves_with_path(weights)
    path, leaf = max(leaves, key=lambda pair: float(np.abs(np.asarray(pair[1])).max(initial=0.0)))
    return f"all weights are finite, the largest are {_named(path)}, up to {float(np.abs(np.asarray(leaf)).max()):.3g}"


def _named(path: Any) -> str:
    keys = [getattr(key, "key", getattr(key, "idx", getattr(key, "name", key))) for key in path]
    return ".".join(str(key) for key in keys if str(key) != "value")
