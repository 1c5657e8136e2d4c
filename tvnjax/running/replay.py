"""Strategies run on a recorded table instead of by training, and tables made from runs."""

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tvnjax.core.environment import environment
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Monitor, Silent
from tvnjax.core.outputs import write_output
from tvnjax.core.run_dir import RunDir, write_json
from tvnjax.graph import COUNTING_RULE
from tvnjax.report.record import number, read_events, read_run
from tvnjax.search.base import SearchResult
from tvnjax.search.cost_account import run_strategy
from tvnjax.search.registry import Registered, StrategyChoice, facts_of, registered, strategy_choices
from tvnjax.search.strategies.evolution import EvolutionConfig
from tvnjax.search.strategies.optuna_search import OptunaConfig
from tvnjax.search.strategies.successive_halving import HalvingConfig
from tvnjax.search.strategies.weight_sharing import SharingConfig
from tvnjax.search.tabular.benchmark import Entry, Recorded, Table, table_bytes
from tvnjax.search.tabular.read import parse_table, read_table
from tvnjax.spaces.registry import genotype_from_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReplayConfig:
    """What is run on a table. Sizes suit a few hundred networks."""

    strategies: tuple[StrategyChoice, ...] = ("evolution", "regularized_evolution", "successive_halving", "random")
    """``differentiable`` and ``hybrid`` train a supernet, which no table stands in for."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of the strategies. Search seed s reads the trainings of the table's seed number s modulo their number."""
    budget_ms: float | None = None
    """Latency a network may take. Default: the median of the table's."""
    seconds: float | None = None
    """Device seconds a strategy may use. Default: what a tenth of the table took."""
    evolution: EvolutionConfig = dataclasses.field(default_factory=lambda: EvolutionConfig(population=15, tournament=5))
    regularized: EvolutionConfig = dataclasses.field(
        default_factory=lambda: EvolutionConfig(population=15, tournament=5, leaves="oldest")
    )
    halving: HalvingConfig = dataclasses.field(default_factory=HalvingConfig)
    sharing: SharingConfig = dataclasses.field(default_factory=SharingConfig)
    optuna: OptunaConfig = dataclasses.field(default_factory=OptunaConfig)

    def __post_init__(self) -> None:
        object.__setattr__(self, "strategies", strategy_choices(self.strategies))
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise InvalidInputError(f"a replay has seeds of 0 or above, each once; got {self.seeds}")
        for name, value in (("seconds", self.seconds), ("budget_ms", self.budget_ms)):
            if value is not None and not value > 0:
                raise InvalidInputError(f"{name} is above 0; got {value}")


def replay(
    table: Table | Path | str,
    config: ReplayConfig | None = None,
    *,
    out: Path | None = None,
    monitor: Monitor | None = None,
) -> list[SearchResult]:
    """Runs every strategy with every seed by looking networks up.

    Args:
        table: the table, or its file.
        config: what to run.
        out: where a run directory is left that ``tvnjax compare`` and ``tvnjax report`` read; default: none.
        monitor: hears of every candidate.

    Raises:
        InvalidInputError: the table cannot be read or has not what a strategy asks for, or the budget refuses all.
    """
    table = table if isinstance(table, Table) else read_table(Path(table))
    config = config or ReplayConfig()
    latencies = table.latencies()
    if not latencies:
        raise InvalidInputError(f"a replay filters by measured latency; {table.name} has none: record a measured run")
    budget_ms = statistics.median(latencies) if config.budget_ms is None else config.budget_ms
    if budget_ms < latencies[0]:
        raise InvalidInputError(
            f"a budget is one some network can meet; {budget_ms:.3g} ms is below the table's smallest, "
            f"{latencies[0]:.3g} ms: raise --budget-ms to at least that"
        )
    limit_s = config.seconds or 0.1 * sum(e.check_seconds + _mean(e) for e in table.entries.values())
    if out is None:
        return _replay(table, config, budget_ms, limit_s, monitor or Silent(), None)
    run_dir = RunDir(out)
    try:
        found = _replay(table, config, budget_ms, limit_s, monitor or Silent(), run_dir)
        write_json(out / "config.json", {"command": "tvnjax replay", "config": config})
        write_json(out / "results.json", _results(table, found, budget_ms))
    except BaseException as error:
        # It takes seconds: nothing of it is worth keeping.
        run_dir.discard()
        if not isinstance(error, OSError):
            raise
        raise InvalidInputError(
            f"a replay leaves a run in a directory that can be written; {error.filename or out}: {error.strerror}: "
            "make room, or name another with --out"
        ) from None
    run_dir.close()
    return found


def _replay(
    table: Table, config: ReplayConfig, budget_ms: float, limit_s: float, listener: Monitor, run_dir: RunDir | None
) -> list[SearchResult]:
    found = []
    for one in map(registered, config.strategies):
        if one.make is None:
            raise InvalidInputError(
                f"a table stands in for evaluations, which a strategy asks for; {one.name} trains a supernet instead: "
                "leave it out"
            )
        for seed in config.seeds:
            task = table.task(budget_ms)
            if not one.shares_weights:
                # Scores that it has not paid a supernet for.
                task = dataclasses.replace(task, screen=None, inherit=None)
            watch = _Both(listener, run_dir)
            options: Any = {"seed": seed, "limit_s": limit_s, "monitor": watch, "initial_seconds": _before(table, one)}
            found.append(run_strategy(one.make(config, task.space, seed), task, **options))
    return found


def record_runs(folders: Sequence[Path], out: Path, *, force: bool = False) -> Table:
    """Writes a table of all networks that some runs trained, finished or not.

    A network's seed is its run's; of several trainings with one seed the first counts.

    Args:
        folders: run directories.
        out: the table's file.
        force: replace a file that is there.

    Raises:
        InvalidInputError: a directory holds no candidates, or only damaged ones; or the file would replace another, or
            cannot be written.
    """
    rows: dict[str, dict[str, Any]] = {}
    curves: dict[tuple[str, int, str], dict[float, dict[str, Any]]] = {}
    for folder in folders:
        events = [event for event in read_events(folder) if event.get("event") == "candidate"]
        if not events:
            raise InvalidInputError(f"a table is made from a run's candidates; {folder} has none: name a run directory")
        for event in events:
            _take(event, rows, curves)
    by_seed: dict[str, dict[int, Any]] = {}
    for (identity, seed, _), curve in curves.items():
        # One training: what other strategies trained of the same network again is passed over.
        if identity in by_seed and seed in by_seed[identity] and max(by_seed[identity][seed]) >= max(curve):
            continue
        by_seed.setdefault(identity, {})[seed] = curve
    entries = [_entry(row, by_seed.get(identity, {})) for identity, row in rows.items()]
    facts: dict[str, Any] = {"runs": [f.name for f in folders], **_built_on(folders), "environment": environment()}
    content = table_bytes(out.stem, None, [entry for entry in entries if entry.runs], **facts)
    # Read before it is written: what a replay would refuse replaces nothing.
    table = parse_table(iter(enumerate(content.splitlines(keepends=True), 1)), out)
    write_output({out: content}, "a table", force=force)
    return table


def _before(table: Table, strategy: Registered) -> dict[str, float]:
    """What a strategy builds on, as recorded: the latency table, and for shared weights a supernet."""
    header = table.header
    spent = {"table": number(header, "table_seconds") or 0.0}
    if strategy.shares_weights:
        if not all(entry.inherited for entry in table.entries.values()):
            raise InvalidInputError(
                f"scores with inherited weights must be recorded to be replayed; not all networks of {table.name} have "
                f"one: leave out {strategy.name}"
            )
        supernet = number(header, "supernet_seconds")
        if supernet is None:
            raise InvalidInputError(
                f"a supernet's training is charged; {table.name} has scores with inherited weights, but no "
                "supernet_seconds in its first line: add them"
            )
        spent["supernet"] = supernet
    return spent


class _Both:
    """Tells a run directory and whoever listens."""

    def __init__(self, listener: Monitor, run_dir: RunDir | None):
        self._listener, self._run_dir = listener, run_dir

    def event(self, kind: str, **fields: Any) -> None:
        self._listener.event(kind, **fields)
        if self._run_dir is not None:
            self._run_dir.event(kind, **fields)

    def progress(self, stage: str, done: float, total: float, text: str = "") -> None:
        self._listener.progress(stage, done, total, text)


def _take(event: dict[str, Any], rows: dict[str, dict[str, Any]], curves: dict[Any, Any]) -> None:
    identity, seed = str(event.get("id")), event.get("seed")
    row = rows.setdefault(identity, {"id": identity, "genotype": event.get("genotype"), "inherited": None})
    for key in ("latency_ms", "costs"):
        if event.get(key) is not None:
            row.setdefault(key, event[key])
    top1, top5 = number(event, "top1"), number(event, "top5")
    if event.get("scoring") == "inherited":
        row["inherited"] = row["inherited"] or (None if top1 is None else (top1, top5 or 0.0))
    elif isinstance(seed, int) and event.get("feasible"):
        curves.setdefault((identity, seed, str(event.get("strategy"))), {}).setdefault(
            number(event, "part") or 1.0, event
        )


def _built_on(folders: Sequence[Path]) -> dict[str, float]:
    """Mean seconds of the latency table, of a supernet and of a score with its weights, where finished runs tell."""
    known: dict[str, list[float]] = {}
    for folder in folders:
        if not (folder / "results.json").is_file():
            continue
        record = read_run(folder)
        for result in record.results:
            if "table" in result.seconds_by_kind:
                known.setdefault("table_seconds", []).append(result.seconds_by_kind["table"])
            if "supernet" in result.seconds_by_kind and not facts_of(result.name).by_gradient:
                scored = record.select("candidate", strategy=result.name, seed=result.seed, scoring="inherited")
                known.setdefault("supernet_seconds", []).append(result.seconds_by_kind["supernet"])
                scored = [event for event in scored if event.get("feasible")]
                inherited = result.seconds_by_kind.get("inherited", 0.0) / max(len(scored), 1)
                known.setdefault("inherit_seconds", []).append(inherited)
    return {key: statistics.fmean(values) for key, values in known.items()}


def _entry(row: dict[str, Any], by_seed: dict[int, dict[float, dict[str, Any]]]) -> Entry:
    runs = []
    for seed, parts in sorted(by_seed.items()):
        events = [parts[part] for part in sorted(parts)]
        costs = [_costs(event) for event in events]
        failed = [event for event in events if number(event, "top1") is None]
        runs.append(
            Recorded(
                seed=seed,
                curve=tuple(
                    (part, number(parts[part], "top1") or 0.0, number(parts[part], "top5") or 0.0)
                    for part in sorted(parts)
                    if number(parts[part], "top1") is not None
                ),
                seconds=sum(number(cost, "train") or 0.0 for cost in costs),
                compile_seconds=sum(number(cost, "train_compile") or 0.0 for cost in costs),
                failed=str(failed[0].get("reason")) if failed else None,
            )
        )
    costs = _costs(row)
    return Entry(
        genotype=genotype_from_json(row["genotype"]),
        latency_ms=number(row, "latency_ms"),
        check_seconds=number(costs, "check") or 0.0,
        check_compile_seconds=number(costs, "check_compile") or 0.0,
        # Without a whole training there is nothing to judge a network by.
        runs=tuple(run for run in runs if run.failed or run.curve[-1][0] >= 1),
        inherited=row["inherited"],
    )


def _costs(event: dict[str, Any]) -> dict[str, Any]:
    costs = event.get("costs")
    return costs if isinstance(costs, dict) else {}


def _mean(entry: Entry) -> float:
    return statistics.fmean(run.seconds for run in entry.runs)


def _results(table: Table, found: Iterable[SearchResult], budget_ms: float) -> dict[str, Any]:
    """What ``results.json`` of a run holds; top-1 is the table's mean over seeds, on the test split if it was
    recorded."""
    classes = int(table.header.get("classes") or 2)
    rows = []
    for result in found:
        row: dict[str, Any] = {"name": result.name, "seed": result.seed, "budget_ms": budget_ms}
        row |= {key: getattr(result, key) for key in ("seconds", "compile_seconds", "evaluations", "infeasible")}
        row["spent"] = dict(result.seconds_by_kind)
        if result.best is None:
            row["error"] = "no network it proposed was within the budget and trained"
        else:
            entry, network = table.entries[result.best.id], result.best.genotype.lower(classes)
            test = entry.top1("test")
            row |= {
                "top1": entry.top1() if test is None else test,
                "latency_ms": entry.latency_ms,
                "params": network.params,
                "macs": network.macs,
                "genotype": entry.genotype.to_json(),
                "genotype_id": entry.id,
            }
        rows.append(row)
    return {
        "strategies": rows,
        "reference": {"budget_rule": "of a replayed table"},
        "counting_rule": COUNTING_RULE,
        "data": {"name": f"recorded table {table.name}", "class_names": [str(i) for i in range(classes)]},
        "budget": {"ms": budget_ms, "params": None, "memory_mb": None},
        "environment": table.header.get("environment") or {},
    }
