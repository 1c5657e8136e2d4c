"""Values as what JSON knows."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np


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


def json_bytes(value: Any, *, indent: int | None = None) -> bytes:
    """A value that JSON knows, in UTF-8.

    A name of a file that is no UTF-8 reaches Python with lone surrogates; they are written as JSON's own escapes, and
    come back as they were.
    """
    return json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8", errors="backslashreplace")


def json_file(value: Any) -> bytes:
    """What a file of JSON holds: ``jsonable``, a line for each value."""
    return json_bytes(jsonable(value), indent=1) + b"\n"


_LARGEST = 2**53
"""Of whole numbers that a run counts with; every reader of JSON knows them exactly."""


def whole_number(value: Any) -> int | None:
    """A value as it was read, if it is a count: a whole number from 0 to 2^53; ``None`` otherwise."""
    right = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST
    return value if right else None
