"""Trains every network of a small space twice and measures each: a table that strategies are replayed on.

    python -m experiments.tabular.make_table                    # all that is missing; may be stopped and started again
    python -m experiments.tabular.make_table --networks 20      # the next twenty
    python -m experiments.tabular.make_table --card             # the page about what is there
    python -m experiments.tabular.make_table --problem motion_shape

What the spaces and clips are is in ``problems``. Programs of single layers are shared by all networks that have them,
so nearly nothing is compiled behind the first few dozen. Latencies are fastest calls in turns with a reference network.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.tabular.problems import PROBLEMS, card_of, table_of
from tvnjax.core.environment import environment, use_compilation_cache
from tvnjax.core.monitor import Silent
from tvnjax.latency.measure import DriftError, Measurement, ReferenceNetwork, latency_rule, measure
from tvnjax.latency.timer import Timer
from tvnjax.report.comparing.statistics import rank_correlation
from tvnjax.running.problem import Problem, prepare_problem
from tvnjax.search.tabular.benchmark import Entry, Recorded, append_entries, write_header
from tvnjax.search.tabular.read import read_table
from tvnjax.spaces.tvn.canonical import genotype_id
from tvnjax.spaces.tvn.enumerating import enumerate_space
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.trainers.layerwise import LayerwiseTrainer, make_programs

SEEDS = (0, 1)
PARTS = (1 / 9, 1 / 3, 1.0)
"""Where a training is scored: the rungs of successive halving."""
GROUP = 8
"""Networks timed in turns."""
EVAL_BATCH = 64


def train(problem: Problem, genotype: Genotype, seed: int, programs: Any) -> Recorded:
    """One short training, scored on its way."""
    training = problem.config.proxy
    trainer = LayerwiseTrainer(problem.lower(genotype), training, seed, programs)
    trainer.compile(training.batch_size, EVAL_BATCH)
    start, scoring = time.monotonic(), 0.0
    batches = problem.train_batches(genotype, "train", training.batch_size, seed)
    state, curve = None, []
    try:
        for part in PARTS:
            state = trainer.train(batches, state=state, until=max(1, round(part * training.steps)))
            before = time.monotonic()
            score = trainer.score(state, problem.eval_batches(genotype, "val"))
            curve.append((part, score.top1, score.top5))
            scoring = time.monotonic() - before
        seconds = time.monotonic() - start
        test = trainer.score(state, problem.eval_batches(genotype, "test")) if state else None
    except FloatingPointError as error:
        return Recorded(seed=seed, curve=(), seconds=time.monotonic() - start, failed=str(error))
    # A search scores once.
    return Recorded(
        seed=seed,
        curve=tuple(curve),
        seconds=seconds - (len(PARTS) - 1) * scoring + trainer.compile_seconds,
        compile_seconds=trainer.compile_seconds,
        test_top1=None if test is None else test.top1,
    )


def timed(problem: Problem, group: list[Genotype], reference: ReferenceNetwork) -> dict[int, Measurement]:
    """Latencies of a group, waiting for a quiet minute where the machine is too busy."""
    prepared = {index: problem.runtime.network(problem.lower(genotype)) for index, genotype in enumerate(group)}
    while True:
        try:
            return measure(prepared, Timer(repeats=60), reference)
        except DriftError as error:
            print(f"waiting: {error}", flush=True)
            time.sleep(30)


def make(name: str, path: Path, limit: int | None) -> None:
    use_compilation_cache()
    config = PROBLEMS[name].config
    problem = prepare_problem(config, Silent())
    genotypes = enumerate_space(problem.space)
    np.random.default_rng(0).shuffle(genotypes)  # type: ignore[arg-type]
    if not path.exists():
        reference = problem.runtime.network(problem.lower(genotypes[0]))
        alone = measure({0: reference}, Timer(repeats=200))[0]
        write_header(
            path,
            name,
            problem.space,
            parts=PARTS,
            seeds=SEEDS,
            classes=problem.num_classes,
            shared_programs=True,
            reference_ms=alone.latency_ms,
            data=dataclasses.asdict(config.data),
            proxy=config.proxy,
            latency_rule=latency_rule(),
            runtime=config.runtime,
            environment=environment(),
        )
        done: set[str] = set()
        reference_ms = alone.latency_ms
    else:
        try:
            table = read_table(path)
            done, reference_ms = set(table.entries), float(table.header["reference_ms"])
        except ValueError:
            raise SystemExit(f"{path} has no finished network: remove it and start again") from None
        reference = problem.runtime.network(problem.lower(genotypes[0]))
    reference = ReferenceNetwork(call=reference.call, reference_ms=reference_ms)
    missing = [genotype for genotype in genotypes if genotype_id(genotype) not in done][:limit]
    programs, start = make_programs(config.proxy), time.monotonic()
    for number, group in enumerate(_groups(missing)):
        check_start = time.monotonic()
        measured = timed(problem, group, reference)
        check = (time.monotonic() - check_start) / len(group)
        for index, genotype in enumerate(group):
            runs = tuple(train(problem, genotype, seed, programs) for seed in SEEDS)
            entry = Entry(
                genotype=genotype,
                latency_ms=measured[index].latency_ms,
                check_seconds=check,
                check_compile_seconds=measured[index].compile_seconds,
                runs=runs,
            )
            append_entries(path, [entry])
        count = min((number + 1) * GROUP, len(missing))
        rate = (time.monotonic() - start) / count
        top1 = statistics.fmean(run.curve[-1][1] for run in runs if run.curve)
        text = f"{count} of {len(missing)}, {rate:.2f} s a network ({time.process_time() / count:.2f} s of processor)"
        compiled = f"{len(programs)} programs in {sum(programs.seconds.values()):.0f} s"
        print(f"{text}, {compiled}, last top-1 {top1:.2f}", flush=True)


def write_card(name: str, path: Path) -> None:
    """The page beside the table: how it was made, on what, how far two trainings agree, the best known front."""
    table = read_table(path)
    header = table.header
    twice = [e for e in table.entries.values() if len([run for run in e.runs if not run.failed]) > 1]
    first, second = ([e.runs[i].curve[-1][1] for e in twice] for i in (0, 1))
    ceiling = rank_correlation(first, second)
    top1 = sorted(e.top1() or 0.0 for e in table.entries.values())
    apart = statistics.fmean(abs(a - b) for a, b in zip(first, second))
    seconds = sum(e.check_seconds + sum(run.seconds for run in e.runs) for e in table.entries.values())
    best = max(table.entries.values(), key=lambda e: e.fitness)
    machine = header["environment"]
    front = "\n".join(
        f"| {e.id} | {e.latency_ms:.4f} | {e.top1():.1%} | {e.top1('test') or 0.0:.1%} | {words(e.genotype)} |"
        for e in table.front()
    )
    clips = {split: header["data"][f"{split}_clips"] for split in ("train", "val", "test")}
    options = "" if name == next(iter(PROBLEMS)) else f" --problem {name}"
    text = f"""# Table {table.name}

{len(table.entries)} networks, every one trained with seeds {", ".join(map(str, table.seeds))}
for {header["proxy"]["steps"]} steps ({clips["train"]} clips to train on, {clips["val"]} for validation, {clips["test"]}
for test), and measured. Networks: {PROBLEMS[name].about}.

Made by `python -m experiments.tabular.make_table{options}` in {seconds / 3600:.1f} hours on {machine["processor"]},
{machine["cores"]} core(s), jax {machine["jax"]}. Latency: {header["latency_rule"]}. Seconds are wall seconds of a
machine that was shared. Replay it with `tvnjax replay experiments/tabular/{path.name}`.

**Accuracy.** Validation top-1, mean of two seeds: {top1[0]:.1%} to {top1[-1]:.1%}, median
{statistics.median(top1):.1%}; chance is {1 / header["classes"]:.0%}. The fittest network is {best.id}:
{best.top1():.1%}, {best.latency_ms:.4f} ms.

{remeasured(header)}**Noise ceiling.** Two trainings of a network differ by {100 * apart:.1f} points on average.
Kendall's tau between them
is {_two(ceiling.tau)} over all networks and {_two(ceiling.top_tau)} over the best 20 %: no score can be asked to order
them better.

**Best known front** (latency, validation top-1; both means of two seeds):

| network | ms | validation | test | what it is |
|---|---|---|---|---|
{front}
"""
    card_of(name).write_text(text, encoding="utf-8")


def remeasured(header: Mapping[str, Any]) -> str:
    """What ``remeasure`` replaced, as a paragraph; nothing where it has not run."""
    told = header.get("remeasured")
    if not told:
        return ""
    new = [row for row in told["networks"] if row["replaced"]]
    controls = [row for row in told["networks"] if row["control"]]
    shift = statistics.median(statistics.median(row["again_ms"]) / row["recorded_ms"] for row in controls)
    listed = ", ".join(
        f"{row['id']} {row['recorded_ms']:.4f} → {statistics.median(row['again_ms']):.4f} ms" for row in new
    )
    return (
        f"**Latencies measured again.** A single measurement is wrong now and then. Of networks that a cost model of "
        f"the whole table is off by more than {told['off']:.0%}, {len(new)} have the median of "
        f"{len(new[0]['again_ms']) if new else 0} new measurements in place of the first "
        f"({len(controls)} ordinary networks beside them took {shift:.3f} times what was recorded): {listed} "
        "(`python -m experiments.tabular.remeasure`).\n\n"
    )


def words(genotype: Genotype) -> str:
    blocks = " then ".join(
        f"{b.spatial_type} {b.filters}/{b.spatial_stride}" + (" + temporal" if b.temporal_kernel > 1 else "")
        for b in genotype.blocks
    )
    return f"{genotype.image_size} px, {genotype.num_frames} frames: {blocks}"


def _two(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _groups(genotypes: list[Genotype]) -> list[list[Genotype]]:
    return [genotypes[at : at + GROUP] for at in range(0, len(genotypes), GROUP)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problem", choices=PROBLEMS, default=next(iter(PROBLEMS)))
    parser.add_argument("--out", type=Path, help="the table; default: the problem's")
    parser.add_argument("--networks", type=int, help="at most so many more")
    parser.add_argument("--card", action="store_true", help="write the card of what is there, train nothing")
    args = parser.parse_args()
    out = args.out or table_of(args.problem)
    if not args.card:
        make(args.problem, out, args.networks)
    write_card(args.problem, out)


if __name__ == "__main__":
    main()
