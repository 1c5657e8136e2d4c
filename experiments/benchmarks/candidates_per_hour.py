"""How many different candidates an hour: a program for each network against programs of single layers.

    python -m experiments.benchmarks.candidates_per_hour --candidates 60 --json experiments/benchmarks/candidates.json
    python -m experiments.benchmarks.candidates_per_hour --candidates 200 --count      # new programs alone, in seconds

The candidates are those of an evolution over the space of a preset (``--preset quick``): random networks, then mutants
of the fittest so far, as the search would ask for them; both ways train the same ones, for the preset's proxy steps, on
the same clips. The plain loop compiles each network as one program; the other compiles the layers that no candidate
before had. Nothing is read from a cache on disk. Candidates are trained in turns, and which way goes first alternates,
so that a busy minute meets both alike. Printed are seconds by candidate and candidates an hour, for all and for the
last half, when most layers are known.
"""

import argparse
import dataclasses
import math
import statistics
import time
from pathlib import Path

import jax

from tvnjax.config import PRESETS
from tvnjax.core.environment import environment
from tvnjax.core.monitor import Silent
from tvnjax.core.run_dir import write_json
from tvnjax.data.video_folder import VideoData
from tvnjax.problem import Problem, prepare_problem
from tvnjax.search.base import Candidate, Evaluation, Verdict
from tvnjax.search.evolution import Evolution, EvolutionConfig
from tvnjax.space.genotype import Genotype
from tvnjax.space.lowering import lower
from tvnjax.space.search_space import search_space
from tvnjax.space.shapes import ShapeSpace
from tvnjax.train.layerwise import make_programs

WAYS = ("whole", "layers")


def timed(problem: Problem, evaluate, genotype: Genotype) -> tuple[Evaluation, dict[str, float]]:
    wall, processor = time.monotonic(), time.process_time()
    evaluation = evaluate(genotype, 0, 1.0)
    took = {"seconds": time.monotonic() - wall, "processor_s": time.process_time() - processor}
    return evaluation, took | {"compile_s": evaluation.compile_seconds, "fitness": evaluation.fitness}


def count(preset: str, candidates: int, population: int) -> None:
    """Prints how many programs of layers each candidate needs that none before had; compiles and trains nothing. What
    networks are worth is made up: larger ones and more layers over time."""
    config = PRESETS[preset][1]
    space = search_space(ShapeSpace(config.shapes, 100), config.operators)
    programs, known = make_programs(config.proxy), set()
    programs._get = lambda key, build: (known.add(key), None, None)  # type: ignore[method-assign]
    evolution, new = Evolution(space, EvolutionConfig(population=population, tournament=5), 0), []
    for _ in range(candidates):
        genotype = evolution.ask()
        if not isinstance(genotype, Genotype):
            break
        network, before = lower(genotype, 4), len(known)
        for call in programs.needed(network, config.proxy.batch_size, 64):
            call()
        new.append(len(known) - before)
        worth = math.log10(network.macs) / 20 + 0.1 * sum(block.temporal_kernel > 1 for block in genotype.blocks)
        evolution.tell(told(genotype, Evaluation(top1=worth, top5=worth, compile_seconds=0.0)))
    for first in range(0, len(new), 10):
        part = new[first : first + 10]
        print(f"candidates {first + 1} to {first + len(part)}: {statistics.fmean(part):.1f} new programs each")


def told(genotype: Genotype, evaluation: Evaluation) -> Candidate:
    verdict = Verdict(predicted_ms=0.0, latency_ms=0.0, feasible=True)
    return Candidate(genotype=genotype, verdict=verdict, evaluation=evaluation, charged_s=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="quick", choices=sorted(PRESETS))
    parser.add_argument("--manifest", type=Path, help="clips of the preset that has none of its own")
    parser.add_argument("--candidates", type=int, default=60)
    parser.add_argument("--population", type=int, default=20, help="random networks before mutants")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--count", action="store_true", help="count programs, train nothing")
    args = parser.parse_args()
    if args.count:
        count(args.preset, args.candidates, args.population)
        return
    jax.config.update("jax_enable_compilation_cache", False)
    config = PRESETS[args.preset][1]
    if args.manifest is not None:
        data = VideoData(manifest=args.manifest, shift=3)
        config = dataclasses.replace(config, data=data)
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
        evolution.tell(told(genotype, results["whole"][0]))
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
        command = f"python -m experiments.benchmarks.candidates_per_hour --candidates {args.candidates} "
        command += f"--preset {args.preset} --population {args.population}"
        command += f" --manifest {args.manifest.name}" if args.manifest else ""
        write_json(args.json, {"command": command, "summary": summary, "rows": rows, "environment": environment()})


if __name__ == "__main__":
    main()
