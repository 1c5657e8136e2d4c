"""What a reader under test is."""

import abc
import contextlib
import io
import random
import warnings
from collections.abc import Iterator
from pathlib import Path

from tvnjax.core.errors import InvalidInputError


class AcceptedGarbageError(Exception):
    """A reader accepted what it must not."""


class Reader(abc.ABC):
    """Something of tvnjax that reads files from outside.

    Args:
        folder: an empty folder of its own.
    """

    name: str
    refusals: tuple[type[Exception], ...] = (InvalidInputError,)
    """The documented errors."""
    limit_s: float = 10.0
    """What a case may take."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.prepare()

    def prepare(self) -> None:
        """Makes what all cases start from."""
        return

    @abc.abstractmethod
    def case(self, rng: random.Random) -> str | None:
        """Writes a file that ``rng`` damages, reads it, and checks what is accepted.

        Returns:
            What came of it, if it was neither accepted nor refused.

        Raises:
            AcceptedGarbageError: what was read cannot be what the file says.
        """


def ensure(holds: bool, what: str) -> None:
    if not holds:
        raise AcceptedGarbageError(what)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Leaves warnings and prints of libraries out."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
