"""How many different candidates an hour: the plain loop, a program for each network, programs of single layers.

    python -m experiments.benchmarks.candidates_per_hour --preset clips --manifest digit.csv --candidates 24 --json FILE
    python -m experiments.benchmarks.candidates_per_hour --candidates 200 --count      # new programs alone, in seconds

The candidates are those of an evolution over the space of a preset: random networks, then mutants of the fittest so
far, as the search would ask for them, ``--group`` at a time; all ways train the same ones, for the preset's proxy
steps, on the same clips:

- ``plain``: what one would write in JAX: XLA's own convolutions and pools, ``optax.adamw`` on the tree of weights,
  ``jax.jit`` as it comes. Slow, so that every ``--plain-every``-th group may have to do;
- ``forms``: the same with this package's forms of convolutions and pools;
- ``whole``: and compiled as this package does, one program a network;
- ``layers``: programs of single layers, of which only those are compiled that no candidate before had;
- ``pool``: as ``whole``, by ``--workers`` processes (``--workers.engine pool``), while the other ways have all cores to
  themselves in one process.

Nothing is read from a cache on disk. A group is trained in all ways before the next, in an order that rotates, so
that a busy minute meets all alike; the pool ends each group with idle workers, which a search does not. Printed are
candidates an hour, over the groups that two ways have in common, for all and for the last half, when most layers are
known; by the clock and, without the pool, by processor seconds.
"""

import argparse
import dataclasses
import functools
import itertools
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import optax
from flax import nnx

from tvnjax.core.environment import environment
from tvnjax.core.monitor import Silent
from tvnjax.core.run_dir import write_json
from tvnjax.data.video_folder import VideoData
from tvnjax.nn.child import Child
from tvnjax.nn.convolution import Form, default_form
from tvnjax.nn.parts import normalize
from tvnjax.running.config import PRESETS, RunConfig
from tvnjax.running.problem import Problem, prepare_problem
from tvnjax.running.task import Evaluator
from tvnjax.search.base import Candidate, Evaluation, Verdict
from tvnjax.search.pools import Lost, SpawnPool
from tvnjax.search.strategies.evolution import Evolution, EvolutionConfig
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.search_space import search_space
from tvnjax.spaces.tvn.shapes import ShapeSpace
from tvnjax.trainers.layerwise import make_programs
from tvnjax.trainers.objective import count_correct, cross_entropy
from tvnjax.trainers.trainer import sum_score

WAYS = ("plain", "forms", "whole", "layers", "pool")
OUT_OF_PROCESS = ("pool",)


@dataclasses.dataclass(frozen=True)
class EvaluatorWithoutCache:
    """As workers of a search make theirs, but without the cache on disk."""

    config: RunConfig

    def __call__(self, strategy: str) -> Callable[[Genotype, int, float], Evaluation]:
        jax.config.update("jax_enable_compilation_cache", False)
        return Evaluator(prepare_problem(self.config, Silent())).evaluate


class PlainLoop:
    """Trains and scores candidates as one would without this package's trainer."""

    def __init__(self, problem: Problem, form: Form):
        self._problem, self._form = problem, form

    def evaluate(self, genotype: Genotype, seed: int, part: float) -> Evaluation:
        problem, training = self._problem, self._problem.config.proxy
        graph, params, stats = nnx.split(Child(problem.lower(genotype), seed, form=self._form), nnx.Param, ...)
        optimizer, steps = training.optimizer, round(part * training.steps)
        tx = optax.chain(
            optax.clip_by_global_norm(optimizer.clip_norm),
            optax.adamw(
                optimizer.schedule_of(training.steps),
                weight_decay=optimizer.weight_decay,
                mask=lambda params: jax.tree.map(lambda array: array.ndim > 1, params),
            ),
        )

        @jax.jit
        def step(params, stats, opt, number, clip, label):
            def loss_fn(params):
                model = nnx.merge(graph, params, stats, copy=True)
                key = jax.random.fold_in(jax.random.key(seed), number) if training.dropout else None
                logits = model(normalize(clip), train=True, dropout_key=key)
                loss = cross_entropy(logits, label, smoothing=training.label_smoothing)
                return loss, nnx.state(model, nnx.BatchStat)

            (loss, moved), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
            updates, opt = tx.update(grads, opt, params)
            return optax.apply_updates(params, updates), moved, opt, loss

        @jax.jit
        def score(params, stats, clip, label, weight):
            return count_correct(nnx.merge(graph, params, stats, copy=True)(normalize(clip)), label, weight)

        opt = tx.init(params)
        batches = problem.train_batches(genotype, "train", training.batch_size, seed)
        for number in range(steps):
            batch = next(batches)
            params, stats, opt, _ = step(params, stats, opt, number, batch["clip"], batch["label"])
        clips = problem.eval_batches(genotype, "val")
        found = sum_score(score(params, stats, b["clip"], b["label"], b["weight"]) for b in clips)
        return Evaluation(top1=found.top1, top5=found.top5, compile_seconds=float("nan"))


def make_evaluate(problem: Problem, way: str) -> Callable[[Genotype, int, float], Evaluation]:
    if way in ("plain", "forms"):
        return PlainLoop(problem, "plain" if way == "plain" else default_form()).evaluate
    return Evaluator(dataclasses.replace(problem, config=dataclasses.replace(problem.config, evaluation=way))).evaluate


Train = Callable[[list[Genotype]], list[Evaluation]]
"""Trains the networks of a group."""


def one_by_one(evaluate: Callable[[Genotype, int, float], Evaluation]) -> Train:
    return lambda group: [evaluate(genotype, 0, 1.0) for genotype in group]


def on_pool(pool: SpawnPool, group: list[Genotype]) -> list[Evaluation]:
    waiting, under_way, found = list(enumerate(group)), {}, {}
    idle = list(range(pool.count))
    while waiting or under_way:
        while waiting and idle:
            worker, (number, genotype) = idle.pop(), waiting.pop(0)
            pool.submit(worker, "pool", genotype, 0, 1.0)
            under_way[worker] = number
        worker, outcome = pool.wait()
        if isinstance(outcome, Lost) or outcome.failed:
            raise SystemExit(f"a worker did not train its network: {outcome}")
        found[under_way.pop(worker)] = outcome
        idle.append(worker)
    return [found[number] for number in range(len(group))]


def timed(train: Train, group: list[Genotype]) -> tuple[list[Evaluation], dict[str, Any]]:
    wall, processor = time.monotonic(), time.process_time()
    evaluations = train(group)
    took = {"seconds": time.monotonic() - wall, "processor_s": time.process_time() - processor}
    return evaluations, took | {
        "compile_s": sum(evaluation.compile_seconds for evaluation in evaluations),
        "fitness": [evaluation.fitness for evaluation in evaluations],
    }


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
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--group", type=int, default=4, help="candidates asked for and trained at a time")
    parser.add_argument("--workers", type=int, default=2, help="processes of the pool")
    parser.add_argument("--plain-every", type=int, default=1, help="groups the plain loop trains: every n-th")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--count", action="store_true", help="count programs, train nothing")
    args = parser.parse_args()
    if args.count:
        count(args.preset, args.candidates, args.population)
        return
    jax.config.update("jax_enable_compilation_cache", False)
    config = PRESETS[args.preset][1]
    if args.manifest is not None:
        data = VideoData(manifest=args.manifest, shift=3, short_spans="widen")
        config = dataclasses.replace(config, data=data)
    problem = prepare_problem(config, Silent())
    ways: dict[str, Train] = {
        way: one_by_one(make_evaluate(problem, way)) for way in args.ways if way not in OUT_OF_PROCESS
    }
    pool = SpawnPool(EvaluatorWithoutCache(config), args.workers) if "pool" in args.ways else None
    if pool is not None:
        # Starting up is a search's, not its first candidates'.
        start = Evolution(problem.space, EvolutionConfig(), 1)
        on_pool(pool, [asked for asked in (start.ask() for _ in range(args.workers)) if isinstance(asked, Genotype)])
        ways["pool"] = functools.partial(on_pool, pool)
    evolution = Evolution(problem.space, EvolutionConfig(population=args.population, tournament=5), 0)
    command = f"python -m experiments.benchmarks.candidates_per_hour --candidates {args.candidates} "
    command += f"--preset {args.preset} --population {args.population} --group {args.group} --workers {args.workers} "
    command += f"--plain-every {args.plain_every} --ways {' '.join(args.ways)}"
    command += f" --manifest {args.manifest.name}" if args.manifest else ""
    rows: list[dict] = []
    for number in range(math.ceil(args.candidates / args.group)):
        asked = [evolution.ask() for _ in range(args.group)]
        group = [genotype for genotype in asked if isinstance(genotype, Genotype)]
        chosen = [way for way in args.ways if way != "plain" or number % args.plain_every == 0]
        first = number % len(chosen)
        results = {way: timed(ways[way], group) for way in chosen[first:] + chosen[:first]}
        rows.append({"candidates": len(group), **{way: took for way, (_, took) in results.items()}})
        evaluations, _ = next(results[way] for way in ("whole", "pool", "layers", "forms", "plain") if way in results)
        for genotype, evaluation in zip(group, evaluations):
            evolution.tell(told(genotype, evaluation))
        text = ", ".join(f"{way} {rows[-1][way]['seconds']:.1f} s" for way in chosen)
        print(f"{(number + 1) * args.group} of {args.candidates}: {text}", flush=True)
        if args.json:
            found = {"command": command, "summary": summarise(rows), "rows": rows, "environment": environment()}
            write_json(args.json, found)
    if pool is not None:
        pool.close()
    for text in summarise(rows):
        print(text)


def summarise(rows: list[dict]) -> list[dict]:
    """Candidates an hour of every two ways over the groups they have in common."""
    summary = []
    for part, kept in (("all", rows), ("last half", rows[len(rows) // 2 :])):
        for slow, fast in itertools.combinations(WAYS, 2):
            common = [row for row in kept if slow in row and fast in row]
            if not common:
                continue
            trained = sum(row["candidates"] for row in common)
            row: dict = {"of": part, "candidates": trained, "ways": (slow, fast)}
            for clock in ("seconds", "processor_s"):
                if clock == "processor_s" and fast in OUT_OF_PROCESS:
                    continue
                hours = [3600 * trained / sum(one[way][clock] for one in common) for way in (slow, fast)]
                row[f"an_hour_by_{clock}"], row[f"ratio_by_{clock}"] = hours, hours[1] / hours[0]
            summary.append(row)
    return summary


if __name__ == "__main__":
    main()
