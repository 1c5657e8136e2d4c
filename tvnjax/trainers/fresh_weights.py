"""Weights of an array that may grow: what its first rows and columns hold does not depend on how many follow."""

import hashlib
from collections.abc import Hashable, Sequence
from itertools import product

import numpy as np

_TILE = 32
"""Rows and columns that one generator draws. Widths are mostly multiples of it."""


def standard_normal(shape: Sequence[int], seed: int, path: Sequence[Hashable]) -> np.ndarray:
    """Independent standard normal numbers, float32, of an array at a path.

    Every tile of the last two axes has a generator of its own, of the seed, the path and where it stands: an array is
    the leading part of each larger one of the same seed and path.
    """
    rows, columns = (1, 1, *shape)[-2:]
    front = tuple(shape[:-2])
    drawn = np.empty((*front, rows, columns), np.float32)
    words = np.frombuffer(hashlib.sha256(repr(tuple(path)).encode()).digest()[:16], np.uint32).tolist()
    for at in product(*map(range, front)):
        for row, column in product(range(0, rows, _TILE), range(0, columns, _TILE)):
            rng = np.random.default_rng([seed, *words, *at, row, column])
            part = drawn[*at, row : row + _TILE, column : column + _TILE]
            part[:] = rng.standard_normal((_TILE, _TILE), np.float32)[: part.shape[0], : part.shape[1]]
    return drawn.reshape(shape)
