"""Files that a command was told to write: one rule for all, ``--force`` to override it."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from tvnjax.core.atomic import write_together
from tvnjax.core.errors import InvalidInputError


def write_output(files: Mapping[Path, bytes], what: str, *, force: bool = False) -> None:
    """Writes the files of one command, all of them or none.

    The rule: what a command writes for its user replaces no file, unless the file holds just that already, or
    ``--force`` is given. A run's directory is another matter: what a run keeps there is the program's to replace
    (``tvnjax report``), and none is ever begun over another.

    Args:
        files: contents by path; folders are made.
        what: names the files in messages, such as ``a drawing``.
        force: replace files that are there; a link is replaced itself. Folders, devices and pipes stay.

    Raises:
        InvalidInputError: a file would be replaced, or cannot be written; none has changed then.
    """
    new = {path: data for path, data in files.items() if not _holds(path, data)}
    try:
        write_together(new, replace=force)
    except FileExistsError as error:
        path = Path(error.filename)
        if not _replaceable(path):
            raise _unwritable(path, what, error) from None
        raise InvalidInputError(
            f"{what} replaces no file unasked; {path} is there already and holds something else: name another with "
            "--out, or replace it with --force"
        ) from None
    except (OSError, ValueError) as error:
        raise _unwritable(next(iter(files)), what, error) from None


def _unwritable(path: Path, what: str, error: OSError | ValueError) -> InvalidInputError:
    """``ValueError``: of a path that no system can have, one with a null character."""
    reason = error.strerror or error if isinstance(error, OSError) else error
    return InvalidInputError(f"{what} is a file that can be written; {path}: {reason}: name another with --out")


def _holds(path: Path, data: bytes) -> bool:
    try:
        found = path.lstat()
        return stat.S_ISREG(found.st_mode) and found.st_size == len(data) and path.read_bytes() == data
    except (OSError, ValueError):
        return False


def _replaceable(path: Path) -> bool:
    mode = os.lstat(path).st_mode
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)
