"""What a person sees while a run goes on."""

import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn

from tvnjax.core.run_dir import RunDir

_PLAIN_EVERY_S = 10.0
"""Seconds between lines of one stage where there is no terminal to draw a bar on."""


class ConsoleMonitor:
    """One bar a stage with its numbers and the time left; plain lines where the output is no terminal.

    Events go to the run directory, if there is one.
    """

    def __init__(self, run_dir: RunDir | None = None, console: Console | None = None):
        self._run_dir = run_dir
        self._console = console or Console(file=sys.stderr, highlight=False)
        self._stage: str | None = None
        self._task: TaskID | None = None
        self._progress: Progress | None = None
        self._stage_start = self._last_line = time.monotonic()

    def __enter__(self) -> "ConsoleMonitor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def event(self, kind: str, **fields: Any) -> None:
        if self._run_dir is not None:
            self._run_dir.event(kind, **fields)

    def progress(self, stage: str, done: float, total: float, text: str = "") -> None:
        if stage != self._stage:
            self._begin(stage)
        if self._console.is_terminal:
            self._draw(stage, done, total, text)
        else:
            self._print_line(stage, done, total, text)

    def close(self) -> None:
        """Leaves the last bar standing."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        self._stage = None

    def _begin(self, stage: str) -> None:
        self.close()
        self._stage, self._stage_start, self._last_line = stage, time.monotonic(), 0.0

    def _draw(self, stage: str, done: float, total: float, text: str) -> None:
        if self._progress is None:
            columns = (
                SpinnerColumn(finished_text="✓"),
                TextColumn("{task.description}"),
                BarColumn(bar_width=12),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeRemainingColumn(),
                TextColumn("left"),
                TextColumn("{task.fields[text]}", markup=False),
            )
            self._progress = Progress(*columns, console=self._console, refresh_per_second=4)
            self._progress.start()
            self._task = self._progress.add_task(f"{stage:<14}", total=total, text=text)
        assert self._task is not None
        self._progress.update(self._task, completed=done, total=total, text=text)

    def _print_line(self, stage: str, done: float, total: float, text: str) -> None:
        now = time.monotonic()
        if now - self._last_line < _PLAIN_EVERY_S and done < total:
            return
        self._last_line = now
        elapsed = now - self._stage_start
        left = f", {elapsed * (total - done) / done:.0f} s left" if 0 < done < total and elapsed >= 1 else ""
        print(f"{stage}: {done / max(total, 1e-9):.0%}, {elapsed:.0f} s{left}  {text}", file=sys.stderr, flush=True)
