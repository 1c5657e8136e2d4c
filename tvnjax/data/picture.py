"""From a decoded frame to the stored square: what a player shows, each new pixel the mean of what it covers.

A decoder leaves several things to whoever shows its frames, and all of them are done here: the turn and mirroring of
the display matrix (phones store lying pictures), the shape of a pixel (the sample aspect ratio, for the crop; to squash
means to give up proportions), and the conversion to RGB by the matrix and range the frame names (by swscale, as ffmpeg
does: BT.601 and limited range where it names none). Colour is brought to the full resolution before anything is
averaged: scaling YUV directly would read only some of its chroma samples. Both fields of an interlaced frame are shown,
woven, as ffmpeg does without a deinterlacer; transparency is dropped.
"""

import struct
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

Fit = Literal["squash", "crop"]

_STRIP = 2**22
"""Values that are converted to float at a time: a frame of 8K has 25 times as many."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """How a frame is put upright: rows and columns change places first, then each may be reversed."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False


def square(frame: VideoFrame, scale: VideoReformatter, size: int, fit: Fit, aspect: Fraction | None) -> np.ndarray:
    """Returns a frame as uint8 [size, size, 3], RGB, upright.

    Args:
      frame: decoded.
      scale: converts colours; one for a video, since it takes longer to make than to use.
      size: side in pixels.
      fit: ``squash`` takes the whole frame, ``crop`` the middle of its longer side.
      aspect: width of a pixel as it is shown, in heights; None where the video does not say (1).
    """
    pixels = scale.reformat(frame, format="rgb24").to_ndarray()
    height, width = pixels.shape[:2]
    left, top, wide, high = 0.0, 0.0, float(width), float(height)
    if fit == "crop":
        shape = float(aspect) if aspect else 1.0
        short = min(width * shape, height)
        wide, high = short / shape, short
        left, top = (width - wide) / 2, (height - high) / 2
    rows, columns = _shares(height, top, high, size), _shares(width, left, wide, size)
    return _upright(_average(pixels, rows, columns), turn_of(frame))


def turn_of(frame: VideoFrame) -> Turn:
    """How a player turns a frame, from its display matrix.

    The matrix maps a place (x, y) of the frame to (a x + c y, b x + d y) on the screen; quarter turns and mirrorings
    have two entries that are not 0. Of other angles the nearest quarter turn is taken.
    """
    data: Any = frame.side_data.get("DISPLAYMATRIX") if hasattr(frame, "side_data") else None
    if data is not None and len(bytes(data)) >= 36:
        a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
    else:
        a, b, c, d = _QUARTERS[round(getattr(frame, "rotation", 0) / 90) % 4]
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Turn(transpose=True, flip_rows=b < 0, flip_columns=c < 0)
    return Turn(flip_rows=d < 0, flip_columns=a < 0)


_QUARTERS = {0: (1, 0, 0, 1), 1: (0, -1, 1, 0), 2: (-1, 0, 0, -1), 3: (0, 1, -1, 0)}
"""``a, b, c, d`` of PyAV's rotation, in quarters counter-clockwise."""


def describe_picture(fit: Fit) -> dict[str, Any]:
    """All that is done from a decoded frame to the stored square, for the description beside an export."""
    area = {
        "squash": "the whole frame: left = top = 0, wide = W, high = H",
        "crop": "the middle square as it is shown: short = min(W * A, H), wide = short / A, high = short, "
        "left = (W - wide) / 2, top = (H - high) / 2",
    }
    return {
        "fit": fit,
        "colour": "8-bit RGB at the frame's own size (W x H pixels) by its own matrix and range, as ffmpeg's swscale "
        "converts to rgb24; limited range where it names none",
        "pixel_aspect": "A: width of a pixel as it is shown, in heights (sample aspect ratio); 1 where it is not named",
        "area": area[fit],
        "mean": "pixel (row i, column j) of the stored square of S pixels is the mean of what the rectangle top + i * "
        "high / S to top + (i + 1) * high / S, left + j * wide / S to left + (j + 1) * wide / S covers, pixels at its "
        "edges by their covered share, rounded to the nearest whole number (halves to even)",
        "orientation": "then turned and mirrored as the display matrix says, as players show it",
    }


def _average(pixels: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """uint8 [size, size, 3]: two products, of strips of rows so that a large frame is never there in floats."""
    height, width = pixels.shape[:2]
    summed = np.zeros((len(rows), width * 3), np.float32)
    step = max(1, _STRIP // (width * 3))
    for first in range(0, height, step):
        strip = pixels[first : first + step].reshape(-1, width * 3).astype(np.float32)
        summed += rows[:, first : first + step] @ strip
    return np.rint(columns @ summed.reshape(len(rows), width, 3)).astype(np.uint8)


def _upright(pixels: np.ndarray, turn: Turn) -> np.ndarray:
    if turn.transpose:
        pixels = pixels.swapaxes(0, 1)
    pixels = pixels[:: -1 if turn.flip_rows else 1, :: -1 if turn.flip_columns else 1]
    return np.ascontiguousarray(pixels)


@lru_cache(maxsize=64)
def _shares(side: int, start: float, length: float, size: int) -> np.ndarray:
    """Returns float32 [size, side]: the share of each old pixel in each new one, which divide ``length`` from ``start``
    on evenly; rows sum to 1."""
    edges = start + np.arange(size + 1) * length / size
    old = np.arange(side)
    overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    return (np.clip(overlap, 0, None) * size / length).astype(np.float32)
