"""What a person sees while a run goes on."""

import contextlib
import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from tvnjax.core.printable import NAME, printable, standard_output
from tvnjax.core.progress import ProgressLines
from tvnjax.core.run_dir import RunDir


class PlainConsole(Console):
    """A console that shows text as it is: no markup, no emoji codes, and what is hidden in it escaped.

    Everything printed as ``str`` passes here: what ``print`` is given, and the cells, headers and titles of tables.
    """

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        # A message may have line ends of its own; a name with them in it is shortened and escaped where it is made.
        options |= {"markup": False, "emoji": False}
        return super().render_str(printable(text, keep="\n"), **options)

    def print(self, *objects: Any, **options: Any) -> None:
        with standard_output() if self.file is sys.stdout else contextlib.nullcontext():
            super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        raise  # the command line ends quietly; rich would end the process itself, with status 1


class ConsoleMonitor:
    """One bar a stage with its numbers and the time left; plain lines where the output is no terminal.

    Events go to the run directory, if there is one.

    Args:
        run_dir: where events go.
        console: where bars are drawn. Default: standard error.
        quiet: draw and print nothing.
    """

    def __init__(self, run_dir: RunDir | None = None, console: Console | None = None, *, quiet: bool = False):
        self._quiet = quiet
        self._run_dir = run_dir
        self._console = console or PlainConsole(file=sys.stderr)
        self._stage: str | None = None
        self._task: TaskID | None = None
        self._progress: Progress | None = None
        self._lines = ProgressLines()

    def __enter__(self) -> "ConsoleMonitor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def event(self, kind: str, **fields: Any) -> None:
        if self._run_dir is not None:
            self._run_dir.event(kind, **fields)

    def progress(self, stage: str, done: float, total: float, text: str = "") -> None:
        if self._quiet:
            return
        stage, text = printable(stage, NAME), printable(text)
        if stage != self._stage:
            self._begin(stage)
        if self._console.is_terminal:
            self._draw(stage, done, total, text)
        else:
            self._lines.tell(stage, done, total, text)

    def close(self) -> None:
        """Leaves the last bar standing."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        self._stage = None

    def _begin(self, stage: str) -> None:
        self.close()
        self._stage = stage

    def _draw(self, stage: str, done: float, total: float, text: str) -> None:
        if self._progress is None:
            columns = (
                SpinnerColumn(finished_text="✓"),
                TextColumn("{task.description}", markup=False),
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
