"""Does the search collapse onto pools and identities, and which remedy keeps it from that?

    python -m experiments.collapse --manifest digit.csv --out runs/collapse               # everything: 1-2 hours
    python -m experiments.collapse --manifest digit.csv --out runs/collapse --arms default
    python -m experiments.collapse --out runs/collapse --summarise

The arm ``default`` is the search of the ``clips`` preset as it is. In the others its remedies are off: a plain softmax
mixture, no warm-up of the weights, no falling temperature; they take as many steps of the logits. They are crossed over
the schedule of the weights' learning rate, that of the logits' learning rate, and the weight of the latency: PV-NAS
(Wang et al. 2020) claims the first to matter and does not say how often.

Counted are the convolutions over space or time (``parametric_layers``) of two networks of every search: the likeliest
one, whatever it costs (the argmax of every choice), and the likeliest one that is predicted to take 85 to 100 % of the
budget, which is what a search proposes; without a latency weight, that is. One without any such layer has collapsed.
Networks are not trained from scratch here, and nothing is measured but the units the latency model is fitted to; the
accuracy is that with inherited weights on the validation split. Finished runs are not repeated. Results go to
``experiments/collapse.json`` and ``experiments/collapse.md``.
"""

import argparse
import dataclasses
import itertools
import json
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import jax

from tvnjax.cli.console import ConsoleMonitor
from tvnjax.core.environment import environment, use_compilation_cache
from tvnjax.core.monitor import Silent
from tvnjax.core.run_dir import RunDir, write_json
from tvnjax.graph.outline import parametric_layers
from tvnjax.running.config import PRESETS, RunConfig
from tvnjax.running.problem import Problem, decide_costs, prepare_problem, profile_problem
from tvnjax.running.task import make_task
from tvnjax.search.base import Evaluation, Verdict
from tvnjax.search.gradient.differentiable import DifferentiableSearch
from tvnjax.search.gradient.projection_config import ProjectionConfig
from tvnjax.spaces.tvn.costs.discretize import discretize
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.relaxation.diagnostics import describe
from tvnjax.spaces.tvn.relaxation.supernet import softmax_weights

RESULT = Path(__file__).with_suffix(".json")
LOGIT_STEPS = 96
"""Of the ``clips`` preset: 160 steps, four tenths of them warm-up."""
_NO_LIMIT_MS = 1e3
GRID = {
    f"weights {schedule}, logits {arch}, latency {weight}": {
        "steps": LOGIT_STEPS,
        "mode": "mixture",
        "arch_warmup": 0.0,
        "temperature": 1.0,
        "schedule": schedule,
        "arch_schedule": arch,
        "latency_weight": weight,
    }
    for schedule, arch, weight in itertools.product(("step", "cosine"), ("constant", "cosine"), (0.0, 0.1, 0.5))
}
ARMS: dict[str, dict[str, Any]] = {"default": {}, **GRID}


def config_of(arm: str, manifest: Path, seed: int) -> RunConfig:
    """The preset with an arm's changes."""
    config = PRESETS["clips"][1]
    search = dataclasses.replace(
        config.search,
        **{"projection": ProjectionConfig(plans=1, top_k=1, draws=0, neighbours=0, racers=1, finalists=1), **ARMS[arm]},
    )
    data = dataclasses.replace(config.data, manifest=manifest, short_spans="widen")
    return dataclasses.replace(config, data=data, seed=seed, strategies=("differentiable",), search=search)


def search(arm: str, manifest: Path, seed: int, out: Path) -> dict[str, Any]:
    """One search up to the networks it would propose."""
    config = config_of(arm, manifest, seed)
    problem = prepare_problem(config, Silent())
    profile = profile_problem(problem, Silent())
    costs = decide_costs(problem, profile)
    budget_ms = costs.budget.ms
    assert budget_ms is not None

    def check(genotype: Genotype) -> tuple[Verdict, float]:
        predicted = costs.predict(problem.lower(genotype))
        return Verdict(predicted_ms=predicted, latency_ms=predicted, feasible=predicted <= budget_ms), 0.0

    def evaluate(genotype: Genotype, seed: int) -> Evaluation:
        return Evaluation(top1=0.0, top5=0.0, compile_seconds=0.0)

    task = dataclasses.replace(make_task(problem, profile, costs), check=check, evaluate=evaluate)
    run_dir = RunDir(out)
    monitor = ConsoleMonitor(run_dir)
    start = time.monotonic()
    search = DifferentiableSearch(config.search, problem.relaxation, costs, problem.num_classes, seed, head=config.head)
    result, state = search.run(task, problem.search_data(monitor), monitor)
    seconds = time.monotonic() - start
    run_dir.close()
    events = [json.loads(line) for line in (out / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    ledger = next(event["rows"] for event in events if event["event"] == "ledger")
    plan = problem.relaxation.shapes.mode(problem.relaxation.uniform())
    relaxed = problem.relaxation.relaxed(plan)
    alphas = search.logits(state)
    logits = [alphas[index] for index in range(len(relaxed.blocks))]
    weights = jax.device_get(softmax_weights(relaxed, logits, config.search.temperature))
    tendency = describe(relaxed.blocks, weights, {})
    masses = [mass for block in tendency["parameter_free"] for mass in block.values()]
    proposed = result.candidates[0].genotype
    return {
        "arm": arm,
        "seed": seed,
        "likeliest": _layers(problem, discretize(weights, costs.ms, plan, _NO_LIMIT_MS)[0].genotype),
        "proposed": _layers(problem, proposed),
        "predicted_ms": result.candidates[0].verdict.predicted_ms,
        "budget_ms": budget_ms,
        "parameter_free_mass": statistics.fmean(masses),
        "entropy": tendency["entropy"],
        "inherited_top1": {row["stage"]: row["top1"] for row in ledger if row["stage"] in ("soft", "recalibrated")},
        "seconds": seconds,
        "genotype": proposed.to_json(),
    }


def _layers(problem: Problem, genotype: Genotype) -> int:
    return parametric_layers(problem.lower(genotype))


def markdown(rows: dict[str, list[dict[str, Any]]]) -> str:
    lines = [
        "| arm | likeliest network collapsed | its layers with parameters, by seed | proposed network collapsed | "
        "its layers | mass on pools and identity | entropy | soft top-1 | top-1 of the network taken out |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for arm, runs in rows.items():
        cells = [arm]
        for kind in ("likeliest", "proposed"):
            cells.append(f"{sum(run[kind] == 0 for run in runs)} of {len(runs)}")
            cells.append(", ".join(str(run[kind]) for run in runs))
        cells.append(f"{statistics.fmean(run['parameter_free_mass'] for run in runs):.0%}")
        cells.append(f"{statistics.fmean(run['entropy'] for run in runs):.2f}")
        for stage in ("soft", "recalibrated"):
            cells.append(f"{statistics.fmean(run['inherited_top1'][stage] for run in runs):.0%}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--summarise", action="store_true", help="run nothing")
    args = parser.parse_args()
    if args.manifest is None and not args.summarise:
        parser.error("give --manifest to run, or --summarise for runs that are there")
    use_compilation_cache()
    args.out.mkdir(parents=True, exist_ok=True)
    for seed, arm in itertools.product(args.seeds, args.arms):
        folder = args.out / f"{arm.replace(',', '').replace(' ', '-')}-{seed}"
        if not args.summarise and not (folder / "outcome.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            row = search(arm, args.manifest, seed, folder)
            write_json(folder / "outcome.json", row)
            print({key: value for key, value in row.items() if key != "genotype"}, file=sys.stderr, flush=True)
    found = [json.loads(path.read_text()) for path in sorted(args.out.glob("*/outcome.json"))]
    rows = {arm: [row for row in found if row["arm"] == arm] for arm in ARMS}
    rows = {arm: runs for arm, runs in rows.items() if runs}
    summary = {"command": "python -m experiments.collapse", "arms": ARMS, "runs": rows, "environment": environment()}
    RESULT.write_text(json.dumps(summary, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text(markdown(rows))
    print(markdown(rows))


if __name__ == "__main__":
    main()
