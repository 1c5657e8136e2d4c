"""What every command has: ``--quiet`` and ``--json``."""

import dataclasses
from collections.abc import Callable
from typing import Any

from tvnjax.cli.machine import print_json
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.printable import say


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What is printed."""

    quiet: bool = False
    """Print the result alone: no progress and no remarks. Warnings and errors stay."""
    json: bool = False
    """Print the result as one JSON document, alone on standard output; remarks go to standard error."""

    def remark(self, text: object) -> None:
        """Prints a line that explains the result: not at all where that is all there shall be."""
        if not self.quiet:
            say(text, error=self.json)

    def result(self, value: Any, show: Callable[[], None]) -> None:
        """Prints a result.

        Args:
            value: as JSON knows it.
            show: prints it for a person.
        """
        if self.json:
            print_json(value)
        else:
            show()


def chosen_format(options: Any) -> str:
    """The ``format`` of a command that has several; ``--json`` is short for ``--format json``.

    Raises:
        InvalidInputError: another one was asked for besides.
    """
    if options.json and options.format not in ("table", "json"):
        raise InvalidInputError(f"--json is the format json; got --format {options.format} beside it: give one")
    return "json" if options.json else options.format
