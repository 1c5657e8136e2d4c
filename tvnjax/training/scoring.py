"""Accuracy of trained networks, alone and together."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.clips import ClipSet
from tvnjax.data.loader import eval_batches
from tvnjax.data.recipe import Progress
from tvnjax.nn.parts import normalize
from tvnjax.nn.saved_weights import load_weights
from tvnjax.trainers.objective import count_correct
from tvnjax.trainers.trainer import Score, sum_score
from tvnjax.training.clips import ScoredClips, named, scored_clips
from tvnjax.training.leaks import check_unseen
from tvnjax.training.saved import SavedNetwork
from tvnjax.zoo.resolve import reading


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Scores of several networks and of the mean of their logits."""

    members: tuple[Score, ...]
    together: Score
    clips: ClipSet
    """As the first network reads them."""
    labels: np.ndarray
    """Of the clips scored on, int ``[clips]``."""


def score_together(
    saved: Sequence[SavedNetwork],
    options: ScoredClips,
    split: str,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Ensemble:
    """Scores each network on a split, and the mean of their logits (the closing step of MoViNet's and EvaNet's papers).

    Each network reads its own copy of the clips, cut and stored as those it was trained on.

    Raises:
        InvalidInputError: the data break a rule, or give the networks other clips than one another (their trainings
            split them otherwise, say); or a checkpoint is missing or of another network.
    """
    for one in saved[1:]:
        if one.classes != saved[0].classes:
            raise InvalidInputError(
                f"an ensemble's networks name the same classes in the same order; {saved[0].weights} names "
                f"{named(saved[0].classes)}, {one.weights} {named(one.classes)}: train them on the same set"
            )
    sets = [scored_clips(options, one.trained, split, progress) for one in saved]
    for one, clips in zip(saved, sets):
        check_unseen(one, clips, split, allowed=options.allow_trained)
    read = [_read(one, clips, split, batch_size) for one, clips in zip(saved, sets)]
    (names, labels, _), *others = read
    for one, (theirs, their_labels, _) in zip(saved[1:], others):
        if theirs != names or not np.array_equal(labels, their_labels):
            differ = len(set(theirs) ^ set(names))
            raise InvalidInputError(
                f"an ensemble's networks are scored on the same clips; {split} of {saved[0].weights} and of "
                f"{one.weights} differ in {differ} clips, as their trainings split them: give both --split-seed, "
                "--val-fraction and --test-fraction, or a manifest that names the splits"
            )
    score = _scorer(labels)
    logits = [part for _, _, part in read]
    return Ensemble(
        members=tuple(map(score, logits)), together=score(np.mean(logits, axis=0)), clips=sets[0], labels=labels
    )


def _read(saved: SavedNetwork, clips: ClipSet, split: str, batch_size: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, labels ``[clips]`` and logits ``[clips, classes]`` in the order of the split."""
    graph, params, stats = load_weights(saved.weights, saved.trained)

    @jax.jit
    def forward(params: nnx.State, stats: nnx.State, clip: jax.Array) -> jax.Array:
        return nnx.merge(graph, params, stats, copy=True)(normalize(clip))

    labels, logits = [], []
    for batch in eval_batches(clips, split, batch_size=batch_size, **reading(saved.entry)._asdict()):
        real = int(batch["weight"].sum())
        labels.append(batch["label"][:real])
        logits.append(np.asarray(forward(params, stats, batch["clip"]))[:real])
    return clips.names(split), np.concatenate(labels), np.concatenate(logits)


def _scorer(labels: np.ndarray) -> Callable[[np.ndarray], Score]:
    ones = jnp.ones(len(labels))
    return lambda logits: sum_score([count_correct(jnp.asarray(logits), jnp.asarray(labels), ones)])
