"""Timing a compiled call: warm up, wait for the device, repeat, take the median."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timer:
    """How a call is timed. The clock is a field, so that the timer itself can be tested."""

    warmup: int = 3
    repeats: int = 40
    """At least 30, so that a median and its quartiles mean something."""
    settle: int = 1
    """Untimed calls before each timed one: what ran in between has emptied the caches (worth 0.3 ms of 1 ms here)."""
    clock: Callable[[], float] = time.perf_counter
    """Seconds."""

    def time(self, call: Callable[[], Any]) -> Timing:
        """Times one call; what it returns is waited for."""
        return self.interleave({"call": call})["call"]

    def interleave(self, calls: Mapping[Any, Callable[[], Any]]) -> dict[Any, Timing]:
        """Times several calls in turns, so that a slow moment of the machine meets them all."""
        for _ in range(self.warmup):
            for call in calls.values():
                jax.block_until_ready(call())
        samples: dict[Any, list[float]] = {name: [] for name in calls}
        for _ in range(self.repeats):
            for name, call in calls.items():
                for _ in range(self.settle):
                    jax.block_until_ready(call())
                start = self.clock()
                jax.block_until_ready(call())
                samples[name].append(1e3 * (self.clock() - start))
        return {name: Timing(samples_ms=tuple(values)) for name, values in samples.items()}
