"""Links, pipes and devices where a run's own files should be: refused before anything is read or written through one.

A run directory may come from elsewhere. A link in it in place of ``.lock`` or ``report.html`` would lead a write to any
file its user may write, and a pipe would hold up the reader for good.
"""

import errno
import os
import stat
from pathlib import Path

from tvnjax.core.errors import InvalidInputError

_OPEN = os.O_RDWR | os.O_APPEND | os.O_CREAT | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK"))
"""``O_NONBLOCK``: opening a pipe must not wait for who reads it."""


def refuse_links(folder: Path) -> None:
    """Refuses a run's directory that holds, at any depth, something that is neither a file nor a folder.

    The directory itself may be reached through a link: its user named it. One that is not there holds nothing.

    Raises:
        InvalidInputError: there is a link, a pipe, a socket or a device in it, or it cannot be looked through.
    """
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_symlink() or not (entry.is_dir(follow_symlinks=False) or entry.is_file()):
                        raise _refused(Path(entry.path))
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
        except (FileNotFoundError, NotADirectoryError):
            continue  # removed meanwhile, or no directory: whoever reads it says so
        except InvalidInputError:
            raise
        except (OSError, ValueError) as error:
            # Of a path with a null character, which no system has, Python raises a ValueError.
            reason = error.strerror if isinstance(error, OSError) else error
            raise InvalidInputError(
                f"a run's directory is one that can be looked through; {path}: {reason}: check the path, or give "
                "permission"
            ) from None


def open_in_place(path: Path) -> int:
    """Opens a file that is added to rather than replaced, made if it is not there; returns its descriptor.

    Raises:
        InvalidInputError: a link, a folder or anything else but a file stands there, or the file has a second name (a
            hard link): what is added would be added to the other as well.
        OSError: it cannot be opened.
    """
    try:
        descriptor = os.open(path, _OPEN | getattr(os, "O_CLOEXEC", 0), 0o666)
    except OSError as error:
        # Of a socket ENXIO, of a link ELOOP; others of file systems that are not Linux's.
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.EMLINK) and os.path.lexists(path):
            raise _refused(path) from None
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise _refused(path)
    return descriptor


def _refused(path: Path) -> InvalidInputError:
    rule = "a run's directory holds files and folders of its own and no links"
    mode = os.lstat(path)
    if stat.S_ISLNK(mode.st_mode):
        return InvalidInputError(
            f"{rule}; {path} is a link to {os.readlink(path)}: put a copy in its place, or remove it"
        )
    if stat.S_ISREG(mode.st_mode):
        return InvalidInputError(
            f"{rule}; {path} is a file that has {mode.st_nlink} names (hard links), all of which would be written: put "
            "a copy in its place (cp -a instead of cp -al)"
        )
    kinds = ((stat.S_ISDIR, "folder"), (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))
    kind = next((name for test, name in kinds if test(mode.st_mode)), "device")
    return InvalidInputError(f"{rule}; {path} is a {kind} in place of a file: remove it")
