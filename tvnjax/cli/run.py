"""``tvnjax run`` and ``tvnjax report``."""

import contextlib
import dataclasses
import shlex
import time
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.box import SIMPLE
from rich.table import Table

from tvnjax.cli.config_file import config_text, config_values
from tvnjax.cli.machine import print_json
from tvnjax.cli.options import parse_command, parse_options
from tvnjax.cli.output import OutputOptions
from tvnjax.cli.presets import HELP, HELP_ALL, Asked, RunOptions, parse_preset, show_help, split_options
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.printable import say, standard_output


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportOptions(OutputOptions):
    """Writes report.md and report.html of a finished run again."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR")]
    """A finished run's directory."""


def run_command(argv: list[str]) -> int:
    own, rest = split_options(RunOptions, argv, "tvnjax run")
    asked, out, resume = _asked(own, rest)
    config = asked.options.config
    if own.print_config:
        _print_config(asked, own)
        return 0
    from tvnjax.cli.console import ConsoleMonitor
    from tvnjax.core.run_dir import RunDir
    from tvnjax.core.signals import Stopped, end_soon
    from tvnjax.running.pipeline import run

    with contextlib.ExitStack() as stack:

        def listen(run_dir: RunDir) -> ConsoleMonitor:
            return stack.enter_context(ConsoleMonitor(run_dir, quiet=own.quiet))

        command = shlex.join(["tvnjax", "run", *asked.argv])
        try:
            results = run(config, out, command, listen, argv=asked.argv, resume=resume)
        except Stopped as stopped:
            say(f"stopped; go on with: tvnjax run --resume {shlex.quote(str(out))}", error=True)
            end_soon(stopped.status)
            return stopped.status
    if not results:
        return 0  # of a process that follows: process 0 says what was found
    own.result({"run": str(out), **results}, lambda: _print_results(results, out, own))
    return 0


def _asked(own: RunOptions, rest: list[str]) -> tuple[Asked, Path, bool]:
    """Configuration and arguments, the directory, and whether the run is there already."""
    if own.resume is None and own.fork is not None:
        raise InvalidInputError("--fork copies the run that --resume names: give --resume DIR --fork NEW_DIR")
    helping = any(word in (*HELP, HELP_ALL) for word in rest)
    if own.resume is None and not own.config_file and (not rest or (helping and rest[0].startswith("-"))):
        _help_without_preset(rest)
    from tvnjax.cli.run_options import AllRunOptions
    from tvnjax.running.continuing import begun_argv, check_continues, fork, refuse_unfinished

    if own.resume is None:
        asked = parse_preset("run", own, AllRunOptions, rest)
        out = asked.options.config.out or Path("runs") / f"{asked.preset}-{time.strftime('%Y%m%d-%H%M%S')}"
        if not own.print_config and asked.options.config.distributed.index == 0:
            refuse_unfinished(asked.options.config, out)
        return asked, out, False
    begun = begun_argv(own.resume)
    asked = _of_python(own, rest) if begun is None else parse_preset("run", own, AllRunOptions, rest, begun)
    config, out = asked.options.config, own.resume
    if own.print_config:
        return asked, out, True
    if own.fork is None:
        check_continues(config, out)
        return asked, out, True
    command = [
        "tvnjax",
        "run",
        *(["--resume", str(out), "--fork", str(own.fork), *rest] if begun is None else asked.argv),
    ]
    changed = fork(config, out, own.fork, shlex.join(command), None if begun is None else asked.argv)
    if not own.quiet:
        say(f"{own.fork} is a copy of {out}" + (f" with other {', '.join(changed)}" if changed else ""), error=True)
    return asked, own.fork, True


def _of_python(own: RunOptions, rest: list[str]) -> Asked:
    """A run that was begun from Python, whose file says all that was asked for.

    Raises:
        InvalidInputError: it has what stays in Python, or an option is unknown or of the wrong kind.
    """
    from tvnjax.cli.run_options import AllRunOptions
    from tvnjax.data.arrays import ArrayData
    from tvnjax.running.continuing import begun_config
    from tvnjax.search.registry import is_there

    assert own.resume is not None
    config, where = begun_config(own.resume), str(own.resume)
    kept = [("arrays", f"{config.data!r}", "data=tvnjax.Arrays(...)")] if isinstance(config.data, ArrayData) else []
    if config.own is not None:
        kept.append(("a space", f"{config.own!r}", "the space made again"))
    for choice in config.strategies:
        if not is_there(choice):
            given = "strategies given again, or registered as an entry point of tvnjax.strategies"
            kept.append(("a strategy", f"{choice!r}", given))
    for what, told, given in kept:
        raise InvalidInputError(
            f"a run of {what} goes on where those are; {where} was begun from Python with {told}: go on with "
            f"tvnjax.run(resume={where!r}, ...) there, {given}"
        )
    if own.config_file is not None:
        raise InvalidInputError("--config begins a run, or goes on with one of the command line; leave it out")
    config = parse_options(config, rest, prog="tvnjax run --resume DIR", description=f"Goes on with {where}.")
    return Asked("", AllRunOptions(config=config), [])


def _help_without_preset(rest: list[str]) -> None:
    if not rest:
        with contextlib.suppress(SystemExit):
            show_help("run", None, None, everything=False)
        raise SystemExit(2)
    if HELP_ALL not in rest:
        show_help("run", None, None, everything=False)
    from tvnjax.cli.run_options import AllRunOptions
    from tvnjax.running.config import PRESETS

    show_help("run", "quick", AllRunOptions(config=PRESETS["quick"][1]), everything=True)


def _print_config(asked: Asked, own: RunOptions) -> None:
    config = asked.options.config
    if own.resume is not None:
        config = dataclasses.replace(config, out=None)  # it is that run's own
    if own.json:
        print_json(config_values(config, asked.preset))
        return
    with standard_output():
        print(config_text(config, asked.preset), end="")


def report_command(argv: list[str]) -> int:
    options = parse_command(ReportOptions, argv, prog="tvnjax report", flags=True)
    from tvnjax.report.page import write_report

    write_report(options.run)
    page = options.run / "report.html"
    options.result({"report": str(page)}, lambda: say(page))
    return 0


def _print_results(results: dict[str, Any], out: Path, own: RunOptions) -> None:
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
    own.remark(f"budget {budget:.3g} ms ({rule}); top-1 and top-5 on the test split, latency measured")
    own.remark(f"report: {out / 'report.html'}")
