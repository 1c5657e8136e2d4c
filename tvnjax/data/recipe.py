"""What a source of clips promises the builder: how many clips, of which shape, and how to read them."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

SPLITS = ("train", "val", "test")

# Part of every fingerprint: raise it whenever the stored pixels or fields of a clip change meaning.
_FORMAT = 2  # stored pixels changed: exact means, shown as a player shows them


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip as it is stored."""

    pixels: np.ndarray
    """uint8 [frames, size, size, 3]."""
    label: int
    name: str
    """Where the clip comes from, for people: ``videos/a.mp4[22:27]``."""
    span: tuple[int, int]
    """The labelled frames: first and one past the last, counted in ``pixels``."""
    valid: tuple[int, int]
    """The frames a window may touch; those outside only fill the array up."""
    widened: bool = False
    """The labelled span is shorter than the window, which reaches into the video around it."""
    held: bool = False
    """The labelled span is shorter than the window, and its last frame is repeated."""


@dataclass(frozen=True, kw_only=True)
class SkippedClip:
    """A clip the input names and the set does not hold."""

    path: str
    reason: str
    label: str
    split: str


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything needed to build one set of clips."""

    name: str
    class_names: tuple[str, ...]
    fingerprint: str
    """Changes whenever the clips would."""
    frames: int
    """Frames stored per clip."""
    window: int
    """Longest run of consecutive frames (the span of a sampled clip) every stored clip can give."""
    size: int
    """Side of the stored frames in pixels."""
    shift: int
    """How far, in pixels each way, a training crop may move; the margin is part of ``size``."""
    flip: bool
    """Whether mirroring left and right keeps the label."""
    planned: Mapping[str, int]
    """Clips named per split, before any is skipped."""
    read: Callable[[str], Iterator[Clip | SkippedClip]]
    """Yields the clips of one split, always the same ones in the same order."""


class ClipSource(Protocol):
    """A configuration that clips can be made from."""

    @property
    def clip_frames(self) -> int | None:
        """Frames every clip is known to have; None where windows are made as long as asked for."""
        ...

    def recipe(self, *, num_frames: int, frame_stride: int, image_size: int) -> Recipe:
        """Returns how to build clips for windows of ``num_frames`` frames, ``frame_stride`` apart.

        Raises:
          InvalidInputError: the configuration, or the files it names, break a rule.
        """
        ...


def fingerprint(content: Mapping[str, Any]) -> str:
    """Returns 64 hexadecimal digits that stand for ``content`` (anything JSON holds)."""
    text = json.dumps({"format": _FORMAT, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
