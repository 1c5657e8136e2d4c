"""Budgets a factor of four apart: does the measured latency land under each, and does accuracy grow with it?

    python -m experiments.budgets --manifest color.csv --out runs/budgets --budgets 0.1 0.4 1.6
    python -m experiments.budgets --out runs/budgets --budgets 0.1 0.4 1.6 --summarise

Each is a whole ``tvnjax run clips`` with sizes searched too (image size, frames, blocks, widths), so that one space
holds networks for every budget. A finished run is not repeated. Results go to ``experiments/budgets.json``.
"""

import argparse
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any, get_args

from tvnjax.cli.console import ConsoleMonitor
from tvnjax.core.environment import environment
from tvnjax.latency.runtimes import RuntimeName
from tvnjax.report.page import write_report
from tvnjax.running.config import PRESETS, RunConfig
from tvnjax.running.pipeline import run
from tvnjax.search.budget import Budget
from tvnjax.spaces.tvn.shapes import BlockShapes, ShapeChoices

RESULT = Path(__file__).with_suffix(".json")
KEPT = ("top1", "latency_ms", "budget_ms", "params", "macs", "memory_mb", "seconds", "compile_seconds", "genotype")
SHAPES = ShapeChoices(
    image_size=(16, 32, 48),
    num_frames=(2, 4, 8),
    num_blocks=(2, 3, 4),
    blocks=(
        BlockShapes(filters=(8, 24)),
        BlockShapes(filters=(16, 48)),
        BlockShapes(spatial_stride=(1,), temporal_stride=(1, 2), filters=(24, 64)),
        BlockShapes(filters=(32, 96)),
    ),
)


def config_of(manifest: Path, budget_ms: float, seed: int, runtime: RuntimeName) -> RunConfig:
    config = PRESETS["clips"][1]
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, manifest=manifest, short_spans="widen"),
        shapes=SHAPES,
        runtime=runtime,
        budget=Budget(ms=budget_ms),
        seed=seed,
        strategies=("differentiable",),
        search=dataclasses.replace(config.search, steps=300, working_set=6, redraws=2),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.1, 0.4, 1.6], help="milliseconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runtime", choices=get_args(RuntimeName), default="litert", help="whose milliseconds")
    parser.add_argument("--summarise", action="store_true", help="run nothing")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for budget in sorted(args.budgets):
        folder = args.out / f"{args.runtime}-{budget:g}-ms-{args.seed}"
        if not folder.exists() and not args.summarise:
            partial = folder.with_name(f"{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            command = f"python -m experiments.budgets --runtime {args.runtime} --budgets {budget:g} --seed {args.seed}"
            run(config_of(args.manifest, budget, args.seed, args.runtime), partial, command, ConsoleMonitor)
            partial.rename(folder)
            write_report(folder)
        if folder.exists():
            row = json.loads((folder / "results.json").read_text())["strategies"][0]
            rows.append({key: row.get(key) for key in KEPT})
            part = row["latency_ms"] / row["budget_ms"] if row["latency_ms"] else float("nan")
            print(f"{budget:g} ms: {row['latency_ms']} ms measured, {part:.2f} of the budget, top-1 {row['top1']}")
    summary = {
        "command": f"python -m experiments.budgets --runtime {args.runtime} --seed {args.seed} --budgets "
        + " ".join(f"{b:g}" for b in args.budgets),
        "runs": rows,
        "environment": environment(),
    }
    RESULT.write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
