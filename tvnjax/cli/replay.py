"""``tvnjax record`` and ``tvnjax replay``."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.box import SIMPLE
from rich.table import Table as Shown

from tvnjax.cli.console import PlainConsole
from tvnjax.cli.options import parse_command
from tvnjax.cli.output import OutputOptions
from tvnjax.core.printable import say
from tvnjax.running.replay import ReplayConfig
from tvnjax.search.base import SearchResult
from tvnjax.search.tabular.benchmark import Table


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordOptions(OutputOptions):
    """Writes a table of every network that some runs trained: accuracy for each seed, latency, seconds."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run directories, finished or not."""
    out: Path
    """The table."""
    force: bool = False
    """Replace a file that is there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReplayOptions(ReplayConfig, OutputOptions):
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
    value = {"table": str(options.out), "networks": len(table.entries), "seeds": list(table.seeds)}
    line = f"{options.out}: {len(table.entries)} networks, seeds {', '.join(map(str, table.seeds))}"
    options.result(value, lambda: say(line))
    return 0


def replay_command(argv: list[str]) -> int:
    options = parse_command(ReplayOptions, argv, prog="tvnjax replay")
    from tvnjax.running.replay import replay
    from tvnjax.search.tabular.read import read_table

    table = read_table(options.table)
    config = ReplayConfig(**{field.name: getattr(options, field.name) for field in dataclasses.fields(ReplayConfig)})
    rows = [_row(table, result) for result in replay(table, config, out=options.out)]
    run = None if options.out is None else str(options.out)
    options.result({"table": table.name, "run": run, "strategies": rows}, lambda: _print(rows))
    options.remark(
        f"{table.name}: {len(table.entries)} networks; top-1 on the validation split, mean of the recorded seeds"
    )
    if run is not None:
        options.remark(f"run: {run}")
    return 0


def _row(table: Table, result: SearchResult) -> dict[str, Any]:
    best = None if result.best is None else table.entries[result.best.id]
    top1 = None if best is None else best.top1()
    known = best is not None and top1 is not None and best.latency_ms is not None
    return {
        "name": result.name,
        "seed": result.seed,
        "genotype": result.best.id if known and result.best is not None else None,
        "top1": top1 if known else None,
        "latency_ms": best.latency_ms if known and best is not None else None,
        "seconds": result.seconds,
        "evaluations": result.evaluations,
        "infeasible": result.infeasible,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    shown = Shown("strategy", "seed", "top-1", "ms", "seconds", "trained", "refused", box=SIMPLE, pad_edge=False)
    for row in rows:
        known = row["top1"] is not None
        shown.add_row(
            row["name"],
            str(row["seed"]),
            f"{row['top1']:.1%}" if known else "none",
            f"{row['latency_ms']:.3g}" if known else "none",
            f"{row['seconds']:.0f}",
            str(row["evaluations"]),
            str(row["infeasible"]),
        )
    PlainConsole().print(shown)
