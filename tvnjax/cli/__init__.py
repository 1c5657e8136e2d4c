"""The command line: ``tvnjax COMMAND``; a module for each command, imported when it is called."""

import importlib
import io
import sys
import warnings
from collections.abc import Sequence

from tvnjax import __version__
from tvnjax.core.errors import InvalidInputError, did_you_mean

COMMANDS: dict[str, tuple[str, str, str]] = {
    "run": (
        "run:run_command",
        "PRESET [options] | --resume DIR",
        "search, retrain, compare; leaves a run directory with report.html",
    ),
    "manifest": (
        "manifest:manifest_command",
        "LAYOUT FILE... --videos DIR",
        "a manifest of a published set (UCF101, Kinetics, ...) from its annotation files",
    ),
    "profile": ("profile:profile_command", "[PRESET] [options]", "measure a runtime for a preset's search space"),
    "measure": ("measure:measure_command", "NAME|FILE... [options]", "time whole networks, and count them"),
    "report": ("run:report_command", "RUN_DIR", "write a run directory's report again"),
    "zoo": ("zoo:zoo_command", "[NAME ...] [options]", "list the networks of the papers: counts, and latency here"),
    "tables": (
        "tables:tables_command",
        "[TABLE ...] [options]",
        "the paper's comparisons again: its figures beside counts, and latency here",
    ),
    "show": ("show:show_command", "NAME|FILE [options]", "a network block by block, as a table or a drawing"),
    "diff": ("compare_genotypes:diff_command", "A B", "what two genotypes differ in"),
    "scale": (
        "compare_genotypes:scale_command",
        "FILE [options]",
        "a larger or smaller relative of a genotype, and its cost",
    ),
    "train": ("train:train_command", "NAME|FILE --data ... [options]", "train any network on any set of clips"),
    "evaluate": ("train:evaluate_command", "RUN|CKPT --data ... [options]", "score a trained network"),
    "ensemble": ("train:ensemble_command", "RUN|CKPT ... --data ...", "the mean of several networks' logits"),
    "compare": ("compare:compare_command", "RUN... --out DIR", "compare strategies over runs and seeds, on one page"),
    "record": ("replay:record_command", "RUN... --out FILE", "write a table of every network that some runs trained"),
    "replay": ("replay:replay_command", "TABLE [options]", "run strategies on a table instead of by training"),
    "export": (
        "export:export_command",
        "NAME|FILE --checkpoint ... [options]",
        "write a trained network for another runtime: StableHLO, ONNX, TFLite",
    ),
}
"""For each command: where its function is, its arguments, and what it does."""

USAGE = """usage: tvnjax COMMAND ...

Finds Tiny Video Networks by gradient under a measured latency budget, beside evolution and random search.

{commands}

Presets: {presets}
'tvnjax run PRESET --help' lists every option with its default.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0, or 2 for input that breaks a rule, 130 for Ctrl-C, 143 for
    SIGTERM."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return _dispatch(argv)
    except InvalidInputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print("stopped", file=sys.stderr)
        return getattr(stopped, "status", 130)


def _show_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
    """One line, without the place in the source."""
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        print(f"tvnjax {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        raise InvalidInputError(
            f"a command is one of {', '.join(COMMANDS)}; got {argv[0]!r}{did_you_mean(argv[0], COMMANDS)}"
        )
    module, function = COMMANDS[argv[0]][0].split(":")
    return getattr(importlib.import_module(f"tvnjax.cli.{module}"), function)(argv[1:])


def _usage() -> str:
    from tvnjax.config import PRESETS

    calls = {name: f"tvnjax {name} {arguments}" for name, (_, arguments, _) in COMMANDS.items()}
    width = max(map(len, calls.values()))
    commands = "\n".join(f"  {calls[name]:<{width}}  {does}" for name, (_, _, does) in COMMANDS.items())
    presets = "".join(f"\n  {name:<8} {line}" for name, (line, _) in PRESETS.items())
    return USAGE.format(commands=commands, presets=presets)
