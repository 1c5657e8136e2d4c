"""Where the frames of a clip come from: placing a labelled span in a video, and windows in a stored clip.

A *span* is what a label covers, a *window* is the run of consecutive frames a sampled clip stretches over. One rule
decides which windows are allowed: a window lies inside the span where the span is long enough, and contains the
whole span where it is not.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

ShortSpans = Literal["widen", "hold", "error"]


class SpanOutsideVideoError(Exception):
    """The span names frames the video does not have."""


class ShortSpanError(Exception):
    """The span is shorter than the window, and that was to be an error."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Which frames of a video make up one stored clip."""

    indices: np.ndarray
    """int [window + 2 * jitter]: frame numbers in the video; ends are repeated where the video has no frame."""
    span: tuple[int, int]
    valid: tuple[int, int]
    """The frames that are the video's; all of them where those of a held span are repeated on purpose."""
    widened: bool = False
    held: bool = False


def place_span(
    start: int, end: int | None, video_frames: int, *, window: int, jitter: int, short_spans: ShortSpans
) -> Placement:
    """Places frames ``start`` to ``end`` (exclusive; None: the last frame) of a video in a clip of fixed length.

    The clip is the centred window with ``jitter`` frames before and after it. Where the span is shorter than the
    window, ``hold`` repeats its last frame; ``widen`` takes in the video around it, and repeats the last frame of a
    video that is itself too short.

    Raises:
      SpanOutsideVideoError: the span is not wholly inside the video.
      ShortSpanError: the span is shorter than ``window`` and ``short_spans`` is ``error``.
    """
    end = video_frames if end is None else end
    if not 0 <= start < end <= video_frames:
        raise SpanOutsideVideoError(
            f"frames {start} to {end} are not all inside its {video_frames} frames (0 to {video_frames - 1})"
        )
    length = window + 2 * jitter
    short = end - start < window
    if short and short_spans == "error":
        raise ShortSpanError(f"the labelled span has {end - start} frames")
    if short and short_spans == "hold":
        indices = np.minimum(np.arange(start, start + length), end - 1)
        return Placement(indices=indices, span=(0, end - start), valid=(0, length), held=True)
    if video_frames < window:
        return Placement(
            indices=np.minimum(np.arange(length), video_frames - 1),
            span=(start, end),
            valid=(0, video_frames),
            widened=end - start < video_frames,
            held=True,
        )
    centred = min(max((start + end - window) // 2, 0), video_frames - window)
    first = centred - jitter
    return Placement(
        indices=np.clip(np.arange(first, first + length), 0, video_frames - 1),
        span=(max(start - first, 0), min(end - first, length)),
        valid=(max(-first, 0), min(video_frames - first, length)),
        widened=short,
    )


def window_starts(span: np.ndarray, valid: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the first, the centred and the last start that the rule above allows, each int [clips].

    A window longer than the usable frames starts with the first of them, and ends on repetitions of the last.

    Args:
      span: int [clips, 2], the labelled frames of stored clips.
      valid: int [clips, 2], the frames a window may touch.
      window: length of the window, no longer than the one the clips were stored for.
    """
    one, other = span[:, 0], span[:, 1] - window
    first = np.maximum(np.minimum(one, other), valid[:, 0])
    last = np.maximum(np.minimum(np.maximum(one, other), valid[:, 1] - window), first)
    return first, np.clip((one + other) // 2, first, last), last
