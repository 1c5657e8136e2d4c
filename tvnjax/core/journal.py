"""What a stage of a run has finished, in order: recalled instead of done again when the run goes on.

A stage is a plain loop. What in it takes long, or would come out otherwise a second time (a training, a measurement),
is written here before anything rests on it. When the run goes on, the loop runs again from its beginning and is handed
what is written, so it reaches the same place with the same state, whatever that state is made of.
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.jsonl import Lines, read_lines
from tvnjax.core.to_json import jsonable, whole_number


class OtherCourseError(InvalidInputError):
    """What goes on does something else than it did when the run began."""


class Journal:
    """Entries of one stage.

    A torn or damaged line ends what is recalled: it and what follows is done again, and a warning says so.

    Args:
        path: the file; ``None`` keeps nothing.
        seq: number of the last event of the run, to be kept with every entry (see ``RunDir``).
    """

    def __init__(self, path: Path | None = None, seq: Callable[[], int] = lambda: 0):
        self._path, self._seq = path, seq
        self._entries: list[dict[str, Any]] = []
        self._next = self._count = 0
        self._lines: Lines | None = None
        if path is not None and path.exists():
            self._read(path)

    @classmethod
    def of(cls, entries: Sequence[dict[str, Any]]) -> "Journal":
        """One in memory, that goes on from the entries of another."""
        journal = cls()
        journal._entries, journal._count = list(entries), len(entries)
        return journal

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Those that were there when it was opened, in order."""
        return list(self._entries)

    @property
    def replaying(self) -> bool:
        """Whether entries are left that were not recalled yet."""
        return self._next < len(self._entries)

    @property
    def upcoming(self) -> str | None:
        """What the next entry to recall is of."""
        return self._entries[self._next]["op"] if self.replaying else None

    @property
    def upcoming_key(self) -> str:
        return self._entries[self._next]["key"] if self.replaying else ""

    @property
    def last_seq(self) -> int:
        """Number of the last event before the last entry; -1 without entries."""
        return self._entries[-1]["seq"] if self._entries else -1

    def recall(self, op: str, key: str) -> Any | None:
        """What the next entry says; ``None`` where all entries have been recalled.

        Raises:
            OtherCourseError: the next entry is of something else: other software, or another place in the run.
        """
        if not self.replaying:
            return None
        entry = self._entries[self._next]
        if (entry["op"], entry["key"]) != (op, key):
            raise self.other_course(f"it is '{op} {key}'")
        self._next += 1
        return entry["value"]

    def other_course(self, now: str) -> OtherCourseError:
        """What is said where something else happens than what comes next.

        Args:
            now: what happens instead.
        """
        return OtherCourseError(
            f"a run goes on with the software it began with; {self._path} says that '{self.upcoming} "
            f"{self.upcoming_key}' came next, now {now}: use the version it was begun with, or begin anew"
        )

    def recall_all(self) -> dict[str, Any]:
        """All entries by their keys, for a journal whose order says nothing."""
        self._next = len(self._entries)
        return {entry["key"]: entry["value"] for entry in self._entries}

    def add(self, op: str, key: str, value: Any) -> None:
        """Keeps what was done; it is on the disk when this returns."""
        entry = {"n": self._count, "op": op, "key": key, "value": jsonable(value), "seq": self._seq()}
        self._count += 1
        if self._path is None:
            return
        if self._lines is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lines = Lines(self._path)
        self._lines.add(entry | {"digest": digest_of(entry)}, sync=True)

    def close(self) -> None:
        if self._lines is not None:
            self._lines.close()
            self._lines = None

    def _read(self, path: Path) -> None:
        lines, unread = read_lines(path)
        for line in lines:
            digest = line.pop("digest", None)
            if _has_form(line) and digest == digest_of(line) and line["n"] <= len(self._entries):
                # After damage a run went on from before it: later lines of the same numbers are those that count.
                del self._entries[line["n"] :]
                self._entries.append(line)
            else:
                unread += 1
        self._count = len(self._entries)
        if unread:
            warnings.warn(
                f"{path} has {unread} line{'s' if unread > 1 else ''} torn or damaged; the run goes on from the last "
                "good one",
                stacklevel=2,
            )


def _has_form(line: dict[str, Any]) -> bool:
    """Whether a line that was read has what an entry has, each of its kind."""
    counts, words = (line.get("n"), line.get("seq")), (line.get("op"), line.get("key"))
    right = all(whole_number(count) is not None for count in counts) and all(isinstance(word, str) for word in words)
    return right and "value" in line


def digest_of(value: Any) -> str:
    """Tells plain values apart; they are the same before they are written and after they are read."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
