"""The main job on real video, three seeds: does the search end with an accurate network within its budget?

    python experiments/clips_three_seeds.py --manifest color.csv --out runs/grid
    python experiments/clips_three_seeds.py --summarise runs/grid/seed-*  # summary of runs that are there
    python experiments/clips_three_seeds.py --manifest color.csv --strategies differentiable --json FILE

Runs ``tvnjax run clips`` once a seed, one after the other, and writes ``experiments/clips_three_seeds.json``: top-1
on the test split of every strategy and seed, latency against budget, seconds. About 12 minutes a seed on two CPU cores,
5 for the gradient search alone. The result is in the README.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

RESULT = Path(__file__).with_suffix(".json")
KEPT = ("name", "seed", "top1", "top5", "latency_ms", "budget_ms", "params", "macs", "seconds", "compile_seconds")
KEPT += ("retrain_seconds", "evaluations", "infeasible", "genotype_id")


def summarise(folders: list[Path], command: str) -> dict:
    """What the runs found, strategy by strategy."""
    runs = [json.loads((folder / "results.json").read_text()) for folder in folders]
    rows = [{key: row.get(key) for key in KEPT} for run in runs for row in run["strategies"]]
    summary = {}
    for name in dict.fromkeys(row["name"] for row in rows):
        scores = [row["top1"] for row in rows if row["name"] == name and row["top1"] is not None]
        over = [row["latency_ms"] > row["budget_ms"] for row in rows if row["name"] == name and row["latency_ms"]]
        summary[name] = {
            "top1": scores,
            "mean": statistics.fmean(scores) if scores else None,
            "sd": statistics.stdev(scores) if len(scores) > 1 else None,
            "over_budget": sum(over),
        }
    first = runs[0]
    return {
        "command": command,
        "summary": summary,
        "runs": rows,
        "run_seconds": [run["seconds"] for run in runs],
        "reference": [run["reference"] for run in runs],
        "data": {key: first["data"][key] for key in ("name", "class_names", "splits", "majority_share", "widened")},
        "counting_rule": first["counting_rule"],
        "latency_rule": first["latency_rule"],
        "environment": first["environment"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs") / f"three-seeds-{time.strftime('%Y%m%d-%H%M%S')}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--summarise", type=Path, nargs="+", help="directories of runs that are there")
    parser.add_argument("--strategies", nargs="+", default=["differentiable", "evolution", "random"])
    parser.add_argument("--json", type=Path, default=RESULT, help="where the summary goes")
    args = parser.parse_args()
    if (args.manifest is None) == (args.summarise is None):
        parser.error("give --manifest to run, or --summarise for runs that are there")
    folders = args.summarise or [args.out / f"seed-{seed}" for seed in args.seeds]
    for seed, folder in zip(args.seeds, [] if args.summarise else folders):
        options = ["--data.manifest", str(args.manifest), "--data.short-spans", "widen", "--seed", str(seed)]
        options += ["--out", str(folder), "--strategies", *args.strategies]
        start = "import sys; from tvnjax.cli import main; sys.exit(main())"
        subprocess.run([sys.executable, "-c", start, "run", "clips", *options], check=True)
    strategies, seeds = " ".join(args.strategies), ", ".join(map(str, args.seeds))
    command = "tvnjax run clips --data.manifest color.csv --data.short-spans widen "
    command += f"--strategies {strategies} --seed S, S in {seeds}"
    result = summarise(folders, command)
    args.json.write_text(json.dumps(result, indent=1) + "\n")
    for name, row in result["summary"].items():
        scores = ", ".join(f"{score:.1%}" for score in row["top1"])
        print(f"{name}: {scores}; mean {row['mean']:.1%}; {row['over_budget']} over the budget")


if __name__ == "__main__":
    main()
