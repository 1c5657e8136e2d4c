"""Sizes of activations and windows."""

from typing import NamedTuple

Triple = tuple[int, int, int]
"""Time, height, width."""


class Shape(NamedTuple):
    """Size of one clip's activations: frames, height, width, channels."""

    t: int
    h: int
    w: int
    c: int

    @property
    def size(self) -> int:
        return self.t * self.h * self.w * self.c


def lengths(sizes: Triple | Shape) -> str:
    """Lengths with a multiplication sign between them."""
    return "×".join(map(str, sizes))


def window_key(window: Triple, stride: Triple) -> str:
    """A window and its stride, as a unit's key spells them: ``1x3x3/1x2x2``."""
    text = "x".join(map(str, window))
    return text if stride == (1, 1, 1) else f"{text}/{'x'.join(map(str, stride))}"


def window_label(window: Triple) -> str:
    """A window in a short phrase: ``3×3`` over space, ``t3`` over time."""
    t, h, w = window
    if h == w == 1:
        return f"t{t}" if t > 1 else "1×1"
    return f"{h}×{w}" if t == 1 else lengths(window)


def stride_label(stride: Triple) -> str:
    """A stride in a short phrase, with a space in front: `` /2``; nothing where there is none."""
    t, h, w = stride
    if stride == (1, 1, 1):
        return ""
    if t == 1 and h == w:
        return f" /{h}"
    return f" /t{t}" if h == w == 1 else f" /{lengths(stride)}"


def stride_words(stride: Triple) -> str:
    """``stride 1×2×2``; nothing where there is none."""
    return "" if stride == (1, 1, 1) else f"stride {lengths(stride)}"
