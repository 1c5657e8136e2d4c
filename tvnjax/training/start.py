"""Weights a training starts from: what they are, and what of this training differs from theirs."""

import dataclasses
from pathlib import Path

from tvnjax.core.checkpoint import is_checkpoint
from tvnjax.core.errors import InvalidInputError
from tvnjax.data.preparation import Preparation
from tvnjax.data.video_folder import VideoData
from tvnjax.training.saved import open_saved
from tvnjax.zoo.resolve import reading
from tvnjax.zoo.trained import TrainedNetwork


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """A checkpoint to start from."""

    weights: Path
    trained: TrainedNetwork | None
    """What the weights are; None where neither they nor a run around them say it (version 0.1, copied alone)."""


def read_start(path: Path) -> Start:
    """The weights of a run or a checkpoint.

    Raises:
        InvalidInputError: there are none, or what is told of them is damaged.
    """
    try:
        saved = open_saved(path)
    except InvalidInputError:
        run = path.absolute().parent.parent
        if not is_checkpoint(path) or (run / "results.json").exists() or (run / "network.json").exists():
            raise
        return Start(weights=path, trained=None)
    return Start(weights=saved.weights, trained=saved.trained)


def differences(start: Start, now: TrainedNetwork, scores_kept: bool) -> list[str]:
    """What a training does otherwise than the one its weights are from, a sentence each: allowed, and worth knowing."""
    before = start.trained
    if before is None:
        return [
            f"{start.weights} does not say what its weights are: only the shapes of its arrays were compared, and the "
            "layer of scores is a fresh one"
        ]
    said = []
    if not scores_kept:
        why = "as many, but other classes" if len(before.classes) == len(now.classes) else "other classes"
        said.append(f"the weights of {start.weights} are for {why}: the layer of scores is a fresh one")
    read, reads = reading(before.entry)._asdict(), reading(now.entry)._asdict()
    changed = [f"{name} {reads[name]} instead of {read[name]}" for name in reads if reads[name] != read[name]]
    ours, theirs = (_video(trained, start.weights) for trained in (now, before))
    if ours is not None and theirs is not None:
        changed += [
            f"{name} {getattr(ours, name)} instead of {getattr(theirs, name)}"
            for name in ("fit", "shift", "short_spans", "flip")
            if getattr(ours, name) != getattr(theirs, name)
        ]
    if changed:
        said.append(f"clips are made otherwise than those {start.weights} was trained on: {', '.join(changed)}")
    return said


def _video(trained: TrainedNetwork, where: Path) -> VideoData | None:
    clips = Preparation.from_json(trained.clips, where)
    return None if clips is None else clips.video
