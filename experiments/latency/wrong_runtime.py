"""What it costs to search for the wrong runtime: networks found for XLA and for LiteRT, each measured on both.

    python -m experiments.latency.wrong_runtime --manifest color.csv --out runs/runtimes

Two gradient searches of the ``clips`` preset that differ in ``--runtime`` alone, each with its default budget (half of
what the largest network takes there). Then both networks are timed in turns on both runtimes, in milliseconds and as a
part of that runtime's budget. A finished run is not repeated. Writes ``experiments/latency/wrong_runtime.json``; about
8 minutes a search on one core.
"""

import argparse
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from tvnjax.cli.console import ConsoleMonitor
from tvnjax.core.environment import environment, use_compilation_cache
from tvnjax.core.run_dir import write_json
from tvnjax.latency.measure import measure_networks
from tvnjax.latency.runtimes import load_runtime
from tvnjax.latency.timer import Timer
from tvnjax.running.config import PRESETS
from tvnjax.running.pipeline import run
from tvnjax.spaces.tvn.genotype import genotype_from_json
from tvnjax.spaces.tvn.lowering import lower

RESULT = Path(__file__).with_suffix(".json")


def found_for(runtime: Any, manifest: Path, out: Path, seed: int) -> dict[str, Any]:
    """The result of the search for a runtime."""
    folder = out / f"{runtime}-{seed}"
    if not folder.exists():
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        config = PRESETS["clips"][1]
        data = dataclasses.replace(config.data, manifest=manifest, short_spans="widen")
        config = dataclasses.replace(
            config, data=data, runtime=runtime, seed=seed, strategies=("differentiable",), budget=config.budget
        )
        command = f"tvnjax run clips --data.manifest {manifest.name} --data.short-spans widen "
        run(config, partial, f"{command}--strategies differentiable --runtime {runtime} --seed {seed}", ConsoleMonitor)
        partial.rename(folder)
    results = json.loads((folder / "results.json").read_text())
    return results["strategies"][0] | {"classes": len(results["data"]["class_names"]), "gate": results["latency_gate"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runtimes", nargs=2, default=["xla", "litert"])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    use_compilation_cache()
    args.out.mkdir(parents=True, exist_ok=True)
    found = {name: found_for(name, args.manifest, args.out, args.seed) for name in args.runtimes}
    networks = {
        f"found for {name}": lower(genotype_from_json(row["genotype"]), row["classes"]) for name, row in found.items()
    }
    measured = {
        name: {row["name"]: row for row in measure_networks(networks, load_runtime(name), Timer(repeats=100))}
        for name in args.runtimes
    }
    table = []
    for target, row in found.items():
        for name in args.runtimes:
            ms = measured[name][f"found for {target}"]["latency_ms"]
            # The search measured its own network in the profile's conditions; the other's is scaled to them alike.
            own = measured[name][f"found for {name}"]["latency_ms"]
            part = ms / own * found[name]["latency_ms"] / found[name]["budget_ms"]
            line = {"found for": target, "top1": row["top1"], "on": name, "latency_ms": ms, "part of its budget": part}
            table.append(line)
            print(line)
    command = f"python -m experiments.latency.wrong_runtime --manifest {args.manifest.name} --runtimes "
    command += f"{' '.join(args.runtimes)} --seed {args.seed}"
    keys = ("top1", "latency_ms", "budget_ms", "params", "macs", "seconds", "compile_seconds", "genotype", "gate")
    kept = {name: {key: row.get(key) for key in keys} for name, row in found.items()}
    write_json(RESULT, {"command": command, "table": table, "found": kept, "environment": environment()})


if __name__ == "__main__":
    main()
