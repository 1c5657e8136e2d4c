"""The options of a command, found in the dataclass that it reads."""

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple

import tyro


class Option(NamedTuple):
    """One value that a command or a config file may give."""

    path: str
    """Fields joined by dots, such as ``shapes.blocks.0.filters``."""
    kind: Any
    """The field's type, without annotations."""
    default: Any
    """Its value, where the command has a default; ``dataclasses.MISSING`` otherwise."""

    @property
    def flag(self) -> str:
        """As it is typed: ``--shapes.blocks.0.filters``."""
        return flag(self.path)


def flag(path: str) -> str:
    """A path as it is typed: ``--search.learning-rate`` for ``search.learning_rate``."""
    return f"--{path.replace('_', '-')}"


def options_of(kind: type, default: Any = None, before: str = "") -> Iterator[Option]:
    """The options of a dataclass, those of the dataclasses inside it too; arguments without a name are left out, and so
    are dataclasses that are absent: what they would hold is given from Python alone.

    Args:
        kind: the dataclass.
        default: an instance; nested dataclasses are those that it holds.
        before: the path of its fields, such as ``search.``.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        hint, marks = hints[field.name], ()
        if typing.get_origin(hint) is typing.Annotated:
            hint, *marks = typing.get_args(hint)
        if tyro.conf.Positional in marks:
            continue
        named = [mark.name for mark in marks if getattr(mark, "name", None) is not None]
        path = f"{before}{named[0] if named else field.name}"
        value = getattr(default, field.name) if default is not None else _default(field)
        if dataclasses.is_dataclass(value):
            yield from options_of(type(value), value, f"{path}." if path else "")
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            for index, item in enumerate(value):
                yield from options_of(type(item), item, f"{path}.{index}.")
        elif value is not None or not any(map(dataclasses.is_dataclass, typing.get_args(hint))):
            yield Option(path, hint, value)


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
