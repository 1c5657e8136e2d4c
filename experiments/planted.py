"""Planted truth: does the search find the shape genes a procedural set was made for?

    python -m experiments.planted --out runs/planted              # everything, 2-3 minutes a run on one core
    python -m experiments.planted --out runs/planted --tasks fine_texture --seeds 0 1
    python -m experiments.planted --out runs/planted --summarise  # table of the runs that are there

Each run is ``tvnjax run planted --data.task TASK --seed SEED`` (the latency term on, see the preset). A run that has
finished is not repeated, so the experiment resumes where it was stopped. Two sets, ``appearing`` and ``small_mark``,
were held out: nothing was tuned on them. The table goes to ``experiments/planted.json`` and ``experiments/planted.md``;
a run counts as found if every gene named in the set's answer has one of the planted values in the network derived, and
where the answer has several frames, if that network has a temporal convolution as well.
"""

import argparse
import dataclasses
import json
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any, get_args

from tvnjax.cli.console import ConsoleMonitor
from tvnjax.data.planted import PlantedData, PlantedTask
from tvnjax.report.page import write_report
from tvnjax.running.config import PRESETS
from tvnjax.running.pipeline import run

HELD_OUT = ("appearing", "small_mark")
RESULT = Path(__file__).with_suffix(".json")


def search(task: str, seed: int, folder: Path) -> None:
    config = PRESETS["planted"][1]
    data = dataclasses.replace(config.data, task=task, seed=seed)
    command = f"tvnjax run planted --data.task {task} --data.seed {seed} --seed {seed}"
    monitors: list[ConsoleMonitor] = []

    def listen(run_dir: Any) -> ConsoleMonitor:
        monitors.append(ConsoleMonitor(run_dir))
        return monitors[0]

    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    run(dataclasses.replace(config, data=data, seed=seed), partial, command, listen)
    partial.rename(folder)
    write_report(folder)


def value_of(genotype: dict[str, Any], gene: str) -> int:
    return len(genotype["blocks"]) if gene == "num_blocks" else genotype[gene]


def needs_time(answer: dict[str, tuple[int, ...]]) -> bool:
    """Whether one frame does not do: then the order of frames decides, and only a temporal layer sees it."""
    return min(answer.get("num_frames", (1,))) > 1


def read(folder: Path, task: str, seed: int) -> dict[str, Any]:
    """What one run derived, beside the planted answer."""
    results = json.loads((folder / "results.json").read_text())
    row = results["strategies"][0]
    answer = PlantedData(task=task).answer
    genotype = row["genotype"]
    temporal = sum(block["temporal_type"] == "1d" and block["temporal_kernel"] > 1 for block in genotype["blocks"])
    derived = {gene: value_of(genotype, gene) for gene in ("image_size", "num_frames", "frame_stride", "num_blocks")}
    return {
        "task": task,
        "seed": seed,
        "found": all(derived[gene] in values for gene, values in answer.items()) and temporal >= needs_time(answer),
        "temporal_convolutions": temporal,
        "derived": derived,
        "top1": row["top1"],
        "latency_ms": row["latency_ms"],
        "budget_ms": row["budget_ms"],
        "search_seconds": row["seconds"],
        "compile_seconds": row["compile_seconds"],
        "genotype": genotype,
        "environment": results["environment"],
    }


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    tasks = {}
    for task in dict.fromkeys(row["task"] for row in rows):
        own = [row for row in rows if row["task"] == task]
        tasks[task] = {
            "held_out": task in HELD_OUT,
            "answer": {gene: list(values) for gene, values in PlantedData(task=task).answer.items()},
            "found": sum(row["found"] for row in own),
            "runs": len(own),
            "mean_top1": statistics.fmean(row["top1"] or 0.0 for row in own),
        }
    environments = list({json.dumps(row.pop("environment"), sort_keys=True): None for row in rows})
    return {
        "command": "python -m experiments.planted",
        "environment": [json.loads(text) for text in environments],
        "tasks": tasks,
        "runs": rows,
    }


def markdown(summary: dict[str, Any]) -> str:
    lines = [
        "| set | planted answer | found | derived (px, frames x stride, blocks) | mean top-1 | mean search s |",
        "|---|---|---|---|---|---|",
    ]
    for task, row in summary["tasks"].items():
        own = [r for r in summary["runs"] if r["task"] == task]
        answer = "; ".join(f"{gene} {' or '.join(map(str, values))}" for gene, values in row["answer"].items())
        if needs_time(PlantedData(task=task).answer):
            answer += "; a temporal convolution"
        derived = ", ".join(
            "{image_size}px {num_frames}x{frame_stride} {num_blocks}b".format(**r["derived"])
            + ("" if r["found"] else " (no)")
            for r in own
        )
        seconds = statistics.fmean(r["search_seconds"] for r in own)
        name = f"{task} (held out)" if row["held_out"] else task
        found = f"{row['found']} of {row['runs']}"
        lines.append(f"| {name} | {answer} | {found} | {derived} | {row['mean_top1']:.1%} | {seconds:.0f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=list(get_args(PlantedTask)))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--summarise", action="store_true", help="run nothing")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for task in args.tasks:
            folder = args.out / f"{task}-{seed}"
            if not args.summarise and not folder.exists():
                search(task, seed, folder)
                row = read(folder, task, seed)
                print(
                    task, seed, "found" if row["found"] else "NOT found", row["derived"], row["top1"], file=sys.stderr
                )
    there = [(task, seed) for task in args.tasks for seed in args.seeds if (args.out / f"{task}-{seed}").exists()]
    summary = summarise([read(args.out / f"{task}-{seed}", task, seed) for task, seed in there])
    RESULT.write_text(json.dumps(summary, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text(markdown(summary))
    print(markdown(summary))


if __name__ == "__main__":
    main()
