"""The processes a run is spread over, as options."""

import dataclasses

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.joining import Address, of_cluster


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distributed:
    """Processes, on one host or several, that search by gradient together; each is begun with the same options but
    ``index``. Process 0 measures, decides and writes; the others lend their devices (see ``devices``)."""

    coordinator: str | None = None
    """HOST:PORT of process 0, a port that is free there; the same for all processes."""
    processes: int = 1
    """How many there are."""
    index: int = 0
    """Number of this process, from 0; 0 is the one that writes the run."""
    auto: bool = False
    """Take all three from the cluster's own variables (Slurm, Open MPI, Cloud TPU and others that JAX knows)."""

    def __post_init__(self) -> None:
        if self.processes < 1 or not 0 <= self.index < self.processes:
            raise InvalidInputError(
                "distributed.index is a number from 0 to below distributed.processes; got index "
                f"{self.index} and {self.processes} processes"
            )
        if self.auto and (self.coordinator is not None or self.processes > 1):
            raise InvalidInputError(
                "distributed.auto takes coordinator, processes and index from the cluster; got some of them too: give "
                "one or the other"
            )
        if self.processes > 1 and self.coordinator is None:
            raise InvalidInputError(
                f"{self.processes} processes find each other at the address of process 0: give "
                "--distributed.coordinator HOST:PORT to each"
            )
        host, _, port = (self.coordinator or "localhost:1").rpartition(":")
        if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
            raise InvalidInputError(
                f"distributed.coordinator is HOST:PORT, the port from 1 to 65535; got {self.coordinator!r:.100}"
            )

    def address(self) -> Address | None:
        """This process's place; ``None`` for a run of one process.

        Raises:
            InvalidInputError: the cluster's variables say nothing.
        """
        if self.auto:
            return of_cluster()
        if self.processes == 1 or self.coordinator is None:
            return None
        return Address(coordinator=self.coordinator, count=self.processes, index=self.index)


def without_place(argv: list[str]) -> list[str]:
    """Arguments of a command without those that say which process it is."""
    kept: list[str] = []
    words = iter(argv)
    dropped = False
    for word in words:
        if word.startswith("--distributed."):
            dropped = "=" not in word
        elif dropped and not word.startswith("--"):
            dropped = False
        else:
            dropped = False
            kept.append(word)
    return kept
