"""Settings that are one of a few words, checked where they are made from Python too."""

import dataclasses
import typing
from typing import Any

from tvnjax.core.errors import InvalidInputError, did_you_mean


def check_literals(settings: Any, prefix: str = "") -> None:
    """Refuses a dataclass with a field of type ``Literal`` whose value is not one of its words: what compares it with
    the words it knows would take another for the default, or for a dtype.

    Args:
        prefix: of the fields' names in the message (``search.``).

    Raises:
        InvalidInputError: there is one.
    """
    hints = typing.get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        words = typing.get_args(hints[field.name])
        value = getattr(settings, field.name)
        if typing.get_origin(hints[field.name]) is typing.Literal and value not in words:
            raise InvalidInputError(
                f"{prefix}{field.name} is one of {', '.join(words)}; got {value!r:.60}{did_you_mean(str(value), words)}"
            )
