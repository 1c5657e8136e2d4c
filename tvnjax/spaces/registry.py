"""Spaces by name, so that what was written down without them is read back.

A space of another package is registered as an entry point of the group ``tvnjax.spaces``: a module with
``genotype_from_json(told)`` and ``space_from_json(told, where)``. Its genotypes and spaces write their name beside
their values, under ``space``; where there is none, they are TVN's.
"""

import functools
import importlib
import importlib.metadata
from pathlib import Path
from typing import Any

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.untrusted import MIB, NotJsonError, parse_json, read_text
from tvnjax.spaces.base import Genotype, Space

GROUP = "tvnjax.spaces"


class UnmadeSpaceError(InvalidInputError):
    """A genotype's space is code that has not run in this process."""


_OWN = {"chain": "tvnjax.spaces.chain.reading", "tvn": "tvnjax.spaces.tvn.reading"}
_NAMELESS = "tvn"
_FILE_LIMIT = MIB


def genotype_from_json(told: Any) -> Genotype:
    """The genotype that ``Genotype.to_json`` made this of.

    Raises:
        InvalidInputError: it is of a space nobody has registered, or no genotype of its space.
    """
    return _reader(_name(told)).genotype_from_json(told)


def genotype_from_text(text: str) -> Genotype:
    """Reads a genotype from JSON text.

    Raises:
        InvalidInputError: the text is no JSON, or ``genotype_from_json`` refuses it.
    """
    try:
        data = parse_json(text)
    except NotJsonError as error:
        raise InvalidInputError(f"a genotype is JSON; {error}") from None
    return genotype_from_json(data)


def read_genotype(path: Path) -> Genotype:
    """A genotype's file, as a run leaves it in ``genotypes/``.

    Raises:
        InvalidInputError: there is no such file, or it holds no genotype.
    """
    text = read_text(path, "a genotype", _FILE_LIMIT)
    try:
        return genotype_from_text(text)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path} holds no genotype: {error}") from None


def space_from_json(told: Any, where: str) -> Space:
    """The space that ``Space.to_json`` made this of.

    Args:
        where: it was found, for errors.

    Raises:
        InvalidInputError: nobody has registered it, or it made nothing of the kind.
    """
    return _reader(_name(told)).space_from_json(told, where)


def _name(told: Any) -> str:
    name = told.get("space", _NAMELESS) if isinstance(told, dict) else _NAMELESS
    return name if isinstance(name, str) else _NAMELESS


def _reader(name: str) -> Any:
    if name in _OWN:
        return importlib.import_module(_OWN[name])
    points = _entry_points()
    if name not in points:
        known = sorted([*_OWN, *points])
        raise InvalidInputError(
            f"a genotype is of a space that is registered, one of {', '.join(known)}; got {name!r:.60}"
            f"{did_you_mean(name, known)}: install the package that has it"
        )
    return points[name].load()


@functools.cache
def _entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    """Those of other packages.

    Raises:
        InvalidInputError: two have one name.
    """
    found: dict[str, importlib.metadata.EntryPoint] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.name in found or point.name in _OWN:
            other = found[point.name].value if point.name in found else _OWN[point.name]
            raise InvalidInputError(
                f"every entry point of {GROUP} has a name of its own; {point.value} and {other} are both "
                f"{point.name!r}: uninstall one of the packages"
            )
        found[point.name] = point
    return found
