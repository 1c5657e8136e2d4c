"""Tables of the MoViNets: Kondratyuk et al., "MoViNets: Mobile Video Networks for Efficient Video Recognition" (2021),
as in the published configurations (TensorFlow Model Garden, ``projects/movinet``).

A row is a block: width, then expanded width and kernel (time, space) of each unit. The first unit of every block but
the fourth halves height and width.
"""

from typing import NamedTuple

UnitSpec = tuple[int, tuple[int, int]]
"""Expanded width; kernel as frames and pixels."""

K13, K15, K33, K53 = (1, 3), (1, 5), (3, 3), (5, 3)
STRIDES = (2, 2, 2, 1, 2)
"""Of the first unit of each block, in space."""


class MovinetSpec(NamedTuple):
    """One member of the family."""

    stem: int
    blocks: tuple[tuple[int, tuple[UnitSpec, ...]], ...]
    project: int
    """Width of the last 1x1 convolution."""
    num_frames: int
    image_size: int
    frame_stride: int
    """For the ten-second clips of 25 frames a second it was published for: 50 frames are 5 a second."""


def _block(width: int, expanded: str, kernels: str) -> tuple[int, tuple[UnitSpec, ...]]:
    named = {"13": K13, "15": K15, "33": K33, "53": K53}
    widths, sizes = [int(n) for n in expanded.split()], [named[k] for k in kernels.split()]
    return width, tuple(zip(widths, sizes, strict=True))


SPECS = {
    "a0": MovinetSpec(
        8,
        (
            _block(8, "24", "15"),
            _block(32, "80 80 80", "33 33 33"),
            _block(56, "184 112 184", "53 33 33"),
            _block(56, "184 184 184 184", "53 33 33 33"),
            _block(104, "384 280 280 344", "53 15 15 15"),
        ),
        480,
        50,
        172,
        5,
    ),
    "a1": MovinetSpec(
        16,
        (
            _block(16, "40 40", "15 33"),
            _block(40, "96 120 96 96", "33 33 33 33"),
            _block(64, "216 128 216 168 216", "53 33 33 33 33"),
            _block(64, "216 216 216 128 128 216", "53 33 33 33 15 33"),
            _block(136, "456 360 360 360 456 456 544", "53 15 15 15 15 33 13"),
        ),
        600,
        50,
        172,
        5,
    ),
    "a2": MovinetSpec(
        16,
        (
            _block(16, "40 40 64", "15 33 33"),
            _block(40, "96 120 96 96 120", "33 33 33 33 33"),
            _block(72, "240 160 240 192 240", "53 33 33 33 33"),
            _block(72, "240 240 240 240 144 240", "53 33 33 33 15 33"),
            _block(144, "480 384 384 480 480 480 576", "53 15 15 15 15 33 13"),
        ),
        640,
        50,
        224,
        5,
    ),
    "a3": MovinetSpec(
        16,
        (
            _block(16, "40 40 64 40", "15 33 33 33"),
            _block(48, "112 144 112 112 144 144", "33 33 33 15 33 33"),
            _block(80, "240 152 240 192 240", "53 33 33 33 33"),
            _block(88, "264 264 264 264 160 264 264 264", "53 33 33 33 15 33 33 33"),
            _block(168, "560 448 448 560 560 560 448 448 560 672", "53 15 15 15 15 33 15 15 33 13"),
        ),
        744,
        120,
        256,
        2,
    ),
    "a4": MovinetSpec(
        24,
        (
            _block(24, "64 64 96 64 96 64", "15 33 33 33 33 33"),
            _block(56, "168 168 136 136 168 168 168 136 136", "33 33 33 33 33 33 33 15 33"),
            _block(96, "320 160 320 192 320 160 320 256 320", "53 33 33 33 33 33 33 33 33"),
            _block(96, "320 320 320 320 192 320 320 192 320 320", "53 33 33 33 15 33 33 33 33 33"),
            _block(
                192,
                "640 512 512 640 640 640 512 512 640 768 640 640 768",
                "53 15 15 15 15 33 15 15 15 15 15 33 33",
            ),
        ),
        856,
        80,
        290,
        3,
    ),
    "a5": MovinetSpec(
        24,
        (
            _block(24, "64 64 96 64 96 64", "15 15 33 33 33 33"),
            _block(64, "192 152 152 152 192 192 192 152 152 192 192", "53 33 33 33 33 33 33 33 33 33 33"),
            _block(
                112,
                "376 224 376 376 296 376 224 376 376 296 376 376 376",
                "53 33 33 33 33 33 33 33 33 33 33 33 33",
            ),
            _block(120, "376 376 376 376 224 376 376 224 376 376 376", "53 33 33 33 15 33 33 33 33 33 33"),
            _block(
                224,
                "744 744 600 600 744 744 744 896 600 600 896 744 744 896 600 600 744 744",
                "53 33 15 15 15 15 33 15 15 15 15 15 33 15 15 15 15 33",
            ),
        ),
        992,
        120,
        320,
        2,
    ),
}
