"""Values as what JSON knows."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from tvnjax.core.outside import in_range


def jsonable(value: Any) -> Any:
    """Tuples, paths, dataclasses and NumPy scalars as what JSON knows; a number that is not finite, or larger than any
    measurement (``core.outside``), becomes null, and one that is smaller than any becomes 0."""
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
