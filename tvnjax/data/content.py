"""Digests of files: what a set of clips is made of is told by content, never by names, sizes or times."""

import errno
import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tvnjax.data.recipe import Progress

MISSING = "missing"
"""Stands for the content of a file that is not there, which is skipped until it is."""

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


def digests_of(root: Path, paths: Iterable[str], progress: Progress | None = None) -> dict[str, str]:
    """Returns 64 hexadecimal digits (SHA-256) for each file, or what keeps it from being read: ``missing``, or
    ``unreadable: EIO``.

    A file that cannot be read has a digest of its own kind, so that a set that was built without it is another set
    than the one that is built when it can be read again. Reading several files at once is as fast as the disk: hashing
    lets go of the interpreter's lock.

    Args:
      root: the folder that paths are relative to.
      progress: called with the number of files done and of all, after each.
    """
    names = sorted(set(paths))
    found: dict[str, str] = {}
    with ThreadPoolExecutor(_threads()) as pool:
        for path, digest in zip(names, pool.map(lambda path: digest_of(root / path), names)):
            found[path] = digest
            if progress is not None:
                progress(len(found), len(names), "files looked at")
    return found


def digest_of(path: Path) -> str:
    """Returns the digest of one file; see :func:`digests_of`."""
    try:
        if not path.is_file():
            return f"no file: {path.is_dir()}" if path.exists() else MISSING
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        if error.errno in _GONE:
            return MISSING
        return f"unreadable: {errno.errorcode.get(error.errno or 0, 'unknown')}"
    except ValueError:  # a name with a NUL
        return MISSING


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
