"""One writer a directory: a lock that names its owner and outlives it by nothing.

The lock is the kernel's (``flock``), which lets go of it when the owner dies, by ``kill -9`` too. The packages for this
(filelock, portalocker) do the same, but empty the file as they open it, so that it cannot say who owns it.
"""

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import IO, Any

from tvnjax.core.errors import InvalidInputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK_FILE = ".lock"
_SILENT_S = 120.0
"""Seconds without a sign of life after which an owner on another machine counts as dead. Nothing better can be known
from here: file systems that machines share need not hand on locks."""


class DirectoryLock:
    """The right to write in a directory.

    Args:
        folder: the directory; it exists.

    Raises:
        InvalidInputError: another process has it; the message names it.
        OSError: the lock's file cannot be written.
    """

    def __init__(self, folder: Path):
        self.path = folder / LOCK_FILE
        file = self.path.open("a+", encoding="utf-8")
        owner = _read(file)
        if not _take(file) or _alive(owner, time.time() - self.path.stat().st_mtime):
            file.close()
            raise InvalidInputError(
                f"one process at a time writes a run's directory; {folder} is written by {_named(owner)}: wait for it, "
                "stop it, or name another directory"
            )
        self.broken = owner
        """The dead owner it was taken from, if there was one."""
        self.last_alive = self.path.stat().st_mtime - _SILENT_S
        """A moment at which that owner was alive."""
        self._file: IO[str] | None = file
        self._write({"pid": os.getpid(), "host": socket.gethostname(), "started": process_start(os.getpid())})
        self._touched = time.monotonic()

    def alive(self) -> None:
        """A sign of life, for owners on other machines."""
        if time.monotonic() - self._touched > _SILENT_S / 10:
            self._touched = time.monotonic()
            with contextlib.suppress(OSError):
                os.utime(self.path)

    def release(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._write(None)
            self._file.close()
            self._file = None

    def _write(self, owner: dict[str, Any] | None) -> None:
        assert self._file is not None
        self._file.seek(0)
        self._file.truncate()
        if owner is not None:
            self._file.write(json.dumps(owner) + "\n")
        self._file.flush()


def process_start(pid: int) -> str | None:
    """When a process of this machine began, in the system's own units: a process id is used again, this with it is not.

    ``None`` where there is no such process, or the system does not tell.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        # The name of the program, in brackets, may hold spaces; the 20th field behind it is the start.
        return f"{boot}-{Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]}"
    except (OSError, IndexError):
        return None


def _take(file: IO[str]) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks: who owns it is then all there is to go by.
        return True
    return True


def _alive(owner: dict[str, Any], silent_s: float) -> bool:
    """Whether an owner whose lock could be taken is there all the same: on file systems that do not keep locks."""
    pid = owner.get("pid")
    if not isinstance(pid, int):
        return False
    if owner.get("host") != socket.gethostname():
        return silent_s < _SILENT_S
    started = process_start(pid)
    if started is None and not Path("/proc/self/stat").exists():
        with contextlib.suppress(OSError):
            os.kill(pid, 0)
            return pid != os.getpid()
        return False
    return started is not None and started == owner.get("started") and pid != os.getpid()


def _read(file: IO[str]) -> dict[str, Any]:
    file.seek(0)
    try:
        owner = json.loads(file.read())
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}


def _named(owner: dict[str, Any]) -> str:
    if not isinstance(owner.get("pid"), int):
        return "another process"
    return f"process {owner['pid']} on {owner.get('host')}"
