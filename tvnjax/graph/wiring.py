"""Which array of a network goes where."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tvnjax.core.errors import InvalidInputError

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Wiring:
    """What every unit of a network reads. Arrays are counted through: the streams, then what each unit gives."""

    streams: int
    reads: tuple[tuple[int, ...], ...]
    """Of every unit, the arrays it reads."""

    @functools.cached_property
    def last_readers(self) -> tuple[int, ...]:
        """Of every array, the last unit that reads it; of the last one the number of units: the head reads it."""
        last = {at: number for number, reads in enumerate(self.reads) for at in reads}
        return tuple(last.get(at, len(self.reads)) for at in range(self.streams + len(self.reads)))

    @property
    def is_chain(self) -> bool:
        """Whether there is one stream, and every unit reads what stands right before it and nothing else."""
        return self.streams == 1 and self.reads == tuple((number,) for number in range(len(self.reads)))

    def follows(self, number: int) -> bool:
        """Whether a unit reads what stands right before it, the unit or the last stream, and nothing else."""
        return self.reads[number] == (self.streams + number - 1,)

    def run(self, streams: T | Sequence[T], unit: Callable[[int, list[T]], T]) -> T:
        """Runs units in their order; returns what the last one gives. Arrays that no later unit reads are let go of.

        Args:
            streams: the array of every stream, in a tuple or a list; of a single one it may be the array itself.
            unit: of a unit's number and the arrays it reads, what it gives.

        Raises:
            InvalidInputError: there are more or fewer arrays than streams.
        """
        arrays: list[Any] = list(streams) if isinstance(streams, tuple | list) else [streams]
        if len(arrays) != self.streams:
            raise InvalidInputError(
                f"a network gets an array for each stream it reads, {self.streams} here; got {len(arrays)}: give a "
                "tuple of them"
            )
        for number, reads in enumerate(self.reads):
            arrays.append(unit(number, [arrays[at] for at in reads]))
            for at in reads:
                if self.last_readers[at] == number:
                    arrays[at] = None
        return arrays[-1]
