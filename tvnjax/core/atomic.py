"""Files that are there whole or not at all, whenever the process or the machine dies."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_MARK = ".partial"


def write_atomic(path: Path, data: bytes) -> None:
    """Writes a file: into a new one in the same folder, synced, then renamed over the old one, and the folder synced.

    A disk that is full, or a folder that may not be written, leaves the old file as it was.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may write one file at once, each its own version of it: hence the process in the name.
    partial = path.with_name(f".{path.name}.{os.getpid()}{_MARK}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last; on systems where folders cannot be synced they do without."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Makes everything below a folder last."""
    for path in (*sorted(folder.rglob("*")), folder):
        if path.is_dir():
            sync_folder(path)
        elif path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def sweep_partial(folder: Path) -> list[Path]:
    """Removes what a killed process was writing below a folder: half files, and Orbax's unfinished checkpoints.

    Only for a folder this process alone writes to.
    """
    removed = []
    for path in [*_partial(folder)]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        removed.append(path)
    return removed


def _partial(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if (path.name.startswith(".") and path.name.endswith(_MARK)) or ".orbax-checkpoint-tmp" in path.name:
            yield path
