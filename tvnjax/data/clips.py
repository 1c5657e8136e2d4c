"""A built set of clips: what is in it, and random access to it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.data.recipe import SPLITS, ClipSource, Recipe, SkippedClip


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
            "skipped": [{"path": clip.path, "reason": clip.reason} for clip in self.skipped],
            "widened": self.widened,
            "held": self.held,
            "majority_share": self.majority_share,
        }

    def names(self, split: str) -> list[str]:
        """Where the clips of a split come from, in order; see :meth:`source`."""
        return [record["name"].decode() for record in self.source(split)]

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
    progress: Callable[[int, int], None] | None = None,
    classes: tuple[str, ...] | None = None,
    required: tuple[str, ...] = SPLITS,
) -> ClipSet:
    """Returns the clips of ``config``, built below ``cache_dir`` on the first call and found there afterwards.

    The set serves every network whose clips span no more than ``(num_frames - 1) * frame_stride + 1`` frames and whose
    images are no larger than ``image_size`` pixels. A changed input is built anew, beside the old one.

    Args:
      progress: called with the number of clips done and the number of clips named, after each clip of a build.
      classes: of a trained network, in its order, which labels are counted by; None: those of the clips.
      required: the splits that must have clips.

    Raises:
      InvalidInputError: ``config``, or a file it names, breaks a rule.
    """
    from tvnjax.data.builder import build

    recipe = config.recipe(
        num_frames=num_frames, frame_stride=frame_stride, image_size=image_size, classes=classes, required=required
    )
    directory, metadata = build(recipe, Path(cache_dir), progress)
    stored = [split for split in SPLITS if any(metadata["counts"].get(split, ()))]
    counts = {split: dict(zip(recipe.class_names, metadata["counts"][split])) for split in stored}
    skipped = tuple(SkippedClip(**clip) for clip in metadata["skipped"])
    _check_kept(recipe, counts, skipped)
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
        fingerprint=recipe.fingerprint,
        directory=directory,
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
