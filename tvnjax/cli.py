"""The command line: ``tvnjax run | profile | report | export``."""

import contextlib
import dataclasses
import io
import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from tvnjax import __version__
from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.export import ExportFormat
from tvnjax.space.network import HeadKind

USAGE = """usage: tvnjax COMMAND ...

Finds Tiny Video Networks by gradient under a measured latency budget, beside evolution and random search.

  tvnjax run PRESET [options]      search, retrain, compare; leaves a run directory with report.html
  tvnjax profile PRESET [options]  measure this device for a preset's search space
  tvnjax report RUN_DIR            write a run directory's report again
  tvnjax export GENOTYPE [options] write a trained network for another runtime: StableHLO, ONNX, TFLite

Presets: {presets}
'tvnjax run PRESET --help' lists every option with its default.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0, or 2 for input that breaks a rule, 130 for Ctrl-C."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(argv)
    except InvalidInputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _dispatch(argv: list[str]) -> int:
    from tvnjax.config import PRESETS

    commands: dict[str, Callable[[list[str]], int]] = {
        "run": _run,
        "profile": _profile,
        "report": _report,
        "export": _export,
    }
    if not argv or argv[0] in ("-h", "--help", "help"):
        presets = "".join(f"\n  {name:<8} {line}" for name, (line, _) in PRESETS.items())
        print(USAGE.format(presets=presets))
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        print(f"tvnjax {__version__}")
        return 0
    if argv[0] not in commands:
        raise InvalidInputError(
            f"a command is one of {', '.join(commands)}; got {argv[0]!r}{did_you_mean(argv[0], commands)}"
        )
    return commands[argv[0]](argv[1:])


def _run(argv: list[str]) -> int:
    preset, config = _parse_config("run", argv)
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


def _profile(argv: list[str]) -> int:
    _, config = _parse_config("profile", argv)
    from tvnjax.console import ConsoleMonitor
    from tvnjax.core.environment import use_compilation_cache
    from tvnjax.pipeline import prepare_problem, profile_problem

    use_compilation_cache()
    with ConsoleMonitor() as monitor:
        profile = profile_problem(prepare_problem(config, monitor), monitor)
    quality = profile.fit.quality
    table = Table("what", "value", title="Latency on this device (one clip, XLA)")
    table.add_row("measured now, known before", f"{profile.measured}, {profile.reused}")
    table.add_row("seconds", f"{profile.seconds:.0f}")
    table.add_row("cheapest network", f"{profile.cheapest_ms:.3g} ms measured")
    table.add_row("dearest network", f"{profile.dearest_ms:.3g} ms measured (default budget: half of it)")
    table.add_row("prediction error of whole networks, cross-validated", f"{quality['mape']:.1%} on average")
    table.add_row("within 10 %", f"{quality['within_10pct']:.0%} of {quality['count']:.0f} networks")
    table.add_row("rank correlation (Kendall's tau)", f"{quality['kendall_tau']:.2f}")
    Console().print(table)
    return 0


def _report(argv: list[str]) -> int:
    if len(argv) != 1 or argv[0].startswith("-"):
        helping = argv in (["-h"], ["--help"])
        print("usage: tvnjax report RUN_DIR\n\nWrites report.md and report.html of a finished run again.")
        return 0 if helping else 2
    from tvnjax.report.page import write_report

    write_report(Path(argv[0]))
    print(Path(argv[0]) / "report.html")
    return 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Writes a trained network as a file another runtime runs, with a description (JSON) beside it."""

    genotype: Annotated[Path, tyro.conf.Positional]
    """The network: a file of a run's genotypes/."""
    checkpoint: Path
    """Its weights: the folder of the same name in the run's checkpoints/."""
    to: ExportFormat = "onnx"
    """stablehlo loads again in JAX, without this package's code."""
    out: Path | None = None
    """The file. Default: the checkpoint's name, here."""
    classes: tuple[str, ...] | None = None
    """Names in the order of the scores. Default: those of the run the checkpoint lies in."""
    head: HeadKind | None = None
    """How scores are pooled. Default: as in the run the checkpoint lies in."""


def _export(argv: list[str]) -> int:
    options = parse_command(ExportOptions, argv, prog="tvnjax export")
    from tvnjax.export.export_network import export_network, read_genotype

    exported = export_network(
        read_genotype(options.genotype), options.checkpoint, options.to, options.out, options.classes, options.head
    )
    print(exported.path)
    print(f"scores of one clip of noise differ from JAX's by {exported.difference:.1e} at most")
    return 0


def _parse_config(command: str, argv: list[str]) -> tuple[str, Any]:
    """The preset named first, with the options behind it."""
    from tvnjax.config import PRESETS

    names = ", ".join(PRESETS)
    if not argv or argv[0] in ("-h", "--help"):
        lines = "\n".join(f"  {name:<8} {line}" for name, (line, _) in PRESETS.items())
        print(
            f"usage: tvnjax {command} PRESET [options]\n\n{lines}\n\n"
            f"'tvnjax {command} PRESET --help' lists the options."
        )
        raise SystemExit(0 if argv else 2)
    preset = argv[0]
    if preset not in PRESETS:
        raise InvalidInputError(f"a preset is one of {names}; got {preset!r}{did_you_mean(preset, PRESETS)}")
    line, default = PRESETS[preset]
    return preset, parse_options(default, argv[1:], prog=f"tvnjax {command} {preset}", description=line)


def parse_options(default: Any, argv: Sequence[str], *, prog: str, description: str) -> Any:
    """Overrides fields of a configuration from options such as ``--search.steps 100``.

    Raises:
        InvalidInputError: an option is unknown (the nearest is named) or its value is of the wrong kind.
    """
    # A field that may be one of several classes keeps the class the preset gave it.
    kind: Any = Annotated[type(default), tyro.conf.arg(name="")]
    return parse_command(kind, argv, prog=prog, description=description, default=default)


def parse_command(kind: Any, argv: Sequence[str], *, prog: str, **options: Any) -> Any:
    """Reads a dataclass from a command's options.

    Raises:
        InvalidInputError: an option is unknown, missing or of the wrong kind.
    """
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            config = (tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff)
            return tyro.cli(kind, args=list(argv), prog=prog, config=config, **options)
    except SystemExit as exit:
        if not exit.code:
            raise
        raise InvalidInputError(_one_line(messages.getvalue(), prog)) from None


def _one_line(message: str, prog: str) -> str:
    """tyro's boxed message as one sentence."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", message)
    text = " ".join(re.sub(r"[│╭╮╰╯─┃━]+", " ", text).split())
    text = re.split(r" For full helptext| Argument helptext:", text)[0]
    text = re.sub(r"^(Unrecognized options|Value error|Parsing error) (?=Unrecognized|Error|Missing)", "", text)
    text = re.sub(r" Perhaps you meant: (--[\w.-]+).*", r" (did you mean \1?)", text)
    return f"{text}; '{prog} --help' lists the options"


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
