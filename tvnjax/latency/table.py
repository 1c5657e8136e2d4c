"""Measured latencies of one environment, kept on disk and extended, never mixed with those of another."""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from tvnjax.core.environment import (
    TIMED_BY,
    cache_dir,
    check_writable,
    environment,
    fingerprint,
    timed_by,
    unwritable,
)
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.run_dir import read_json, write_json
from tvnjax.core.untrusted import JSON_LIMIT
from tvnjax.core.waiting import taking_turns
from tvnjax.latency.measure import Measurement
from tvnjax.latency.runtimes import Runtime

FORMAT = 5
"""Raised with every change of what a measurement is, so that an older table is set aside, not misread."""

_KEPT = "measured latencies"

Key = tuple[str, str]
"""Kind of an entry (``unit``, ``network``, or ``sentinel`` for the reference network, which the others were compared
with) and what is measured, spelt out."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One measurement; see ``Measurement``."""

    kind: str
    key: str
    latency_ms: float
    median_ms: float
    iqr_ms: float
    repeats: int
    outliers: int
    drift: float
    kernels: float | None = None
    """Launched by a call, and of a unit by one turn of its chain; counted on accelerators alone."""


class OtherEnvironmentError(InvalidInputError):
    """A table was measured in another environment."""

    def __init__(self, path: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any]):
        differs = [name for name in TIMED_BY if timed_by(theirs, name) != timed_by(ours, name)]
        told = "; ".join(
            f"{name}: {timed_by(theirs, name)!s:.100} there, {timed_by(ours, name)} here" for name in differs
        )
        self.rule = f"a latency table holds for the environment it was measured in; {path} differs in {told}"
        self.differs, self.threads = differs, theirs.get("threads")
        super().__init__(f"{self.rule}: run 'tvnjax profile' here")


class _DamagedError(Exception):
    """A file is no latency table, or not as it was written."""


class LatencyTable:
    """Entries of one environment by kind and key.

    Several processes may add to one file: what is saved is merged, in turns, with what others saved meanwhile.

    A file that is damaged (half written, or changed since it was) is moved aside with a warning, and the table is
    empty: what is missing is measured again, nothing doubtful is used. One that the system fails to read is no damaged
    one.

    Args:
        path: the table's file; it is read if it is there.
        runtime: what is measured.
        frozen: entries never change once they are there.
        shared: other processes may write the file, and it is one of the cache; otherwise it is written by this process
            alone, if at all, as a run's own files are: what keeps it from being written is an ``OSError``.

    Raises:
        InvalidInputError: the file is of another environment, or cannot be read or written.
    """

    def __init__(self, path: Path, runtime: Runtime, *, frozen: bool = False, shared: bool = True):
        self.frozen, self._shared = frozen, shared
        self.path, self._about, self._runtime = path, environment() | runtime.description, runtime
        self._clocks: Any = None
        self._added: set[Key] = set()
        if shared:
            check_writable(path.parent, _KEPT)  # before anything is measured, not after
        try:
            self.entries: dict[Key, Entry] = self._parse()
        except _DamagedError:
            with self._in_turn():
                self.entries = self._read()

    @classmethod
    def for_this_environment(cls, folder: Path, runtime: Runtime, *, frozen: bool = False) -> "LatencyTable":
        """The table kept in ``folder`` for this runtime on this device, these versions and flags."""
        described = environment() | runtime.description
        kind = "-frozen" if frozen else ""
        file = folder / f"{described['runtime']}-{fingerprint(described)}-v{FORMAT}{kind}.json"
        return cls(file, runtime, frozen=frozen)

    def copy_to(self, path: Path) -> None:
        """Writes all entries to a file of one process alone, over what was there.

        Raises:
            OSError: it cannot be written.
        """
        self._write(path)

    def go_on_in(self, path: Path) -> None:
        """Leaves the file as it is, and goes on in another, of this process alone, with what is in it already.

        Raises:
            OSError: it cannot be written.
        """
        self.path, self._added, self._shared = path, set(self.entries), False
        self.save()

    @property
    def environment(self) -> dict[str, Any]:
        """What it was measured in: what tells tables apart and, of an accelerator, ``clocks`` at the last measurement,
        which do not."""
        clocks = self._runtime.conditions or self._clocks
        return {**self._about, "clocks": clocks} if clocks else self._about

    @property
    def digest(self) -> str:
        """Of all entries."""
        return _digest([_plain(entry) for entry in self.entries.values()])

    def add(self, key: Key, measured: Measurement, kernels: float | None = None) -> None:
        """Keeps a measurement, and the kernels where the runtime counts them; ``save`` writes it."""
        values = {**dataclasses.asdict(measured), "kernels": kernels}
        names = [field.name for field in dataclasses.fields(Entry) if field.name not in ("kind", "key")]
        self._added.add(key)
        self.entries[key] = Entry(kind=key[0], key=key[1], **{name: values[name] for name in names})

    def settle(self) -> None:
        """Takes the quietest moment so far for what all entries are relative to.

        The first measurement of the reference network may fall into a busy minute; then every later one finds it faster
        (``drift`` below 1), and latencies would be those of that minute.
        """
        if self.frozen:
            return
        quietest = min(entry.drift for entry in self.entries.values())
        if quietest < 1:
            self.entries = _scaled(self.entries, quietest)

    def save(self) -> None:
        """Writes the entries, together with those that other processes wrote since they were read; all are kept here,
        too.

        Of a frozen table the entry that was written first stays, so that every process decides by the same; otherwise
        a measurement of this process replaces an older one.

        Raises:
            InvalidInputError: the file cannot be written, or read again.
        """
        with self._in_turn():
            self.entries = merged(self._read(), self.entries, self._added, frozen=self.frozen)
            self._write(self.path)
        self._added = set()

    def _write(self, path: Path) -> None:
        entries = [_plain(entry) for entry in self.entries.values()]
        data = {"format": FORMAT, "environment": self.environment, "digest": _digest(entries), "entries": entries}
        write_json(path, data)

    @contextlib.contextmanager
    def _in_turn(self) -> Iterator[None]:
        """One process at a time reads a shared file and writes it again."""
        if not self._shared:
            yield
            return
        try:
            with taking_turns(self.path.parent):
                yield
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def _read(self) -> dict[Key, Entry]:
        """The entries of the file; a damaged one is moved aside. Only in turn: of two processes that met a damaged one,
        the second would move aside what the first has written since."""
        try:
            return self._parse()
        except _DamagedError as damaged:
            aside = self.path.with_suffix(".damaged")
            os.replace(self.path, aside)
            warnings.warn(
                f"the latency table {self.path} is damaged ({damaged}); it is now {aside.name}, and what is needed is "
                "measured again",
                stacklevel=3,
            )
            return {}

    def _parse(self) -> dict[Key, Entry]:
        try:
            with self.path.open("rb") as file:
                # What the system fails to read is not damaged: it is as it was when the system can read it again.
                file.read(JSON_LIMIT + 1)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise InvalidInputError(
                f"a latency table is a file that can be read; {self.path}: {error.strerror}: give permission, or try "
                "again"
            ) from None
        try:
            data = read_json(self.path)
            theirs, found = data["environment"], data["entries"]
            if data["format"] != FORMAT or data["digest"] != _digest(found):
                raise ValueError("its entries are not those that were written")
            if not isinstance(theirs, dict):
                raise ValueError("it does not say what it was measured on")
            entries = [_checked(Entry(**entry)) for entry in found]
            if len({(entry.kind, entry.key) for entry in entries}) < len(entries):
                raise ValueError("an entry stands in it twice")
        except KeyError as error:
            raise _DamagedError(f"lacks {error}") from None
        except (InvalidInputError, ValueError, TypeError) as error:
            raise _DamagedError(str(error)) from None
        if fingerprint(theirs) != fingerprint(self._about):
            raise OtherEnvironmentError(self.path, theirs, self._about)
        uncounted = [entry.key for entry in entries if entry.kernels is None]
        if timed_by(theirs, "kernels") is not None and uncounted:
            raise _DamagedError(f"{uncounted[0]!s:.60} has no count of its kernels")
        self._clocks = theirs.get("clocks")
        return {(entry.kind, entry.key): entry for entry in entries}


def merged(
    theirs: Mapping[Key, Entry], ours: Mapping[Key, Entry], added: Set[Key], *, frozen: bool
) -> dict[Key, Entry]:
    """Entries of two processes as one table.

    Latencies are given in the conditions in which the reference network takes as long as its own entry says. Two
    processes that began without a table have each measured it, one perhaps in a busier minute: entries of the one are
    brought to the conditions of the other by the ratio of the two. A frozen table's conditions are those of the file,
    which never change; otherwise the quieter ones count, as in ``LatencyTable.settle``.

    Args:
        theirs: in the file.
        ours: of this process.
        added: those of ours that this process measured since it read the file.
        frozen: entries of the file stay.
    """
    there, here = _reference_ms(theirs), _reference_ms(ours)
    if there is not None and here is not None:
        conditions = there if frozen else min(there, here)
        theirs, ours = _scaled(theirs, conditions / there), _scaled(ours, conditions / here)
    if frozen:
        return {**theirs, **{key: entry for key, entry in ours.items() if key not in theirs}}
    return {**theirs, **{key: entry for key, entry in ours.items() if key in added or key not in theirs}}


def _reference_ms(entries: Mapping[Key, Entry]) -> float | None:
    return next((entry.latency_ms for entry in entries.values() if entry.kind == "sentinel"), None)


def _scaled(entries: Mapping[Key, Entry], factor: float) -> dict[Key, Entry]:
    if factor == 1:
        return dict(entries)
    return {
        key: dataclasses.replace(entry, latency_ms=entry.latency_ms * factor, drift=entry.drift / factor)
        for key, entry in entries.items()
    }


def _checked(entry: Entry) -> Entry:
    """An entry as it was read; raises ValueError where it is no measurement."""
    times = (entry.latency_ms, entry.median_ms, entry.iqr_ms, entry.drift)
    counts = (entry.repeats, entry.outliers)
    right = (
        isinstance(entry.kind, str)
        and isinstance(entry.key, str)
        and all(isinstance(t, int | float) and not isinstance(t, bool) and math.isfinite(t) and t >= 0 for t in times)
        and all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in counts)
        and entry.latency_ms > 0
        and entry.drift > 0
        and (entry.kernels is None or (type(entry.kernels) in (int, float) and 0 <= entry.kernels < math.inf))
    )
    if not right:
        raise ValueError(f"{entry.key!s:.60} has no latency above 0, or another number that cannot be")
    return entry


def _plain(entry: Entry) -> dict[str, Any]:
    """As it is written: what no accelerator was asked for is left out."""
    values = dataclasses.asdict(entry)
    if entry.kernels is None:
        del values["kernels"]
    return values


def _digest(entries: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def _unwritable(path: Path, error: OSError) -> InvalidInputError:
    if path.is_relative_to(cache_dir()):
        return unwritable(path.parent, _KEPT, error)
    # A run's own copy is not in the cache.
    return InvalidInputError(
        f"measurements are kept in a file that can be written; {path}: {error.strerror}: make room, or give permission"
    )
