"""What a built set of clips holds, in a file beside it: the origin of each clip, and the digests of the set's files.

The file is written last. A set without it was not finished; one whose files are not those that were written, shards of
clips as well as what TFDS says of them, was changed since. Both are built again.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tvnjax.core.atomic import write_atomic
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.untrusted import NotJsonError, parse_json, read_lines
from tvnjax.data.content import digests_of
from tvnjax.data.recipe import Progress

CONTENTS_FILE = "contents.jsonl"

_ORIGIN = re.compile(r"(?:[^\[\]]{0,64}\[[0-9]{1,12}:[0-9]{0,12}\])?")

Origins = Mapping[str, Sequence[tuple[str, str]]]
"""By split, in the order of the clips: the name and the origin of each (see :class:`tvnjax.data.recipe.Clip`)."""


def write_contents(directory: Path, fingerprint: str, origins: Origins) -> None:
    """Says that a set is finished, and what is in it.

    Raises:
      OSError: it cannot be written.
    """
    rows = "".join(json.dumps([split, *clip]) + "\n" for split, clips in origins.items() for clip in clips).encode()
    names = [path.name for path in _files(directory)]
    digests = digests_of(directory, names)
    files = {path.name: [path.stat().st_size, digests[path.name]] for path in _files(directory)}
    header = {"fingerprint": fingerprint, "files": files, "rows": hashlib.sha256(rows).hexdigest()}
    write_atomic(directory / CONTENTS_FILE, json.dumps(header).encode() + b"\n" + rows)


def is_whole(directory: Path, fingerprint: str, progress: Progress | None = None, *, by_size: bool = False) -> bool:
    """Whether a set is finished, of this fingerprint, and its files are those that were written.

    Args:
      progress: called with the number of files done and of all, after each.
      by_size: their sizes are enough: for a process whose run has just compared their contents.
    """
    try:
        _, line = next(read_lines(directory / CONTENTS_FILE, "the contents of a set of clips"))
        header = parse_json(line.decode())
        if header["fingerprint"] != fingerprint:
            return False
        written, found = header["files"], {path.name: path.stat().st_size for path in _files(directory)}
        if found != {name: size for name, (size, _) in written.items()}:
            return False
        if by_size:
            return True
        rows = (directory / CONTENTS_FILE).read_bytes().partition(b"\n")[2]
        if hashlib.sha256(rows).hexdigest() != header["rows"]:
            return False
        return digests_of(directory, written, progress) == {name: digest for name, (_, digest) in written.items()}
    except (InvalidInputError, StopIteration, ValueError, KeyError, TypeError, AttributeError, FileNotFoundError):
        return False


def copy_contents(directory: Path, file: Path) -> None:
    """Keeps with a run which clips it had, each with its split and the content it is cut from.

    Raises:
      OSError: it cannot be written.
    """
    write_atomic(file, (directory / CONTENTS_FILE).read_bytes())


def what_changed(file: Path, now: Origins) -> str:
    """How clips differ from those a run kept with ``copy_contents``, in words: which are others, gone, new, or in
    another split.
    """
    try:
        before = read_origins(file)
    except InvalidInputError:
        return f"{file.name} of the run cannot be read, so which clips are others is not known"
    theirs, ours = _by_name(before), _by_name(now)
    both = [name for name in theirs if name in ours]
    frames = {name: [sorted(origin for origin, _ in of[name]) for of in (theirs, ours)] for name in both}
    other = [name for name in both if frames[name][0] != frames[name][1]]
    parts = {
        "with other frames": other,
        "in another split": [name for name in both if name not in set(other) and theirs[name] != ours[name]],
        "missing": [name for name in theirs if name not in ours],
        "new": [name for name in ours if name not in theirs],
    }
    told = [f"{len(names):,} {what} (first {names[0]!r:.100})" for what, names in parts.items() if names]
    if told:
        return f"of its clips {'; '.join(told)}"
    return "its clips are of the same frames, but what shapes or labels them is not what it was"


def _by_name(origins: Origins) -> dict[str, list[tuple[str, str]]]:
    """Origin and split of the clips of each name; rows that stand twice share one."""
    found: dict[str, list[tuple[str, str]]] = {}
    for split, clips in origins.items():
        for name, origin in clips:
            found.setdefault(name, []).append((origin, split))
    return {name: sorted(all_of) for name, all_of in found.items()}


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


def read_origins(file: Path) -> dict[str, list[tuple[str, str]]]:
    """Names and origins of the clips of a finished set, by split.

    Raises:
      InvalidInputError: the file is gone, damaged, or was changed since it was written.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    header, digest, rule = None, hashlib.sha256(), "the contents of a set of clips name split, clip and origin"
    remedy = "remove its folder to have the clips made again"
    for number, line in read_lines(file, "the contents of a set of clips"):
        try:
            row = parse_json(line.decode(errors="replace"))
        except NotJsonError as error:
            raise InvalidInputError(f"{rule}; line {number} of {file} does not ({error}): {remedy}") from None
        if number == 1:
            header = row
            continue
        digest.update(line)
        right = isinstance(row, list) and len(row) == 3 and all(isinstance(part, str) for part in row)
        if not right or not _ORIGIN.fullmatch(row[2]):
            raise InvalidInputError(f"{rule}; line {number} of {file} does not: {remedy}")
        found.setdefault(row[0], []).append((row[1], row[2]))
    if not isinstance(header, dict) or header.get("rows") != digest.hexdigest():
        raise InvalidInputError(f"{rule}; {file} is not as it was written: {remedy}")
    return found


def _files(directory: Path) -> list[Path]:
    """The clips, and what TFDS says of them."""
    return sorted(path for path in directory.iterdir() if path.is_file() and path.name != CONTENTS_FILE)
