"""Measured latencies of one environment, kept on disk and extended, never mixed with those of another."""

import dataclasses
import hashlib
import json
import math
import os
import warnings
from pathlib import Path
from typing import Any

from tvnjax.core.environment import environment, fingerprint
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.run_dir import read_json, write_json
from tvnjax.latency.measure import Measurement
from tvnjax.latency.runtimes import Runtime

FORMAT = 5
"""Raised with every change of what a measurement is, so that an older table is set aside, not misread."""

Key = tuple[str, str]
"""Kind of an entry (``unit``, ``network``, or ``sentinel`` for the network the others were compared with) and what is
measured, spelt out."""


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


class LatencyTable:
    """Entries of one environment by kind and key.

    A file that is damaged (half written, or changed since it was) is moved aside with a warning, and the table is
    empty: what is missing is measured again, nothing doubtful is used.

    Args:
        path: the table's file; it is read if it is there.
        runtime: what is measured.
        frozen: entries never change once they are there.

    Raises:
        InvalidInputError: the file is of another environment, or cannot be read or written.
    """

    def __init__(self, path: Path, runtime: Runtime, *, frozen: bool = False):
        self.frozen = frozen
        self.path, self.environment = path, environment() | runtime.description
        self.entries: dict[Key, Entry] = {}
        _check_writable(path)
        if path.exists():
            self._read()

    @classmethod
    def for_this_environment(cls, folder: Path, runtime: Runtime, *, frozen: bool = False) -> "LatencyTable":
        """The table kept in ``folder`` for this runtime on this device, these versions and flags."""
        described = environment() | runtime.description
        kind = "-frozen" if frozen else ""
        file = folder / f"{described['runtime']}-{fingerprint(described)}-v{FORMAT}{kind}.json"
        return cls(file, runtime, frozen=frozen)

    def move_to(self, path: Path) -> None:
        """Goes on as a copy in another file."""
        self.path = path
        self.save()

    @property
    def digest(self) -> str:
        """Of all entries."""
        return _digest([dataclasses.asdict(entry) for entry in self.entries.values()])

    def add(self, key: Key, measured: Measurement) -> None:
        """Keeps a measurement; ``save`` writes it."""
        values = dataclasses.asdict(measured)
        names = [field.name for field in dataclasses.fields(Entry) if field.name not in ("kind", "key")]
        self.entries[key] = Entry(kind=key[0], key=key[1], **{name: values[name] for name in names})

    def settle(self) -> None:
        """Takes the quietest moment so far for what all entries are relative to.

        The first measurement of the sentinel may fall into a busy minute; then every later one finds it faster
        (``drift`` below 1), and latencies would be those of that minute.
        """
        if self.frozen:
            return
        quietest = min(entry.drift for entry in self.entries.values())
        if quietest < 1:
            self.entries = {
                key: dataclasses.replace(entry, latency_ms=entry.latency_ms * quietest, drift=entry.drift / quietest)
                for key, entry in self.entries.items()
            }

    def save(self) -> None:
        entries = [dataclasses.asdict(entry) for entry in self.entries.values()]
        data = {"format": FORMAT, "environment": self.environment, "digest": _digest(entries), "entries": entries}
        try:
            write_json(self.path, data)
        except OSError as error:
            raise InvalidInputError(_unwritable(self.path, error)) from None

    def _read(self) -> None:
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
        except (InvalidInputError, ValueError, TypeError, KeyError) as error:
            aside = self.path.with_suffix(".damaged")
            os.replace(self.path, aside)
            reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            warnings.warn(
                f"the latency table {self.path} is damaged ({reason}); it is now {aside.name}, and what is needed is "
                "measured again",
                stacklevel=3,
            )
            return
        ours = self.environment
        if fingerprint(theirs) != fingerprint(ours):
            differs = [f"{k}: {theirs.get(k)!s:.100} there, {ours[k]} here" for k in ours if theirs.get(k) != ours[k]]
            raise InvalidInputError(
                f"a latency table holds for the environment it was measured in; {self.path} differs in "
                f"{'; '.join(differs)}: run 'tvnjax profile' here"
            )
        self.entries = {(entry.kind, entry.key): entry for entry in entries}


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
    )
    if not right:
        raise ValueError(f"{entry.key!s:.60} has no latency above 0, or another number that cannot be")
    return entry


def _digest(entries: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def _check_writable(path: Path) -> None:
    """Before anything is measured, not after."""
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{path.name}.writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InvalidInputError(_unwritable(path, error)) from None


def _unwritable(path: Path, error: OSError) -> str:
    return (
        f"measurements are kept in a file that can be written; {path}: {error.strerror}: set TVNJAX_CACHE to a folder "
        "of yours"
    )
