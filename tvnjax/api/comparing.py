"""Several runs on one page, and strategies replayed on a recorded table."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvnjax.api.rows import Rows
from tvnjax.api.run import Run, new_place, open_run
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.printable import printable

if TYPE_CHECKING:
    from tvnjax.search.tabular.benchmark import Table


class Comparison:
    """Strategies over runs and seeds: what ``compare`` returns.

    Args:
        runs: finished ones.
        page: the page that was written; None where none was.
        shown: the result and its tables, as HTML.
    """

    def __init__(self, runs: tuple[Run, ...], page: Path | None, shown: str):
        self.runs, self.path, self._shown = runs, page, shown

    def rows(self) -> Rows:
        """The rows of all runs, each with its run's directory in front."""
        return Rows({"run": str(run.path), **row} for run in self.runs for row in run.rows())

    def __repr__(self) -> str:
        strategies = dict.fromkeys(row["strategy"] for row in self.rows())
        page = "" if self.path is None else f", page {self.path}"
        return printable(f"Comparison({len(self.runs)} runs: {', '.join(strategies)}{page})", 200)

    def _repr_html_(self) -> str:
        return self._shown


def compare(
    runs: Iterable[Run | str | Path],
    *,
    out: str | Path | None = None,
    reference: str | None = None,
    force: bool = False,
) -> Comparison:
    """Compares strategies over runs and seeds, as ``tvnjax compare``.

    Args:
        runs: finished runs, or their directories.
        out: where to leave the page and its figures. Default: nothing is written.
        reference: the strategy the others are held against. Default: evolution, or the first.
        force: replace an earlier comparison there.

    Raises:
        InvalidInputError: a run is not finished, is named twice, or none has the reference; or a file would be replaced
            or cannot be written.
    """
    from tvnjax.report.comparing.page import compare_runs, write_comparison
    from tvnjax.report.page import render_blocks

    if isinstance(runs, Run | str | Path):
        raise InvalidInputError(f"runs are several, in a list; got {runs!r:.100}")
    opened = tuple(one if isinstance(one, Run) else open_run(one) for one in runs)
    folders = [one.path for one in opened]
    if out is None:
        document, page = compare_runs(folders, reference), None
    else:
        document = write_comparison(folders, Path(out), reference, force=force)
        page = Path(out) / "compare.html"
    shown = [section for section in document.sections if section.anchor in ("result", "strategies")]
    return Comparison(opened, page, "".join(render_blocks(section.blocks) for section in shown))


def replay(table: "str | Path | Table", *, out: str | Path | None = None, quiet: bool = False, **options: Any) -> Run:
    """Runs strategies on a recorded table instead of by training, as ``tvnjax replay``: seconds instead of hours.

    Args:
        table: a file of ``tvnjax record`` or of ``experiments/tabular``, or what it holds.
        out: the run's directory. Default: runs/replay-DATE-TIME.
        quiet: show no progress.
        options: those of ``tvnjax replay``: ``strategies=("evolution", "random"), seeds=(0, 1), seconds=600``. Among
            ``strategies`` there may be some of one's own (``tvnjax.Strategy``).

    Returns:
        The run; it has rows, candidates and figures, and no trained networks.

    Raises:
        InvalidInputError: an option is unknown, the table cannot be read, or the budget refuses all of it.
    """
    from tvnjax.api.progress import RunMonitor
    from tvnjax.running import replay as replaying
    from tvnjax.running.config_values import changed

    config = changed(replaying.ReplayConfig(), options)
    place = Path(out) if out is not None else new_place("replay")
    monitor = RunMonitor(quiet=quiet)
    try:
        replaying.replay(Path(table) if isinstance(table, str) else table, config, out=place, monitor=monitor)
    except BaseException:
        monitor.close("failed")
        raise
    monitor.close(f"done: {place}")
    return open_run(place)
