"""Weights of a checkpoint as the start of another training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from tvnjax.core.checkpoint import load_state, stored_shapes
from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Network
from tvnjax.graph.identity import layers_id
from tvnjax.nn.child import Child
from tvnjax.zoo.trained import TrainedNetwork


class LoadedWeights(NamedTuple):
    """Weights and running statistics, and whether the layer of scores is the checkpoint's own."""

    params: nnx.State
    stats: nnx.State
    scores_kept: bool


def load_start(
    path: Path, network: Network, classes: Sequence[str], stored: TrainedNetwork | None, seed: int = 0
) -> LoadedWeights:
    """Reads a checkpoint into a network that is trained further. The layer of scores is the checkpoint's where its
    classes are the same, in the same order; otherwise it is a fresh one, also where there are as many.

    Args:
        path: a folder of a run's ``checkpoints/``.
        network: lowered.
        classes: of its scores.
        stored: what the checkpoint's weights are; None where nobody knows, and the shapes of its arrays decide.
        seed: of a fresh layer of scores.

    Raises:
        InvalidInputError: there is no checkpoint, or its network differs in more than its classes and sizes.
    """
    _, params, stats = nnx.split(Child(network, seed), nnx.Param, ...)
    if stored is not None and layers_id(stored.network) != layers_id(network):
        raise InvalidInputError(
            f"a training starts from weights of the same layers; those of {path} are of {stored.entry.name} with "
            f"layers {layers_id(stored.network)}, and this network's are {layers_id(network)}: 'tvnjax diff' shows "
            "what two genotypes differ in; name another checkpoint"
        )
    kernel = stored_shapes(path).get(("params", "head", "dense", "kernel"))
    if kernel is None:
        raise InvalidInputError(f"a checkpoint holds a network's weights; {path} does not: name another")
    kept = stored is not None and stored.classes == tuple(classes)
    if kept:
        loaded = load_state(path, {"params": params, "stats": stats})
        return LoadedWeights(loaded["params"], loaded["stats"], True)
    wanted = jax.tree.map(lambda leaf: leaf, params)
    for array in _scores(wanted).values():
        array.set_value(jnp.zeros((*array.get_value().shape[:-1], kernel[-1])))
    loaded = load_state(path, {"params": wanted, "stats": stats})
    for name, array in _scores(loaded["params"]).items():
        array.set_value(_scores(params)[name].get_value())
    return LoadedWeights(loaded["params"], loaded["stats"], False)


def _scores(params: Any) -> dict[str, Any]:
    dense = params["head"]["dense"]
    return {name: dense[name] for name in ("kernel", "bias")}
