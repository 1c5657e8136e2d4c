"""``tvnjax run`` and ``tvnjax report``."""

import contextlib
import shlex
import time
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from tvnjax.cli.options import parse_options, parse_preset
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.printable import say
from tvnjax.data.arrays import ArrayData
from tvnjax.running.config import RunConfig
from tvnjax.running.continuing import begun_argv, begun_config, check_continues, fork, refuse_unfinished

_BOOLEANS = ("True", "False")


def run_command(argv: list[str]) -> int:
    config, out, argv, resume = _asked(argv)
    from tvnjax.cli.console import ConsoleMonitor
    from tvnjax.core.run_dir import RunDir
    from tvnjax.core.stopping import Stopped, end_soon
    from tvnjax.running.pipeline import run

    with contextlib.ExitStack() as stack:

        def listen(run_dir: RunDir) -> ConsoleMonitor:
            return stack.enter_context(ConsoleMonitor(run_dir))

        command = shlex.join(["tvnjax", "run", *argv])
        try:
            results = run(config, out, command, listen, argv=argv, resume=resume)
        except Stopped as stopped:
            say(f"stopped; go on with: tvnjax run --resume {shlex.quote(str(out))}", error=True)
            end_soon(stopped.status)
            return stopped.status
    _print_results(results, out)
    return 0


def _asked(argv: list[str]) -> tuple[Any, Path, list[str], bool]:
    """Configuration, directory, the arguments that say so again, and whether the run is there already."""
    rest, resume = _taken(argv, "--resume")
    rest, new = _taken(rest, "--fork")
    rest = _switched(rest, "--reproducible")
    if resume is None:
        if new is not None:
            raise InvalidInputError("--fork copies the run that --resume names: give --resume DIR --fork NEW_DIR")
        preset, config = parse_preset("run", rest)
        out = config.out or Path("runs") / f"{preset}-{time.strftime('%Y%m%d-%H%M%S')}"
        refuse_unfinished(config, out)
        return config, out, rest, False
    out = Path(resume)
    begun = begun_argv(out)
    if begun is None:
        return *_of_python(out, rest, new), [], True
    argv = [*begun, *rest]
    _, config = parse_preset("run", argv)
    if new is None:
        check_continues(config, out)
        return config, out, argv, True
    _fork(config, out, Path(new), shlex.join(["tvnjax", "run", *argv]), argv)
    return config, Path(new), argv, True


def _of_python(out: Path, rest: list[str], new: str | None) -> tuple[RunConfig, Path]:
    """Configuration and directory of a run that was begun from Python, whose file says all that was asked for."""
    config = begun_config(out)
    if isinstance(config.data, ArrayData):
        raise InvalidInputError(
            f"a run of arrays goes on where the arrays are; {out} was begun from Python with {config.data!r}: go on "
            f"with tvnjax.run(resume={str(out)!r}, data=tvnjax.Arrays(...)) there"
        )
    config = parse_options(config, rest, prog="tvnjax run --resume DIR", description=f"Goes on with {out}.")
    if new is None:
        check_continues(config, out)
        return config, out
    command = shlex.join(["tvnjax", "run", "--resume", str(out), "--fork", new, *rest])
    _fork(config, out, Path(new), command, None)
    return config, Path(new)


def _fork(config: RunConfig, out: Path, new: Path, command: str, argv: list[str] | None) -> None:
    changed = fork(config, out, new, command, argv)
    say(f"{new} is a copy of {out}" + (f" with other {', '.join(changed)}" if changed else ""), error=True)


def _switched(argv: list[str], option: str) -> list[str]:
    """An option that may stand alone for true, where all others take a value."""
    alone = [i for i, word in enumerate(argv) if word == option and argv[i + 1 : i + 2] not in ([b] for b in _BOOLEANS)]
    return [part for i, word in enumerate(argv) for part in ([word, "True"] if i in alone else [word])]


def _taken(argv: list[str], option: str) -> tuple[list[str], str | None]:
    """The arguments without an option, and its value."""
    for index, word in enumerate(argv):
        if word.startswith(f"{option}="):
            return [*argv[:index], *argv[index + 1 :]], word.partition("=")[2]
        if word == option:
            if index + 1 == len(argv) or argv[index + 1].startswith("-"):
                raise InvalidInputError(f"{option} names a run's directory: tvnjax run {option} DIR")
            return [*argv[:index], *argv[index + 2 :]], argv[index + 1]
    return argv, None


def report_command(argv: list[str]) -> int:
    if len(argv) != 1 or argv[0].startswith("-"):
        helping = argv in (["-h"], ["--help"])
        print("usage: tvnjax report RUN_DIR\n\nWrites report.md and report.html of a finished run again.")
        return 0 if helping else 2
    from tvnjax.report.page import write_report

    write_report(Path(argv[0]))
    say(Path(argv[0]) / "report.html")
    return 0


def _print_results(results: dict[str, Any], out: Path) -> None:
    from tvnjax.cli.console import PlainConsole

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
    if table.row_count:
        PlainConsole().print(table)
    for row in results["strategies"]:
        if row["top1"] is None:
            say(f"{row['name']}: {row['error']}")
    budget, rule = results["strategies"][0]["budget_ms"], results["reference"]["budget_rule"]
    say(f"budget {budget:.3g} ms ({rule}); top-1 and top-5 on the test split, latency measured")
    say(f"report: {out / 'report.html'}")
