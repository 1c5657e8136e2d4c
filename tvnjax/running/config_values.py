"""A configuration from plain values: those of ``config.json``, or nested options given from Python.

Every value is held against the type of its field, so that a misspelt name or a value of another kind is refused with
its path and not found out hours later.
"""

import dataclasses
import operator
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.sizes import LARGEST, SMALLEST, check_sizes
from tvnjax.search.registry import StrategyChoice, UnknownStrategyError, strategy_choice
from tvnjax.spaces.registry import UnmadeSpaceError

T = TypeVar("T")


def changed(config: T, options: Mapping[str, Any], where: str = "") -> T:
    """A configuration with other options.

    Args:
        config: a dataclass, such as ``RunConfig``.
        options: values by name; those of a part of the configuration in a mapping: ``{"search": {"steps": 100}}``. A
            single value stands for a tuple of one.
        where: what the options are a part of, for messages.

    Raises:
        InvalidInputError: a name is unknown (its path and the nearest name are said), a value is of another kind, or
            the configuration refuses it.
    """
    made = _changed(config, options, f"{where}." if where else "")
    check_sizes(made)
    return made


def from_plain(kind: type[T], told: Any, where: str) -> T:
    """A configuration as ``core.to_json.jsonable`` wrote it; options that it does not name have their defaults.

    Args:
        kind: the dataclass.
        told: parsed JSON.
        where: the file, for messages.

    Raises:
        InvalidInputError: it is damaged, of another version, or refused by the configuration.
    """
    try:
        made = _value(kind, told, None, "config")
        check_sizes(made)
    except (UnknownStrategyError, UnmadeSpaceError) as error:
        raise InvalidInputError(f"{where}: {error}") from None
    except InvalidInputError as error:
        raise InvalidInputError(f"{where}: {error}; the file is damaged, or of another version") from None
    return made


def _changed(config: Any, options: Mapping[str, Any], before: str) -> Any:
    hints, also = get_type_hints(type(config)), _also(type(config))
    known = [field.name for field in dataclasses.fields(config)]
    made = {}
    for name, value in options.items():
        if name not in known:
            near = did_you_mean(str(name), known).replace("mean '", f"mean '{before}")
            listed = "" if near else f": {', '.join(known)}"
            raise InvalidInputError(f"there is no option {before}{name!s:.100}{near}; {_which(before)}{listed}")
        made[name] = _value(hints[name], value, getattr(config, name), f"{before}{name}", also.get(name))
    return dataclasses.replace(config, **made)


def _which(before: str) -> str:
    return f"choose one of those of {before.rstrip('.')}" if before else "choose one of a run's"


Also = Callable[[Any], Any]
"""Of a field whose choices are open: what stands for a value that is none of those listed, or ``None``."""


def _also(kind: Any) -> dict[str, Also]:
    """By field, from its metadata."""
    return {field.name: field.metadata["also"] for field in dataclasses.fields(kind) if "also" in field.metadata}


def _value(hint: Any, value: Any, now: Any, path: str, also: Also | None = None) -> Any:
    """The value as the field's type has it.

    Args:
        now: what the field holds; a mapping changes a part of it.
    """
    if hint == StrategyChoice:
        return strategy_choice(value, path)
    if get_origin(hint) in (Union, types.UnionType):
        return _one_of(get_args(hint), value, now, path)
    if dataclasses.is_dataclass(hint):
        return _part(hint, value, now, path)
    if get_origin(hint) is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in get_args(hint)):
            if also is not None and (other := also(value)) is not None:
                return other
            choices = ", ".join(map(str, get_args(hint)))
            raise InvalidInputError(
                f"{path} is one of {choices}; got {value!r:.100}{did_you_mean(str(value), map(str, get_args(hint)))}"
            )
        return value
    if get_origin(hint) is tuple:
        return _values(get_args(hint)[0], value, now, path, also)
    if hint is Path:
        if not isinstance(value, str | Path) or "\0" in str(value):
            raise _wrong(path, "a path", value)
        return Path(value)
    if hint is bool or hint is str:
        if not isinstance(value, hint):
            raise _wrong(path, "True or False" if hint is bool else "text", value)
        return value
    if hint in (int, float):
        return _number(hint, value, path)
    if not isinstance(hint, type) or not isinstance(value, hint):
        raise _wrong(path, getattr(hint, "__name__", str(hint)), value)
    return value


def _number(hint: Any, value: Any, path: str) -> Any:
    """A number of Python's own, also of one of NumPy's."""
    if isinstance(value, bool | str):
        raise _wrong(path, "a number", value)
    try:
        return hint(operator.index(value))
    except TypeError:
        pass
    except OverflowError:
        raise _wrong(path, "a number that a computer holds", value) from None
    if hint is int or not hasattr(value, "__float__"):
        raise _wrong(path, "a whole number" if hint is int else "a number", value)
    number = float(value)
    if not (number == 0 or SMALLEST <= abs(number) <= LARGEST):
        raise InvalidInputError(f"{path} is 0, or from {SMALLEST:g} to {LARGEST:g} in size; got {number}")
    return number or 0.0


def _one_of(hints: tuple[Any, ...], value: Any, now: Any, path: str) -> Any:
    if value is None and type(None) in hints:
        return None
    kinds = [hint for hint in hints if hint is not type(None)]
    parts: dict[str, Any] = {getattr(kind, "__name__", ""): kind for kind in kinds if dataclasses.is_dataclass(kind)}
    if len(kinds) == 1:
        return _value(kinds[0], value, now, path)
    if not parts:
        return _first_that_takes(kinds, value, now, path)
    if type(value) in parts.values():
        return value
    named = value.get("type") if isinstance(value, Mapping) else None
    if named is None and isinstance(value, Mapping) and type(now) in parts.values():
        return _part(type(now), value, now, path)
    if not isinstance(named, str) or named not in parts:
        raise InvalidInputError(f"{path} is one of {', '.join(parts)}; got {named or value!r:.100}")
    return _part(parts[named], value, None, path)


def _first_that_takes(kinds: list[Any], value: Any, now: Any, path: str) -> Any:
    for kind in kinds[:-1]:
        try:
            return _value(kind, value, now, path)
        except InvalidInputError:
            continue
    return _value(kinds[-1], value, now, path)


def _part(kind: Any, value: Any, now: Any, path: str) -> Any:
    """A dataclass: itself, or a mapping of what differs from what is there, or from its defaults."""
    if isinstance(value, kind):
        return value
    rule: str = kind.__name__
    if not isinstance(value, Mapping):
        raise _wrong(path, f"{rule}, or a mapping of its options", value)
    named = value.get("type", rule)
    if named != rule:
        raise InvalidInputError(f"{path} is {rule}; got {named!r:.100}")
    fields = {name: item for name, item in value.items() if name != "type"}
    if isinstance(now, kind):
        return _changed(now, fields, f"{path}.")
    known = {field.name: field for field in dataclasses.fields(kind)}
    hints = get_type_hints(kind)
    for name in fields:
        if name not in known:
            near = did_you_mean(str(name), known).replace("mean '", f"mean '{path}.")
            raise InvalidInputError(
                f"there is no option {path}.{name!s:.100}{near}; {_which(path)}: {', '.join(known)}"
            )
    missing = [
        name
        for name, field in known.items()
        if name not in fields and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InvalidInputError(f"{path} needs {', '.join(missing)}; got {', '.join(map(str, fields)) or 'nothing'}")
    also = _also(kind)
    made = {name: _value(hints[name], item, None, f"{path}.{name}", also.get(name)) for name, item in fields.items()}
    return kind(**made)


def _values(hint: Any, value: Any, now: Any, path: str, also: Also | None = None) -> tuple[Any, ...]:
    if isinstance(value, Mapping) and isinstance(now, tuple) and dataclasses.is_dataclass(hint):
        raise _wrong(path, f"a sequence of {getattr(hint, '__name__', hint)}", value)
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__iter__"):
        value = (value,)
    before = now if isinstance(now, tuple) else ()
    return tuple(
        _value(hint, item, before[index] if index < len(before) else None, f"{path}.{index}", also)
        for index, item in enumerate(value)
    )


def _wrong(path: str, rule: str, value: Any) -> InvalidInputError:
    return InvalidInputError(f"{path} is {rule}; got {value!r:.100}")
