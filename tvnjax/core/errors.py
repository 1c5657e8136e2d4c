"""The one error a person is meant to read."""

import difflib
from collections.abc import Iterable

from tvnjax.core.printable import on_one_line


class InvalidInputError(ValueError):
    """Input that breaks a rule: the message states the rule, the value met and what to do, on one line.

    The message is printable whatever the names in it hold (``core.printable``). The command line prints the message
    alone and exits with status 2; from Python it is a ``ValueError``.
    """

    def __init__(self, message: object = ""):
        super().__init__(on_one_line(message))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns ``" (did you mean 'x'?)"`` for the known word nearest to ``word``, or an empty string."""
    near = difflib.get_close_matches(word[:100], list(known), n=1, cutoff=0.5)
    return f" (did you mean '{near[0]}'?)" if near else ""
