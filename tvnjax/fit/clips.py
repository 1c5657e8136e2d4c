"""Which clips a word or a path on the command line means."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from tvnjax.core.environment import cache_dir
from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.data.clips import ClipSet, prepare
from tvnjax.data.planted import PlantedData, PlantedTask
from tvnjax.data.procedural import ProceduralData, Task
from tvnjax.data.recipe import SPLITS
from tvnjax.data.spans import ShortSpans
from tvnjax.zoo.resolve import Reading

_DRAWN_SIZE, _DRAWN_FRAMES = 32, 16
"""Least side and frames of drawn clips."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """A set of clips, and what of it a training changes at random."""

    data: str
    """A manifest (FILE.csv: path,label[,start_frame,end_frame][,split]), a folder (DIR/class/video), or drawn clips:
    motion, shape, texture, motion_shape, ..., static_shape, fine_texture, ..."""
    drawn_clips: int = 1024
    """Clips to train on where clips are drawn; a quarter as many to validate and half as many to test."""
    short_spans: ShortSpans = "hold"
    """Labels shorter than a clip: hold their last frame, widen into the video around them, or call it an error."""
    temporal_jitter: int = 4
    """Training clips of a video start up to this many frames before or after the centred one."""
    shift: int = 0
    """Training crops of videos move by up to this many pixels each way."""
    flip: bool = False
    """Mirror half of the training clips of videos; only for labels that do not tell left from right."""


def clip_source(options: ClipOptions, readings: Sequence[Reading]) -> Any:
    """The source of the clips; drawn ones are made as large and as long as the networks read.

    Raises:
        InvalidInputError: there is no such file, folder or drawn set.
    """
    from tvnjax.data.video_folder import VideoData

    size = max(_DRAWN_SIZE, *(8 * -(-reading.image_size // 8) for reading in readings))
    frames = max(_DRAWN_FRAMES, *(window(reading) for reading in readings))
    train = options.drawn_clips
    drawn: dict[str, Any] = {"train_clips": train, "val_clips": max(train // 4, 24), "test_clips": max(train // 2, 24)}
    path = Path(options.data)
    if options.data in get_args(Task):
        task: Any = options.data
        return ProceduralData(task=task, num_frames=frames, size=size, **drawn)
    if options.data in get_args(PlantedTask):
        planted: Any = options.data
        return PlantedData(task=planted, num_frames=frames, size=size, **drawn)
    video: dict[str, Any] = {
        name: getattr(options, name) for name in ("short_spans", "temporal_jitter", "shift", "flip")
    }
    if path.is_dir():
        return VideoData(folder=path, **video)
    if path.is_file():
        return VideoData(manifest=path, **video)
    names = (*get_args(Task), *get_args(PlantedTask))
    raise InvalidInputError(
        f"--data is a manifest, a folder of videos, or one of {', '.join(names)}; got {options.data!r}"
        f"{did_you_mean(options.data, names)}"
    )


def prepare_clips(
    options: ClipOptions,
    readings: Sequence[Reading],
    progress: Callable[[int, int], None] | None = None,
    *,
    classes: tuple[str, ...] | None = None,
    required: tuple[str, ...] = SPLITS,
) -> ClipSet:
    """The clips, stored so that each of the networks can read its own part of them.

    Args:
        options: which clips.
        readings: of the networks.
        progress: called after each clip that is made, with their number and that of all.
        classes: of a trained network, in its order; ``None``: those of the clips.
        required: the splits that must have clips.

    Raises:
        InvalidInputError: the data break a rule.
    """
    return prepare(
        clip_source(options, readings),
        num_frames=max(map(window, readings)),
        frame_stride=1,
        image_size=max(reading.image_size for reading in readings),
        cache_dir=cache_dir() / "datasets",
        progress=progress,
        classes=classes,
        required=required,
    )


def window(reading: Reading) -> int:
    """Frames of the video from the first read to the last."""
    return (reading.num_frames - 1) * reading.frame_stride + 1
