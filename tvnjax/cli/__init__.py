"""The command line: ``tvnjax COMMAND``; a module for each command, imported when it is called."""

import os
import re
import sys
import warnings
from collections.abc import Sequence

from tvnjax import __version__
from tvnjax.cli import streams
from tvnjax.cli.commands import COMMANDS, usage
from tvnjax.core.environment import of_unkept_program
from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.printable import on_one_line, printable, say, standard_output


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
            print(usage())
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        say(f"tvnjax {__version__}")
        return 0
    if argv[0] in ("--install-completion", "--print-completion"):
        from tvnjax.cli.completion import completion_command

        return completion_command(argv)
    if argv[0] not in COMMANDS:
        raise InvalidInputError(
            f"a command is one of {', '.join(COMMANDS)}; got {argv[0]!r}{did_you_mean(argv[0], COMMANDS)}"
        )
    return COMMANDS[argv[0]].load()(argv[1:])
