"""What a run leaves on disk: JSON files, an event log, and nothing that has to be unpickled."""

import contextlib
import shutil
import time
import warnings
from pathlib import Path
from typing import Any

from tvnjax.core.atomic import sweep_partial, write_atomic
from tvnjax.core.environment import sweep_torn_programs
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.journal import Journal
from tvnjax.core.lines import Lines, read_lines
from tvnjax.core.lock import LOCK_FILE, DirectoryLock
from tvnjax.core.outside import read_json, require_portable
from tvnjax.core.plain import jsonable
from tvnjax.core.printable import json_text

__all__ = ["RunDir", "jsonable", "read_json", "write_json"]


def write_json(path: Path, data: Any) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never half of one, whatever dies meanwhile."""
    write_atomic(path, (json_text(jsonable(data), indent=1) + "\n").encode())


class RunDir:
    """A run's directory: ``config.json``, ``events.jsonl``, ``stages/``, ``genotypes/``, ``checkpoints/``,
    ``results.json``; and the right to write in it, which no other process has meanwhile.

    Every event has a number. A run that goes on writes an event ``resumed`` that says ``after`` which of them it goes
    on; those between are told again (``history`` reads the log so).

    Args:
        path: the directory.
        resume: goes on in a directory of an earlier run.

    Raises:
        InvalidInputError: the directory holds something already and is not to be gone on with, cannot be made, or is
            written by another process.
    """

    def __init__(self, path: Path, *, resume: bool = False):
        self.path = require_portable(path, "a run's directory")
        self._made = [folder for folder in (path, *path.parents) if not folder.exists()]
        try:
            if path.exists() and (not path.is_dir() or (not resume and _holds_something(path))):
                raise InvalidInputError(
                    f"a run needs an empty directory; {path} already holds another run or other files: "
                    f"name another with --out"
                )
            path.mkdir(parents=True, exist_ok=True)
            self.lock = DirectoryLock(path)
            sweep_partial(path)
            if self.lock.broken:
                sweep_torn_programs(self.lock.last_alive)
            before, unread = read_lines(path / "events.jsonl")
            self._events = Lines(path / "events.jsonl")
        except OSError as error:
            raise InvalidInputError(
                f"a run needs a directory it can write; {path}: {error.strerror}: name another with --out"
            ) from None
        if unread:
            warnings.warn(
                f"{path / 'events.jsonl'} has {unread} line{'s' if unread > 1 else ''} torn or damaged, passed over",
                stacklevel=2,
            )
        self.seq = max((_whole(line.get("seq")) for line in before), default=0)
        """Number of the last event."""
        self._start = time.monotonic() - max((_seconds(line.get("elapsed")) for line in before), default=0.0)
        self._silent = bool(before)
        self._finished_seq = -1
        for file in (path / "stages").glob("*.json"):
            with contextlib.suppress(InvalidInputError, AttributeError):  # said when the stage goes on
                self._finished_seq = max(self._finished_seq, _whole(read_json(file).get("seq")))
        for file in (path / "stages").glob("*/journal.jsonl"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # said when the stage goes on
                self._finished_seq = max(self._finished_seq, Journal(file).last_seq)

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
            shutil.rmtree(item) if item.is_dir() else item.unlink()
        for folder in self._made:
            if not any(folder.iterdir()):
                folder.rmdir()

    def _write(self, kind: str, fields: dict[str, Any]) -> None:
        self.seq += 1
        line = {"event": kind, "elapsed": round(self.elapsed, 3), **jsonable(fields), "seq": self.seq}
        self._events.add(line)
        self.lock.alive()


def _holds_something(path: Path) -> bool:
    """Besides what a process leaves that was killed as it began."""
    begun = (LOCK_FILE, "events.jsonl")
    return any(item.name not in begun or (item.name != LOCK_FILE and item.stat().st_size) for item in path.iterdir())


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else -1


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
