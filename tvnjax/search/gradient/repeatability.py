"""How far latencies move when the same network is measured again, and what that says of the next time."""

import math
from collections.abc import Sequence

from scipy import stats


class Repeatability:
    """Collects repeated measurements of a search's own networks on its own device and runtime.

    Relative deviations from each network's mean are pooled over networks, as a measurement's spread is about in
    proportion to what is measured.

    Args:
        confidence: probability with which a network that is let through is within the budget when it is measured
            once more.
    """

    def __init__(self, confidence: float):
        self._confidence = confidence
        self._measured: dict[str, list[float]] = {}

    def add(self, network: str, latency_ms: float) -> None:
        """Takes in one measurement."""
        self._measured.setdefault(network, []).append(latency_ms)

    def of(self, network: str) -> Sequence[float]:
        """What was measured of a network."""
        return self._measured.get(network, ())

    @property
    def freedom(self) -> int:
        """Degrees of freedom of ``spread``: measurements beyond the first of each network."""
        return sum(len(values) - 1 for values in self._measured.values())

    @property
    def spread(self) -> float:
        """Relative standard deviation of a measurement; 0 where nothing was measured twice."""
        squares = 0.0
        for values in self._measured.values():
            mean = math.fsum(values) / len(values)
            squares += math.fsum((value / mean - 1) ** 2 for value in values)
        return math.sqrt(squares / self.freedom) if self.freedom else 0.0

    def upper_ms(self, network: str) -> float:
        """What the next measurement of a network stays below with the confidence asked for: the upper end of the
        one-sided prediction interval of a normal sample with a pooled variance (Hahn and Meeker, Statistical
        Intervals, section 4.7). Milliseconds.

        Raises:
            KeyError: the network was not measured.
        """
        values = self._measured[network]
        mean = math.fsum(values) / len(values)
        if not self.freedom:
            return mean
        quantile = float(stats.t.ppf(self._confidence, self.freedom))
        return mean * (1 + quantile * self.spread * math.sqrt(1 + 1 / len(values)))
