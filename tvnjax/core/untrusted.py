"""Text and JSON that others wrote: of bounded size and depth, or refused in one line.

What is within the bounds needs at most about 25 times its size of memory (JSON of nothing but empty objects).
"""

import contextlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.printable import printable

MIB = 1024**2
JSON_LIMIT = 16 * MIB
"""Bytes of a JSON file; what tvnjax writes has a hundredth of that."""
LINE_LIMIT = 4 * MIB
"""Bytes of one line of a log or a table."""
LOG_LIMIT = 256 * MIB
"""Bytes of a log or a table of one JSON object a line."""
MAX_DEPTH = 64
"""Lists and objects inside one another."""
SMALLEST, LARGEST = 1e-100, 1e100
"""Of a number's size, if it is not 0. Beyond them are no measurements; within them squares, sums and quotients stay
finite, in which no reader has to look after itself. The states of random generators have 39 digits."""
_MAX_DIGITS = 100
"""Of a whole number."""


class NotJsonError(InvalidInputError):
    """The text is no JSON, or outside the bounds; the message gives the reason alone, for the reader to say of what."""


def parse_json(text: str, *, not_finite: Literal["refuse", "null"] = "refuse") -> Any:
    """Parses JSON.

    Args:
        text: what to parse.
        not_finite: what becomes of the NaN and Infinity that Python writes, and of numbers out of range.

    Raises:
        NotJsonError: the text is no JSON, is nested deeper than ``MAX_DEPTH``, names a key twice, or holds a
            number that is not finite or out of range (``in_range``).
    """

    def fraction(digits: str) -> float | None:
        value = float(digits)
        if in_range(value):
            return value
        if not_finite == "null":
            return None
        size = f"not within {SMALLEST:g} and {LARGEST:g}" if math.isfinite(value) else "not finite"
        raise NotJsonError(f"the number {printable(digits, 60)} is {size}")

    def whole(digits: str) -> int | None:
        count = len(digits.lstrip("-"))
        if count <= _MAX_DIGITS:
            return int(digits)
        if not_finite == "null":
            return None
        raise NotJsonError(f"a whole number has {count} digits, more than {_MAX_DIGITS}")

    try:
        value = json.loads(
            text, parse_float=fraction, parse_constant=fraction, parse_int=whole, object_pairs_hook=_each_once
        )
    except json.JSONDecodeError as error:
        raise NotJsonError(f"line {error.lineno}: {error.msg}") from None
    except RecursionError:
        raise NotJsonError(f"it is nested more than {MAX_DEPTH} deep") from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    return value


def in_range(value: float) -> bool:
    """Whether a number is 0, or finite and neither too large nor too small to reckon with."""
    return value == 0 or SMALLEST <= abs(value) <= LARGEST


def require_portable(path: Path, what: str, *, written: bool = True) -> Path:
    r"""Refuses a path that Orbax, TFDS and XLA's cache cannot take.

    Their C++ parts know names in UTF-8 alone; TensorStore makes every backslash a slash, so that arrays end up in
    another folder; and what looks for files to finish a checkpoint takes ``[...]`` and ``**`` in the names of all
    folders above it for patterns, finds none, and leaves a checkpoint that nothing reads.

    Args:
        path: need not be there.
        what: its name in messages, such as ``a run's directory``.
        written: whether checkpoints or data sets are written there, or read alone.

    Raises:
        InvalidInputError: it, or a folder it is below, has such a name.
    """
    whole = str(path.absolute())
    found = ["a backslash"] if os.sep == "/" and "\\" in whole else []
    found += ["bytes that are no UTF-8"] if any("\ud800" <= character <= "\udfff" for character in whole) else []
    found += [mark for mark in ("[", "**") if mark in whole and written]
    if found:
        raise InvalidInputError(
            f"{what} is a path that Orbax takes; {whole} has {' and '.join(found)} in it: rename it, or name another"
        )
    return path


def read_json(path: Path) -> Any:
    """Parses a JSON file.

    Raises:
        InvalidInputError: there is no such file, it is too large (``JSON_LIMIT``), or it holds no JSON.
    """
    text = read_text(path, "what is read here")
    try:
        return parse_json(text)
    except NotJsonError as error:
        raise InvalidInputError(f"a file read here holds JSON; {path} does not ({error})") from None


def read_text(path: Path, what: str, limit: int = JSON_LIMIT) -> str:
    """The text of a file.

    Args:
        path: a file; what waits or never ends (a pipe, a device) is none.
        what: the file's name in messages, such as ``a genotype``.
        limit: bytes it may have.

    Raises:
        InvalidInputError: there is no such file, it cannot be read, is larger than ``limit``, or is no UTF-8.
    """
    with _opened(path, what, limit, "check the path") as file:
        content = file.read(limit)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{what} is text in UTF-8; {path} is not, at byte {error.start}: {error.reason}"
        ) from None


def read_lines(
    path: Path, what: str, limit: int = LOG_LIMIT, cure: str = "make it shorter"
) -> Iterator[tuple[int, bytes]]:
    """Number and content of each line of a file, line end included; blank lines are passed over.

    Args:
        path: a file; what waits or never ends (a pipe, a device) is none.
        what: the file's name in messages, such as ``a table``.
        limit: bytes it may have.
        cure: what to do about a file that is larger.

    Raises:
        InvalidInputError: there is no such file, it cannot be read, or it or one of its lines is too large.
    """
    with _opened(path, what, limit, cure) as file:
        number = 0
        while line := file.readline(LINE_LIMIT + 1):
            number += 1
            if len(line) > LINE_LIMIT:
                raise InvalidInputError(f"a line of {what} has at most {LINE_LIMIT:,} bytes; {path}, line {number}")
            if line.strip():
                yield number, line


@contextlib.contextmanager
def _opened(path: Path, what: str, limit: int, cure: str) -> Iterator[BinaryIO]:
    """A file of at most ``limit`` bytes; what goes wrong with it is said in one line."""
    try:
        if not path.is_file():
            raise InvalidInputError(f"{what} is a file; there is no {path}: check the path")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise InvalidInputError(f"{what} has at most {limit:,} bytes; {path} has {size:,}: {cure}")
            yield file
    except OSError as error:
        raise InvalidInputError(
            f"{what} is a file that can be read; {path}: {error.strerror}: check the path"
        ) from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise NotJsonError(f"it names {twice!r:.60} twice")
    return found


def _check_depth(value: Any) -> None:
    """Level by level, so that depth costs no recursion here, nor in whatever walks the value later."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return
        inner = (child for parent in level for child in (parent.values() if isinstance(parent, dict) else parent))
        level = [child for child in inner if isinstance(child, dict | list)]
    if level:
        raise NotJsonError(f"it is nested more than {MAX_DEPTH} deep")
