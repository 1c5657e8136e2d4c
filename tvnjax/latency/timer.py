"""Timing a compiled call: warm up, wait for the device, repeat.

What is decided by is the fastest call. What else a machine does only ever adds to a time (the reason ``timeit`` gives
for the minimum), and on a shared one the fastest call is what comes out the same again: see
``experiments/latency/repeatability.py``, where medians differ by several times as much. Median and quartiles stand
beside it.
"""

import dataclasses
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax

from tvnjax.latency.clocks import Watch


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timing:
    """Repeated measurements of one call, in milliseconds."""

    samples_ms: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        return statistics.median(self.samples_ms)

    @property
    def iqr_ms(self) -> float:
        """Distance between the quartiles: the spread beside a median."""
        low, _, high = statistics.quantiles(self.samples_ms, n=4)
        return high - low

    @property
    def outliers(self) -> int:
        """Samples further than one and a half times that distance outside the quartiles (Tukey's fences)."""
        low, _, high = statistics.quantiles(self.samples_ms, n=4)
        reach = 1.5 * (high - low)
        return sum(not low - reach <= sample <= high + reach for sample in self.samples_ms)

    @property
    def fastest_ms(self) -> float:
        return min(self.samples_ms)

    @property
    def drift(self) -> float:
        """The slowest of the fastest samples of each third, in the order they were taken, over the fastest."""
        size = max(len(self.samples_ms) // 3, 1)
        fastest = [
            min(self.samples_ms[first : first + size]) for first in range(0, min(3 * size, len(self.samples_ms)), size)
        ]
        return max(fastest) / max(min(fastest), 1e-12)

    def settled(self, grain: float) -> bool:
        """Whether the third fastest sample is within a part ``grain`` of the fastest: then that was no accident."""
        return len(self.samples_ms) > 2 and sorted(self.samples_ms)[2] <= (1 + grain) * self.fastest_ms


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timer:
    """How a call is timed. The clock is a field, so that the timer itself can be tested."""

    warmup: int = 3
    repeats: int = 40
    """At least 30, so that a median and its quartiles mean something."""
    settle: int = 1
    """Untimed calls before each timed one: what ran in between has emptied the caches (worth 0.3 ms of 1 ms here)."""
    steady: float = 1.5
    """Most that the reference network's latency may change from one third of the repeats to another."""
    attempts: int = 5
    """Times a measurement is made before it is given up because the reference network did not stay steady."""
    grain: float = 0.02
    """How near the third fastest sample must come to the fastest."""
    patience: int = 4
    """Most rounds of ``repeats`` that may take."""
    window: int = 8
    """Calls of each in a round of an accelerator's warm-up."""
    warm_seconds: float = 5.0
    """Most that such a warm-up may take, by the clock."""
    clock: Callable[[], float] = time.perf_counter
    """Seconds."""

    def time(self, call: Callable[[], Any]) -> Timing:
        """Times one call; what it returns is waited for."""
        return self.interleave({"call": call})["call"]

    def interleave(self, calls: Mapping[Any, Callable[[], Any]], watch: Watch | None = None) -> dict[Any, Timing]:
        """Times several calls in turns, so that a slow moment of the machine meets them all.

        Repeats until every call's fastest sample is settled, at most ``patience`` times as often as asked.

        Args:
            calls: by name.
            watch: of an accelerator. Its clocks are read before and behind what is timed; the warm-up goes on until the
                calls' time has settled, see ``warm_up``.
        """
        for _ in range(self.warmup):
            for call in calls.values():
                jax.block_until_ready(call())
        if watch is None:
            return self._samples(calls)
        self.warm_up(calls)
        watch.before()
        times = self._samples(calls)
        watch.after()
        return times

    def warm_up(self, calls: Mapping[Any, Callable[[], Any]]) -> bool:
        """Runs calls in turns until their time has settled: an accelerator that was idle raises its clocks only under
        load.

        Settled is when a round of ``window`` calls of each takes, as the sum of the calls' medians, within ``grain`` of
        the round before. After ``warm_seconds`` it is given up with a warning.

        Returns:
            Whether it settled.
        """
        start, before = self.clock(), None
        while True:
            taken: dict[Any, list[float]] = {name: [] for name in calls}
            for _ in range(self.window):
                for name, call in calls.items():
                    begun = self.clock()
                    jax.block_until_ready(call())
                    taken[name].append(self.clock() - begun)
            now = sum(map(statistics.median, taken.values()))
            if before is not None and abs(now - before) <= self.grain * before:
                return True
            if self.clock() - start >= self.warm_seconds:
                warnings.warn(
                    f"a call's time settles within {self.grain:.0%} while the device warms up; after "
                    f"{self.warm_seconds:g} s it has not, and is measured as it is: stop what else runs on the device",
                    stacklevel=2,
                )
                return False
            before = now

    def _samples(self, calls: Mapping[Any, Callable[[], Any]]) -> dict[Any, Timing]:
        samples: dict[Any, list[float]] = {name: [] for name in calls}
        times: dict[Any, Timing] = {}
        for _ in range(self.patience):
            for _ in range(self.repeats):
                for name, call in calls.items():
                    for _ in range(self.settle):
                        jax.block_until_ready(call())
                    start = self.clock()
                    jax.block_until_ready(call())
                    samples[name].append(1e3 * (self.clock() - start))
            times = {name: Timing(samples_ms=tuple(values)) for name, values in samples.items()}
            if all(timing.settled(self.grain) for timing in times.values()):
                break
        return times
