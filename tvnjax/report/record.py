"""Reading a run directory: ``results.json``, ``config.json`` and ``events.jsonl``.

``results.json`` is what the tables are made of, so a broken one is refused. ``events.jsonl`` is a log that a stopped
run may have left half written, so everything in it is optional and what cannot be read is counted and passed over.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.jsonl import history
from tvnjax.core.links import refuse_links
from tvnjax.core.printable import NAME, printable
from tvnjax.core.untrusted import NotJsonError, in_range, parse_json, read_lines, read_text
from tvnjax.graph import HeadKind
from tvnjax.spaces.base import Genotype
from tvnjax.spaces.registry import UnmadeSpaceError, genotype_from_json

_NUMBERS = (
    *("top1", "top5", "latency_ms", "latency_iqr_ms", "predicted_ms", "budget_ms", "params", "macs", "memory_mb"),
    *("seconds", "compile_seconds", "retrain_seconds", "evaluations", "infeasible", "top1_sd"),
)
_SHARES = ("top1", "top5")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StrategyResult:
    """What one strategy found with one seed; ``None`` stands for a number the run does not have."""

    name: str
    seed: int
    top1: float | None = None
    """Share of the test split, 0 to 1, after retraining; the mean where the network was retrained several times."""
    top1_sd: float | None = None
    """Between the trainings of one network."""
    top5: float | None = None
    latency_ms: float | None = None
    """Measured, median of the repeats."""
    latency_iqr_ms: float | None = None
    predicted_ms: float | None = None
    budget_ms: float | None = None
    params: float | None = None
    macs: float | None = None
    memory_mb: float | None = None
    """MiB at the peak of one clip, counted from the network's layers."""
    seconds: float | None = None
    """Of the search, compilation included."""
    compile_seconds: float | None = None
    retrain_seconds: float | None = None
    evaluations: float | None = None
    infeasible: float | None = None
    genotype_id: str = ""
    genotype: Genotype | None = None
    unmade: str = ""
    """Why its genotype cannot be read in this process: its space, or an operator of it, is code that is not there."""
    error: str = ""
    seconds_by_kind: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """What the seconds of the search went into, by kind."""
    allowed: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """The run's budgets on what is counted: ``params``, ``memory_mb``; one that is absent does not hold."""

    @property
    def budget_share(self) -> float | None:
        """Measured milliseconds as a part of the budget; above 1 the network is over it."""
        if self.latency_ms is None or not self.budget_ms:
            return None
        return self.latency_ms / self.budget_ms

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the budgets the network is over: ``ms`` as measured, ``params`` and ``memory_mb`` as counted."""
        names = ["ms"] if self.budget_share is not None and self.budget_share > 1 else []
        costs = {"params": self.params, "memory_mb": self.memory_mb}
        names += [name for name, limit in self.allowed.items() if (cost := costs.get(name)) and cost > limit]
        return tuple(names)

    @property
    def over_budget(self) -> bool:
        return bool(self.broken)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Everything a report is made of."""

    name: str
    results: tuple[StrategyResult, ...]
    config: dict[str, Any] | None
    details: dict[str, Any]
    """``results.json`` without its ``strategies``."""
    events: tuple[dict[str, Any], ...]
    unread_lines: int
    """Lines of ``events.jsonl`` that are no JSON object, such as the last one of a run that was stopped."""

    @property
    def strategies(self) -> tuple[str, ...]:
        """Names of the strategies, each once, in the order of ``results.json``."""
        return tuple(dict.fromkeys(result.name for result in self.results))

    @property
    def class_names(self) -> tuple[str, ...]:
        names = self.mapping("data").get("class_names")
        return tuple(printable(name, NAME) for name in names) if isinstance(names, list) else ()

    @property
    def head(self) -> HeadKind:
        """How the networks pool their scores, as the run was asked to; the mean where it does not say."""
        options = (self.config or {}).get("config")
        kind = options.get("head") if isinstance(options, dict) else None
        return next((known for known in get_args(HeadKind) if known == kind), "mean")

    def mapping(self, key: str) -> Mapping[str, Any]:
        """A part of ``results.json`` that is an object; an empty one where there is none."""
        part = self.details.get(key)
        return part if isinstance(part, dict) else {}

    def of(self, strategy: str) -> list[StrategyResult]:
        return [result for result in self.results if result.name == strategy]

    def select(self, event: str, **equal: Any) -> list[dict[str, Any]]:
        """Events of one kind, in their order, whose fields equal those given."""
        return [
            entry
            for entry in self.events
            if entry.get("event") == event and all(entry.get(key) == value for key, value in equal.items())
        ]

    def candidates(self, **equal: Any) -> list[dict[str, Any]]:
        """Proposals that were refused or trained to the end, without those scored on the way or by inheritance."""
        return [
            entry
            for entry in self.select("candidate", **equal)
            if entry.get("scoring", "trained") == "trained" and (number(entry, "part") or 1.0) >= 1
        ]

    def runs(self, event: str) -> list[tuple[str, Any]]:
        """(strategy, seed) of the events of one kind, each once: those of the results first, in their order."""
        met = dict.fromkeys(
            (entry["strategy"], entry.get("seed"))
            for entry in self.select(event)
            if isinstance(entry.get("strategy"), str) and not isinstance(entry.get("seed"), dict | list)
        )
        known = [(result.name, result.seed) for result in self.results]
        return [run for run in known if run in met] + [run for run in met if run not in known]


def best_of(results: Iterable[StrategyResult]) -> StrategyResult | None:
    """The result shown for a strategy: the highest top-1 within the budget, then the highest of all."""
    ranked = sorted(results, key=lambda r: (not r.over_budget, -1.0 if r.top1 is None else r.top1), reverse=True)
    return ranked[0] if ranked else None


def number(entry: Mapping[str, Any], key: str) -> float | None:
    """The finite number at ``key`` of an event, or ``None``."""
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not in_range(value):
        return None
    return float(value)


def read_run(run_dir: Path) -> RunRecord:
    """Reads a run directory.

    Raises:
        InvalidInputError: ``results.json`` is missing or breaks its schema, ``config.json`` is no JSON object,
            a file is too large (see ``core.untrusted``), or the directory holds links (see ``core.links``).
    """
    refuse_links(run_dir)
    path = run_dir / "results.json"
    if not path.is_file():
        raise InvalidInputError(f"a report is made from results.json; {run_dir} has none: finish the run first")
    details = _read_object(path)
    entries = details.pop("strategies", None)
    if not isinstance(entries, list) or not entries:
        raise InvalidInputError(f"{path} lists at least one strategy under 'strategies'; got {entries!r:.60}")
    config = run_dir / "config.json"
    events, unread = _read_events(run_dir / "events.jsonl")
    allowed = _read_allowed(details.get("budget"))
    return RunRecord(
        name=run_dir.resolve().name,
        results=tuple(_read_result(entry, allowed, f"{path}, strategy {i}") for i, entry in enumerate(entries)),
        config=_read_object(config) if config.is_file() else None,
        details=details,
        events=events,
        unread_lines=unread,
    )


def read_so_far(run_dir: Path) -> RunRecord:
    """Reads a run that is not finished, or goes on: its events, and its strategies as far as they have begun, without
    a number. A finished one is read as by ``read_run``.

    Raises:
        InvalidInputError: it holds no run, its ``config.json`` is no JSON object, a file is too large, or the directory
            holds links.
    """
    if (run_dir / "results.json").is_file():
        return read_run(run_dir)
    refuse_links(run_dir)
    config = run_dir / "config.json"
    if not config.is_file():
        raise InvalidInputError(f"a run's directory holds config.json; {run_dir} holds none: check the path")
    events, unread = _read_events(run_dir / "events.jsonl")
    asked = _read_object(config)
    record = RunRecord(
        name=run_dir.resolve().name, results=(), config=asked, details={}, events=events, unread_lines=unread
    )
    begun = dict.fromkeys(run for event in ("search_step", "candidate") for run in record.runs(event))
    results = tuple(
        StrategyResult(name=name, seed=seed)
        for name, seed in begun
        if isinstance(seed, int) and not isinstance(seed, bool)
    )
    return dataclasses.replace(record, results=results)


def read_events(run_dir: Path) -> tuple[dict[str, Any], ...]:
    """The events of a run, finished or not.

    Raises:
        InvalidInputError: the log is too large to be one (see ``core.untrusted``), or the directory holds links.
    """
    refuse_links(run_dir)
    return _read_events(run_dir / "events.jsonl")[0]


def _read_allowed(budget: Any) -> dict[str, float]:
    """The budgets on what is counted; a run of before there were any has none."""
    limits = {key: number(budget, key) for key in ("params", "memory_mb")} if isinstance(budget, dict) else {}
    return {key: limit for key, limit in limits.items() if limit is not None}


def _read_result(entry: Any, allowed: Mapping[str, float], where: str) -> StrategyResult:
    if not isinstance(entry, dict):
        raise InvalidInputError(f"a strategy's result is a JSON object; {where} is {entry!r:.60}")
    name, seed = entry.get("name"), entry.get("seed")
    if not isinstance(name, str) or not name:
        raise InvalidInputError(f"a strategy's result has a name; {where} has {name!r:.60}")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise InvalidInputError(f"a strategy's seed is a whole number; {where} ({name}) has {seed!r:.60}")
    numbers = {key: _checked(key, entry.get(key), where) for key in _NUMBERS}
    genotype = entry.get("genotype")
    unmade = ""
    try:
        genotype = None if genotype is None else genotype_from_json(genotype)
    except UnmadeSpaceError as error:
        genotype, unmade = None, str(error)
    except InvalidInputError as error:
        raise InvalidInputError(f"{where}, genotype: {error}") from None
    return StrategyResult(
        name=name,
        seed=seed,
        genotype_id=str(entry.get("genotype_id") or ""),
        genotype=genotype,
        unmade=unmade,
        error=str(entry.get("error") or ""),
        seconds_by_kind=_read_spent(entry.get("spent")),
        allowed=allowed,
        **numbers,
    )


def _read_spent(spent: Any) -> dict[str, float]:
    if not isinstance(spent, dict):
        return {}
    return {str(kind): value for kind in spent if (value := number(spent, kind)) is not None}


def _checked(key: str, value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not in_range(value) or value < 0:
        raise InvalidInputError(f"{key} is a number that is not negative, or null; {where} has {value!r:.60}")
    if key in _SHARES and value > 1:
        raise InvalidInputError(f"{key} is a share from 0 to 1; {where} has {value!r:.60}: divide percentages by 100")
    return value


def _read_object(path: Path) -> dict[str, Any]:
    text = read_text(path, "a part of a run")
    try:
        data = _parse(text)
    except NotJsonError as error:
        raise InvalidInputError(f"{path} is JSON; {error}") from None
    if not isinstance(data, dict):
        raise InvalidInputError(f"{path} holds a JSON object; got {type(data).__name__}")
    return data


def _read_events(path: Path) -> tuple[tuple[dict[str, Any], ...], int]:
    events: list[dict[str, Any]] = []
    unread = 0
    for _, line in read_lines(path, "a run's log") if path.is_file() else ():
        try:
            # A run stopped in the middle of a write can leave half a character at the end.
            entry = _parse(line.decode("utf-8", errors="replace"))
        except NotJsonError:
            entry = None
        if isinstance(entry, dict):
            events.append(entry)
        else:
            unread += 1
    return tuple(history(events)), unread


def _parse(text: str) -> Any:
    """Parses JSON; the NaN and Infinity that Python writes become null, a number the run does not have."""
    return parse_json(text, not_finite="null")
