"""A recorded table of evaluations that stands in for training, so that a strategy runs in seconds.

The file is JSON, one object a line: a header (``{"table": name, "parts": [...], "space": ..., ...}``), then a line for
each network with its latency, the seconds checking it took, and for each seed what the short training came to. A line
is written when its network is done, so that making a table can be stopped and resumed.
"""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tvnjax.core.atomic import write_atomic
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.jsonl import append
from tvnjax.core.printable import json_text, printable
from tvnjax.core.to_json import jsonable
from tvnjax.search.base import Evaluation, SearchTask, Verdict
from tvnjax.spaces.base import Choose, Genotype, Reads, Space

FORMAT = 1
_TRIES = 50
"""Mutations that may lead out of the table before its nearest other network is taken."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recorded:
    """One short training with one seed."""

    seed: int
    curve: tuple[tuple[float, float, float], ...]
    """Part of the steps, top-1 and top-5 on the validation split there; the last part is 1."""
    seconds: float
    """Of the whole training, compilation included."""
    compile_seconds: float = 0.0
    test_top1: float | None = None
    failed: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One network."""

    genotype: Genotype
    latency_ms: float | None
    check_seconds: float
    """Of measuring the latency, compilation included."""
    check_compile_seconds: float
    runs: tuple[Recorded, ...]
    inherited: tuple[float, float] | None = None
    """Top-1 and top-5 with a supernet's weights."""

    @property
    def id(self) -> str:
        return self.genotype.id

    @property
    def fitness(self) -> float:
        """Mean top-1 plus top-5 over the seeds; minus infinity where none was trained to the end."""
        whole = [run.curve[-1] for run in self.runs if not run.failed]
        return statistics.fmean(top1 + top5 for _, top1, top5 in whole) if whole else float("-inf")

    def top1(self, split: str = "val") -> float | None:
        """Mean over the seeds."""
        whole = [run for run in self.runs if not run.failed]
        values = [run.curve[-1][1] if split == "val" else run.test_top1 for run in whole]
        known = [value for value in values if value is not None]
        return statistics.fmean(known) if known else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """Networks by id, and what they were drawn from."""

    name: str
    header: Mapping[str, Any]
    space: Space | None
    """Where it was recorded; ``None`` for a table put together from runs of several spaces."""
    entries: Mapping[str, Entry]

    def __repr__(self) -> str:
        seeds = ", ".join(map(str, self.seeds))
        return printable(f"Table({self.name!r:.80}, {len(self.entries):,} networks, seeds {seeds})", 200)

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({run.seed for entry in self.entries.values() for run in entry.runs}))

    def latencies(self) -> list[float]:
        """Milliseconds of all networks, ascending."""
        return sorted(e.latency_ms for e in self.entries.values() if e.latency_ms is not None)

    def front(self) -> list[Entry]:
        """Networks none of the others beats in mean validation top-1 and latency at once, fastest first."""
        usable = [e for e in self.entries.values() if e.latency_ms is not None and e.top1() is not None]
        usable.sort(key=lambda e: (e.latency_ms or 0.0, -(e.top1() or 0.0)))
        front: list[Entry] = []
        for entry in usable:
            if not front or (entry.top1() or 0.0) > (front[-1].top1() or 0.0):
                front.append(entry)
        return front

    def task(self, budget_ms: float | None = None) -> SearchTask:
        """The problem a strategy solves by looking up: a search seed reads the runs of one of the table's seeds.

        Args:
            budget_ms: latency a network may take; default: the median of all.
        """
        return _Lookup(self, statistics.median(self.latencies()) if budget_ms is None else budget_ms).task()


class TableSpace:
    """Draws networks of a table alone, as a search space does."""

    def __init__(self, table: Table):
        self._table = table
        self._genotypes = [entry.genotype for entry in table.entries.values()]
        self._genes = [genotype.genes() for genotype in self._genotypes]

    def sample(self, rng: np.random.Generator) -> Genotype:
        return self._genotypes[int(rng.integers(len(self._genotypes)))]

    def mutate(self, genotype: Genotype, rng: np.random.Generator, **options: Any) -> Genotype:
        """One gene changed, as in the space the table was recorded in; where that is not known, or the table has no
        such network, one of those that differ in the fewest genes."""
        space = self._table.space
        for _ in range(_TRIES if space is not None else 0):
            assert space is not None
            mutant = space.mutate(genotype, rng, **options)
            if (known := self._table.entries.get(mutant.id)) is not None:
                return known.genotype
        return self._nearest(genotype.genes(), rng)

    def assembled(self, choose: Choose) -> Genotype:
        """A network of choices as in the space the table was recorded in, or the nearest to it that the table has."""
        if self._table.space is None:
            return self._genotypes[choose("network", range(len(self._genotypes)))]
        made = self._table.space.assembled(choose)
        known = self._table.entries.get(made.id)
        return self._nearest(made.genes(), np.random.default_rng(0)) if known is None else known.genotype

    def _nearest(self, genes: Mapping[Any, Any], rng: np.random.Generator) -> Genotype:
        """A network that differs in the fewest genes, but does in some."""
        apart = np.array([sum(other.get(k) != v for k, v in {**genes, **other}.items()) for other in self._genes])
        apart = apart + np.array([10**6 * (other == genes) for other in self._genes])
        nearest = np.flatnonzero(apart == apart.min())
        return self._genotypes[int(rng.choice(nearest))]

    @property
    def reads(self) -> Reads:
        """The most of its networks."""
        reads = [genotype.reads for genotype in self._genotypes]
        return Reads(*(max(sizes) for sizes in zip(*reads)))

    @property
    def log10_size(self) -> float:
        return math.log10(len(self._genotypes))

    def refined(self) -> "TableSpace":
        """Itself: a table has no more networks."""
        return self

    def relax(self) -> None:
        """What is not in the table has no evaluation."""

    def to_json(self) -> Any:
        """Of the space the table was recorded in."""
        return None if self._table.space is None else self._table.space.to_json()


class _Lookup:
    """A table as a search task: what was trained in part before is charged for the rest alone."""

    def __init__(self, table: Table, budget_ms: float):
        self._table, self._budget_ms = table, budget_ms
        self._done: dict[tuple[str, int], float] = {}
        runs = [run for entry in table.entries.values() for run in entry.runs]
        # Programs that networks share were compiled for whichever came first: each is charged the mean.
        shares = bool(table.header.get("shared_programs"))
        self._compile_s = statistics.fmean(run.compile_seconds for run in runs) if shares else None

    def task(self) -> SearchTask:
        return SearchTask(
            space=TableSpace(self._table),
            budget_ms=self._budget_ms,
            check=self._check,
            evaluate=self._evaluate,
            screen=lambda genotype: self._verdict(self._entry(genotype), seconds=0.0),
            inherit=self._inherit,
            clocked=False,
        )

    def _entry(self, genotype: Genotype) -> Entry:
        known = self._table.entries.get(genotype.id)
        if known is None:
            raise InvalidInputError(
                f"a replayed strategy proposes networks of its table; {genotype.id} is not in "
                f"{self._table.name}: draw from TableSpace"
            )
        return known

    def _verdict(self, entry: Entry, seconds: float) -> Verdict:
        latency = entry.latency_ms
        feasible = latency is not None and latency <= self._budget_ms
        reason = None
        if not feasible:
            reason = "not measured" if latency is None else f"measured {latency:.3g} ms, over {self._budget_ms:.3g}"
        return Verdict(
            predicted_ms=latency or float("nan"),
            latency_ms=latency,
            feasible=feasible,
            reason=reason,
            seconds=seconds,
            compile_seconds=entry.check_compile_seconds if seconds else 0.0,
        )

    def _check(self, genotype: Genotype) -> tuple[Verdict, float]:
        entry = self._entry(genotype)
        # Measured once a search: a network that is trained further is not measured again.
        first = (entry.id, -1) not in self._done
        self._done[entry.id, -1] = 1.0
        verdict = self._verdict(entry, entry.check_seconds if first else 0.0)
        return verdict, verdict.compile_seconds

    def _evaluate(self, genotype: Genotype, seed: int, part: float) -> Evaluation:
        entry = self._entry(genotype)
        run = entry.runs[seed % len(entry.runs)]
        before = self._done.get((entry.id, run.seed), 0.0)
        self._done[entry.id, run.seed] = part
        compiling = run.compile_seconds if self._compile_s is None else self._compile_s
        compiling = 0.0 if before else compiling
        seconds = compiling + max(part - before, 0.0) * (run.seconds - run.compile_seconds)
        known = [point for point in run.curve if point[0] <= part + 1e-6]
        if not known and not run.failed:
            parts = ", ".join(f"{point[0]:.3g}" for point in run.curve)
            raise InvalidInputError(
                f"a replayed training is scored at the parts recorded, {parts}; got {part:.3g}: set halving's rungs "
                "and keep to those"
            )
        _, top1, top5 = known[-1] if known else (0.0, 0.0, 0.0)
        return Evaluation(top1=top1, top5=top5, compile_seconds=compiling, seconds=seconds, failed=run.failed)

    def _inherit(self, genotype: Genotype) -> Evaluation:
        entry = self._entry(genotype)
        assert entry.inherited is not None, "a replay asks for scores of tables that have them"
        seconds = float(self._table.header.get("inherit_seconds") or 0.0)
        top1, top5 = entry.inherited
        return Evaluation(top1=top1, top5=top5, compile_seconds=0.0, seconds=seconds)


def table_bytes(name: str, space: Space | None, entries: Iterable[Entry], **facts: Any) -> bytes:
    """A whole table as its file holds it."""
    told = None if space is None else space.to_json()
    return _line({"format": FORMAT, "table": name, **facts, "space": told}) + b"".join(map(_entry_line, entries))


def write_header(path: Path, name: str, space: Space | None, **facts: Any) -> None:
    """Begins a table that is added to."""
    write_atomic(path, table_bytes(name, space, (), **facts))


def append_entries(path: Path, entries: Iterable[Entry]) -> None:
    """Adds networks to a table."""
    append(path, b"".join(map(_entry_line, entries)))


def _entry_line(entry: Entry) -> bytes:
    row = {**jsonable(entry), "genotype": entry.genotype.to_json(short=True), "id": entry.id}
    row["runs"] = [{k: v for k, v in run.items() if k != "type" and v is not None} for run in row["runs"]]
    return _line({key: value for key, value in row.items() if key != "type" and value is not None})


def _line(row: Mapping[str, Any]) -> bytes:
    return json_text(_rounded(jsonable(dict(row))), separators=(",", ":")).encode() + b"\n"


def _rounded(value: Any) -> Any:
    """Five significant digits: more is noise, and a table is kept small."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items() if key != "type" or not isinstance(item, str)}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
