"""Weights on disk with what they are: the network, its classes, and how the clips it was trained on were made."""

from pathlib import Path
from typing import Any

from flax import nnx

from tvnjax.core.checkpoint import load_state, read_about, save_state
from tvnjax.core.errors import InvalidInputError
from tvnjax.nn.child import Child
from tvnjax.zoo.trained import TrainedNetwork, trained_from_json

_KEY = "tvnjax"
"""Under which a checkpoint's own metadata hold ours."""


def save_weights(path: Path, params: nnx.State, stats: nnx.State, trained: TrainedNetwork) -> None:
    """Writes a network's weights and running statistics, and what they are."""
    save_state(path, {"params": params, "stats": stats}, {_KEY: trained.as_json()})


def read_trained(path: Path) -> TrainedNetwork | None:
    """What a checkpoint's weights are; ``None`` for one of version 0.1, which does not say.

    Raises:
        InvalidInputError: there is no checkpoint, or what it says is damaged.
    """
    about = read_about(path)
    told: Any = None if about is None else about.get(_KEY)
    if told is None:
        return None
    if not isinstance(told, dict):
        raise InvalidInputError(f"{path} tells what its weights are; got {type(told).__name__}: it is damaged")
    return trained_from_json(told, path)


def load_weights(path: Path, trained: TrainedNetwork) -> tuple[nnx.GraphDef[Child], nnx.State, nnx.State]:
    """The module, weights and running statistics of exactly this network.

    Raises:
        InvalidInputError: there is no checkpoint, or it is of another network.
    """
    graph, params, stats = nnx.split(Child(trained.network), nnx.Param, ...)
    loaded = load_state(path, {"params": params, "stats": stats})
    return graph, loaded["params"], loaded["stats"]
