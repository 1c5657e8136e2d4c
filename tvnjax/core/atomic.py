"""Files that are there whole or not at all, whenever the process or the machine dies.

All that the package writes goes through here, or through ``core.jsonl`` where a file is added to.
"""

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

_MARK = ".partial"


def write_atomic(path: Path, data: bytes) -> None:
    """Writes a file: into a new one in the same folder, synced, then renamed over the old one, and the folder synced.

    A disk that is full, or a folder that may not be written, leaves the old file as it was. A link is replaced, never
    written through.

    Raises:
        OSError: it cannot be written, or something else than a file is there.
    """
    write_together({path: data})


def write_together(files: Mapping[Path, bytes], *, replace: bool = True) -> None:
    """Writes files that belong together: all of them beside the old ones first, so that a full disk changes none.

    Args:
        files: contents by path; folders are made.
        replace: whether one that is there may be replaced.

    Raises:
        FileExistsError: one is there, and is not to be replaced.
        OSError: one cannot be written, or something else than a file is there. No file has changed then, nor is a
            folder left that was made for them.
    """
    partials: dict[Path, Path] = {}
    made: list[Path] = []
    new: list[Path] = []
    try:
        for path in files:
            _check_file(path, replace=replace)
        for path, data in files.items():
            made += make_folders(path.parent)
            partials[path] = _write_beside(path, data)
        for path in files:
            _rename(partials[path], path, replace=replace)
            new += [] if replace else [path]
    except BaseException:
        for partial in (*partials.values(), *new):
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
        remove_empty(made)
        raise
    for folder in dict.fromkeys(path.parent for path in files):
        sync_folder(folder)


@contextlib.contextmanager
def write_folder(folder: Path) -> Iterator[Path]:
    """Fills a folder: under another name beside its place, synced, then renamed; whatever fails, nothing is left.

    Yields:
        The folder to fill.

    Raises:
        OSError: it cannot be made, or the place is taken by something else than an empty folder.
    """
    made = make_folders(folder.parent)
    partial = partial_name(folder)
    try:
        partial.mkdir()
        yield partial
        sync_tree(partial)
        os.replace(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        remove_empty(made)
        raise
    sync_folder(folder.parent)


def copy_into(source: Path, target: Path) -> None:
    """Copies a file, or a folder with all in it but what a killed process was writing; folders above are made.

    Contents alone: what is copied from an archive that may not be written can be.

    Raises:
        OSError: something cannot be read or written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not source.is_dir():
        with source.open("rb") as reading, target.open("xb") as writing:
            shutil.copyfileobj(reading, writing)
        return
    target.mkdir(exist_ok=True)
    for path in source.iterdir():
        if not is_partial(path.name):
            copy_into(path, target / path.name)


def make_folders(folder: Path) -> list[Path]:
    """Makes a folder and those above it; returns what was made, the innermost first.

    Raises:
        OSError: one cannot be made; none is left then.
    """
    missing = []
    for above in (folder, *folder.parents):
        if os.path.lexists(above):
            break
        missing.append(above)
    made: list[Path] = []
    try:
        for above in reversed(missing):
            above.mkdir(exist_ok=True)
            made.insert(0, above)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    except BaseException:
        remove_empty(made)
        raise
    return made


def remove_empty(folders: list[Path]) -> None:
    """Removes those folders that hold nothing, the innermost first."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def partial_name(path: Path) -> Path:
    """A new name beside a file or folder for what is not finished; ``sweep_partial`` knows it."""
    # Shortened, since the name may be as long as the file system allows already.
    return path.with_name(f".{path.name[:32]}.{os.getpid()}-{secrets.token_hex(4)}{_MARK}")


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
    for path in [path for path in folder.rglob("*") if is_partial(path.name)]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        removed.append(path)
    return removed


def is_partial(name: str) -> bool:
    """Whether a file or folder of this name is what a killed process was writing."""
    return (name.startswith(".") and name.endswith(_MARK)) or ".orbax-checkpoint-tmp" in name


def _check_file(path: Path, *, replace: bool) -> None:
    """Before anything is written: a rename would fail half-way, or put a file in the place of a device."""
    if not os.path.lexists(path):
        return
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
        raise FileExistsError(errno.EEXIST, "A device, a pipe or a socket is there", str(path))
    if not replace:
        raise _exists(path)


def _write_beside(path: Path, data: bytes) -> Path:
    partial = partial_name(path)
    try:
        # Exclusively: a link that someone put there is not followed.
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISREG((found := path.lstat()).st_mode):
                    os.chmod(partial, found.st_mode & 0o777)
            os.fsync(file.fileno())
    except BaseException as error:
        with contextlib.suppress(OSError, ValueError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # its reader knows of no other
        raise
    return partial


def _rename(partial: Path, path: Path, *, replace: bool) -> None:
    if replace:
        os.replace(partial, path)
        return
    try:
        os.link(partial, path)  # of two processes one succeeds, where a look before a rename lets both
    except FileExistsError:
        raise _exists(path) from None
    except OSError:
        # A file system without hard links.
        if os.path.lexists(path):
            raise _exists(path) from None
        os.replace(partial, path)
    else:
        partial.unlink()


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
