"""Measured latencies of one environment, kept on disk and extended, never mixed with those of another."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from tvnjax.core.environment import environment, fingerprint
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.run_dir import read_json, write_json
from tvnjax.latency.cost_model import FEATURE_NAMES, CostModel, Measured, cross_validated, fit, fit_quality
from tvnjax.latency.measure import Measurement
from tvnjax.latency.runtimes import Runtime

FORMAT = 4
"""Raised with every change of the features, so that a table of an older version is set aside, not misread."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One measured unit or whole network."""

    kind: str
    """``unit``, ``network``, or ``sentinel`` for the network the others were compared with."""
    key: str
    features: tuple[float, ...]
    latency_ms: float
    """Of the fastest call; what is fitted to. The rest is how it was measured, see ``Measurement``."""
    median_ms: float
    iqr_ms: float
    repeats: int
    outliers: int
    drift: float


class LatencyTable:
    """Entries of one environment by kind and key.

    Args:
        path: the table's file; it is read if it is there.
        runtime: what is measured.

    Raises:
        InvalidInputError: the file is of another environment or of another format.
    """

    def __init__(self, path: Path, runtime: Runtime):
        self.path, self.environment = path, environment() | runtime.description
        self.entries: dict[tuple[str, str], Entry] = {}
        if path.exists():
            self._read(read_json(path))

    @classmethod
    def for_this_environment(cls, folder: Path, runtime: Runtime) -> "LatencyTable":
        """The table kept in ``folder`` for this runtime on this device, these versions and flags."""
        described = environment() | runtime.description
        return cls(folder / f"{described['runtime']}-{fingerprint(described)}-v{FORMAT}.json", runtime)

    def add(self, kind_and_key: tuple[str, str], features: np.ndarray, measured: Measurement) -> None:
        """Keeps a measurement; ``save`` writes it."""
        kind, key = kind_and_key
        self.entries[kind_and_key] = Entry(
            kind=kind,
            key=key,
            features=tuple(map(float, features)),
            latency_ms=measured.latency_ms,
            median_ms=measured.median_ms,
            iqr_ms=measured.iqr_ms,
            repeats=measured.repeats,
            outliers=measured.outliers,
            drift=measured.drift,
        )

    def save(self) -> None:
        entries = [dataclasses.asdict(entry) for entry in self.entries.values()]
        write_json(
            self.path,
            {"format": FORMAT, "environment": self.environment, "features": FEATURE_NAMES, "entries": entries},
        )

    def rows(self, keys: set[tuple[str, str]]) -> list[Entry]:
        """The named entries, in the order they were measured."""
        return [entry for key, entry in self.entries.items() if key in keys]

    def _read(self, data: Any) -> None:
        if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("features") != FEATURE_NAMES:
            raise InvalidInputError(
                f"a latency table has format {FORMAT} and this version's features; {self.path} has not: delete it "
                f"and run 'tvnjax profile'"
            )
        theirs, ours = data["environment"], self.environment
        if fingerprint(theirs) != fingerprint(ours):
            differs = [f"{k}: {theirs.get(k)} there, {ours[k]} here" for k in ours if theirs.get(k) != ours[k]]
            raise InvalidInputError(
                f"a latency table holds for the environment it was measured in; {self.path} differs in "
                f"{'; '.join(differs)}: run 'tvnjax profile' here"
            )
        for entry in data["entries"]:
            entry = Entry(**{**entry, "features": tuple(entry["features"])})
            self.entries[entry.kind, entry.key] = entry


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit:
    """A cost model with how well it predicts what it was not fitted on."""

    model: CostModel
    quality: dict[str, float]
    """Of whole networks, cross-validated (see ``cost_model.fit_quality``)."""
    points: tuple[dict[str, Any], ...]
    """Every row: kind, key, measured and cross-validated predicted milliseconds."""
    margin: float
    """Relative error that nine in ten cross-validated network predictions stay within."""


def fit_entries(entries: list[Entry]) -> Fit:
    """Fits the cost model to measured entries and cross-validates it.

    Raises:
        InvalidInputError: there are too few entries, or no whole network among them.
    """
    networks = [entry.kind == "network" for entry in entries]
    if len(entries) < 10 or sum(networks) < 2:
        raise InvalidInputError(
            f"a cost model needs at least 10 measurements and 2 networks; got {len(entries)} and {sum(networks)}: "
            f"profile more"
        )
    measured = Measured(
        features=np.array([entry.features for entry in entries]),
        ms=np.array([entry.latency_ms for entry in entries]),
        spread_ms=np.array([entry.iqr_ms for entry in entries]),
        is_network=np.array(networks),
    )
    predicted = cross_validated(measured)
    pairs = [(p, m) for p, m, is_network in zip(predicted, measured.ms, networks) if is_network]
    errors = [abs(p - m) / m for p, m in pairs]
    return Fit(
        model=fit(measured),
        quality=fit_quality(*zip(*pairs)),
        points=tuple(
            {"kind": entry.kind, "key": entry.key, "measured_ms": entry.latency_ms, "predicted_ms": float(p)}
            for entry, p in zip(entries, predicted)
        ),
        margin=float(np.quantile(errors, 0.9)),
    )
