"""Clips of one's own as data of a run: videos in folders, videos in a manifest, arrays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.data.arrays import ArrayData, make_arrays
from tvnjax.data.picture import Fit
from tvnjax.data.spans import ShortSpans
from tvnjax.data.video_folder import VideoData


class VideoOptions(TypedDict, total=False):
    """What ``--data.*`` of ``tvnjax run clips`` sets; see ``VideoData``, with the preset's ``shift`` of 3."""

    short_spans: ShortSpans
    fit: Fit
    val_fraction: float
    test_fraction: float
    split_seed: int
    temporal_jitter: int
    shift: int
    flip: bool
    max_skipped: float


class ArrayOptions(TypedDict, total=False):
    """See ``ArrayData``."""

    fit: Fit
    val_fraction: float
    test_fraction: float
    split_seed: int
    shift: int
    flip: bool


_SHIFT = 3
"""Of the preset ``clips``: what is given here is what ``tvnjax run clips`` would have read."""


def VideoFolder(path: str | Path, **options: Unpack[VideoOptions]) -> VideoData:
    """Videos in ``PATH/CLASS/video`` or ``PATH/{train,val,test}/CLASS/video``: ``tvnjax run clips --data.folder PATH``.

    Args:
        path: the folder.
        options: short_spans, fit, val_fraction, test_fraction, split_seed, temporal_jitter, shift (3), flip and
            max_skipped, as on the command line.

    Raises:
        InvalidInputError: there is no such folder, or an option is unknown or out of range.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise InvalidInputError(f"videos lie in a folder DIR/CLASS/video; {folder} is none: check the path")
    return VideoData(folder=folder, **_options(options))


def Manifest(path: str | Path, **options: Unpack[VideoOptions]) -> VideoData:
    """Videos that a CSV file names: ``path,label[,start_frame,end_frame][,split]``, paths relative to its folder.

    Args:
        path: the file; ``tvnjax run clips --data.manifest PATH``.
        options: as of ``VideoFolder``.

    Raises:
        InvalidInputError: there is no such file, or an option is unknown or out of range.
    """
    file = Path(path)
    if not file.is_file():
        raise InvalidInputError(f"a manifest is a CSV file of path,label; there is none at {file}: check the path")
    return VideoData(manifest=file, **_options(options))


def Arrays(
    clips: Any,
    labels: Any,
    *,
    splits: Sequence[str] | Mapping[str, Any] | None = None,
    class_names: Sequence[str] | None = None,
    **options: Unpack[ArrayOptions],
) -> ArrayData:
    """Clips of one's own that lie in memory, all of one shape; every frame of them may be read.

    A run keeps a digest of them and not the arrays: going on with it asks for the same ones again.

    Args:
        clips: ``[clips, frames, height, width, 3]`` uint8, or floats from 0 to 1 (stored in 256 levels). Grey ones have
            1 channel, or no last axis. Frames that are not square are scaled (``fit="crop"``: cut) to a square.
        labels: of each clip, its class's number from 0 on, or its name.
        splits: of each clip ``train``, ``val`` or ``test``; or a mapping from these to numbers of clips. Default:
            drawn, the same share of each class.
        class_names: in the order of the numbers. Default: the names in labels, sorted; or the numbers.
        options: fit, val_fraction (0.15), test_fraction (0.15), split_seed, shift, flip.

    Raises:
        InvalidInputError: a rule is broken; the message says which, and the value met.
    """
    return make_arrays(clips, labels, splits=splits, class_names=class_names, **options)


def _options(options: VideoOptions) -> dict[str, Any]:
    known = [*VideoOptions.__annotations__]
    for name in options:
        if name not in known:
            raise InvalidInputError(
                f"videos have no option {name}{did_you_mean(name, known)}; choose from {', '.join(known)}"
            )
    return {"shift": _SHIFT, **options}
