"""Which clips a training reads, and which clips a trained network is scored on: made as those it was trained on."""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from tvnjax.core.environment import cache_dir
from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.data.arrays import ArrayData
from tvnjax.data.clips import ClipSet, prepare
from tvnjax.data.decode import Fit
from tvnjax.data.planted import PlantedData, PlantedTask
from tvnjax.data.preparation import ClipSizes, Preparation
from tvnjax.data.procedural import ProceduralData, Task
from tvnjax.data.recipe import ClipSource, Progress
from tvnjax.data.spans import ShortSpans
from tvnjax.data.video_folder import VideoData
from tvnjax.spaces.base import Reads
from tvnjax.zoo.resolve import reading
from tvnjax.zoo.trained import TrainedNetwork

_DRAWN_SIZE, _DRAWN_FRAMES = 32, 16
"""Least side and frames of drawn clips."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """A set of clips to train on, and what of it a training changes at random."""

    data: str
    """A manifest (FILE.csv: path,label[,start_frame,end_frame][,split]), a folder (DIR/class/video), or drawn clips:
    motion, shape, texture, motion_shape, ..., static_shape, fine_texture, ..."""
    drawn_clips: int = 1024
    """Clips to train on where clips are drawn; a quarter as many to validate and half as many to test."""
    short_spans: ShortSpans = "hold"
    """Labels shorter than a clip: hold their last frame, widen into the video around them, or call it an error."""
    fit: Fit = "squash"
    """How a frame of a video becomes square: squash changes its proportions, crop cuts its longer sides off."""
    val_fraction: float = 0.15
    """Share of the videos to validate on, where the data name no val split."""
    test_fraction: float = 0.15
    """Share of the videos to test on, where the data name no test split."""
    split_seed: int = 0
    """Draws another split, where the data name none."""
    temporal_jitter: int = 4
    """Training clips of a video start up to this many frames before or after the centred one."""
    shift: int = 0
    """Training crops of videos move by up to this many pixels each way; frames are stored with that margin."""
    flip: bool = False
    """Mirror half of the training clips of videos; only for labels that do not tell left from right."""
    max_skipped: float = 0.05
    """Largest share of the clips that may be skipped, because their videos are missing or damaged; more is an error."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoredClips:
    """A set of clips to score a trained network on. What is left out is as in the network's training; what is given
    and differs is said."""

    data: str | None = None
    """A manifest, a folder, or drawn clips, as 'tvnjax train' takes them. Default: what the network was trained on,
    with the same splits."""
    drawn_clips: int | None = None
    """Clips to train on where clips are drawn: a quarter as many are to validate and half as many to test."""
    short_spans: ShortSpans | None = None
    """Labels shorter than a clip: hold their last frame, widen into the video around them, or call it an error."""
    fit: Fit | None = None
    """How a frame of a video becomes square: squash or crop."""
    val_fraction: float | None = None
    """Share of the videos that are the val split, where the data name none."""
    test_fraction: float | None = None
    """Share of the videos that are the test split, where the data name none."""
    split_seed: int | None = None
    """Draws another split, where the data name none."""
    shift: int | None = None
    """Pixels of margin with which frames are stored and which are then cut off on each side."""
    max_skipped: float | None = None
    """Largest share of the clips that may be skipped, because their videos are missing or damaged."""
    allow_trained: bool = False
    """Score on a split that has clips the network was trained on, whose accuracy says little."""


def clip_source(options: ClipOptions, readings: Sequence[Reads]) -> ClipSource:
    """The source of the clips; drawn ones are made as large and as long as the networks read.

    Raises:
        InvalidInputError: there is no such file, folder or drawn set.
    """
    drawn = _drawn(options.data, options.drawn_clips, readings)
    if drawn is not None:
        return drawn
    names = {field.name for field in dataclasses.fields(VideoData)} & {f.name for f in dataclasses.fields(options)}
    video = VideoData(**{name: getattr(options, name) for name in names})
    return dataclasses.replace(video, **_place(options.data))


def prepare_clips(
    options: ClipOptions, readings: Sequence[Reads], progress: Progress | None = None
) -> tuple[ClipSet, Preparation]:
    """The clips, stored so that each of the networks can read its own part of them, and how they were made.

    Raises:
        InvalidInputError: the data break a rule.
    """
    sizes = _sizes(readings)
    source = clip_source(options, readings)
    clips = prepare(source, **sizes, cache_dir=cache_dir() / "datasets", progress=progress)
    return clips, Preparation.of(source, clips, **sizes)


def scored_clips(
    options: ScoredClips, trained: TrainedNetwork, split: str, progress: Progress | None = None
) -> ClipSet:
    """The clips to score a network on, made as those it was trained on unless told otherwise, with its classes.

    Warns of every option that differs from its training, and of weights that do not say how they were trained.

    Raises:
        InvalidInputError: the data break a rule, have a class the network does not know, or are no longer there.
    """
    known = Preparation.from_json(trained.clips, trained.entry.name)
    sizes = _sizes([reading(trained.entry)])
    if known is None:
        warnings.warn(
            f"the weights of {trained.entry.name} are of version 0.1 and do not say how their clips were made: they "
            "are made as this command is told; give --shift, --fit, --short-spans and --split-seed as in the training",
            stacklevel=2,
        )
    else:
        sizes = known.sizes
    source = _scored_source(options, trained, None if known is None else known.source)
    clips = prepare(
        source,
        **sizes,
        cache_dir=cache_dir() / "datasets",
        progress=progress,
        classes=trained.classes,
        required=tuple(split.split("+")),
    )
    if trained.classes != tuple(clips.class_names):
        raise InvalidInputError(
            f"a network is scored on the classes it was trained for; {trained.entry.name} names "
            f"{named(trained.classes)}, {clips.name} has {named(clips.class_names)}: train it further on these with "
            "'tvnjax train --init'"
        )
    for line in (*_changed_since(known, source, clips), *clips.said()):
        warnings.warn(line, stacklevel=2)
    return clips


def _changed_since(known: Preparation | None, source: ClipSource, clips: ClipSet) -> list[str]:
    """Whether clips that are named and made as those of a training are others all the same."""
    if known is None:
        return []
    if not known.fingerprint:
        if known.video is None:
            return []
        return [
            f"the weights are of version 0.1, which stored frames of {clips.name} with colour at half its resolution "
            "and not turned upright: what they score now may differ from what their run reported"
        ]
    if source == known.source and clips.fingerprint != known.fingerprint:
        return [
            f"what {clips.name} holds was changed since the training (digest {known.fingerprint[:12]} then, "
            f"{clips.fingerprint[:12]} now): splits that are not named may be others"
        ]
    return []


def named(classes: Sequence[str]) -> str:
    """How many classes, and some of them."""
    shown = ", ".join(classes[:4])
    return f"{len(classes)} classes ({shown}{', ...' if len(classes) > 4 else ''})"


def _scored_source(options: ScoredClips, trained: TrainedNetwork, known: ClipSource | None) -> ClipSource:
    given = {
        name: value
        for name in ("short_spans", "fit", "val_fraction", "test_fraction", "split_seed", "shift", "max_skipped")
        if (value := getattr(options, name)) is not None
    }
    if options.data is None:
        if known is None:
            raise InvalidInputError(
                f"the weights of {trained.entry.name} do not say what they were trained on: name the clips with --data"
            )
        source = known
        missing = next((p for p in (getattr(source, n, None) for n in ("manifest", "folder")) if p), None)
        if missing is not None and not missing.exists():
            raise InvalidInputError(
                f"the clips {trained.entry.name} was trained on were read from {missing}, where nothing is now: name "
                "the place with --data"
            )
    elif options.data in (*get_args(Task), *get_args(PlantedTask)):
        same = isinstance(known, ProceduralData | PlantedData) and known.task == options.data
        source = known if same else _drawn(options.data, options.drawn_clips or 1024, [reading(trained.entry)])
    else:
        base = known if isinstance(known, VideoData) else VideoData()
        source = dataclasses.replace(base, **{"manifest": None, "folder": None} | _place(options.data))
    assert source is not None
    if isinstance(source, VideoData):
        _say_changes(trained, {name: getattr(source, name) for name in given}, given)
        return dataclasses.replace(source, **given)
    if given:
        made = f"{source!r} were given" if isinstance(source, ArrayData) else f"those of {source.task} are drawn"  # type: ignore[attr-defined]
        raise InvalidInputError(
            f"{', '.join('--' + name.replace('_', '-') for name in given)}: only clips of videos are cut and split; "
            f"{made}: leave it out"
        )
    if isinstance(source, ArrayData):
        return source
    drawn = {} if options.drawn_clips is None else _drawn_counts(options.drawn_clips)
    _say_changes(trained, {name: getattr(source, name) for name in drawn}, drawn)
    return dataclasses.replace(source, **drawn)  # type: ignore[type-var]


def _say_changes(trained: TrainedNetwork, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = [f"{name} {now[name]} instead of {before[name]}" for name in now if now[name] != before[name]]
    if changed and trained.clips is not None:
        warnings.warn(
            f"{trained.entry.name} is scored on clips made otherwise than those it was trained on: "
            f"{', '.join(changed)}, as asked",
            stacklevel=3,
        )


def _drawn(data: str, count: int, readings: Sequence[Reads]) -> ClipSource | None:
    """The drawn set of that name; None where there is none."""
    sizes: dict[str, int] = {
        "size": max(_DRAWN_SIZE, *(8 * -(-reading.image_size // 8) for reading in readings)),
        "num_frames": max(_DRAWN_FRAMES, *map(window, readings)),
    }
    task: Any = data
    if data in get_args(Task):
        return ProceduralData(task=task, **sizes, **_drawn_counts(count))
    if data in get_args(PlantedTask):
        return PlantedData(task=task, **sizes, **_drawn_counts(count))
    return None


def _drawn_counts(train: int) -> dict[str, int]:
    return {"train_clips": train, "val_clips": max(train // 4, 24), "test_clips": max(train // 2, 24)}


def _place(data: str) -> dict[str, Path]:
    path = Path(data)
    if path.is_dir():
        return {"folder": path}
    if path.is_file():
        return {"manifest": path}
    names = (*get_args(Task), *get_args(PlantedTask))
    raise InvalidInputError(
        f"--data is a manifest, a folder of videos, or one of {', '.join(names)}; got {data!r}"
        f"{did_you_mean(data, names)}: check the path"
    )


def _sizes(readings: Sequence[Reads]) -> ClipSizes:
    return {
        "num_frames": max(map(window, readings)),
        "frame_stride": 1,
        "image_size": max(reading.image_size for reading in readings),
    }


def window(reading: Reads) -> int:
    """Frames of the video from the first read to the last."""
    return (reading.num_frames - 1) * reading.frame_stride + 1
