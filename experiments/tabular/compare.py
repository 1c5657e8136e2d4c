"""All strategies on the recorded table's problem: those that ask by replay, the gradient search for real.

    python -m experiments.tabular.compare --out runs/tabular            # a gradient search a seed, then replays
    python -m experiments.tabular.compare --out runs/quartile --budget-quantile 0.25 --name compare_quartile

The gradient search trains its supernet on the table's clips and space; its budget is the table's median latency, or
another quantile of its latencies. Its latency model is fitted to random networks of the table (whose measuring is
charged to it alone: the others measure what they propose), and its finalists are measured and trained by looking them
up, so that every strategy is judged by the same latencies and trainings. The others are replayed with the seconds the
gradient search took on average, and with five times as many. A finished seed is not repeated. Results:
``experiments/tabular/NAME.json``, ``NAME.md``.
"""

import argparse
import dataclasses
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from experiments.tabular.problems import FOLDER, PROBLEMS, table_of
from tvnjax.cli.console import ConsoleMonitor
from tvnjax.core.environment import environment, use_compilation_cache
from tvnjax.core.run_dir import write_json
from tvnjax.core.untrusted import read_json
from tvnjax.latency.cost_model import Measured, fit
from tvnjax.report.comparing.statistics import mean_interval, probability_of_improvement
from tvnjax.running.config import PRESETS, RunConfig
from tvnjax.running.problem import Problem, prepare_problem
from tvnjax.running.replay import ReplayConfig, replay
from tvnjax.search.budget import Budget, Costs
from tvnjax.search.gradient.differentiable import DifferentiableSearch
from tvnjax.search.gradient.projection_config import ProjectionConfig
from tvnjax.search.tabular.benchmark import Entry, Table
from tvnjax.search.tabular.read import read_table
from tvnjax.spaces.tvn.canonical import genotype_id
from tvnjax.spaces.tvn.genotype import genotype_from_json
from tvnjax.spaces.tvn.shapes import ShapeSpace

PROFILED = 40
"""Networks of the table that the latency model is fitted to."""
RATIOS = (1, 5)
"""Seconds of the replayed strategies, by the gradient search's."""
REPLAYED = ("evolution", "regularized_evolution", "successive_halving", "random")
SHARED = ("random_weight_sharing", "evolution_weight_sharing")


def config_of(problem: str, seed: int) -> RunConfig:
    """The ``planted`` preset's search, longer, on the table's problem."""
    plans = ShapeSpace(PROBLEMS[problem].config.shapes).assignments
    search = dataclasses.replace(
        PRESETS["planted"][1].search,
        steps=750 * plans,
        # Every plan has a program.
        working_set=plans,
        redraws=0,
        latency_weight=0.0,
        projection=ProjectionConfig(plans=4, recalibration_batches=6, racers=9),
    )
    return dataclasses.replace(PROBLEMS[problem].config, seed=seed, search=search)


def costs_of(table: Table, problem: Problem, budget_ms: float) -> tuple[Costs, float]:
    """The latency model of the gradient search, fitted to ``PROFILED`` random networks of the table, and the seconds
    that measuring those took."""
    rng, entries = np.random.default_rng(0), list(table.entries.values())
    known = [entries[index] for index in rng.choice(len(entries), PROFILED, replace=False)]
    pairs = [(problem.lower(entry.genotype), entry.latency_ms) for entry in known]
    model = fit(Measured(units=(), networks=tuple((network, ms) for network, ms in pairs if ms is not None)))
    expected = problem.relaxation.expected(
        model.layer_ms,
        problem.num_classes,
        unit_cost=model.unit_ms,
        constant=model.network_ms,
    )
    costs = Costs(ms=expected, predict=model.predict, budget=Budget(ms=budget_ms))
    return costs, sum(entry.check_seconds for entry in known)


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


def searched(problem_name: str, table: Table, budget_ms: float, seed: int) -> dict[str, Any]:
    """One gradient search: its supernet is trained, its networks are measured and trained by looking them up."""
    config = config_of(problem_name, seed)
    with ConsoleMonitor() as monitor:
        problem = prepare_problem(config, monitor)
        costs, profiling = costs_of(table, problem, budget_ms)
        search = DifferentiableSearch(config.search, problem.relaxation, costs, problem.num_classes, seed)
        task = dataclasses.replace(table.task(budget_ms), clocked=True)
        result, _ = search.run(task, problem.search_data(monitor), monitor)
    # The clock saw the supernet; what was looked up takes what it took when it was recorded.
    trained = (c.evaluation.seconds or 0.0 for c in result.candidates if c.evaluation is not None)
    recorded = sum(c.verdict.seconds or 0.0 for c in result.candidates) + sum(trained)
    row = {"name": "differentiable", "seed": seed, "ratio": 1, "seconds": result.seconds + profiling + recorded}
    row |= {"profiling_seconds": profiling, "recorded_seconds": recorded, "compile_seconds": result.compile_seconds}
    row |= {"evaluations": result.evaluations, "infeasible": result.infeasible}
    if result.best is not None:
        row |= looked_up(table, result.best.genotype.to_json(), budget_ms)
    return row


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
        f"`{result['command']}`. Budget {result['budget_ms']:.4f} ms (the {result['budget_quantile']:g} quantile of "
        f"the table's latencies; {result['feasible']} of {len(table.entries)} networks keep it). Test top-1 is the "
        "table's, mean of two trainings; the best network within the budget by validation has "
        f"{result['best_test_top1']:.1%}.",
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
    parser.add_argument("--problem", choices=PROBLEMS, default=next(iter(PROBLEMS)))
    parser.add_argument("--table", type=Path, help="default: the problem's")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--budget-quantile", type=float, default=0.5, help="of the table's latencies: the budget")
    parser.add_argument("--name", default="compare", help="of the result's files")
    args = parser.parse_args()
    use_compilation_cache()
    args.out.mkdir(parents=True, exist_ok=True)
    table = read_table(args.table or table_of(args.problem))
    budget_ms, rows = float(np.quantile(table.latencies(), args.budget_quantile)), []
    for seed in args.seeds:
        done = args.out / f"differentiable-{seed}.json"
        if not done.exists():
            write_json(done, searched(args.problem, table, budget_ms, seed))
        rows.append(read_json(done))
        print(rows[-1], flush=True)
    seconds = statistics.fmean(row["seconds"] for row in rows)
    for ratio in RATIOS:
        rows += replayed(table, budget_ms, seconds, args.seeds, ratio)
    within = [e for e in table.entries.values() if e.latency_ms is not None and e.latency_ms <= budget_ms]
    best = max(within, key=lambda entry: entry.fitness).top1("test") or 0.0
    command = f"python -m experiments.tabular.compare --out DIR --seeds {' '.join(map(str, args.seeds))} "
    command += "" if args.problem == next(iter(PROBLEMS)) else f"--problem {args.problem} "
    command += f"--budget-quantile {args.budget_quantile:g} --name {args.name}"
    result = {
        "command": command,
        "budget_ms": budget_ms,
        "budget_quantile": args.budget_quantile,
        "feasible": len(within),
        "best_test_top1": best,
        "summary": summarise(rows, best),
        "runs": rows,
        "environment": environment(),
    }
    write_json(FOLDER / f"{args.name}.json", result)
    (FOLDER / f"{args.name}.md").write_text(page(table, result), encoding="utf-8")
    print(page(table, result))


if __name__ == "__main__":
    main()
