"""Append-only files of JSON lines, whose end may be torn."""

import os
from pathlib import Path
from typing import Any

from tvnjax.core import outside
from tvnjax.core.printable import json_text


class Lines:
    """A file that lines are added to and never changed.

    A process that died in the middle of a line leaves half of one; what is added later begins on a line of its own.

    Args:
        path: the file; made if it is not there.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path):
        self._file = path.open("ab")
        size = self._file.tell()
        self.torn = False
        """Whether the last line was half a one."""
        if size:
            with path.open("rb") as file:
                file.seek(size - 1)
                self.torn = file.read(1) != b"\n"
        if self.torn:
            self._file.write(b"\n")

    def add(self, line: dict[str, Any], *, sync: bool = False) -> None:
        """Hands one line to the system, which keeps it if the process dies; with ``sync``, if the machine does too."""
        self._file.write(json_text(line).encode() + b"\n")
        self._file.flush()
        if sync:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def read_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The JSON objects of a file, in order, and the number of lines that are none.

    Raises:
        InvalidInputError: the file or one of its lines is too large, or cannot be read (``core.outside``).
    """
    if not path.is_file():
        return [], 0
    found, unread = [], 0
    for _, text in outside.read_lines(path, "a log"):
        try:
            # Half a line may end within a character.
            line = outside.parse_json(text.decode("utf-8", errors="replace"))
        except outside.NotJsonError:
            line = None
        if isinstance(line, dict):
            found.append(line)
        else:
            unread += 1
    return found, unread


def history(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events that count: a run that went on told some again, and those it overtook are left out."""
    current: list[dict[str, Any]] = []
    for line in lines:
        if line.get("event") == "resumed":
            after = line.get("after")
            if isinstance(after, int):
                current = [old for old in current if not (isinstance(old.get("seq"), int) and old["seq"] > after)]
        current.append(line)
    return current
