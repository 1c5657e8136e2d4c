"""``tvnjax run`` and ``tvnjax report``."""

import contextlib
import shlex
import time
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from tvnjax.cli.options import parse_preset


def run_command(argv: list[str]) -> int:
    preset, config = parse_preset("run", argv)
    out = config.out or Path("runs") / f"{preset}-{time.strftime('%Y%m%d-%H%M%S')}"
    from tvnjax.console import ConsoleMonitor
    from tvnjax.core.run_dir import RunDir
    from tvnjax.pipeline import run

    with contextlib.ExitStack() as stack:

        def listen(run_dir: RunDir) -> ConsoleMonitor:
            return stack.enter_context(ConsoleMonitor(run_dir))

        results = run(config, out, shlex.join(["tvnjax", "run", *argv]), listen)
    _print_results(results, out)
    return 0


def report_command(argv: list[str]) -> int:
    if len(argv) != 1 or argv[0].startswith("-"):
        helping = argv in (["-h"], ["--help"])
        print("usage: tvnjax report RUN_DIR\n\nWrites report.md and report.html of a finished run again.")
        return 0 if helping else 2
    from tvnjax.report.page import write_report

    write_report(Path(argv[0]))
    print(Path(argv[0]) / "report.html")
    return 0


def _print_results(results: dict[str, Any], out: Path) -> None:
    columns = ("strategy", "top-1", "top-5", "ms", "params", "seconds", "trained", "refused")
    table = Table(*columns, box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for row in results["strategies"]:
        if row["top1"] is None:
            continue
        table.add_row(
            row["name"],
            f"{row['top1']:.1%}",
            f"{row['top5']:.1%}",
            f"{row['latency_ms']:.3g}",
            f"{row['params']:,}",
            f"{row['seconds']:.0f}",
            str(row["evaluations"]),
            str(row["infeasible"]),
        )
    console = Console()
    if table.row_count:
        console.print(table)
    for row in results["strategies"]:
        if row["top1"] is None:
            print(f"{row['name']}: {row['error']}")
    budget, rule = results["strategies"][0]["budget_ms"], results["reference"]["budget_rule"]
    print(f"budget {budget:.3g} ms ({rule}); top-1 and top-5 on the test split, latency measured")
    print(f"report: {out / 'report.html'}")
