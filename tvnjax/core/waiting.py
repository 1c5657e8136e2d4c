"""Files that processes share and change in turn: one waits for the other."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tvnjax.core.links import open_in_place

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

TURN_FILE = ".turn"


@contextlib.contextmanager
def taking_turns(folder: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """One process at a time has a folder's turn; others wait until it is done or dead.

    The kernel's lock (``flock``), as in ``core.lock``, whose owner is named and refused to others: here nobody is
    refused. On file systems without locks nobody waits; what is written there has to be whole at any moment anyway.

    Args:
        folder: made if it is not there.
        waiting: called once if another process has the turn.

    Raises:
        InvalidInputError: a link stands in the place of the lock's file (see ``core.links``).
        OSError: the lock's file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = open_in_place(folder / TURN_FILE)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is not None:
                    waiting()
                # A signal ends the waiting: Python calls its handlers, and goes on waiting only if none of them raises.
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError:
                pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)
