"""Adaptive cross approximation: a matrix from a few of its rows and columns.

Source: M. Bebendorf, "Approximation of boundary element matrices" (Numerische Mathematik 86, 2000). Rows and columns
are first scaled to be alike, because costs span many decades and small ones count as much as large ones.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_WHOLE = 6_000
"""Entries up to which a matrix is asked for whole."""
_MOST = 120
"""Most rows that are asked."""
_CHECKED = 400
"""Entries drawn to tell how far off it is."""


class LowRank(NamedTuple):
    """``left @ right``."""

    left: np.ndarray
    """``[rows, rank]``."""
    right: np.ndarray
    """``[rank, columns]``."""
    error: float
    """Largest error of a drawn entry as a part of it; 0 where the matrix was asked for whole."""


def cross(
    rows: int, columns: int, entry: Callable[[int, int], float], tolerance: float, rng: np.random.Generator
) -> LowRank:
    """An approximation of ``[rows, columns]`` whose entries are right to ``tolerance`` of themselves, as far as 400
    drawn ones tell.

    Args:
        entry: asked for one entry, 0 or above.
    """
    if rows * columns <= _WHOLE:
        whole = np.array([[entry(i, j) for j in range(columns)] for i in range(rows)]).reshape(rows, columns)
        return _whole(whole)
    return _Cross(rows, columns, entry, tolerance, rng).run()


def _whole(matrix: np.ndarray) -> LowRank:
    if matrix.shape[0] < matrix.shape[1]:
        return LowRank(np.eye(len(matrix)), matrix, 0.0)
    return LowRank(matrix, np.eye(matrix.shape[1]), 0.0)


class _Cross:
    def __init__(
        self, rows: int, columns: int, entry: Callable[[int, int], float], tolerance: float, rng: np.random.Generator
    ):
        self._shape, self._entry, self._tolerance, self._rng = (rows, columns), entry, tolerance, rng
        self._left, self._right = np.zeros((rows, 0)), np.zeros((0, columns))
        self._at = (rng.integers(rows, size=_CHECKED), rng.integers(columns, size=_CHECKED))
        self._known = np.array([entry(int(i), int(j)) for i, j in zip(*self._at)])
        self._used: set[int] = set()

    def run(self) -> LowRank:
        if not self._known.any():
            return LowRank(np.zeros((self._shape[0], 1)), np.zeros((1, self._shape[1])), 0.0)
        # Scales: one column and one row through the middle of what is drawn.
        order = np.argsort(self._known)
        middle = int(order[len(order) * 3 // 4])
        i, j = int(self._at[0][middle]), int(self._at[1][middle])
        column, row = self._column(j), self._row(i)
        self._rows = np.where(column > 0, column, column.max())
        self._columns = np.where(row > 0, row, row.max()) / self._known[middle]
        self._scaled = self._known / self._rows[self._at[0]] / self._columns[self._at[1]]
        pivot, errors = i, self._errors()
        for _ in range(min(_MOST, *self._shape)):
            self._add(pivot)
            errors = self._errors()
            if errors.max() <= self._tolerance:
                break
            pivot = int(self._at[0][int(errors.argmax())])
            if pivot in self._used:
                left = np.setdiff1d(self._at[0][errors > self._tolerance], list(self._used))
                if not len(left):
                    break
                pivot = int(self._rng.choice(left))
        return self._compressed(float(errors.max()))

    def _add(self, i: int) -> None:
        """One cross more, through a row and the column where its residual is largest."""
        self._used.add(i)
        row = self._row(i) / self._rows[i] / self._columns - self._left[i] @ self._right
        j = int(np.abs(row).argmax())
        if row[j] == 0:
            return
        column = self._column(j) / self._rows / self._columns[j] - self._left @ self._right[:, j]
        self._left = np.column_stack([self._left, column / row[j]])
        self._right = np.vstack([self._right, row])

    def _errors(self) -> np.ndarray:
        """Of the drawn entries, as parts of themselves."""
        told = np.einsum("er,re->e", self._left[self._at[0]], self._right[:, self._at[1]])
        scale = np.where(self._known > 0, self._scaled, np.abs(self._scaled).mean())
        return np.abs(told - self._scaled) / np.abs(scale)

    def _compressed(self, error: float) -> LowRank:
        """Orthogonal factors, without what is below rounding: single precision must do for what is added up later."""
        q, r = np.linalg.qr(self._left)
        u, s, v = np.linalg.svd(r @ self._right, full_matrices=False)
        kept = s > 1e-9 * s[0]
        root = np.sqrt(s[kept])
        return LowRank(
            self._rows[:, None] * ((q @ u)[:, kept] * root), (root[:, None] * v[kept]) * self._columns, error
        )

    def _row(self, i: int) -> np.ndarray:
        return np.array([self._entry(i, j) for j in range(self._shape[1])])

    def _column(self, j: int) -> np.ndarray:
        return np.array([self._entry(i, j) for i in range(self._shape[0])])
