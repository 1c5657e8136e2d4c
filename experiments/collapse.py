"""Does the search collapse onto pools and identities, and which remedy keeps it from that?

    python -m experiments.collapse --manifest digit.csv --out runs/collapse               # everything: hours
    python -m experiments.collapse --manifest digit.csv --out runs/collapse --arms default
    python -m experiments.collapse --out runs/collapse --summarise

The arm ``default`` is the ``clips`` preset as it is. In the others the remedies are off (no warm-up of the weights, no
falling temperature), crossed over the schedule of the weights, that of the logits' rate, and the weight of the latency:
the claim is PV-NAS's (Wang et al. 2020), which does not say how often. Counted are the convolutions over space or time
of every network derived; a network without any has collapsed. Finished runs are not repeated. Results go to
``experiments/collapse.json`` and ``experiments/collapse.md``.
"""

import argparse
import dataclasses
import itertools
import json
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

from tvnjax.config import PRESETS, RunConfig
from tvnjax.console import ConsoleMonitor
from tvnjax.core.environment import environment
from tvnjax.pipeline import run
from tvnjax.report.page import write_report
from tvnjax.search.diagnostics import parametric_layers
from tvnjax.space.genotype import genotype_from_json
from tvnjax.space.lowering import lower

RESULT = Path(__file__).with_suffix(".json")
GRID = {
    f"weights {schedule}, logits {arch}, latency {weight}": {
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
    """The preset with an arm's changes; children are trained for one step only, since what counts is their layers."""
    config = PRESETS["clips"][1]
    one = dataclasses.replace(config.proxy, steps=1)
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, manifest=manifest),
        seed=seed,
        strategies=("differentiable",),
        search=dataclasses.replace(config.search, **ARMS[arm]),
        proxy=one if arm != "default" else config.proxy,
        retrain=one if arm != "default" else config.retrain,
    )


def folder_of(out: Path, arm: str, seed: int) -> Path:
    return out / f"{arm.replace(',', '').replace(' ', '-')}-{seed}"


def read(folder: Path) -> dict[str, Any]:
    """Layers with parameters of every network the search derived, and of the one it chose."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    last = [event for event in events if event["event"] == "search_step"][-1]
    row = json.loads((folder / "results.json").read_text())["strategies"][0]
    chosen = lower(genotype_from_json(row["genotype"]), 2)
    free = [mass for block in last["parameter_free"] for mass in block.values()]
    return {
        "chosen": parametric_layers(chosen),
        "derived": [event["parametric"] for event in events if event["event"] == "derived"],
        "parameter_free_mass": statistics.fmean(free),
        "entropy": last["entropy"],
        "top1": row["top1"],
        "latency_ms": row["latency_ms"],
        "budget_ms": row["budget_ms"],
    }


def markdown(rows: dict[str, list[dict[str, Any]]]) -> str:
    lines = [
        "| arm | collapsed | layers with parameters, by seed | mass on pools and identity | top-1 |",
        "|---|---|---|---|---|",
    ]
    for arm, runs in rows.items():
        collapsed = sum(run["chosen"] == 0 for run in runs)
        layers = ", ".join(str(run["chosen"]) for run in runs)
        mass = statistics.fmean(run["parameter_free_mass"] for run in runs)
        top1 = ", ".join(f"{run['top1']:.1%}" for run in runs) if arm == "default" else "not trained"
        lines.append(f"| {arm} | {collapsed} of {len(runs)} | {layers} | {mass:.0%} | {top1} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--summarise", action="store_true", help="run nothing")
    args = parser.parse_args()
    if args.manifest is None and not args.summarise:
        parser.error("give --manifest to run, or --summarise for runs that are there")
    args.out.mkdir(parents=True, exist_ok=True)
    for seed, arm in itertools.product(args.seeds, args.arms):
        folder = folder_of(args.out, arm, seed)
        if args.summarise or folder.exists():
            continue
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        command = f"python -m experiments.collapse --arms '{arm}' --seeds {seed}"
        run(config_of(arm, args.manifest, seed), partial, command, ConsoleMonitor)
        partial.rename(folder)
        write_report(folder)
        print(arm, seed, read(folder), file=sys.stderr, flush=True)
    rows = {
        arm: [read(folder_of(args.out, arm, seed)) for seed in args.seeds if folder_of(args.out, arm, seed).exists()]
        for arm in args.arms
    }
    rows = {arm: runs for arm, runs in rows.items() if runs}
    summary = {"command": "python -m experiments.collapse", "arms": ARMS, "runs": rows, "environment": environment()}
    RESULT.write_text(json.dumps(summary, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text(markdown(rows))
    print(markdown(rows))


if __name__ == "__main__":
    main()
