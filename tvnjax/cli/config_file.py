"""Config files: options from a TOML or JSON file as if they had been typed, and such a file of a configuration."""

import dataclasses
import re
import tomllib
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tvnjax.cli.option_names import flag, options_of
from tvnjax.cli.refusals import nearest_option
from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.printable import printable
from tvnjax.core.to_json import jsonable
from tvnjax.core.untrusted import read_json, read_text
from tvnjax.search.own import OwnStrategy
from tvnjax.search.registry import name_of

NONE = "None"
"""What an option that may be absent is set to, to be so: the word that the command line takes. TOML has no null."""


class ConfigFile(NamedTuple):
    """What a config file holds."""

    path: Path
    preset: str | None
    """The preset it starts from, if it names one."""
    values: dict[str, Any]
    """As the fields of ``RunConfig``, nested; some of them or all."""


def read_config_file(path: Path) -> ConfigFile:
    """Reads a TOML or JSON file of options, or the ``config.json`` of a run.

    Of a run's ``config.json`` the directory is left out: it is that run's own.

    Raises:
        InvalidInputError: there is no such file, or it is no table of options.
    """
    if path.suffix not in (".toml", ".json"):
        raise InvalidInputError(f"a config file ends in .toml or .json; got {path}")
    if path.suffix == ".toml":
        text = read_text(path, "a config file")
        try:
            told: Any = tomllib.loads(text)
        except ValueError as error:  # also a number of more digits than Python reads
            raise InvalidInputError(f"a config file that ends in .toml holds TOML; {path} does not: {error}") from None
        except RecursionError:
            raise InvalidInputError(f"a config file is a table of options; {path} is nested too deep") from None
    else:
        told = read_json(path)
    if not isinstance(told, dict):
        raise InvalidInputError(f"a config file is a table of options; {path} is none")
    if isinstance(told.get("config"), dict) and "argv" in told:
        argv = told["argv"]
        preset = argv[0] if isinstance(argv, list) and argv else None
        values = {key: value for key, value in told["config"].items() if key != "out"}
    else:
        preset, values = told.get("preset"), {key: value for key, value in told.items() if key != "preset"}
    if not isinstance(preset, str | None):
        raise InvalidInputError(f"{path}: preset is the name of one; got {printable(preset, 60)}")
    return ConfigFile(path, preset, values)


def typed_options(file: ConfigFile, config: Any) -> list[str]:
    """The options of a file as they would be typed, those alone that differ from a configuration.

    Args:
        file: what was read.
        config: the ``RunConfig`` that the options are typed behind.

    Raises:
        InvalidInputError: the file has a key that is no option (its path and the nearest are named), or a table where a
            value belongs, or the other way round.
    """
    words = []
    for path, value in _leaves(file, file.values, config, ""):
        told = _as_words(file, path, value)
        if told != _as_words(file, path, jsonable(_at(config, path))):
            words += _option(file, path, told)
    return words


def config_text(config: Any, preset: str) -> str:
    """A TOML file of a whole configuration, from which ``--config`` makes it again.

    Raises:
        InvalidInputError: a path in it is no text, so that TOML cannot hold it.
    """
    import tomlkit

    text = tomlkit.dumps({"preset": preset, **_plain(_written(config), NONE)})
    if lost := re.search("[\ud800-\udfff]", text):
        line = text[text.rfind("\n", 0, lost.start()) + 1 :].splitlines()[0]
        raise InvalidInputError(f"TOML holds text alone; a name with other bytes is none: {line}: rename it")
    # Inside of strings alone there is anything that a terminal hides.
    shown = "".join(c if c == "\n" or printable(c) == c else f"\\U{ord(c):08x}" for c in text)
    return f"# tvnjax run --config FILE: every option of a run. {NONE!r} is none.\n{shown}"


def config_values(config: Any, preset: str) -> dict[str, Any]:
    """What a JSON file of a whole configuration holds."""
    return {"preset": preset, **_plain(_written(config))}


def _written(config: Any) -> dict[str, Any]:
    """A configuration without what Python alone can give; strategies that were given stand there by name."""
    told = {name: value for name, value in jsonable(config).items() if name != "own"}
    return told | {"strategies": [*map(name_of, config.strategies)]}


def _leaves(file: ConfigFile, told: dict[str, Any], at: Any, before: str) -> Iterator[tuple[str, Any]]:
    """Path and value of everything that is no table."""
    told = dict(told)
    if "type" in told and (kind := told.pop("type")) != type(at).__name__:
        where = before.removesuffix(".") or "the file"
        raise InvalidInputError(
            f"{file.path}: {where} is of the kind {printable(kind, 60)}, and here it is a {type(at).__name__}: name "
            "the preset that the file is of"
        )
    seen: set[str] = set()
    for key, value in told.items():
        name = key.replace("-", "_")
        path = f"{before}{name}"
        if name in seen:
            raise InvalidInputError(f"{file.path}: a config file names an option once; {path} is there twice")
        seen.add(name)
        names = [field.name for field in dataclasses.fields(at)]
        if name not in names:
            raise InvalidInputError(
                f"{file.path}: there is no option {printable(path)}{_nearest(path, names, at, before)}"
            )
        inner = getattr(at, name)
        if dataclasses.is_dataclass(inner):
            if not isinstance(value, dict):
                raise InvalidInputError(f"{file.path}: {path} is a table of options; got {printable(value, 60)}")
            yield from _leaves(file, value, inner, f"{path}.")
        elif isinstance(inner, tuple) and inner and dataclasses.is_dataclass(inner[0]):
            yield from _listed(file, value, told, inner, path, at)
        elif isinstance(value, list) and len(value) != 1 and not _takes_several(typing.get_type_hints(type(at))[name]):
            raise InvalidInputError(f"{file.path}: {path} is one value; got {printable(value, 60)}")
        elif name != "num_blocks" or "blocks" not in told:  # said with the blocks
            yield path, value


def _listed(
    file: ConfigFile, value: Any, beside: dict[str, Any], blocks: tuple[Any, ...], path: str, shapes: Any
) -> Iterator[tuple[str, Any]]:
    """The blocks, all of them: the file's list is as long as the longest network."""
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        raise InvalidInputError(f"{file.path}: {path} is a list of tables, one for each block, [[{path}]] in TOML")
    count = beside.get("num_blocks", beside.get("num-blocks"))
    numbers = shapes.num_blocks if count in (None, NONE) else tuple(count) if isinstance(count, list) else (count,)
    if numbers is None:
        numbers = (len(value),) if len(value) < len(blocks) else None
    elif count in (None, NONE):
        numbers = tuple(number for number in numbers if number <= len(value)) or (len(value),)
    elif any(isinstance(number, int) and number > len(value) for number in numbers):
        raise InvalidInputError(
            f"{file.path}: shapes.num_blocks is at most the {len(value)} blocks that {path} lists; got "
            f"{printable(count, 60)}: list another with [[{path}]]"
        )
    for index, item in enumerate(value):
        block = blocks[min(index, len(blocks) - 1)]
        # Of a block that is added, what is not said is said as in the last: that there is one more has to be typed.
        told = {**_plain(jsonable(block)), **item} if index >= len(blocks) else item
        yield from _leaves(file, told, block, f"{path}.{index}.")
    yield "shapes.num_blocks", None if numbers is None else list(numbers)


def _takes_several(kind: Any) -> bool:
    return typing.get_origin(kind) is tuple or any(map(_takes_several, typing.get_args(kind)))


def _nearest(path: str, names: Sequence[str], at: Any, before: str) -> str:
    """The nearest option: one below with that name, one beside it, or the nearest of all below."""
    known = [f"{before}{option.path}" for option in options_of(type(at), at)]
    named = [option for option in known if option.rpartition(".")[2] == path.rpartition(".")[2]]
    beside = did_you_mean(path.removeprefix(before), names)
    if beside and not named:
        return beside.replace("'", before, 1).replace("'", "")
    return nearest_option(path, known)


def _at(config: Any, path: str) -> Any:
    """The value at a path; of a block that is not there, what no option can be."""
    for name in path.split("."):
        if isinstance(config, tuple):
            if int(name) >= len(config):
                return ...
            config = config[int(name)]
        else:
            config = getattr(config, name)
    return config


def _as_words(file: ConfigFile, path: str, value: Any) -> list[str] | None:
    if value is ...:
        return None
    words = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict) and item.get("type") == OwnStrategy.__name__:
            raise InvalidInputError(
                f"{file.path}: {path} has {printable(item.get('name'), 60)}, which was given from Python: name one "
                "that is registered in its place, or go on with that run"
            )
        if not isinstance(item, str | int | float | None):
            raise InvalidInputError(
                f"{file.path}: {path} is a value, or a list of values, such as an option takes; got "
                f"{printable(value, 60)}"
            )
        if isinstance(item, int) and item.bit_length() > 64:
            raise InvalidInputError(f"{file.path}: {path} has a number that is out of range: more than 64 bits")
        words.append(item if isinstance(item, str) else repr(item))
    return words


def _option(file: ConfigFile, path: str, words: list[str] | None) -> list[str]:
    words = words or []
    if any(word.startswith("-") for word in words[1:]):
        raise InvalidInputError(
            f"{file.path}: {path} lists values that do not begin with -; got {printable(words, 60)}"
        )
    if words and words[0].startswith("-"):
        return [f"{flag(path)}={words[0]}", *words[1:]]
    return [flag(path), *words]


def _plain(value: Any, none: str | None = None) -> Any:
    """Without the names of classes; what is absent is ``none``."""
    if isinstance(value, dict):
        return {key: _plain(item, none) for key, item in value.items() if key != "type"}
    if isinstance(value, list):
        return [_plain(item, none) for item in value]
    return none if value is None else value
