"""What the sum of a few physical terms misses of a layer's cost, learnt from measured units and networks.

Nobody measures a layer by itself: a unit's time is the sum over its layers. So the Gaussian process over layers is
observed in sums: two units covary by the sum over all pairs of their layers. Its mean is a factor on every layer's
physical cost, so that costs stay sums over layers; its standard deviation says which units are worth measuring.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Kernel

from tvnjax.graph import Head, Layer


class Constants(NamedTuple):
    """What a regressor assumes."""

    length: float
    """How far costs are alike, in doublings of a size."""
    amplitude: float
    """How far they may lie from the physical cost, as a part of it."""
    noise: float
    """How exact a network's measurement is, as a part of it."""
    unit_weight: float
    """What a unit's counts beside a network's: below 1 where units by themselves take something else than inside of a
    network, as under a compiler that fuses across them."""


_LENGTHS, _AMPLITUDES, _NOISES, _UNIT_WEIGHTS = (1.0, 2.0), (0.15, 0.4, 0.8), (0.02, 0.05), (1.0, 0.25)
CANDIDATES = tuple(Constants(*c) for c in itertools.product(_LENGTHS, _AMPLITUDES, _NOISES, _UNIT_WEIGHTS))
"""The likeliest combination is taken."""

FACTORS = (0.2, 5.0)
"""Bounds of what a layer's physical cost is multiplied by."""

_LANES = (4, 8, 16)


def layer_point(layer: Layer) -> tuple[str, np.ndarray]:
    """Kind of a layer, and where it lies among its kind: sizes in doublings, and whether channels fill whole vectors
    (ONNX Runtime has another convolution where they do not: 7.3 % error without this, 5.0 % with it)."""
    cost = layer.cost
    window, stride, kind = cost.window, cost.stride, type(layer).__name__ + cost.variant
    taken, given = sum(shape.c for shape in layer.in_shapes), layer.out_shape
    sizes = (
        given.t * given.h * given.w,
        given.t,
        taken,
        given.c,
        math.prod(window),
        math.prod(stride) ** 2,
        cost.hidden,
    )
    every = [[shape.c for shape in layer.in_shapes], [given.c]]
    whole = [all(c % lanes == 0 for c in channels) for channels in every for lanes in _LANES]
    return kind, np.concatenate([np.log2(np.asarray(sizes, float)), whole])


@dataclasses.dataclass(frozen=True)
class Program:
    """Layers whose sum was, or could be, measured."""

    kinds: np.ndarray
    """``[layers]``: kind of each, as text."""
    points: np.ndarray
    """``[layers, coordinates]``."""
    prior_ms: np.ndarray
    """``[layers]``: physical cost of each."""

    @staticmethod
    def of(layers: Sequence[Layer | Head], prior_ms: Sequence[float]) -> "Program":
        """A program of layers and their physical costs; heads, which have none, are left out."""
        kept = [(layer_point(layer), ms) for layer, ms in zip(layers, prior_ms) if not isinstance(layer, Head)]
        points = [point for (_, point), _ in kept]
        return Program(
            kinds=np.array([kind for (kind, _), _ in kept], object),
            points=np.stack(points) if points else np.zeros((0, 0)),
            prior_ms=np.array([ms for _, ms in kept], float),
        )


class LayerSum(Kernel):
    """Covariance of programs: over all pairs of their layers of one kind, the product of their physical costs times a
    squared exponential of their distance."""

    def __init__(self, length: float = 2.0, amplitude: float = 0.3):
        self.length, self.amplitude = length, amplitude

    # The package's annotations, taken from its base class's bodies, know one value of each of these.
    @property
    def requires_vector_input(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        return False

    def is_stationary(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        return False

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        assert not eval_gradient, "the constants are chosen among candidates, not by gradient"
        left, right = list(X), list(X if Y is None else Y)
        covariance = np.zeros((len(left), len(right)))
        kinds = sorted({kind for program in left for kind in program.kinds})
        for kind in kinds:
            a, b = _of_kind(left, kind), _of_kind(right, kind)
            if len(a[0]) and len(b[0]):
                pairs = self.pairs(a[1], b[1]) * a[2][:, None] * b[2]
                rows = np.zeros((len(left), pairs.shape[1]))
                np.add.at(rows, a[0], pairs)
                columns = np.zeros((len(right), len(left)))
                np.add.at(columns, b[0], rows.T)
                covariance += columns.T
        return covariance

    def diag(self, X: Any) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        return np.array([self([program])[0, 0] for program in X])

    def pairs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """``[a, b]``: covariance of the factors of layers of one kind."""
        squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
        return self.amplitude**2 * np.exp(-0.5 * np.maximum(squares, 0) / self.length**2)


def _of_kind(programs: Sequence[Program], kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index of the program, point and physical cost of every layer of a kind."""
    chosen = [program.kinds == kind for program in programs]
    index = np.repeat(np.arange(len(programs)), [int(rows.sum()) for rows in chosen])
    points = [program.points[rows] for program, rows in zip(programs, chosen) if rows.any()]
    prior = [program.prior_ms[rows] for program, rows in zip(programs, chosen) if rows.any()]
    return (
        index,
        np.concatenate(points) if points else np.zeros((0, 0)),
        np.concatenate(prior) if prior else np.zeros(0),
    )


class LayerRegressor:
    """Factors on layers' physical costs.

    Args:
        programs: what was measured.
        ms: ``[programs]``, milliseconds of each, without what belongs to no layer.
        weights: ``[programs]``, 1 for a measurement as exact as ``constants`` say.
        constants: see there.
    """

    def __init__(self, programs: Sequence[Program], ms: np.ndarray, weights: np.ndarray, constants: Constants):
        self.constants = constants
        self._process = self._fitted(programs, ms, weights)
        found: Any = self._process.log_marginal_likelihood_value_
        self.likelihood = float(found)
        """Logarithm; of all candidates' that are fitted to the same measurements the largest is the likeliest."""
        self._kernel: Any = self._process.kernel_
        pulls = np.concatenate([a * program.prior_ms for a, program in zip(self._process.alpha_, programs)])
        kinds, points = (np.concatenate([getattr(p, name) for p in programs]) for name in ("kinds", "points"))
        self._known = {kind: (points[kinds == kind], pulls[kinds == kind]) for kind in set(kinds)}

    def _fitted(self, programs: Sequence[Program], ms: np.ndarray, weights: np.ndarray) -> GaussianProcessRegressor:
        prior = np.array([program.prior_ms.sum() for program in programs])
        variance = (self.constants.noise / weights * np.maximum(ms, 1e-4)) ** 2
        # Typed as any: the annotations know neither a variance for each sample nor doing without an optimizer.
        options: Any = {"alpha": variance, "optimizer": None}
        process = GaussianProcessRegressor(LayerSum(self.constants.length, self.constants.amplitude), **options)
        return process.fit(_array(programs), ms - prior)

    def factor(self, layer: Layer) -> float:
        """What the physical cost of a layer is multiplied by."""
        kind, point = layer_point(layer)
        if kind not in self._known:
            return 1.0
        points, pulls = self._known[kind]
        return float(np.clip(1 + (self._kernel.pairs(point[None], points) @ pulls)[0], *FACTORS))

    def uncertainty(self, programs: Sequence[Program]) -> np.ndarray:
        """``[programs]``: standard deviation of each one's milliseconds, as a part of its physical cost."""
        _, deviation = self._process.predict(_array(programs), return_std=True)
        return deviation / np.maximum([program.prior_ms.sum() for program in programs], 1e-6)

    def least_known(self, programs: Sequence[Program], count: int) -> list[int]:
        """Which of some programs to measure: the most uncertain, then the most uncertain once that one is known, and so
        on. (How uncertain a program is does not depend on what is measured, only on which programs are.)"""
        covariance = self._process.predict(_array(programs), return_cov=True)[1]
        scale = np.maximum([program.prior_ms.sum() for program in programs], 1e-6)
        covariance = covariance / np.outer(scale, scale)
        noise, chosen = (self.constants.noise / self.constants.unit_weight) ** 2, []
        for _ in range(min(count, len(programs))):
            variance = np.diag(covariance).copy()
            variance[chosen] = -np.inf
            best = int(variance.argmax())
            chosen.append(best)
            column = covariance[:, best].copy()
            covariance = covariance - np.outer(column, column) / (column[best] + noise)
        return chosen


def _array(programs: Sequence[Program]) -> np.ndarray:
    """As scikit-learn takes structured inputs."""
    array = np.empty(len(programs), object)
    array[:] = list(programs)
    return array
