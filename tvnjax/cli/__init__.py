"""The command line: ``tvnjax COMMAND``; a module for each command, imported when it is called."""

import importlib
import os
import re
import sys
import warnings
from collections.abc import Sequence

from tvnjax import __version__
from tvnjax.cli import streams
from tvnjax.core.environment import of_unkept_program
from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.printable import on_one_line, printable, say, standard_output

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
    """Runs one command.

    Returns:
        The exit status: 0; 2 for input that breaks a rule, a file that cannot be read or written, standard output
        included, and memory that is not there, with one line that says which; 130 for Ctrl-C, 143 for SIGTERM, and 141
        where what reads the output has gone (``| head``), as a shell reports these signals. Other errors are mistakes
        of the program and show where they happened; with ``TVNJAX_TRACEBACK=1`` all do.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    streams.open_missing()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            # What is skipped, guessed or replaced is said each time, whatever filters are set around.
            warnings.filterwarnings("always", module="tvnjax")
            try:
                return _dispatch(argv)
            finally:
                if not isinstance(sys.exception(), Exception):  # help ends with SystemExit
                    # Said here while it can be: a full disk shows when the last of the output is written.
                    with standard_output():
                        sys.stdout.flush()
    except KeyboardInterrupt as stopped:
        say("stopped", error=True)
        return getattr(stopped, "status", 130)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and streams.reader_has_gone():
            streams.drop_output()
            return 141
        if streams.drop_output() and isinstance(error, OSError) and error.filename is None:
            error.filename = "standard output"
        told = _told(error)
        if told is None or os.environ.get("TVNJAX_TRACEBACK"):
            raise
        say(f"error: {told}", error=True)
        return 2


def _told(error: Exception) -> str | None:
    """One line for what is no mistake of the program; ``None`` for what is.

    Commands check what they are given and say more than this; here ends what none of them foresaw, such as a disk that
    is full between two checks.
    """
    if isinstance(error, InvalidInputError):
        return on_one_line(error)
    if isinstance(error, OSError) and not isinstance(error, ConnectionError | ChildProcessError | ProcessLookupError):
        reason = error.strerror or str(error) or type(error).__name__
        if error.filename is None:
            return f"a file could not be read or written: {reason}"
        names = " to ".join(printable(os.fspath(n)) for n in (error.filename, error.filename2) if n is not None)
        return f"a file could not be read or written: {names}: {reason}"
    if isinstance(error, UnicodeEncodeError) and re.search("[\ud800-\udfff]", error.object):
        return f"a name has bytes that are no UTF-8, which this cannot take: {printable(error.object, 200)}; rename it"
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" in str(error)):
        return f"there is not enough memory: {error or 'an allocation was refused'}"
    if isinstance(error, OverflowError):
        return f"a number is out of range: {error}"
    if isinstance(error, RecursionError):
        return f"something given is nested too deep: {error}"
    return None


def _show_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
    """One line, without the place in the source."""
    if (told := of_unkept_program(str(message))) is not None:
        say(f"warning: {on_one_line(told)}", error=True)


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        with standard_output():
            print(_usage())
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        say(f"tvnjax {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        raise InvalidInputError(
            f"a command is one of {', '.join(COMMANDS)}; got {argv[0]!r}{did_you_mean(argv[0], COMMANDS)}"
        )
    module, function = COMMANDS[argv[0]][0].split(":")
    return getattr(importlib.import_module(f"tvnjax.cli.{module}"), function)(argv[1:])


def _usage() -> str:
    from tvnjax.running.config import PRESETS

    calls = {name: f"tvnjax {name} {arguments}" for name, (_, arguments, _) in COMMANDS.items()}
    width = max(map(len, calls.values()))
    commands = "\n".join(f"  {calls[name]:<{width}}  {does}" for name, (_, _, does) in COMMANDS.items())
    presets = "".join(f"\n  {name:<8} {line}" for name, (line, _) in PRESETS.items())
    return USAGE.format(commands=commands, presets=presets)
