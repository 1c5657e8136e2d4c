"""How many different candidates an hour: a program for each network against programs of single layers.

    python -m experiments.benchmarks.candidates_per_hour --candidates 60 --json experiments/benchmarks/candidates.json

The candidates are those of an evolution over the space of a preset (``--preset quick``): random networks, then mutants
of the fittest so far, as the search would ask for them; both ways train the same ones, for the preset's proxy steps, on
the same clips. The plain loop compiles each network as one program; the other compiles the layers that no candidate
before had. Nothing is read from a cache on disk. Candidates are trained in turns, and which way goes first alternates,
so that a busy minute meets both alike. Printed are seconds by candidate and candidates an hour, for all and for the
last half, when most layers are known.
"""

import argparse
import dataclasses
import statistics
import time
from pathlib import Path

import jax

from tvnjax.config import PRESETS
from tvnjax.core.environment import environment
from tvnjax.core.monitor import Silent
from tvnjax.core.run_dir import write_json
from tvnjax.problem import Problem, prepare_problem
from tvnjax.search.base import Candidate, Evaluation, Verdict
from tvnjax.search.evolution import Evolution, EvolutionConfig
from tvnjax.space.genotype import Genotype

WAYS = ("whole", "layers")


def timed(problem: Problem, evaluate, genotype: Genotype) -> tuple[Evaluation, dict[str, float]]:
    wall, processor = time.monotonic(), time.process_time()
    evaluation = evaluate(genotype, 0, 1.0)
    took = {"seconds": time.monotonic() - wall, "processor_s": time.process_time() - processor}
    return evaluation, took | {"compile_s": evaluation.compile_seconds, "fitness": evaluation.fitness}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="quick", choices=sorted(PRESETS))
    parser.add_argument("--candidates", type=int, default=60)
    parser.add_argument("--population", type=int, default=20, help="random networks before mutants")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    jax.config.update("jax_enable_compilation_cache", False)
    config = PRESETS[args.preset][1]
    problem = prepare_problem(config, Silent())
    ways = {
        way: dataclasses.replace(problem, config=dataclasses.replace(config, evaluation=way)).evaluator().evaluate
        for way in WAYS
    }
    evolution = Evolution(problem.space, EvolutionConfig(population=args.population, tournament=5), 0)
    rows: list[dict] = []
    for number in range(args.candidates):
        genotype = evolution.ask()
        if not isinstance(genotype, Genotype):
            break
        order = WAYS if number % 2 == 0 else WAYS[::-1]
        results = {way: timed(problem, ways[way], genotype) for way in order}
        row = {way: took for way, (_, took) in results.items()}
        rows.append(row)
        verdict = Verdict(predicted_ms=0.0, latency_ms=0.0, feasible=True)
        evaluation = results["whole"][0]
        evolution.tell(Candidate(genotype=genotype, verdict=verdict, evaluation=evaluation, charged_s=0.0))
        text = ", ".join(f"{way} {row[way]['seconds']:.1f} s ({row[way]['compile_s']:.1f} compiling)" for way in WAYS)
        print(f"{number + 1} of {args.candidates}: {text}", flush=True)
    summary = {}
    for part, chosen in (("all", rows), ("last half", rows[len(rows) // 2 :])):
        hours = {way: 3600 / statistics.fmean(row[way]["seconds"] for row in chosen) for way in WAYS}
        work = {way: 3600 / statistics.fmean(row[way]["processor_s"] for row in chosen) for way in WAYS}
        ratio = hours["layers"] / hours["whole"]
        summary[part] = {
            "candidates_per_hour": hours,
            "per_processor_hour": work,
            "ratio": ratio,
        }
        print(f"{part}: {hours['whole']:.0f} and {hours['layers']:.0f} candidates an hour, {ratio:.2f} times")
    if args.json:
        command = f"python -m experiments.benchmarks.candidates_per_hour --candidates {args.candidates}"
        write_json(args.json, {"command": command, "summary": summary, "rows": rows, "environment": environment()})


if __name__ == "__main__":
    main()
