"""A built set of clips: what is in it, and random access to it."""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.data.contents import CONTENTS_FILE, read_origins
from tvnjax.data.recipe import SPLITS, ClipSource, Recipe, SkippedClip

_REASONS = 5
"""Reasons for skipping that are named; the others are counted."""


class RandomAccess(Protocol):
    """A split as a sequence of clips, each a dict with

    - ``clip``: uint8 [frames_stored, size, size, 3],
    - ``label``: int,
    - ``name``: bytes, where the clip comes from (UTF-8),
    - ``span`` and ``valid``: int32 [2], the labelled and the usable frames, first and one past the last.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...


@dataclass(frozen=True, kw_only=True)
class ClipSet:
    """A set of clips on disk, ready to sample from."""

    name: str
    class_names: tuple[str, ...]
    """In the order of the labels."""
    splits: Mapping[str, int]
    """Clips in train, val and test; a split without a clip is left out."""
    counts: Mapping[str, Mapping[str, int]]
    """Clips per split and class, of the same splits."""
    frames_stored: int
    """Frames per stored clip."""
    window: int
    """Longest run of consecutive frames a sampled clip may stretch over."""
    size: int
    """Height and width of the stored frames in pixels, margin included."""
    shift: int
    """Margin in pixels on each side, for training crops that move."""
    flip: bool
    """Whether training clips may be mirrored."""
    skipped: tuple[SkippedClip, ...]
    """Clips the input names and the set does not hold."""
    widened: int
    """Clips whose labelled span is shorter than the window and was widened into the video."""
    held: int
    """Clips whose labelled span is shorter than the window and whose last frame is repeated."""
    notes: tuple[str, ...] = ()
    """What was met in the input that may be meant, one line each."""
    fingerprint: str
    """Changes whenever the stored clips would."""
    directory: Path
    """A TensorFlow Datasets directory."""

    @property
    def image_size(self) -> int:
        """Largest image size that can be sampled: the stored size without the margin."""
        return self.size - 2 * self.shift

    @property
    def majority_share(self) -> float:
        """Share of the test clips in their commonest class: the accuracy of always naming that class; NaN where there
        are no test clips."""
        return max(self.counts["test"].values()) / self.splits["test"] if "test" in self.splits else math.nan

    def describe(self) -> dict[str, Any]:
        """For logs, results and reports."""
        return {
            "name": self.name,
            "class_names": self.class_names,
            "splits": dict(self.splits),
            "skipped": [vars(clip) for clip in self.skipped],
            "widened": self.widened,
            "held": self.held,
            "notes": list(self.notes),
            "said": self.said(),
            "majority_share": self.majority_share,
            "fingerprint": self.fingerprint,
        }

    def said(self) -> list[str]:
        """What a person has to know of a set before trusting a number made with it, a sentence each."""
        lines = []
        total = sum(self.splits.values()) + len(self.skipped)
        if self.skipped:
            share = f"{100 * len(self.skipped) / total:.3g}%"
            lines.append(
                f"{len(self.skipped):,} of {total:,} clips ({share}) of {self.name} skipped: {_reasons(self.skipped)}"
            )
        short = [(self.widened, "widened into the video around it"), (self.held, "its last frame is repeated")]
        lines += [
            f"{count:,} of {total - len(self.skipped):,} clips of {self.name} have a labelled span shorter than the "
            f"window: {what}"
            for count, what in short
            if count
        ]
        return lines + [f"{self.name}: {line}" for line in self.notes]

    def names(self, split: str) -> list[str]:
        """Where the clips of a split come from, in order; see :meth:`source`."""
        return [name for name, _ in self.origins(split)]

    def origins(self, split: str) -> list[tuple[str, str]]:
        """Name and origin of each clip of a split, in order; see :class:`tvnjax.data.recipe.Clip`."""
        found = read_origins(self.directory / CONTENTS_FILE)
        return [clip for part in split.split("+") for clip in found.get(part, [])]

    def source(self, split: str) -> RandomAccess:
        """Returns random access to a split, or to several joined as in ``train+val``.

        Raises:
          InvalidInputError: there is no such split.
        """
        import tensorflow_datasets as tfds  # half a second

        for part in split.split("+"):
            if part not in self.splits:
                raise InvalidInputError(
                    f"split must be one of {', '.join(self.splits)}, or some joined by '+', got {split!r}"
                    f"{did_you_mean(part, self.splits)}; choose from these"
                )
        builder: Any = tfds.builder_from_directory(self.directory)
        return builder.as_data_source(split=split)


def prepare(
    config: ClipSource,
    *,
    num_frames: int,
    frame_stride: int,
    image_size: int,
    cache_dir: Path,
    progress: Callable[[int, int, str], None] | None = None,
    classes: tuple[str, ...] | None = None,
    required: tuple[str, ...] = SPLITS,
) -> ClipSet:
    """Returns the clips of ``config``, built below ``cache_dir`` on the first call and found there afterwards.

    The set serves every network whose clips span no more than ``(num_frames - 1) * frame_stride + 1`` frames and whose
    images are no larger than ``image_size`` pixels. A changed input is built anew, beside the old one.

    Args:
      progress: called with how many are done, of how many, and what they are: files looked at, clips stored.
      classes: of a trained network, in its order, which labels are counted by; None: those of the clips.
      required: the splits that must have clips.

    Raises:
      InvalidInputError: ``config``, or a file it names, breaks a rule.
    """
    from tvnjax.data.builder import build

    recipe = config.recipe(
        num_frames=num_frames,
        frame_stride=frame_stride,
        image_size=image_size,
        classes=classes,
        required=required,
        progress=progress,
    )
    directory, metadata = build(recipe, Path(cache_dir), progress)
    stored = [split for split in SPLITS if any(metadata["counts"].get(split, ()))]
    counts = {split: dict(zip(recipe.class_names, metadata["counts"][split])) for split in stored}
    skipped = tuple(SkippedClip(**clip) for clip in metadata["skipped"])
    _check_kept(recipe, counts, skipped)
    _check_skipped(recipe, skipped)
    return ClipSet(
        name=recipe.name,
        class_names=recipe.class_names,
        splits={split: sum(counts[split].values()) for split in stored},
        counts=counts,
        frames_stored=recipe.frames,
        window=recipe.window,
        size=recipe.size,
        shift=recipe.shift,
        flip=recipe.flip,
        skipped=skipped,
        widened=metadata["widened"],
        held=metadata["held"],
        notes=recipe.notes,
        fingerprint=recipe.fingerprint,
        directory=directory,
    )


def _reasons(skipped: Sequence[SkippedClip]) -> str:
    """Counts of reasons, commonest first, each with the first clip it is said of, and counts of splits.

    Reasons that differ in their numbers alone are one.
    """
    kinds: dict[str, list[SkippedClip]] = {}
    for clip in skipped:
        kinds.setdefault(re.sub(r"[0-9]+", "N", clip.reason), []).append(clip)
    by_count = sorted(kinds.values(), key=len, reverse=True)
    told = [f"{len(clips):,} {clips[0].reason:.200} (as {clips[0].path!r:.100})" for clips in by_count[:_REASONS]]
    rest = sum(map(len, by_count[_REASONS:]))
    others = [f"{rest:,} for other reasons"] if rest else []
    splits = Counter(clip.split for clip in skipped)
    return "; ".join(told + others) + f"; by split: {', '.join(f'{n:,} {s}' for s, n in splits.items())}"


def _check_skipped(recipe: Recipe, skipped: tuple[SkippedClip, ...]) -> None:
    """Raises InvalidInputError where more of the splits that must have clips was skipped than was allowed."""
    asked = [clip for clip in skipped if clip.split in recipe.required]
    named = sum(recipe.planned[split] for split in recipe.required)
    # A quotient: 0.29 of 100 is less than 29, as a product of floats.
    if asked and len(asked) / named > recipe.max_skipped:
        raise InvalidInputError(
            f"at most {100 * recipe.max_skipped:.3g}% of the clips may be skipped, but {len(asked):,} of {named:,} "
            f"({100 * len(asked) / named:.3g}%) were: {_reasons(asked)}; repair or remove those videos, or allow more "
            "with max-skipped (--data.max-skipped of 'tvnjax run', --max-skipped of the other commands)"
        )


def _check_kept(recipe: Recipe, counts: Mapping[str, Mapping[str, int]], skipped: tuple[SkippedClip, ...]) -> None:
    """Raises InvalidInputError where skipping clips left a required split, or a class without any to train on."""
    for split in recipe.required:
        if split not in counts:
            lost = [clip for clip in skipped if clip.split == split]
            raise InvalidInputError(
                f"each split must keep a clip, but all {len(lost)} of the {split} split were skipped "
                f"(first {lost[0].path!r}: {lost[0].reason}); repair or remove those videos"
            )
    for label in recipe.class_names if "train" in recipe.required else ():
        lost = [clip for clip in skipped if clip.label == label and clip.split == "train"]
        if lost and not counts["train"][label]:
            raise InvalidInputError(
                f"each class must keep a clip in the train split, but all {len(lost)} of {label!r} were skipped "
                f"(first {lost[0].path!r}: {lost[0].reason}); repair those videos or remove the class"
            )
