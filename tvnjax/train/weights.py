"""Weights of a checkpoint for a network whose set has other classes."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from tvnjax.core.checkpoint import load_state, stored_shapes
from tvnjax.core.errors import InvalidInputError
from tvnjax.nn.child import Child
from tvnjax.space.network import Network


class LoadedWeights(NamedTuple):
    """Weights and running statistics, and how many classes the checkpoint's own layer of scores has."""

    params: nnx.State
    stats: nnx.State
    stored_classes: int


def load_weights(path: Path, network: Network, seed: int = 0) -> LoadedWeights:
    """Reads a checkpoint into a network. Where only the number of classes differs, the layer of scores stays a fresh
    one, as for fine-tuning from one set of clips to another.

    Args:
        path: a folder of a run's ``checkpoints/``.
        network: lowered.
        seed: of a fresh layer of scores.

    Raises:
        InvalidInputError: there is no checkpoint, or it differs from the network in more than its classes.
    """
    _, params, stats = nnx.split(Child(network, seed), nnx.Param, ...)
    shapes = stored_shapes(path)
    kernel = shapes.get(("params", "head", "dense", "kernel"))
    if kernel is None:
        raise InvalidInputError(f"a checkpoint holds a network's weights; {path} does not: name another")
    classes = kernel[-1]
    if classes == network.head.num_classes:
        loaded = load_state(path, {"params": params, "stats": stats})
        return LoadedWeights(loaded["params"], loaded["stats"], classes)
    stored = jax.tree.map(lambda leaf: leaf, params)
    for array in _scores(stored).values():
        array.set_value(jnp.zeros((*array.get_value().shape[:-1], classes)))
    loaded = load_state(path, {"params": stored, "stats": stats})
    for name, array in _scores(loaded["params"]).items():
        array.set_value(_scores(params)[name].get_value())
    return LoadedWeights(loaded["params"], loaded["stats"], classes)


def _scores(params: Any) -> dict[str, Any]:
    dense = params["head"]["dense"]
    return {name: dense[name] for name in ("kernel", "bias")}
