"""One writer a directory: a lock that names its owner and outlives it by nothing.

The lock is the kernel's (``flock``), which lets go of it when the owner dies, by ``kill -9`` too. The packages for this
(filelock, portalocker) do the same, but empty the file as they open it, so that it cannot say who owns it.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.links import open_in_place
from tvnjax.core.to_json import json_bytes, whole_number
from tvnjax.core.untrusted import NotJsonError, parse_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK_FILE = ".lock"
_MOST_BYTES = 64 * 1024
"""Of a lock's file; what is written there has 300, and a path."""
_SILENT_S = 120.0
"""Seconds without a sign of life after which an owner on another machine counts as dead. Nothing better can be known
from here: file systems that machines share need not hand on locks."""


class DirectoryLock:
    """The right to write in a directory.

    Args:
        folder: the directory; it exists.

    Raises:
        InvalidInputError: another process has it; the message names it. Or no file of the directory's own stands in
            its lock's place (see ``core.links``).
        OSError: the lock's file cannot be written.
    """

    def __init__(self, folder: Path):
        self.path = folder / LOCK_FILE
        self._descriptor = open_in_place(self.path)
        try:
            self._take(folder)
        except BaseException:
            os.close(self._descriptor)
            self._descriptor = -1
            raise

    def _take(self, folder: Path) -> None:
        owner, found = _read(self._descriptor, self.path), os.fstat(self._descriptor)
        taken = _lock(self._descriptor, exclusive=True)
        # Removed by its owner after it was opened here: another may have made it anew.
        removed = taken and not (self.path.exists() and os.path.samestat(found, self.path.stat()))
        if not taken or removed or _alive(owner, time.time() - found.st_mtime):
            raise _written(folder, owner)
        self.broken = owner
        """The dead owner it was taken from, if there was one."""
        self.last_alive = found.st_mtime - _SILENT_S
        """A moment at which that owner was alive."""
        started = process_start(os.getpid())
        named = {"pid": os.getpid(), "host": socket.gethostname(), "started": started, **_place(found, self.path)}
        try:
            self._write(named)
        except OSError:
            if not found.st_size:  # as good as made here: on a full disk nothing is left
                self.path.unlink(missing_ok=True)
            raise
        self._touched = time.monotonic()

    def alive(self) -> None:
        """A sign of life, for owners on other machines."""
        if time.monotonic() - self._touched > _SILENT_S / 10:
            self._touched = time.monotonic()
            with contextlib.suppress(OSError):
                os.utime(self._descriptor if os.utime in os.supports_fd else self.path)

    def release(self) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self._write(None)
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, owner: dict[str, Any] | None) -> None:
        os.truncate(self._descriptor, 0)
        if owner is not None:
            os.write(self._descriptor, json_bytes(owner) + b"\n")


@contextlib.contextmanager
def unwritten(folder: Path) -> Iterator[None]:
    """Nobody writes in a directory meanwhile, and it is left as it is: for whoever copies it.

    Raises:
        InvalidInputError: a process writes there; the message names it.
        OSError: the lock's file is there and cannot be read.
    """
    path = folder / LOCK_FILE
    with contextlib.ExitStack() as stack:
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            stack.callback(os.close, descriptor)
            owner, silent_s = _read(descriptor, path), time.time() - os.fstat(descriptor).st_mtime
            if not _lock(descriptor, exclusive=False) or _alive(owner, silent_s):
                raise _written(folder, owner)
        yield


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


def _lock(descriptor: int, *, exclusive: bool) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks: who owns it is then all there is to go by.
        return True
    return True


def _alive(owner: dict[str, Any], silent_s: float) -> bool:
    """Whether an owner whose lock could be taken is there all the same: on file systems that do not keep locks."""
    if not owner:
        return False
    pid = owner["pid"]
    if owner.get("host") != socket.gethostname():
        return silent_s < _SILENT_S
    started = process_start(pid)
    if started is None and not Path("/proc/self/stat").exists():
        with contextlib.suppress(OSError):
            os.kill(pid, 0)
            return pid != os.getpid()
        return False
    return started is not None and started == owner.get("started") and pid != os.getpid()


def _place(found: os.stat_result, path: Path) -> dict[str, Any]:
    """Where a lock's file is, so that a copy of it can be told apart."""
    return {"device": found.st_dev, "inode": found.st_ino, "path": os.path.realpath(path)}


def _is_copy(owner: dict[str, Any], found: os.stat_result, path: Path) -> bool:
    """Whether the owner of a lock's file owns another one: its directory was copied with what the file said.

    Some file systems number files anew from time to time, and machines see one directory under several paths: it takes
    both to be another to be a copy.
    """
    here = _place(found, path)
    if any(name not in owner for name in here) or owner["path"] == here["path"]:
        return False
    names = ("device", "inode") if owner.get("host") == socket.gethostname() else ("inode",)
    return any(owner[name] != here[name] for name in names)


def _read(descriptor: int, path: Path) -> dict[str, Any]:
    """The owner a lock's file names; empty where it names none, is damaged, or is a copy of another's."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        owner = parse_json(os.read(descriptor, _MOST_BYTES).decode())
    except (NotJsonError, UnicodeDecodeError):
        return {}
    pid = whole_number(owner.get("pid")) if isinstance(owner, dict) else None
    if pid is None or not 0 < pid < 2**31 or _is_copy(owner, os.fstat(descriptor), path):
        return {}
    return owner


def _written(folder: Path, owner: dict[str, Any]) -> InvalidInputError:
    if owner:
        host = owner.get("host")
        known = isinstance(host, str) and host.isprintable() and len(host) < 256
        named = f"process {owner['pid']} on {host if known else 'another machine'}"
    else:
        named = "another process"
    return InvalidInputError(
        f"one process at a time writes a run's directory; {folder} is written by {named}: wait for it, stop it, or "
        "name another directory"
    )
