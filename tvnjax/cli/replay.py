"""``tvnjax record`` and ``tvnjax replay``."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro
from rich.box import SIMPLE
from rich.table import Table

from tvnjax.cli.console import PlainConsole
from tvnjax.cli.options import parse_command
from tvnjax.core.printable import say
from tvnjax.running.replay import ReplayConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """Writes a table of every network that some runs trained: accuracy for each seed, latency, seconds."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run directories, finished or not."""
    out: Path
    """The table."""
    force: bool = False
    """Replace a file that is there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReplayOptions(ReplayConfig):
    """Runs strategies on a recorded table instead of by training: seconds instead of hours."""

    table: Annotated[Path, tyro.conf.Positional]
    """A file of 'tvnjax record' or of experiments/tabular."""
    out: Path | None = None
    """Directory to leave the run in, for 'tvnjax compare'. Default: none is left. It must be new or
    empty."""


def record_command(argv: list[str]) -> int:
    options = parse_command(RecordOptions, argv, prog="tvnjax record", flags=True)
    from tvnjax.running.replay import record_runs

    table = record_runs(options.runs, options.out, force=options.force)
    say(f"{options.out}: {len(table.entries)} networks, seeds {', '.join(map(str, table.seeds))}")
    return 0


def replay_command(argv: list[str]) -> int:
    options = parse_command(ReplayOptions, argv, prog="tvnjax replay")
    from tvnjax.running.replay import replay
    from tvnjax.search.table_reading import read_table

    table = read_table(options.table)
    found = replay(table, options, out=options.out)
    shown = Table("strategy", "seed", "top-1", "ms", "seconds", "trained", "refused", box=SIMPLE, pad_edge=False)
    for result in found:
        best = None if result.best is None else table.entries[result.best.id]
        top1 = None if best is None else best.top1()
        numbers = f"{result.seconds:.0f}", str(result.evaluations), str(result.infeasible)
        if best is None or top1 is None or best.latency_ms is None:
            shown.add_row(result.name, str(result.seed), "none", "none", *numbers)
        else:
            shown.add_row(result.name, str(result.seed), f"{top1:.1%}", f"{best.latency_ms:.3g}", *numbers)
    PlainConsole().print(shown)
    say(f"{table.name}: {len(table.entries)} networks; top-1 on the validation split, mean of the recorded seeds")
    if options.out is not None:
        say(f"run: {options.out}")
    return 0
