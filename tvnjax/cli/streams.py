"""Standard output and error: closed, full, or a pipe that nobody reads any more."""

import contextlib
import io
import os
import select
import sys


def open_missing() -> None:
    """Gives every standard stream that was closed (``>&-``) a place, so that no file of ours gets its number and, with
    it, what C++ libraries print. What is written to a closed standard output fails, as it does in other programs;
    remarks to a closed standard error are dropped.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free is this one.
            os.open(os.devnull, os.O_WRONLY if descriptor == 2 else os.O_RDONLY)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may know less than UTF-8


def reader_has_gone() -> bool:
    """Whether standard output is a pipe whose other end is closed."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        asked = select.poll()
        asked.register(sys.stdout.fileno(), select.POLLOUT)
        return any(events & (select.POLLERR | select.POLLHUP) for _, events in asked.poll(0))
    return False


def drop_output() -> bool:
    """Writes out what was printed; where that fails it goes nowhere, since Python would try once more as it ends, and
    complain.

    Returns:
        Whether it failed.
    """
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
        return True
    return False
