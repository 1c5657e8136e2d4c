"""Progress of a run that was begun from Python: one bar in a notebook, plain lines elsewhere, nothing where asked."""

import html
import sys
import time
from typing import Any

from tvnjax.core.printable import NAME, printable
from tvnjax.core.progress import ProgressLines, seconds_left
from tvnjax.core.run_dir import RunDir

_EVERY_S = 0.3
"""Seconds between two drawings of a bar."""


class RunMonitor:
    """Writes a run's events and shows how far it has come.

    Args:
        run_dir: gets the events.
        quiet: show nothing.
    """

    def __init__(self, run_dir: RunDir | None = None, *, quiet: bool = False):
        self._run_dir = run_dir
        self._shown: Any = None if quiet else NotebookBar() if in_notebook() else ProgressLines()

    def event(self, kind: str, **fields: Any) -> None:
        if self._run_dir is not None:
            self._run_dir.event(kind, **fields)

    def progress(self, stage: str, done: float, total: float, text: str = "") -> None:
        if self._shown is not None:
            self._shown.tell(printable(stage, NAME), done, total, printable(text))

    def close(self, last: str) -> None:
        """Ends the bar with a few words."""
        if isinstance(self._shown, NotebookBar):
            self._shown.close(printable(last))


class NotebookBar:
    """One bar for all stages, drawn again in its place."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._stage: str | None = None
        self._start = self._last = time.monotonic()
        self._begun = self._start

    def tell(self, stage: str, done: float, total: float, text: str) -> None:
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._start, self._last = stage, now, 0.0
        if now - self._last < _EVERY_S and done < total:
            return
        self._last = now
        share = min(max(done / max(total, 1e-9), 0.0), 1.0)
        left = seconds_left(now - self._start, done, total)
        more = "" if left is None else f" · {left:.0f} s left"
        self._draw(share, f"{stage} · {share:.0%}{more} · {text}")

    def close(self, last: str) -> None:
        self._draw(1.0, f"{last} · {time.monotonic() - self._begun:.0f} s")

    def _draw(self, share: float, words: str) -> None:
        from IPython.display import HTML, display  # type: ignore[import-not-found]  # a notebook has it

        drawn = HTML(
            '<div style="font: 13px sans-serif; white-space: nowrap; overflow: hidden; text-overflow: ellipsis">'
            '<span style="display: inline-block; width: 160px; height: 8px; margin-right: 8px; border-radius: 4px; '
            'background: #d5dae0; overflow: hidden"><span style="display: block; height: 8px; background: #0072b2; '
            f'width: {share:.0%}"></span></span>{html.escape(words)}</div>'
        )
        if self._handle is None:
            self._handle = display(drawn, display_id=True)
        else:
            self._handle.update(drawn)


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process; a terminal's IPython is none."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")
