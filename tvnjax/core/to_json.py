"""Values as what JSON knows."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from tvnjax.core.printable import json_text
from tvnjax.core.untrusted import in_range


def jsonable(value: Any) -> Any:
    """Tuples, paths, dataclasses and NumPy scalars as what JSON knows; a number that is not finite, or larger than any
    measurement (``core.untrusted``), becomes null, and one that is smaller than any becomes 0."""
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
    if isinstance(value, float) and not in_range(value):
        return 0.0 if abs(value) < 1 else None
    return value


def json_bytes(value: Any, *, indent: int | None = None) -> bytes:
    """A value that JSON knows, in UTF-8 (see ``core.printable.json_text``)."""
    return json_text(value, indent=indent).encode()


def json_file(value: Any) -> bytes:
    """What a file of JSON holds: ``jsonable``, a line for each value."""
    return json_bytes(jsonable(value), indent=1) + b"\n"


_LARGEST = 2**53
"""Of whole numbers that a run counts with; every reader of JSON knows them exactly."""


def whole_number(value: Any) -> int | None:
    """A value as it was read, if it is a count: a whole number from 0 to 2^53; ``None`` otherwise."""
    right = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST
    return value if right else None
