"""Append-only files of JSON lines, whose end may be torn."""

import os
from pathlib import Path
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.links import open_in_place
from tvnjax.core.to_json import json_bytes, whole_number
from tvnjax.core.untrusted import LINE_LIMIT, LOG_LIMIT, NotJsonError, parse_json


class Lines:
    """A file that lines are added to and never changed.

    A process that died in the middle of a line leaves half of one; what is added later begins on a line of its own.

    Args:
        path: the file; made if it is not there.

    Raises:
        InvalidInputError: it is a link, or no file (see ``core.links``).
        OSError: it cannot be written.
    """

    def __init__(self, path: Path):
        self._path, self._descriptor = path, open_in_place(path)
        size = os.fstat(self._descriptor).st_size
        self.torn = False
        """Whether the last line is half a one."""
        if size:
            os.lseek(self._descriptor, size - 1, os.SEEK_SET)
            self.torn = os.read(self._descriptor, 1) != b"\n"

    def add(self, line: dict[str, Any], *, sync: bool = False) -> None:
        """Hands one line to the system, which keeps it if the process dies; with ``sync``, if the machine does too.

        Raises:
            OSError: it cannot be written; half of it may be there.
        """
        data = b"\n" * self.torn + json_bytes(line) + b"\n"
        self.torn = True
        try:
            _write(self._descriptor, data)
            self.torn = False
            if sync:
                os.fsync(self._descriptor)
        except OSError as error:
            error.filename = str(self._path)
            raise

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def append(path: Path, data: bytes) -> None:
    """Adds to a file that is never replaced, whatever it holds.

    Raises:
        InvalidInputError: it is a link, or no file (see ``core.links``).
        OSError: it cannot be written.
    """
    descriptor = open_in_place(path)
    try:
        _write(descriptor, data)
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    """Unbuffered: what a full disk refused must not be written later, as the file is closed."""
    while data:
        data = data[os.write(descriptor, data) :]


def read_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The JSON objects of a file, in order, and the number of lines that are none, or are outside the bounds of
    ``core.untrusted``.

    Raises:
        InvalidInputError: the file has more than ``LOG_LIMIT`` bytes.
        OSError: it cannot be read.
    """
    if not path.is_file():
        return [], 0
    found, unread = [], 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > LOG_LIMIT:
            raise InvalidInputError(f"a run's log has at most {LOG_LIMIT:,} bytes; {path} has {size:,}: begin anew")
        while data := file.readline(LINE_LIMIT + 1):
            whole = len(data) <= LINE_LIMIT
            while not data.endswith(b"\n") and (more := file.readline(LINE_LIMIT)):
                data = more
            line = _parsed(data) if whole else None
            if line is not None:
                found.append(line)
            else:
                unread += bool(data.strip()) or not whole
    return found, unread


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        # Half a line may end within a character.
        line = parse_json(data.decode("utf-8", errors="replace"))
    except NotJsonError:
        return None
    return line if isinstance(line, dict) else None


def history(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events that count: a run that went on told some again, and those it overtook are left out."""
    current: list[dict[str, Any]] = []
    for line in lines:
        if line.get("event") == "resumed":
            after = whole_number(line.get("after"))
            if after is not None:
                current = [old for old in current if (whole_number(old.get("seq")) or 0) <= after]
        current.append(line)
    return current
