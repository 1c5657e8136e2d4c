"""How far work has come, in plain lines: where there is neither a terminal nor a notebook to draw a bar in."""

import time

from tvnjax.core.printable import say

_EVERY_S = 10.0
"""Seconds between lines of one stage."""


def seconds_left(elapsed: float, done: float, total: float) -> float | None:
    """Seconds that a stage will still take at its pace so far; ``None`` where that cannot be told yet."""
    return elapsed * (total - done) / done if 0 < done < total and elapsed >= 1 else None


class ProgressLines:
    """A line on standard error when a stage begins, every ten seconds, and when it ends."""

    def __init__(self) -> None:
        self._stage: str | None = None
        self._start = self._last = 0.0

    def tell(self, stage: str, done: float, total: float, text: str) -> None:
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._start, self._last = stage, now, 0.0
        if now - self._last < _EVERY_S and done < total:
            return
        self._last = now
        elapsed = now - self._start
        left = seconds_left(elapsed, done, total)
        more = "" if left is None else f", {left:.0f} s left"
        say(f"{stage}: {done / max(total, 1e-9):.0%}, {elapsed:.0f} s{more}  {text}", error=True)
