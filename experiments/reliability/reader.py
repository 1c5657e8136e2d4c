"""What a reader under test is."""

import abc
import contextlib
import io
import os
import random
import time
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


class Planted(Reader):
    """Fails in every way there is, so that the counting can be tested: as the case's seed says."""

    name = "planted"
    limit_s = 2.0
    warm = False

    def case(self, rng: random.Random) -> str | None:
        match rng.randrange(7):
            case 0:
                raise InvalidInputError("a rule, the value met, what to do")
            case 1:
                raise KeyError("not documented")
            case 2:
                ensure(False, "a wrong number")
            case 3:
                time.sleep(60)
            case 4:
                bytearray(8 * 1024**3)
            case 5 if self.warm:
                os._exit(7)
        self.warm = True
        return None
