"""What the files of a run tell of its networks: the names of the classes, how scores are pooled."""

import os
from pathlib import Path
from typing import Any, get_args

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.untrusted import read_json
from tvnjax.graph import HeadKind


def classes_and_head(run: Path) -> tuple[tuple[str, ...] | None, HeadKind | None]:
    """Class names and head that a run's ``results.json`` and ``config.json`` tell; ``None`` for what they do not.

    Raises:
        InvalidInputError: one of them is damaged, or tells what cannot be.
    """
    classes: tuple[str, ...] | None = None
    head: HeadKind | None = None
    if (run / "results.json").is_file():
        data = _part(read_object(run / "results.json"), "data", run / "results.json")
        if data.get("class_names"):
            classes = check_classes(data["class_names"], run / "results.json")
    if (run / "config.json").is_file():
        config = _part(read_object(run / "config.json"), "config", run / "config.json")
        head = check_head(config.get("head"), run / "config.json")
    return classes, head


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object of a file.

    Raises:
        InvalidInputError: see ``read_json``; or it holds something else.
    """
    data = read_json(path)
    if not isinstance(data, dict):
        raise InvalidInputError(f"{path} holds a JSON object; got {type(data).__name__}")
    return data


def check_classes(names: Any, where: Path) -> tuple[str, ...]:
    """Names of classes as they were read; raises InvalidInputError unless they are some names, each once."""
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise InvalidInputError(f"classes are a list of names; {where} has {names!r:.60}")
    if len(set(names)) < len(names):
        raise InvalidInputError(f"each class has a name of its own; {where} names one twice")
    return tuple(names)


def check_head(kind: Any, where: Path) -> HeadKind | None:
    """A way to pool scores as it was read; raises InvalidInputError where there is none of that name."""
    for known in get_args(HeadKind):
        if kind == known:
            return known
    if kind is not None:
        raise InvalidInputError(f"head is one of {', '.join(get_args(HeadKind))}; {where} has {kind!r:.60}")
    return None


def is_file_name(text: str) -> bool:
    """Whether the system can look for a file of this name; what JSON holds need not be text."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _part(data: dict[str, Any], key: str, where: Path) -> dict[str, Any]:
    part = data.get(key) or {}
    if not isinstance(part, dict):
        raise InvalidInputError(f"{key!r} of {where} is a JSON object; got {type(part).__name__}")
    return part
