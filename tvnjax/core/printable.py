"""Text from outside as text that a terminal, a page or a drawing shows and never obeys.

Names of files, classes, strategies and machines, messages of libraries and the command line itself may hold anything a
file system or a JSON file can: escape sequences that move a terminal's cursor, marks that turn the order of reading
round, line ends that forge a line of a log, bytes that are no UTF-8. All of it is shown as an escape that Python knows.
"""

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

NAME = 120
"""Characters of a name beside others, such as a cell's or a legend's."""
LINE = 2000
"""Characters of a line on the terminal; a path of Linux has up to 4,096 bytes."""

_HIDDEN = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: line ends, tabs, escape sequences
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u3164\uffa0"  # soft hyphen, fillers and other things unseen
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # order of reading, line ends, invisible marks
    "\ud800-\udfff\ufdd0-\ufdef"  # halves of characters: bytes that are no UTF-8; what is no character
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
    + "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # marks of shorthand and music, unseen too
    + "\U000e0000-\U000e0fff"  # tags
    "]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")


def printable(text: object, limit: int = LINE, keep: str = "") -> str:
    r"""Text with nothing hidden in it: control characters become ``\x1b``, marks of direction ``\u202e``, a byte of a
    file name that is no UTF-8 ``\xff``.

    Args:
        text: any text, or what ``str`` makes one of.
        limit: characters; of longer text the middle is left out, and about how much of it is said there.
        keep: characters that stay though they are hidden, such as the line ends of a block of code.
    """
    shown = _HIDDEN.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), str(text))
    if len(shown) <= limit:
        return shown
    left_out = f" [... {len(shown) - limit:,} more characters ...] "
    kept = max(limit - len(left_out), 2)
    end = kept // 3
    return f"{shown[: kept - end]}{left_out}{shown[len(shown) - end :]}"


def on_one_line(text: object) -> str:
    """A message in which a library may have set line ends: those fold to spaces, all else that is hidden is shown."""
    return printable(re.sub(r"[ \t\r\n]+", " ", str(text)).strip())


def say(text: object, *, error: bool = False) -> None:
    """Prints one line, on standard error where it is no result; what is hidden in the line is escaped.

    Raises:
        OSError: standard output cannot be written. A remark that standard error does not take is dropped: nobody
            listens, and the work goes on.
    """
    if not error:
        with standard_output():
            print(printable(text))
        return
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return


@contextlib.contextmanager
def standard_output() -> Iterator[None]:
    """Names what could not be written: errors of streams have no file's name."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = "standard output"
        raise


def json_text(value: Any, **options: Any) -> str:
    r"""JSON that UTF-8 can hold: readable, but for bytes of file names that are no text, which are ``\udc80`` to
    ``\udcff`` and come back as they were.

    Args:
        value: of plain values.
        options: of ``json.dumps``.
    """
    text = json.dumps(value, ensure_ascii=False, **options)
    return _SURROGATES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # the byte that Python read it from (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
