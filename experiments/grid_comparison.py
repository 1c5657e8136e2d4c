"""Gradient search beside evolution with several times its seconds, on words of the GRID corpus, seed by seed.

    python -m experiments.grid_comparison --manifest digit.csv --out runs/digit --name digit
    python -m experiments.grid_comparison --out runs/digit --name digit --summarise

Each seed is a whole ``tvnjax run`` of the ``clips`` preset, made smaller so that five seeds take an hour or two of one
core (24 px, three quarters of the channels, a profile of 120 units and networks), in ONNX Runtime's milliseconds: the
same space, clips, latency table, filter and budget (half the largest network's latency) for every strategy; the
baselines get ``--ratio`` times all device seconds of the gradient search. Each seed begins without compiled programs
and without a latency table: those of an earlier one would be free (so give it a ``TVNJAX_CACHE`` of its own). A seed
that was stopped goes on, one that is finished is not repeated. Writes ``experiments/grid_comparison/NAME.json`` and the
page of ``tvnjax compare`` in ``NAME/``. Pin it to one core (``taskset -c 0``).
"""

import argparse
import dataclasses
import itertools
import json
import shutil
import statistics
from pathlib import Path
from typing import Any, get_args

import jax

from tvnjax.cli.console import ConsoleMonitor
from tvnjax.core.environment import cache_dir
from tvnjax.core.run_dir import write_json
from tvnjax.latency.profile import Profiling
from tvnjax.latency.runtimes import RuntimeName
from tvnjax.report.comparing.evidence import Evidence
from tvnjax.report.comparing.page import write_comparison
from tvnjax.report.page import write_report
from tvnjax.report.record import read_run
from tvnjax.running.config import PRESETS, RunConfig
from tvnjax.running.pipeline import run
from tvnjax.search.registry import known_strategies
from tvnjax.search.strategies.evolution import EvolutionConfig

RESULTS: Path = Path(__file__).parent / "grid_comparison"
EVOLUTION = EvolutionConfig(population=8, tournament=4)
"""What did best of five sizes with some sixty evaluations, on the recorded table (40 seeds each)."""
PROFILE = Profiling(units=40, networks=60, chosen=20)
KEPT = ("name", "seed", "top1", "top5", "latency_ms", "budget_ms", "params", "macs", "seconds", "compile_seconds")
KEPT += ("top1_sd", "top1_runs", "spent", "evaluations", "infeasible", "retrain_seconds", "genotype_id", "genotype")


def config_of(args: argparse.Namespace, seed: int) -> RunConfig:
    config = PRESETS["clips"][1]

    def longer(part: Any, factor: float, **changes: Any) -> Any:
        return dataclasses.replace(part, steps=round(factor * part.steps), **changes)

    blocks = zip(config.shapes.blocks, args.filters, strict=True)
    blocks = tuple(dataclasses.replace(block, filters=(filters,)) for block, filters in blocks)
    return dataclasses.replace(
        config,
        shapes=dataclasses.replace(config.shapes, image_size=(args.image_size,), blocks=blocks),
        profile=PROFILE,
        evolution=EVOLUTION,
        evaluation=args.evaluation,
        data=dataclasses.replace(config.data, manifest=args.manifest, short_spans="widen"),
        runtime=args.runtime,
        seed=seed,
        strategies=tuple(args.strategies),
        baseline_ratio=args.ratio,
        search=longer(config.search, args.longer),
        proxy=longer(config.proxy, args.longer),
        retrain=longer(config.retrain, args.retrain_longer),
        retrain_seeds=args.retrain_seeds,
    )


def at_equal_seconds(evidence: Evidence, name: str, reference: str = "differentiable") -> list[float | None]:
    """The best fitness (validation top-1 + top-5) a strategy had when the reference's search was over, seed by seed."""
    limits = {search.result.seed: search.result.seconds for search in evidence.of(reference)}
    found: list[float | None] = []
    for search in evidence.of(name):
        curve, limit = search.curve(), limits.get(search.result.seed)
        if curve is None or limit is None:
            found.append(None)
            continue
        reached = [float(best) for second, best in zip(*curve) if second <= limit]
        found.append(reached[-1] if reached else None)
    return found


def measured_again(folder: Path) -> list[dict[str, Any]]:
    """Of every network that was measured before its last training: its first latency and this one, as parts of the
    budget; and that behind its short training, where the gradient search measured it then."""
    budgets = {row["name"]: row["budget_ms"] for row in json.loads((folder / "results.json").read_text())["strategies"]}
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    kept = [json.loads(line) for line in (folder / "measurements.jsonl").read_text().splitlines()]
    first = {line["key"]: line["value"]["measured"]["latency_ms"] for line in kept}
    again = {(e["strategy"], e["id"]): e["latency_ms"] for e in events if e["event"] == "measured_again"}
    rows = []
    for event in events:
        if event["event"] == "confirmed":
            name, identity, budget_ms = event["strategy"], event["id"], budgets[event["strategy"]]
            row = {"run": folder.name, "strategy": name, "id": identity, "drift": event["drift"]}
            row |= {"first": first[identity] / budget_ms, "last": event["latency_ms"] / budget_ms}
            if again.get((name, identity)) is not None:
                row["when_trained"] = again[name, identity] / budget_ms
            rows.append(row)
    return rows


def summarise(folders: list[Path], command: str) -> dict[str, Any]:
    """What the runs found, strategy by strategy and pair by pair."""
    evidence = Evidence([read_run(folder) for folder in folders])
    runs = [json.loads((folder / "results.json").read_text()) for folder in folders]
    strategies = {}
    for name in evidence.strategies:
        results = [search.result for search in evidence.of(name)]
        top1 = [result.top1 for result in results if result.top1 is not None]
        strategies[name] = {
            "top1_mean": statistics.fmean(top1),
            "top1_sd": statistics.stdev(top1) if len(top1) > 1 else None,
            "over_budget": sum(result.over_budget for result in results),
            "search_seconds_mean": statistics.fmean(result.seconds for result in results),
            "fitness_at_equal_seconds": at_equal_seconds(evidence, name),
        }
    pairs = [
        {"ours": p.ours, "theirs": p.theirs, "seconds_ratio": p.seconds, "improvement": p.improvement}
        | {"difference": dataclasses.asdict(p.difference)}
        for pair in itertools.combinations(evidence.strategies, 2)
        if (p := evidence.pair(*pair))
    ]
    return {
        "command": command,
        "strategies": strategies,
        "pairs": pairs,
        "runs": [{key: row.get(key) for key in KEPT} for run in runs for row in run["strategies"]],
        "measured_again": [row for folder in folders for row in measured_again(folder)],
        "gates": [run["latency_gate"] for run in runs],
        "reference": [run["reference"] for run in runs],
        "data": {key: runs[0]["data"][key] for key in ("name", "class_names", "splits", "majority_share")},
        "latency_rule": runs[0]["latency_rule"],
        "environment": runs[0]["environment"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", required=True, help="of the result's files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--strategies", choices=known_strategies(), nargs="+", default=["differentiable", "evolution"])
    parser.add_argument("--ratio", type=float, default=5.0, help="seconds of the baselines by the gradient search's")
    parser.add_argument("--longer", type=float, default=1.0, help="times the preset's steps, in searches and proxies")
    parser.add_argument("--retrain-longer", type=float, default=1.0, help="the same for the last trainings")
    parser.add_argument("--image-size", type=int, default=24, help="pixels")
    parser.add_argument("--filters", type=int, nargs=4, default=[12, 24, 36, 48], help="channels of the four blocks")
    parser.add_argument("--runtime", choices=get_args(RuntimeName), default="onnxruntime", help="whose milliseconds")
    parser.add_argument("--retrain-seeds", type=int, default=3, help="last trainings of each network found")
    parser.add_argument("--evaluation", choices=["whole", "layers"], default="whole", help="how candidates compile")
    parser.add_argument("--summarise", action="store_true", help="run nothing")
    args = parser.parse_args()
    if args.manifest is None and not args.summarise:
        parser.error("give --manifest to run, or --summarise for runs that are there")
    args.out.mkdir(parents=True, exist_ok=True)
    manifest = args.manifest.name if args.manifest else f"{args.name}.csv"
    command = f"python -m experiments.grid_comparison --manifest {manifest} --out DIR --name {args.name} "
    command += f"--strategies {' '.join(args.strategies)} --ratio {args.ratio:g} --longer {args.longer:g} "
    command += f"--retrain-longer {args.retrain_longer:g} --image-size {args.image_size} "
    command += f"--filters {' '.join(map(str, args.filters))} --runtime {args.runtime} "
    command += f"--evaluation {args.evaluation} --retrain-seeds {args.retrain_seeds}"
    folders = []
    RESULTS.mkdir(exist_ok=True)
    for seed in args.seeds:
        folder = args.out / f"seed-{seed}"
        if not folder.exists() and not args.summarise:
            partial = folder.with_name(f"{folder.name}.partial")
            begun = (partial / "config.json").is_file()
            if not begun:
                shutil.rmtree(partial, ignore_errors=True)
            jax.clear_caches()
            if not begun:
                shutil.rmtree(cache_dir() / "latency", ignore_errors=True)
            shutil.rmtree(cache_dir() / "xla", ignore_errors=True)
            (cache_dir() / "xla").mkdir(parents=True)  # JAX makes it once a process
            run(config_of(args, seed), partial, f"{command} --seeds {seed}", ConsoleMonitor, resume=begun)
            partial.rename(folder)
            write_report(folder)
        if not folder.exists():
            continue
        folders.append(folder)
        seeds = " ".join(str(seed) for seed in args.seeds[: len(folders)])
        write_json(RESULTS / f"{args.name}.json", summarise(folders, f"{command} --seeds {seeds}"))
        write_comparison(folders, args.out / "comparison", force=True)
        page = RESULTS / args.name
        page.mkdir(exist_ok=True)
        shutil.copy(args.out / "comparison" / "compare.md", page)
        shutil.copytree(args.out / "comparison" / "figures", page / "figures", dirs_exist_ok=True)
        for row in json.loads((folder / "results.json").read_text())["strategies"]:
            print(seed, {key: row[key] for key in ("name", "top1", "latency_ms", "seconds", "evaluations")}, flush=True)


if __name__ == "__main__":
    main()
