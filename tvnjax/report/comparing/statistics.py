"""Numbers that compare strategies over seeds: intervals, probabilities, volumes, rank correlations.

rliable has the intervals and the probability of improvement, but brings matrices of whole benchmarks and a plotting
stack of its own; scipy has the same two. pymoo and moocore have hypervolumes of any dimension; in two it is a sum.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import bootstrap, kendalltau, mannwhitneyu

CONFIDENCE = 0.95
TOP = 0.2
"""The part of the networks the second rank correlation is taken over: the best, where a search decides."""
_FEWEST = 5
"""Networks below which a rank correlation is not given."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with its bootstrap interval; the bounds are ``None`` for fewer than two values."""

    mean: float
    low: float | None
    high: float | None
    count: int

    @property
    def excludes_zero(self) -> bool:
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean of paired differences (or of anything) with its bootstrap interval: percentiles of 9,999 resamples."""
    data = np.asarray(values, float)
    if len(data) < 2:
        return Interval(mean=float(data.mean()), low=None, high=None, count=len(data))
    if np.ptp(data) == 0:
        return Interval(mean=float(data[0]), low=float(data[0]), high=float(data[0]), count=len(data))
    options: dict[str, Any] = {"confidence_level": CONFIDENCE, "method": "percentile", "rng": np.random.default_rng(0)}
    interval = bootstrap((data,), np.mean, **options).confidence_interval
    return Interval(mean=float(data.mean()), low=float(interval.low), high=float(interval.high), count=len(data))


def probability_of_improvement(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How likely a run of ours beats one of theirs, a tie counting half (Agarwal et al. 2021): U / (n m)."""
    return float(mannwhitneyu(ours, theirs).statistic) / (len(ours) * len(theirs))


def hypervolume(points: Sequence[tuple[float, float]], reference_ms: float) -> float:
    """Part of the rectangle from (0 ms, accuracy 1) to (``reference_ms``, accuracy 0) that some network dominates.

    Args:
        points: milliseconds and accuracy.
        reference_ms: slower networks add nothing.
    """
    volume, best = 0.0, 0.0
    for ms, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if ms < reference_ms and accuracy > best:
            volume += (reference_ms - ms) * (accuracy - best)
            best = accuracy
    return volume / reference_ms


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points none of the others beats in both, fastest first."""
    front: list[tuple[float, float]] = []
    for ms, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or accuracy > front[-1][1]:
            front.append((ms, accuracy))
    return front


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankCorrelation:
    """Kendall's tau-b over all networks and over the best of them; ``None`` for too few or all alike."""

    tau: float | None
    top_tau: float | None
    count: int


def rank_correlation(scores: Sequence[float], truth: Sequence[float]) -> RankCorrelation:
    """How well scores order networks whose true accuracies are known."""
    a, b = np.asarray(scores, float), np.asarray(truth, float)
    top = np.argsort(-b, kind="stable")[: max(round(TOP * len(b)), 1)]
    return RankCorrelation(tau=_tau(a, b), top_tau=_tau(a[top], b[top]), count=len(b))


def gene_correlation(genes: Sequence[Mapping[str, Any]], scores: Sequence[float], truth: Sequence[float]) -> dict:
    """For every gene that varies: how well scores tell what its values are worth.

    A value's worth is the mean over the networks that have it; given is the correlation of both worths over the values
    (weighted by how many networks have each), and the spread of the true one: what there is to tell.
    """
    table: dict[str, tuple[float, float, int]] = {}
    for gene in dict.fromkeys(key for row in genes for key in row):
        groups: dict[Any, list[int]] = {}
        for index, row in enumerate(genes):
            if gene in row:
                groups.setdefault(row[gene], []).append(index)
        if len(groups) < 2:
            continue
        counts = np.array([len(rows) for rows in groups.values()], float)
        worths = np.array([[np.mean(np.asarray(v)[rows]) for rows in groups.values()] for v in (scores, truth)])
        centred = worths - np.average(worths, axis=1, weights=counts)[:, None]
        spread = np.sqrt(np.average(centred**2, axis=1, weights=counts))
        if spread.min() > 0:
            agreement = float(np.average(centred[0] * centred[1], weights=counts) / spread.prod())
            table[gene] = (agreement, float(spread[1]), len(groups))
    return table


def _tau(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < _FEWEST or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    found: Any = kendalltau(a, b)
    return float(found.statistic)
