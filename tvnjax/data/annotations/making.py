"""Makes a manifest of what a set's annotation files name and a folder of videos holds."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.outputs import write_output
from tvnjax.data.annotations.clips import AnnotatedClip
from tvnjax.data.annotations.layouts import Layout, find_layout
from tvnjax.data.annotations.videos import VideoFiles, file_of, list_videos
from tvnjax.data.manifest import LabelledSpan, Listing
from tvnjax.data.settled import settle
from tvnjax.data.splits import take_split

_FRACTION = 0.15
"""What a run takes for validation, and for testing, where a manifest names none."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A manifest that can be written, and what is not in it."""

    spans: list[LabelledSpan]
    missing: list[str]
    """Names, without suffix, of clips whose video is not there; where the set names its folder, with that."""
    lost_classes: list[str]
    """Classes that were left out because no video of a training clip is there."""
    left_out: Counter[str]
    """Clips the files name and that are not taken, by reason."""


def make_manifest(
    layout: str,
    files: Sequence[Path],
    videos: Path,
    root: Path,
    *,
    fold: int | None = None,
    validation_as: Literal["val", "test"] = "val",
    val_fraction: float | None = None,
    seed: int | None = None,
    drop_lost_classes: bool = False,
) -> Made:
    """Finds the video of each clip that annotation files name.

    Official splits are kept. HMDB51 and UCF101 have no validation clips: they are taken out of the training clips, and
    never out of the test clips, by whole sources, so that no film or group is on both sides.

    Args:
      layout: a key of :data:`tvnjax.data.annotations.layouts.LAYOUTS`.
      files: annotation files, or folders of them.
      videos: the folder of the videos.
      root: the manifest's folder, which paths are relative to.
      fold: which of the official folds; None: the first.
      validation_as: which split official validation clips are: ``test`` where a set publishes no labels of its test
        clips, and results are reported on its validation clips.
      val_fraction: share of the training clips' sources to validate on, where a set has no validation clips; None:
        0.15, 0: leave it to a run.
      seed: draws other sources; None: 0.
      drop_lost_classes: leave out a class that has no training video, instead of refusing.

    Raises:
      InvalidInputError: the files break the layout, no video is there, a class has lost its training videos, or the
        clips found cannot be split.
    """
    known = find_layout(layout)
    for name, option in (("fold", fold), ("val-fraction", val_fraction), ("seed", seed)):
        if option is not None and not known.folds:
            raise InvalidInputError(
                f"--{name} is for sets without official validation clips (hmdb51, ucf101), but was given {option} for "
                f"{layout}; leave it out"
            )
    if val_fraction is not None and not 0 <= val_fraction < 1:
        raise InvalidInputError(f"val_fraction must be at least 0 and below 1, got {val_fraction}; 0.15 is usual")
    if seed is not None and seed < 0:
        raise InvalidInputError(f"the seed must be at least 0, got {seed}; 0 is usual")
    annotations = known.annotations(files, fold)
    clips = annotations.clips
    if validation_as == "test":
        if any(clip.split == "test" for clip in clips):
            raise InvalidInputError(
                "validation clips can stand for test clips only where none are given, but the files name labelled "
                "test clips; leave those files or the option out"
            )
        clips = [replace(clip, split="test") if clip.split == "val" else clip for clip in clips]
    classes = {clip.label for clip in clips if clip.split == "train"}
    if not classes:
        raise InvalidInputError(
            f"some clips must be training clips, but all {len(clips):,} are of other splits; give {known.files}"
        )
    names = [clip.name for clip in clips] + [clip.whole for clip in clips if clip.whole]
    listed = list_videos(videos, root, names, frame_folders=known.frame_folders)
    found = [(clip, file_of(clip, listed, root, in_class_folder=known.in_class_folders)) for clip in clips]
    here = [(clip, path) for clip, path in found if path is not None]
    _check_once(here)
    missing = [f"{clip.folder}/{clip.name}".lstrip("/") for clip, path in found if path is None]
    if not here:
        raise InvalidInputError(
            f"some of the videos must be there, but of {len(clips):,} clips, such as {missing[0]!r}, none is in "
            f"{str(videos)!r}{_remedy(known, clips, listed)}; check --videos"
        )
    lost = sorted(classes - {clip.label for clip, _ in here if clip.split == "train"})
    if len(lost) == len(classes):
        raise InvalidInputError(
            f"some training videos must be there, but of {len(classes):,} classes, such as {lost[0]!r}, none has any"
            f"{_remedy(known, clips, listed)}; add videos"
        )
    if lost and not drop_lost_classes:
        raise InvalidInputError(
            f"each class must have a training video, but {len(lost):,} of {len(classes):,} have none, such as "
            f"{lost[0]!r}{_remedy(known, clips, listed)}; add videos, or leave such classes out with "
            "--drop-lost-classes"
        )
    without = set(lost)
    here = [(clip, path) for clip, path in here if clip.label not in without]
    spans = _spans(here, _FRACTION if val_fraction is None else val_fraction, seed or 0)
    # What a run would refuse is said now.
    settle(root, Listing(spans=spans), val_fraction=_FRACTION, test_fraction=_FRACTION, seed=0)
    return Made(spans=spans, missing=missing, lost_classes=lost, left_out=annotations.left_out)


def _check_once(here: Sequence[tuple[AnnotatedClip, str]]) -> None:
    known: dict[str, AnnotatedClip] = {}
    for clip, path in here:
        if (other := known.setdefault(path, clip)) is not clip:
            raise InvalidInputError(
                f"a video must be one clip, but {path!r} is {other.label!r} in {other.split} and {clip.label!r} in "
                f"{clip.split}; put the videos into folders of their classes, or correct the files"
            )


def _remedy(layout: Layout, clips: Sequence[AnnotatedClip], listed: VideoFiles) -> str:
    other_form = listed.folders or any(clip.whole in listed.paths for clip in clips if clip.whole)
    return f" ({layout.remedy})" if layout.remedy and other_form else ""


def _spans(here: Sequence[tuple[AnnotatedClip, str]], val_fraction: float, seed: int) -> list[LabelledSpan]:
    """Rows of the manifest; validation clips are taken out by whole sources, where there are any."""
    splits = [clip.split for clip, _ in here]
    if val_fraction and "val" not in splits and all(clip.source for clip, _ in here):
        sources = [LabelledSpan(path=clip.source, label=clip.label, split=clip.split) for clip, _ in here]
        try:
            splits = [source.split for source in take_split("val", val_fraction, sources, seed)]
        except InvalidInputError:
            raise InvalidInputError(
                "validation clips are taken from the training clips by whole sources, but no class has a second source "
                f"here ({len(here):,} clips); add videos, or leave it to a run with --val-fraction 0"
            ) from None
        # A film may have clips of several classes, and counts as one of the rarest: the others must keep some too.
        left = {clip.label for (clip, _), split in zip(here, splits) if split == "train"}
        needed = {clip.source for (clip, _), split in zip(here, splits) if split == "val" and clip.label not in left}
        splits = ["train" if s == "val" and clip.source in needed else s for (clip, _), s in zip(here, splits)]
    return [LabelledSpan(path=path, label=clip.label, split=split) for (clip, path), split in zip(here, splits)]


def write_manifest(path: Path, spans: Sequence[LabelledSpan], *, force: bool = False) -> None:
    """Writes ``path,label,split`` rows; a file that holds just that already is left as it is.

    Raises:
      InvalidInputError: there is another file of this name and ``force`` is not given, or it cannot be written.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["path", "label", "split"])
    rows.writerows((span.path, span.label, span.split) for span in spans)
    write_output({path: text.getvalue().encode()}, "a manifest", force=force)
