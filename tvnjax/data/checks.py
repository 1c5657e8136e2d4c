"""Checks of single numbers, so that every part of the data layer refuses them in the same words."""

import operator
from typing import Any

from tvnjax.core.errors import InvalidInputError


def check_integer(name: str, value: Any, minimum: int) -> int:
    """Returns ``value`` as an int of at least ``minimum``.

    Raises:
      InvalidInputError: ``value`` is no whole number (booleans are none), or too small.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < minimum:
        raise InvalidInputError(
            f"{name} must be a whole number of at least {minimum}, got {value!r}; give {minimum} or more"
        )
    return number


def check_fraction(name: str, value: Any) -> None:
    """Raises InvalidInputError unless ``value`` lies strictly between 0 and 1."""
    if not isinstance(value, int | float) or not 0 < value < 1:
        raise InvalidInputError(f"{name} must lie between 0 and 1, got {value!r}; 0.15 is a usual choice")


def window_length(num_frames: int, frame_stride: int) -> int:
    """Returns how many consecutive frames a clip of ``num_frames`` frames, ``frame_stride`` apart, spans.

    Raises:
      InvalidInputError: one of the two is no whole number of at least 1.
    """
    frames = check_integer("num_frames", num_frames, 1)
    stride = check_integer("frame_stride", frame_stride, 1)
    return (frames - 1) * stride + 1
