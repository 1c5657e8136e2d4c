"""The budget all strategies share: device seconds, and what they went into."""

import time
from collections.abc import Mapping
from typing import Any

KINDS = ("table", "supernet", "compile", "checking", "infeasible", "inherited", "training", "failed", "other")
"""Building the latency table; training a supernet; compilation, of whatever; measuring networks that kept the budget,
and checking those that did not; scoring with inherited weights; short trainings, and those that failed; the rest."""


class DeviceSeconds:
    """Seconds a strategy has had the device for.

    With a clock every second from the start counts, whatever it went into; ``charge`` then says what some of them were.
    Without one (replayed results, workers with devices of their own) the seconds are those charged.

    Args:
        limit_s: seconds that may be used; ``None`` for no limit.
        initial_seconds: charged already, by kind.
        clocked: whether this process's clock counts.
    """

    def __init__(
        self, limit_s: float | None = None, *, initial_seconds: Mapping[str, float] | None = None, clocked: bool = True
    ):
        self.limit_s = limit_s
        self.parts: dict[str, float] = dict(initial_seconds or {})
        self._start = time.monotonic() if clocked else None
        self._beside = sum(self.parts.values())

    @property
    def total(self) -> float:
        """All of them."""
        clock = 0.0 if self._start is None else time.monotonic() - self._start
        return self._beside + clock

    @property
    def exhausted(self) -> bool:
        return self.limit_s is not None and self.total >= self.limit_s

    def charge(self, kind: str, seconds: float, *, beside: bool = False) -> None:
        """Says what seconds went into.

        Args:
            kind: one of ``KINDS``.
            seconds: how many.
            beside: they did not pass on the clock: another strategy had paid for the same before.
        """
        assert kind in KINDS and seconds >= -1e-9, (kind, seconds)
        self.parts[kind] = self.parts.get(kind, 0.0) + seconds
        if beside or self._start is None:
            self._beside += seconds

    def snapshot(self) -> dict[str, Any]:
        """The seconds so far, to be kept as JSON."""
        return {"total": self.total, "parts": dict(self.parts)}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Goes on from a snapshot: the seconds since then, of another process, did not serve the strategy."""
        self.parts = dict(snapshot["parts"])
        self._beside = snapshot["total"]
        self._start = None if self._start is None else time.monotonic()

    def stop(self, snapshot: Mapping[str, Any]) -> None:
        """Stands still at a snapshot."""
        self._start = None
        self.restore(snapshot)

    def by_kind(self) -> dict[str, float]:
        """Seconds by kind; they add up to the total."""
        rest = max(self.total - sum(self.parts.values()), 0.0)
        parts = self.parts | {"other": self.parts.get("other", 0.0) + rest}
        return {kind: parts[kind] for kind in KINDS if parts.get(kind)}
