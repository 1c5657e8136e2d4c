"""Measures again the networks of a table whose latency cannot be what was recorded, and keeps what both came to.

    python -m experiments.tabular.remeasure                          # of motion_direction
    python -m experiments.tabular.remeasure --problem motion_shape

A latency of a recorded table is one measurement, and decides alone whether a network keeps a budget. A cost model is
fitted to all networks of the table; those it is off by more than ``--off`` are measured anew, in turns with the
reference network and with ordinary networks of the table, ``--repeats`` times. Where the median of those differs from
the recorded latency by more than ``--kept``, it takes its place. What was measured, and of which networks, is kept in
the table's header under ``remeasured``.
"""

import argparse
import dataclasses
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from experiments.tabular.make_table import timed
from experiments.tabular.problems import PROBLEMS, table_of
from tvnjax.core.environment import environment, use_compilation_cache
from tvnjax.core.monitor import Silent
from tvnjax.latency.cost_model import Measured, fit
from tvnjax.latency.measure import ReferenceNetwork
from tvnjax.running.problem import Problem, prepare_problem
from tvnjax.search.tabular.benchmark import Entry, Table, append_entries, write_header
from tvnjax.search.tabular.read import read_table
from tvnjax.spaces.tvn.enumerating import enumerate_space

CONTROLS = 6
"""Ordinary networks measured beside the others: their latencies say whether the device is the one of the table."""


def outliers(table: Table, problem: Problem, off: float) -> tuple[list[Entry], list[Entry]]:
    """Networks the model is off by more than a part of their latency, and ordinary ones it is right about."""
    entries = [entry for entry in table.entries.values() if entry.latency_ms is not None]
    networks = [problem.lower(entry.genotype) for entry in entries]
    model = fit(Measured(units=(), networks=tuple((n, e.latency_ms or 0.0) for n, e in zip(networks, entries))))
    wrong = np.array([abs(model.predict(n) / (e.latency_ms or 1.0) - 1) for n, e in zip(networks, entries)])
    order = np.argsort(wrong)
    found = [entries[i] for i in order[::-1] if wrong[i] > off]
    right = [entries[i] for i in order[: len(order) // 2]]
    picked = np.random.default_rng(0).choice(len(right), CONTROLS, replace=False)
    return found, [right[i] for i in picked]


def measured_again(table: Table, problem: Problem, entries: list[Entry], repeats: int) -> dict[str, list[float]]:
    """Milliseconds in the conditions of the table, by network."""
    first = enumerate_space(problem.space)
    np.random.default_rng(0).shuffle(first)  # type: ignore[arg-type]
    reference = problem.runtime.network(problem.lower(first[0]))
    known = ReferenceNetwork(call=reference.call, reference_ms=float(table.header["reference_ms"]))
    found: dict[str, list[float]] = {entry.id: [] for entry in entries}
    for turn in range(repeats):
        for at in range(0, len(entries), 8):
            group: Any = [entry.genotype for entry in entries[at : at + 8]]
            for index, measurement in timed(problem, group, known).items():
                found[group[index].id].append(measurement.latency_ms)
        print(f"turn {turn + 1} of {repeats}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--problem", choices=PROBLEMS, default=next(iter(PROBLEMS)))
    parser.add_argument("--table", type=Path, help="default: the problem's")
    parser.add_argument("--off", type=float, default=0.12, help="part of a latency the model is off by")
    parser.add_argument("--kept", type=float, default=0.05, help="part a recorded latency may be off by")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    use_compilation_cache()
    path = args.table or table_of(args.problem)
    table, problem = read_table(path), prepare_problem(PROBLEMS[args.problem].config, Silent())
    found, controls = outliers(table, problem, args.off)
    again = measured_again(table, problem, found + controls, args.repeats)
    told: list[dict[str, Any]] = []
    entries = dict(table.entries)
    for entry in found + controls:
        now, before = statistics.median(again[entry.id]), entry.latency_ms or 0.0
        replaced = entry in found and abs(now / before - 1) > args.kept
        row = {"id": entry.id, "recorded_ms": before, "again_ms": again[entry.id], "replaced": replaced}
        told.append(row | {"control": entry in controls})
        print(row, flush=True)
        if replaced:
            entries[entry.id] = dataclasses.replace(entry, latency_ms=now)
    shift = statistics.median(statistics.median(again[e.id]) / (e.latency_ms or 1.0) for e in controls)
    print(f"ordinary networks take {shift:.3f} times what was recorded", flush=True)
    if abs(shift - 1) > args.kept:
        raise SystemExit("the device is not the one of the table: nothing is written")
    facts = {key: value for key, value in table.header.items() if key not in ("format", "table", "space")}
    facts["remeasured"] = {"off": args.off, "networks": told, "environment": environment()}
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    write_header(new, table.name, table.space, **facts)
    append_entries(new, entries.values())
    new.replace(path)


if __name__ == "__main__":
    main()
