"""Trains every network of a small space twice and measures each: the table that strategies are replayed on.

    python -m experiments.tabular.make_table                    # all that is missing; may be stopped and started again
    python -m experiments.tabular.make_table --networks 20      # the next twenty
    python -m experiments.tabular.make_table --card             # experiments/tabular/README.md of what is there

576 networks: two blocks, each of a spatial operator (convolution, depthwise convolution, max pool), with or without a
temporal convolution, half or full width, over 8 or 16 pixels and 2 or 4 frames. They learn eight classes (four
directions of motion, two shapes) of drawn clips. Programs of single layers are shared by all networks that have them,
so nearly nothing is compiled behind the first few dozen. Latencies are medians in turns with a reference network.
"""

import argparse
import dataclasses
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from tvnjax.config import RunConfig
from tvnjax.core.environment import environment, use_compilation_cache
from tvnjax.core.monitor import Silent
from tvnjax.data.procedural import ProceduralData
from tvnjax.latency.measure import LATENCY_RULE, Sentinel, measure, prepare_network
from tvnjax.latency.timer import Timer
from tvnjax.problem import Problem, prepare_problem
from tvnjax.search.tabular import Entry, Recorded, append_entries, enumerate_space, read_table, write_header
from tvnjax.space.canonical import genotype_id
from tvnjax.space.genotype import Genotype
from tvnjax.space.relaxed import OperatorChoices
from tvnjax.space.shapes import BlockShapes, ShapeChoices
from tvnjax.train.layerwise import LayerwiseTrainer, make_programs
from tvnjax.train.optim import Optimizer
from tvnjax.train.trainer import Training

FOLDER = Path(__file__).parent
TABLE = FOLDER / "motion_shape.jsonl"
SEEDS = (0, 1)
PARTS = (1 / 9, 1 / 3, 1.0)
"""Where a training is scored: the rungs of successive halving."""
GROUP = 8
"""Networks timed in turns."""
EVAL_BATCH = 64

CONFIG = RunConfig(
    data=ProceduralData(task="motion_shape", train_clips=1024, val_clips=256, test_clips=256, num_frames=8, size=16),
    shapes=ShapeChoices(
        image_size=(8, 16), num_frames=(2, 4), blocks=(BlockShapes(filters=(8,)), BlockShapes(filters=(16,)))
    ),
    operators=OperatorChoices(
        spatial_type=("std", "depth", "maxpool"),
        spatial_kernel=(3,),
        temporal_type=("1d",),
        temporal_kernel=(1, 3),
        width=(0.5, 1.0),
        expand=(1,),
        squeeze=(0.0,),
        context_gate=(False,),
        skip=(False,),
    ),
    proxy=Training(steps=90, batch_size=16, optimizer=Optimizer(learning_rate=1e-2)),
)


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


def make(path: Path, limit: int | None) -> None:
    use_compilation_cache()
    problem = prepare_problem(CONFIG, Silent())
    genotypes = enumerate_space(problem.space)
    np.random.default_rng(0).shuffle(genotypes)  # type: ignore[arg-type]
    if not path.exists():
        reference = prepare_network(problem.lower(genotypes[0]))
        alone = measure({0: reference}, Timer(repeats=200))[0]
        write_header(
            path,
            "motion_shape",
            problem.space,
            parts=PARTS,
            seeds=SEEDS,
            classes=problem.num_classes,
            shared_programs=True,
            reference_ms=alone.median_ms,
            data=dataclasses.asdict(CONFIG.data),
            proxy=CONFIG.proxy,
            latency_rule=LATENCY_RULE,
            environment=environment(),
        )
        done: set[str] = set()
        reference_ms = alone.median_ms
    else:
        try:
            table = read_table(path)
            done, reference_ms = set(table.entries), float(table.header["reference_ms"])
        except ValueError:
            raise SystemExit(f"{path} has no finished network: remove it and start again") from None
        reference = prepare_network(problem.lower(genotypes[0]))
    sentinel = Sentinel(call=reference.call, reference_ms=reference_ms)
    missing = [genotype for genotype in genotypes if genotype_id(genotype) not in done][:limit]
    programs, start = make_programs(CONFIG.proxy), time.monotonic()
    for number, group in enumerate(_groups(missing)):
        check_start = time.monotonic()
        prepared = {index: prepare_network(problem.lower(genotype)) for index, genotype in enumerate(group)}
        measured = measure(prepared, Timer(repeats=40), sentinel)
        check = (time.monotonic() - check_start) / len(group)
        for index, genotype in enumerate(group):
            runs = tuple(train(problem, genotype, seed, programs) for seed in SEEDS)
            entry = Entry(
                genotype=genotype,
                latency_ms=measured[index].median_ms,
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


def _groups(genotypes: list[Genotype]) -> list[list[Genotype]]:
    return [genotypes[at : at + GROUP] for at in range(0, len(genotypes), GROUP)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=TABLE)
    parser.add_argument("--networks", type=int, help="at most so many more")
    args = parser.parse_args()
    make(args.out, args.networks)


if __name__ == "__main__":
    main()
