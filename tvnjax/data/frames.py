"""Frames that come as arrays: what is accepted, and how they become the stored square."""

from fractions import Fraction

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.area import area_mean
from tvnjax.data.picture import Fit, shown_rectangle

_CHANNELS = (1, 3, 4)
"""What a last axis is likely to be where it is no width."""


def check_frames(array: np.ndarray, rule: str, *, leading: int, values: bool = False) -> None:
    """Checks ``[..., frames, height, width, channels]``, or without channels.

    Args:
      leading: axes before the frames.
      rule: what is asked for, for the message.
      values: look at the pixels too; without it the shape and the kind alone are checked, which costs nothing.

    Raises:
      InvalidInputError: it is no such array.
    """
    shape = array.shape
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise InvalidInputError(
            f"{rule}; got {array.dtype}: convert what holds 0 to 255 with .astype(numpy.uint8), other values to floats"
        )
    if len(shape) - leading not in (3, 4) or 0 in shape:
        raise InvalidInputError(f"{rule}, grey ones may have no last axis; got the shape {shape}")
    if len(shape) - leading == 3 and shape[-1] in _CHANNELS:
        raise InvalidInputError(
            f"{rule}; got the shape {shape}, in which the last axis looks like channels and an axis is missing: add "
            "that of the frames"
        )
    if len(shape) - leading == 4 and shape[-1] not in (1, 3):
        raise InvalidInputError(
            f"{rule}; got {shape[-1]} channels in the shape {shape}: 3 are colour, 1 is grey, and channels come last"
        )
    if values and array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):  # also where one is not a number
            raise InvalidInputError(
                f"{rule}; got floats from {low:.4g} to {high:.4g}: divide by 255 or undo what normalised them"
            )


def to_pixels(frames: np.ndarray) -> np.ndarray:
    """Returns uint8 ``[frames, height, width, 3]`` of what ``check_frames`` accepted: floats rounded to the nearest of
    256 levels, grey repeated three times."""
    if frames.dtype != np.uint8:
        frames = np.rint(np.asarray(frames, np.float64) * 255).astype(np.uint8)
    if frames.ndim == 3:
        frames = frames[..., None]
    return np.ascontiguousarray(np.broadcast_to(frames, (*frames.shape[:-1], 3)))


def square_frames(frames: np.ndarray, size: int, fit: Fit) -> np.ndarray:
    """Returns uint8 ``[frames, size, size, 3]``: each new pixel is the mean of what it covers, as of frames of a video
    (see :mod:`tvnjax.data.picture`), whose pixels are square.

    Args:
      frames: uint8 ``[frames, height, width, 3]``.
      size: side in pixels.
      fit: how a frame that is not square becomes so.
    """
    height, width = frames.shape[1:3]
    if height == width == size:
        return frames
    rows, columns = shown_rectangle(width, height, Fraction(1), fit)
    planes = [[area_mean(frame[..., c], rows, columns, size) for c in range(3)] for frame in frames]
    return np.moveaxis(np.asarray(planes), 1, -1)
