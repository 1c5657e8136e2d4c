"""Pictures in place of videos: the most common other form a data set comes in, and how to make videos of it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

PICTURE = re.compile(
    r"\.(jpe?g|jfif|png|bmp|tiff?|webp|svg|ppm|pgm|pbm|pnm|exr|hdr|dpx|jp2|heic|heif|avif|tga|ico|dng)", re.IGNORECASE
)
"""Suffixes of pictures."""
_LOOK_AT = 200
"""Entries of a folder that are looked at to see whether it holds pictures."""


def pictures_hint(folder: Path, depth: int = 3) -> str:
    """Returns what to do about pictures that lie in ``folder`` or up to ``depth`` folders inside it; an empty string
    where none do."""
    found = next(_pictures(folder, depth), None)
    if found is None:
        return ""
    kind = found.suffix.lower()
    return (
        f"a clip is a video file, but folder {str(found.parent)!r} holds pictures ({found.name!r:.60}): make a video "
        f"of each such folder, as with 'ffmpeg -framerate 25 -i FOLDER/%04d{kind} FOLDER.mp4'"
    )


def _pictures(folder: Path, depth: int) -> Iterator[Path]:
    """A picture of each folder that holds some, outer folders first."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted((entry for entry, _ in zip(listing, range(_LOOK_AT))), key=lambda entry: entry.name)
        inner = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return
    for entry in entries:
        if PICTURE.fullmatch(os.path.splitext(entry.name)[1]) and not entry.name.startswith("."):
            yield folder / entry.name
            break
    for name in inner if depth else []:
        yield from _pictures(folder / name, depth - 1)
