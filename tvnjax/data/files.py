"""Gives each file one name: two paths that lead to one file would pass for two videos, one on each side of a split."""

import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.manifest import LabelledSpan
from tvnjax.data.naming import note
from tvnjax.data.pictures import PICTURE, pictures_hint


def one_name_each(root: Path, spans: Sequence[LabelledSpan]) -> tuple[list[LabelledSpan], list[str]]:
    """Returns the spans, each with the first (in sorted order) of the names of its file, and notes.

    Names of one file are those the file system says are one: through links, hard links, letters of another case where
    it does not tell them apart. A path that leads nowhere stays as it is, and is reported where it is decoded.

    Raises:
      InvalidInputError: every path is a folder, or a picture.
    """
    first: dict[tuple[object, ...], str] = {}
    others: dict[str, str] = {}
    folders: list[str] = []
    paths = sorted({span.path for span in spans})
    for path in paths:
        try:
            found = os.stat(root / path)
        except (OSError, ValueError):
            continue
        if stat.S_ISDIR(found.st_mode):
            folders.append(path)
            continue
        # Some network file systems make up the number of a file: its size and time must agree, too.
        number = found.st_ino or os.path.realpath(root / path)
        name = first.setdefault((found.st_dev, number, found.st_size, found.st_mtime_ns), path)
        if name != path:
            others[path] = name
    notes = _no_videos(root, paths, folders)
    if others:
        path, name = next(iter(others.items()))
        notes.append(note("other names of a file that has one already", len(others), f"{path!r} of {name!r}"))
    return [replace(span, path=others[span.path]) if span.path in others else span for span in spans], notes


def _no_videos(root: Path, paths: list[str], folders: list[str]) -> list[str]:
    notes = []
    pictures = [path for path in paths if PICTURE.fullmatch(PurePosixPath(path).suffix)]
    for found, what in ((folders, "folders"), (pictures, "pictures")):
        if not found:
            continue
        hint = pictures_hint(root / found[0] if what == "folders" else (root / found[0]).parent, depth=1)
        if len(found) == len(paths):
            raise InvalidInputError(
                f"a path must name a video, but all {len(paths)} are {what}, such as {found[0]!r}"
                f"; {hint or 'name the videos in them'}"
            )
        notes.append(note(f"paths of {what}, not videos", len(found), repr(found[0]), hint))
    return notes
