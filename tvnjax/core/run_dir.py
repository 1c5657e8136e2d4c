"""What a run leaves on disk: JSON files, an event log, and nothing that has to be unpickled."""

import dataclasses
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.outside import NotJsonError, parse_json, read_text


def write_json(path: Path, data: Any) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(jsonable(data), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(partial, path)


def read_json(path: Path) -> Any:
    """Parses a JSON file.

    Raises:
        InvalidInputError: there is no such file, it is too large (see ``core.outside``), or it holds no JSON.
    """
    text = read_text(path, "what is read here")
    try:
        return parse_json(text)
    except NotJsonError as error:
        raise InvalidInputError(f"a file read here holds JSON; {path} does not ({error})") from None


def jsonable(value: Any) -> Any:
    """Tuples, paths, dataclasses and NumPy scalars as what JSON knows; a number that is not finite becomes null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


class RunDir:
    """A new run's directory: ``config.json``, ``events.jsonl``, ``genotypes/``, ``checkpoints/``, ``results.json``.

    Args:
        path: the directory.
        resume: goes on in a directory of an earlier run.

    Raises:
        InvalidInputError: the directory holds something already and is not to be gone on with, or cannot be made.
    """

    def __init__(self, path: Path, *, resume: bool = False):
        self.path = path
        self._made = [folder for folder in (path, *path.parents) if not folder.exists()]
        try:
            if path.exists() and (not path.is_dir() or (not resume and any(path.iterdir()))):
                raise InvalidInputError(
                    f"a run needs an empty directory; {path} already holds another run or other files: "
                    f"name another with --out"
                )
            path.mkdir(parents=True, exist_ok=True)
            self._events = (path / "events.jsonl").open("a", encoding="utf-8")
        except OSError as error:
            raise InvalidInputError(
                f"a run needs a directory it can write; {path}: {error.strerror}: name another with --out"
            ) from None
        self._start = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._start

    def event(self, kind: str, **fields: Any) -> None:
        """Appends one line to ``events.jsonl`` and hands it to the system at once."""
        line = {"event": kind, "elapsed": round(self.elapsed, 3), **jsonable(fields)}
        self._events.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._events.flush()

    def close(self) -> None:
        self._events.close()

    def discard(self) -> None:
        """Removes what the run left, and the folders made for it."""
        self.close()
        for item in self.path.iterdir():
            shutil.rmtree(item) if item.is_dir() else item.unlink()
        for folder in self._made:
            if not any(folder.iterdir()):
                folder.rmdir()
