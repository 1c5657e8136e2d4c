"""What a run leaves on disk: JSON files, an event log, and nothing that has to be unpickled."""

import contextlib
import errno
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tvnjax.core.atomic import make_folders, remove_empty, sweep_partial, write_atomic
from tvnjax.core.environment import sweep_torn_programs
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.journal import Journal
from tvnjax.core.jsonl import Lines, read_lines
from tvnjax.core.links import refuse_links
from tvnjax.core.lock import LOCK_FILE, DirectoryLock
from tvnjax.core.to_json import json_file, jsonable, whole_number
from tvnjax.core.untrusted import read_json, require_portable

__all__ = ["RunDir", "jsonable", "read_json", "write_json"]

_NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
_CENTURY_S = 100 * 365.25 * 86400


def write_json(path: Path, data: Any) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never half of one, whatever dies meanwhile."""
    write_atomic(path, json_file(data))


class RunDir:
    """A run's directory: ``config.json``, ``events.jsonl``, ``stages/``, ``genotypes/``, ``checkpoints/``,
    ``results.json``; and the right to write in it, which no other process has meanwhile.

    Every event has a number. A run that goes on writes an event ``resumed`` that says ``after`` which of them it goes
    on; those between are told again (``history`` reads the log so).

    Args:
        path: the directory.
        resume: goes on in a directory of an earlier run.

    Raises:
        InvalidInputError: the directory holds something already and is not to be gone on with, cannot be made, is
            written by another process, or holds a link (see ``core.links``). Nothing is left of it then that was not
            there before.
    """

    def __init__(self, path: Path, *, resume: bool = False):
        self.path = require_portable(path, "a run's directory")
        self._made: list[Path] = []
        with contextlib.ExitStack() as undone:
            try:
                self._take(path, resume, undone)
                before, unread = read_lines(path / "events.jsonl")
                self._events = Lines(path / "events.jsonl")
            except InvalidInputError:
                raise
            except (OSError, ValueError) as error:
                # Of a path with a null character, which no system has, Python raises a ValueError.
                reason = error.strerror if isinstance(error, OSError) else error
                raise InvalidInputError(
                    f"a run needs a directory it can write; {path}: {reason}: name another with --out"
                ) from None
            undone.pop_all()
        if unread:
            warnings.warn(
                f"{path / 'events.jsonl'} has {unread} line{'s' if unread > 1 else ''} torn or damaged, passed over",
                stacklevel=2,
            )
        self.seq = max((whole_number(line.get("seq")) or 0 for line in before), default=0)
        """Number of the last event."""
        self._start = time.monotonic() - max((_seconds(line.get("elapsed")) for line in before), default=0.0)
        self._silent = bool(before)
        self._finished_seq = -1
        for file in (path / "stages").glob("*.json"):
            with contextlib.suppress(InvalidInputError):  # said when the stage goes on
                self._finished_seq = max(self._finished_seq, finished_seq(file))
        for file in (path / "stages").glob("*/journal.jsonl"):
            with warnings.catch_warnings(), contextlib.suppress(InvalidInputError):
                warnings.simplefilter("ignore")  # said when the stage goes on
                self._finished_seq = max(self._finished_seq, Journal(file).last_seq)

    def _take(self, path: Path, resume: bool, undone: contextlib.ExitStack) -> None:
        """The directory, this process's alone; what is undone if anything fails."""
        if os.path.lexists(path):
            refuse_links(path)
            if not path.is_dir() or (not resume and _holds_something(path)):
                raise InvalidInputError(
                    f"a run needs an empty directory; {path} already holds another run or other files: "
                    f"name another with --out"
                )
        self._made = make_folders(path)
        undone.callback(remove_empty, self._made)
        self.lock = DirectoryLock(path)
        undone.callback(self.lock.release)
        if self._made:
            undone.callback(self.lock.path.unlink, missing_ok=True)
        sweep_partial(path)
        if self.lock.broken:
            sweep_torn_programs(self.lock.last_alive)

    @property
    def elapsed(self) -> float:
        """Seconds since the run began, without those between its halves."""
        return time.monotonic() - self._start

    def event(self, kind: str, **fields: Any) -> None:
        """Appends one line to ``events.jsonl`` and hands it to the system at once."""
        self.goes_on_from(-1)
        self._write(kind, fields)

    def goes_on_from(self, seq: int) -> None:
        """Says after which event a run goes on, once: those behind it are told again.

        Args:
            seq: the event that what is gone on with was written after; that of the last finished stage counts if it
                is later.
        """
        if self._silent:
            self._silent = False
            self._write("resumed", {"after": max(seq, self._finished_seq, 0)})

    def close(self) -> None:
        self._events.close()
        self.lock.release()

    def discard(self) -> None:
        """Removes what the run left, and the folders made for it."""
        self.close()
        for item in self.path.iterdir():
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item, ignore_errors=True)
            else:
                item.unlink(missing_ok=True)
        remove_empty(self._made)

    def _write(self, kind: str, fields: dict[str, Any]) -> None:
        self.seq += 1
        line = {"event": kind, "elapsed": round(self.elapsed, 3), **jsonable(fields), "seq": self.seq}
        self._events.add(line)
        self.lock.alive()


@contextlib.contextmanager
def kept(begun: Path, hint: str) -> Iterator[None]:
    """While a run goes on: what the system refuses is said in one line, with how to go on afterwards.

    Args:
        begun: the file in the run's directory without which there is nothing to go on with.
        hint: such as ``go on with: COMMAND``.

    Raises:
        InvalidInputError: a file of the run, or one of the system's folders for all, cannot be written.
    """
    try:
        yield
    except OSError as error:
        name = str(error.filename or begun.parent)
        within = Path(os.path.abspath(name)).is_relative_to(os.path.abspath(begun.parent))
        if error.errno not in _NO_ROOM and not (within and error.strerror):
            raise
        then = f"{hint}; all that was finished is kept" if begun.is_file() else "begin again"
        raise InvalidInputError(
            f"a run writes files while it goes on; {name}: {error.strerror}: make room or give permission, then {then}"
        ) from None


def _holds_something(path: Path) -> bool:
    """Besides what a process leaves that was killed as it began."""
    begun = (LOCK_FILE, "events.jsonl")
    return any(item.name not in begun or (item.name != LOCK_FILE and item.stat().st_size) for item in path.iterdir())


def finished_seq(result: Path) -> int:
    """The number of the run's last event before a stage finished; -1 where its file does not say.

    Raises:
        InvalidInputError: the file cannot be read.
    """
    told = read_json(result)
    found = whole_number(told.get("seq")) if isinstance(told, dict) else None
    return -1 if found is None else found


def _seconds(value: Any) -> float:
    """Of a run that took less than a century; anything else is damage."""
    right = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _CENTURY_S
    return float(value) if right else 0.0
