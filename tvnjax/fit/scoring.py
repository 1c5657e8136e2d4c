"""Accuracy of trained networks, alone and together."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from tvnjax.core.checkpoint import load_state
from tvnjax.core.errors import InvalidInputError
from tvnjax.data.clips import ClipSet
from tvnjax.data.loader import eval_batches
from tvnjax.data.recipe import SPLITS
from tvnjax.fit.clips import ClipOptions, prepare_clips
from tvnjax.fit.saved import SavedNetwork
from tvnjax.nn.child import Child
from tvnjax.nn.layers import normalize
from tvnjax.train.objective import count_correct
from tvnjax.train.trainer import Score, sum_score
from tvnjax.zoo.resolve import reading


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Scores of several networks and of the mean of their logits."""

    members: tuple[Score, ...]
    together: Score


def clips_of(options: ClipOptions, saved: Sequence[SavedNetwork], required: tuple[str, ...] = SPLITS) -> ClipSet:
    """The clips that all of some networks read, with the networks' classes, in their order.

    Args:
        options: which clips.
        saved: the networks.
        required: the splits that are scored, and must have clips; others may be empty.

    Raises:
        InvalidInputError: the data break a rule, have a class that is none of the networks', or the networks have
            different classes.
    """
    first = saved[0]
    for one in saved:
        if one.classes != first.classes:
            raise InvalidInputError(
                f"networks are scored together on the same classes; {first.weights} names {_named(first.classes)}, "
                f"{one.weights} {_named(one.classes)}: train one further on the other's with 'tvnjax train --init'"
            )
    readings = [reading(one.entry) for one in saved]
    return prepare_clips(options, readings, classes=tuple(first.classes), required=required)


def score_together(saved: Sequence[SavedNetwork], clips: ClipSet, split: str, batch_size: int = 32) -> Ensemble:
    """Scores each network on a split, and the mean of their logits (the closing step of MoViNet's and EvaNet's papers).

    Raises:
        InvalidInputError: a checkpoint is missing or of another network, or there is no such split.
    """
    labels = np.concatenate([batch["label"][: _real(batch)] for batch in _batches(saved[0], clips, split, batch_size)])
    logits = [_logits(one, clips, split, batch_size) for one in saved]
    score = _scorer(labels)
    mean = np.mean(logits, axis=0)
    return Ensemble(members=tuple(map(score, logits)), together=score(mean))


def _logits(saved: SavedNetwork, clips: ClipSet, split: str, batch_size: int) -> np.ndarray:
    """``[clips, classes]`` in the order of the split."""
    graph, params, stats = nnx.split(Child(saved.network), nnx.Param, ...)
    loaded = load_state(saved.weights, {"params": params, "stats": stats})

    @jax.jit
    def forward(params: nnx.State, stats: nnx.State, clip: jax.Array) -> jax.Array:
        return nnx.merge(graph, params, stats, copy=True)(normalize(clip))

    rows = [
        np.asarray(forward(loaded["params"], loaded["stats"], batch["clip"]))[: _real(batch)]
        for batch in _batches(saved, clips, split, batch_size)
    ]
    return np.concatenate(rows)


def _batches(saved: SavedNetwork, clips: ClipSet, split: str, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    return eval_batches(clips, split, batch_size=batch_size, **dataclasses.asdict(reading(saved.entry)))


def _real(batch: dict[str, np.ndarray]) -> int:
    return int(batch["weight"].sum())


def _scorer(labels: np.ndarray) -> Callable[[np.ndarray], Score]:
    ones = jnp.ones(len(labels))
    return lambda logits: sum_score([count_correct(jnp.asarray(logits), jnp.asarray(labels), ones)])


def _named(classes: Sequence[str]) -> str:
    shown = ", ".join(classes[:4])
    return f"{len(classes)} classes ({shown}{', ...' if len(classes) > 4 else ''})"
