"""What a built set of clips holds, in a file beside it: the origin of each clip, and the sizes of the set's files.

The file is written last. A set without it, or whose files have other sizes, was not finished or was changed since, and
is built again.
"""

import functools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tvnjax.core.atomic import write_atomic
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.outside import parse_json, read_lines

CONTENTS_FILE = "contents.jsonl"

_ORIGIN = re.compile(r"(?:[^\[\]]{0,64}\[[0-9]{1,12}:[0-9]{0,12}\])?")

Origins = Mapping[str, Sequence[tuple[str, str]]]
"""By split, in the order of the clips: the name and the origin of each (see :class:`tvnjax.data.recipe.Clip`)."""


def write_contents(directory: Path, fingerprint: str, origins: Origins) -> None:
    """Says that a set is finished, and what is in it.

    Raises:
      OSError: it cannot be written.
    """
    header = {"fingerprint": fingerprint, "files": _sizes(directory)}
    rows = [[split, *clip] for split, clips in origins.items() for clip in clips]
    text = "".join(json.dumps(line) + "\n" for line in (header, *rows))
    write_atomic(directory / CONTENTS_FILE, text.encode())
    read_origins.cache_clear()


def is_whole(directory: Path, fingerprint: str) -> bool:
    """Whether a set is finished, of this fingerprint, and its files have the sizes they were written with."""
    try:
        _, line = next(read_lines(directory / CONTENTS_FILE, "the contents of a set of clips"))
        header = parse_json(line.decode())
        return header["fingerprint"] == fingerprint and header["files"] == _sizes(directory)
    except (InvalidInputError, StopIteration, UnicodeDecodeError, KeyError, TypeError, OSError):
        return False


def copy_contents(directory: Path, file: Path) -> None:
    """Keeps with a run which clips it had, each with its split and the content it is cut from.

    Raises:
      OSError: it cannot be written.
    """
    write_atomic(file, (directory / CONTENTS_FILE).read_bytes())


def shared(clips: Sequence[tuple[str, str]], others: Iterable[tuple[str, str]]) -> list[str]:
    """Names of the clips that have frames of the same content as some of the others; drawn clips have none."""
    spans: dict[str, list[tuple[int, float]]] = {}
    for _, origin in others:
        if origin:
            digest, start, end = _origin(origin)
            spans.setdefault(digest, []).append((start, end))
    found = []
    for name, origin in clips:
        if origin:
            digest, start, end = _origin(origin)
            if any(start < theirs and first < end for first, theirs in spans.get(digest, ())):
                found.append(name)
    return found


def _origin(origin: str) -> tuple[str, int, float]:
    digest, _, frames = origin.rstrip("]").partition("[")
    start, _, end = frames.partition(":")
    return digest, int(start or 0), int(end) if end else math.inf


@functools.lru_cache(maxsize=8)
def read_origins(file: Path) -> dict[str, list[tuple[str, str]]]:
    """Names and origins of the clips of a finished set, by split.

    Raises:
      InvalidInputError: the file is gone or damaged.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for number, line in read_lines(file, "the contents of a set of clips"):
        if number == 1:
            continue
        row = parse_json(line.decode(errors="replace"))
        right = isinstance(row, list) and len(row) == 3 and all(isinstance(part, str) for part in row)
        if not right or not _ORIGIN.fullmatch(row[2]):
            raise InvalidInputError(
                f"the contents of a set of clips name split, clip and origin; line {number} of "
                f"{file} does not: remove its folder to have the clips made again"
            )
        found.setdefault(row[0], []).append((row[1], row[2]))
    return found


def _sizes(directory: Path) -> dict[str, int]:
    """Bytes of the files that hold clips."""
    return {path.name: path.stat().st_size for path in sorted(directory.glob("*.array_record*"))}
