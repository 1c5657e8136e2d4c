"""All strategies on the recorded table's problem: those that ask by replay, the gradient search for real.

    python -m experiments.tabular.compare --out runs/tabular            # a gradient search a seed, then replays
    python -m experiments.tabular.compare --out runs/tabular --summarise

The gradient search runs on the table's clips and space, under the table's median latency as budget, and what it derives
is looked up in the table, so that every strategy is judged by the same trainings. The others are replayed with the
seconds the gradient search took on average, and with five times as many. Seconds are those charged, without the latency
table, which each would pay alike. Results: ``experiments/tabular/compare.json``, ``compare.md``.
"""

import argparse
import dataclasses
import json
import shutil
import statistics
from pathlib import Path
from typing import Any

from experiments.tabular.make_table import CONFIG, FOLDER, TABLE
from tvnjax.config import PRESETS, RunConfig, StrategyName
from tvnjax.console import ConsoleMonitor
from tvnjax.core.environment import environment
from tvnjax.core.run_dir import write_json
from tvnjax.latency.profile import Profiling
from tvnjax.pipeline import run
from tvnjax.replay import ReplayConfig, replay
from tvnjax.report.comparing.statistics import mean_interval, probability_of_improvement
from tvnjax.search.budget import Budget
from tvnjax.search.projection import ProjectionConfig
from tvnjax.search.table_reading import read_table
from tvnjax.search.tabular import Entry, Table
from tvnjax.space.canonical import genotype_id
from tvnjax.space.genotype import genotype_from_json

RATIOS = (1, 5)
"""Seconds of the replayed strategies, by the gradient search's."""
REPLAYED: tuple[StrategyName, ...] = ("evolution", "regularized_evolution", "successive_halving", "random")
SHARED: tuple[StrategyName, ...] = ("random_weight_sharing", "evolution_weight_sharing")


def config_of(table: Table, budget_ms: float, seed: int) -> RunConfig:
    """The ``planted`` preset's search on the table's problem."""
    search = dataclasses.replace(
        PRESETS["planted"][1].search,
        working_set=4,
        redraws=0,
        latency_weight=0.0,
        # Ranking with inherited weights takes a tenth of a second here.
        projection=ProjectionConfig(plans=2, top_k=24, finalists=2, recalibration_batches=6),
    )
    profile = Profiling(units=40, networks=24, chosen=6, repeats=30)
    return dataclasses.replace(
        CONFIG,
        seed=seed,
        budget=Budget(ms=budget_ms),
        profile=profile,
        search=search,
        strategies=("differentiable",),
    )


def looked_up(table: Table, genotype: Any, budget_ms: float) -> dict[str, Any]:
    """What the table knows of a derived network."""
    entry: Entry = table.entries[genotype_id(genotype_from_json(genotype))]
    assert entry.latency_ms is not None
    return {
        "id": entry.id,
        "val_top1": entry.top1(),
        "test_top1": entry.top1("test"),
        "table_ms": entry.latency_ms,
        "of_budget": entry.latency_ms / budget_ms,
    }


def searched(table: Table, budget_ms: float, seeds: list[int], out: Path, summarise: bool) -> list[dict[str, Any]]:
    rows = []
    for seed in seeds:
        folder = out / f"differentiable-{seed}"
        if not folder.exists() and not summarise:
            partial = folder.with_name(f"{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            command = f"python -m experiments.tabular.compare --out DIR --seeds {seed}"
            run(config_of(table, budget_ms, seed), partial, command, ConsoleMonitor)
            partial.rename(folder)
        if not folder.exists():
            continue
        row = json.loads((folder / "results.json").read_text())["strategies"][0]
        seconds = row["seconds"] - row["spent"]["table"]
        rows.append({"name": "differentiable", "seed": seed, "seconds": seconds, "ratio": 1, "ms": row["latency_ms"]})
        rows[-1] |= looked_up(table, row["genotype"], budget_ms) | {"compile_seconds": row["compile_seconds"]}
        print(rows[-1], flush=True)
    return rows


def replayed(table: Table, budget_ms: float, seconds: float, seeds: list[int], ratio: int) -> list[dict[str, Any]]:
    names = REPLAYED + (SHARED if all(entry.inherited for entry in table.entries.values()) else ())
    config = ReplayConfig(strategies=names, seeds=tuple(seeds), budget_ms=budget_ms, seconds=ratio * seconds)
    rows = []
    for result in replay(table, config):
        row = {"name": result.name, "seed": result.seed, "seconds": result.seconds, "ratio": ratio}
        row |= {"evaluations": result.evaluations, "infeasible": result.infeasible}
        if result.best is not None:
            row |= looked_up(table, result.best.genotype.to_json(), budget_ms)
        rows.append(row)
    return rows


def summarise(rows: list[dict[str, Any]], best: float) -> list[dict[str, Any]]:
    """A row for each strategy and ratio: accuracy, regret and the difference from the gradient search."""
    ours = {row["seed"]: row["test_top1"] for row in rows if row["name"] == "differentiable"}
    summary = []
    for ratio, name in dict.fromkeys((row["ratio"], row["name"]) for row in rows):
        own = [row for row in rows if (row["ratio"], row["name"]) == (ratio, name)]
        known = {row["seed"]: row["test_top1"] for row in own if row.get("test_top1") is not None}
        shared = sorted(set(known) & set(ours))
        values = [known[seed] for seed in shared]
        entry: dict[str, Any] = {
            "name": name,
            "ratio": ratio,
            "seeds": len(values),
            "failed": len(own) - len(known),
            "test_top1_mean": statistics.fmean(values) if values else None,
            "test_top1_sd": statistics.stdev(values) if len(values) > 1 else None,
            "regret": best - statistics.fmean(values) if values else None,
            "seconds_mean": statistics.fmean(row["seconds"] for row in own),
            "evaluations_mean": statistics.fmean(row.get("evaluations", 0) for row in own),
        }
        if values and name != "differentiable":
            entry["differentiable_minus_this"] = dataclasses.asdict(
                mean_interval([ours[seed] - known[seed] for seed in shared])
            )
            entry["improvement"] = probability_of_improvement([ours[seed] for seed in shared], values)
        summary.append(entry)
    return summary


def page(table: Table, result: dict[str, Any]) -> str:
    lines = [
        f"# Strategies on the recorded table `{table.name}`",
        "",
        f"`{result['command']}`. Budget {result['budget_ms']:.4f} ms (the table's median; {result['feasible']} of "
        f"{len(table.entries)} networks keep it). Test top-1 is the table's, mean of two trainings; the best network "
        f"within the budget by validation has {result['best_test_top1']:.1%}. Seconds are charged ones without the "
        "latency table.",
        "",
        "| strategy | seconds, by the gradient search's | seconds | trained | test top-1 | regret (points) | gradient "
        "search minus this (95 % interval) |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["summary"]:
        gap = row.get("differentiable_minus_this")
        if row["test_top1_mean"] is None:
            lines.append(f"| {row['name']} | {row['ratio']} | {row['seconds_mean']:.0f} | 0 | none found | | |")
            continue
        bounds = ""
        if gap is not None:
            bounds = f"{100 * gap['mean']:+.1f}"
            bounds += "" if gap["low"] is None else f" ({100 * gap['low']:+.1f} to {100 * gap['high']:+.1f})"
        spread = "" if row["test_top1_sd"] is None else f" ± {100 * row['test_top1_sd']:.1f}"
        lines.append(
            f"| {row['name']} | {row['ratio']} | {row['seconds_mean']:.0f} | {row['evaluations_mean']:.0f} | "
            f"{100 * row['test_top1_mean']:.1f}{spread} | {100 * row['regret']:.1f} | {bounds} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--summarise", action="store_true", help="run no gradient search; replay beside those there")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    table = read_table(args.table)
    budget_ms = statistics.median(table.latencies())
    rows = searched(table, budget_ms, args.seeds, args.out, args.summarise)
    if not rows:
        parser.error(f"--summarise reads finished gradient searches; {args.out} has none: leave it out")
    seconds = statistics.fmean(row["seconds"] for row in rows)
    for ratio in RATIOS:
        rows += replayed(table, budget_ms, seconds, args.seeds, ratio)
    within = [e for e in table.entries.values() if e.latency_ms is not None and e.latency_ms <= budget_ms]
    best = max(within, key=lambda entry: entry.fitness).top1("test") or 0.0
    result = {
        "command": f"python -m experiments.tabular.compare --out DIR --seeds {' '.join(map(str, args.seeds))}",
        "budget_ms": budget_ms,
        "feasible": len(within),
        "best_test_top1": best,
        "summary": summarise(rows, best),
        "runs": rows,
        "environment": environment(),
    }
    write_json(FOLDER / "compare.json", result)
    (FOLDER / "compare.md").write_text(page(table, result), encoding="utf-8")
    print(page(table, result))


if __name__ == "__main__":
    main()
