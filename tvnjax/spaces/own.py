"""A space of one's own in a run's configuration: what it is goes into files, the space itself stays in Python."""

import dataclasses
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.printable import printable
from tvnjax.spaces.base import Space
from tvnjax.spaces.chain.space import ChainSpace, made

_TEXT = 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnSpace:
    """A space that was made in Python. One that is read from a file has none, and finds it where the same space has
    been made again."""

    digest: str
    """Of its options: the same space has the same, in another process as well."""
    text: str = ""
    """What it is, in a few words."""

    def __post_init__(self) -> None:
        if not isinstance(self.digest, str) or not self.digest:
            raise InvalidInputError(f"a space of one's own has a digest; got {self.digest!r:.60}")
        object.__setattr__(self, "_held", None)

    def __repr__(self) -> str:
        return printable(self.text or f"own space {self.digest}", _TEXT)

    @property
    def space(self) -> Space:
        """The space.

        Raises:
            InvalidInputError: it has not been made in this process.
        """
        held: Any = getattr(self, "_held", None)
        return made(self.digest) if held is None else held


def own_space(space: ChainSpace) -> OwnSpace:
    """A space for a configuration."""
    own = OwnSpace(digest=space.digest, text=repr(space))
    object.__setattr__(own, "_held", space)
    return own
