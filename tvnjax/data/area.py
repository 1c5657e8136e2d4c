"""The mean over the area that each new pixel covers, exactly: in whole numbers, cut up into small matrix products."""

import functools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

Interval = tuple[Fraction, Fraction]

_FLOAT32_WHOLE = 2**24
"""Whole numbers up to here are exact in float32."""
_PRODUCT = 2**17
"""Multiplications of a matrix product: half of what OpenBLAS starts threads for. Files are decoded in threads already,
and what a product of this size reads stays in the cache."""


def area_mean(plane: np.ndarray, rows: Interval, columns: Interval, size: int) -> np.ndarray:
    """Returns the mean of uint8 [height, width] over each of size x size equal cells of a rectangle, as uint8.

    Sums are of whole numbers and exact (a pixel weighs as many units as it covers of a grid that divides pixels and
    cells alike), so every machine rounds the same numbers, halves to even.
    """
    across = _cut(*columns, size, size)
    down = _cut(*rows, size, across.stop - across.first)
    sums = _weigh(plane[down.first : down.stop, across.first : across.stop], down, size)  # [size, columns]
    sums = _weigh(sums.T.astype(np.float64), across, size).T
    return np.rint(sums / (float(down.units) * float(across.units))).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class _Cut:
    """Equal cells of an interval of pixels, and how much of each pixel lies in them."""

    first: int
    stop: int
    """The pixels that lie in any cell, the last one exclusive."""
    units: int
    """What the weights of each cell sum to."""
    bands: tuple[tuple[slice, slice, np.ndarray], ...]
    """Some cells, some pixels counted from ``first``, and the weights [cells, pixels] of one in the other."""


def _weigh(lines: np.ndarray, cut: _Cut, size: int) -> np.ndarray:
    """Returns the weighted sums of the lines [pixels, n] of each cell, float [size, n]."""
    # The narrowest kind that holds every sum exactly, in whatever order it is taken.
    kind = np.float32 if lines.dtype == np.uint8 and 255 * cut.units < _FLOAT32_WHOLE else np.float64
    sums = np.zeros((size, lines.shape[1]), kind)
    for cells, pixels, weights in cut.bands:
        sums[cells] += weights.astype(kind, copy=False) @ lines[pixels].astype(kind, copy=False)
    return sums


@functools.lru_cache(maxsize=64)
def _cut(start: Fraction, end: Fraction, size: int, across: int) -> _Cut:
    """Divides [start, end) into equal cells, and the work into products with ``across`` numbers per pixel."""
    step = (end - start) / size
    unit = math.lcm(start.denominator, step.denominator)  # units per pixel
    low, length = int(start * unit), int(step * unit)
    first, stop = low // unit, -(-(low + size * length) // unit)
    kind = np.float32 if 255 * length < _FLOAT32_WHOLE else np.float64
    bands, pixel = [], first
    while pixel < stop:
        count = stop - pixel
        cells = _touched(pixel, stop, unit, low, length, size)
        while count > 1 and len(cells) * count * across > _PRODUCT:
            count = (count + 1) // 2
            cells = _touched(pixel, pixel + count, unit, low, length, size)
        left = low + length * np.arange(cells.start, cells.stop, dtype=np.int64)[:, None]
        pixels = unit * np.arange(pixel, pixel + count, dtype=np.int64)
        shares = np.minimum(left + length, pixels + unit) - np.maximum(left, pixels)
        place = slice(pixel - first, pixel - first + count)
        bands.append((slice(cells.start, cells.stop), place, np.maximum(shares, 0).astype(kind)))
        pixel += count
    return _Cut(first, stop, length, tuple(bands))


def _touched(first: int, stop: int, unit: int, low: int, length: int, size: int) -> range:
    """The cells that pixels ``first`` to ``stop`` lie in."""
    return range(max((first * unit - low) // length, 0), min(-((low - stop * unit) // length), size))
