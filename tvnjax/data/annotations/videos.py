"""Finds the video files that annotations name, wherever in a folder they lie."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.annotations.clips import AnnotatedClip
from tvnjax.data.folder import NOT_VIDEO
from tvnjax.data.manifest import stays_inside
from tvnjax.data.naming import SPLIT_NAMES

_DEPTH = 4
"""Folders inside one another: DIR/train/CLASS/video has two."""


@dataclass(kw_only=True)
class VideoFiles:
    """The files of a folder whose names, without suffix, were asked for."""

    paths: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Relative to the manifest's folder, by name without suffix."""
    linked: set[str] = field(default_factory=set)
    """Paths of these that lead through a link."""
    folders: set[str] = field(default_factory=set)
    """Folders of frames that have the name of a clip."""


def list_videos(folder: Path, root: Path, names: Iterable[str], *, frame_folders: bool = False) -> VideoFiles:
    """Lists the videos of some names, without suffix, in ``folder`` and up to four folders deep.

    Hidden files, and suffixes that are of no video, are passed over.

    Args:
      folder: of the videos.
      root: of the manifest, which ``folder`` must be or lie in.
      names: without suffix; nothing else is kept, so memory is bounded by what the annotations name.
      frame_folders: whether a folder with the name of a clip holds its frames, which need not be listed.

    Raises:
      InvalidInputError: there is no such folder, it cannot be listed, or it lies outside ``root``.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InvalidInputError(f"the videos must lie in a folder, but {str(folder)!r} {what}; check --videos")
    inner = Path(os.path.relpath(folder.absolute(), root.absolute()))
    if ".." in inner.parts or not stays_inside(root, str(inner)):
        raise InvalidInputError(
            f"the manifest must stand in the videos' folder or above it, but --out is in {str(root)!r} and the videos "
            f"are in {str(folder)!r}; change --out"
        )
    wanted, found = set(names), VideoFiles()
    try:
        closed = wanted if frame_folders else set()
        for path, link in _walk(folder, inner.as_posix(), wanted, closed, found.folders, _DEPTH, False):
            found.paths[PurePosixPath(path).stem].append(path)
            if link:
                found.linked.add(path)
    except OSError as error:
        raise InvalidInputError(f"cannot list {str(error.filename)!r}: {error.strerror}; check permissions") from None
    return found


def _walk(
    folder: Path, inner: str, wanted: set[str], closed: set[str], met: set[str], depth: int, linked: bool
) -> Iterator[tuple[str, bool]]:
    """Path of each wanted file, and whether it leads through a link; ``closed`` folders are only noted, in ``met``."""
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith(".") or not _is_text(entry.name):
            continue
        path = entry.name if inner == "." else f"{inner}/{entry.name}"
        link = linked or entry.is_symlink()
        before, suffix = os.path.splitext(entry.name)
        if before in wanted and suffix and not NOT_VIDEO.fullmatch(suffix):
            if entry.is_file():
                yield path, link
        elif entry.is_dir() and entry.name in closed:
            met.add(entry.name)
        elif depth and entry.is_dir():
            yield from _walk(folder / entry.name, path, wanted, closed, met, depth - 1, link)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8, which no annotation can name
        return False
    return True


def file_of(clip: AnnotatedClip, files: VideoFiles, root: Path, *, in_class_folder: bool) -> str | None:
    """The file of a clip, relative to ``root``; None: it is not there.

    Of several that may be it, one in the folder of its class is taken, or else one in that of its split.

    Raises:
      InvalidInputError: two files may be it, or it is a link that leaves ``root``.
    """
    found: Sequence[str] = files.paths.get(clip.name, ())
    if in_class_folder:
        found = [path for path in found if _plain(PurePosixPath(path).parent.name) == _plain(clip.folder)]
    for folders in ((clip.folder or clip.label,), SPLIT_NAMES[clip.split]):
        if len(found) > 1:
            plain = {_plain(folder) for folder in folders}
            found = [path for path in found if plain & {*map(_plain, PurePosixPath(path).parent.parts)}] or found
    if len(found) > 1:
        raise InvalidInputError(
            f"a clip must have one file, but {clip.name!r} may be {found[0]!r} or {found[1]!r}; move one of them away"
        )
    if found and found[0] in files.linked and not stays_inside(root, found[0]):
        raise InvalidInputError(
            f"a video must lie inside the manifest's folder, but {found[0]!r} is a link that leaves {str(root)!r}; "
            "copy the videos, or write the manifest where they are"
        )
    return found[0] if found else None


def _plain(name: str) -> str:
    """Folders of classes are named with spaces, ``+`` or ``_``."""
    return name.replace("+", " ").replace("_", " ").casefold()
