"""What checkpoints cost a search: of the ``quick`` preset's gradient search, with the default settings.

    python -m experiments.benchmarks.checkpoint_cost --out experiments/benchmarks/checkpoint_cost.json

The search runs once, and every second that goes into checkpoints is counted: of the loop that hands its place over at
every step, of the journal, and of the thread that writes. Two searches, one without checkpoints, would differ by more
than checkpoints cost on any machine that does something else. For the same reason shares are of processor seconds,
which another process does not add to; those of the clock stand beside. Wanted: at most 3 % of the search.

Multiply-adds stand for milliseconds and nothing is trained from scratch, so that no profile is needed: what is left is
the training of the supernet and the projection. Cost: some minutes on two cores.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tvnjax.cli.console import ConsoleMonitor
from tvnjax.core.checkpoints import Checkpoints
from tvnjax.core.environment import environment, use_compilation_cache
from tvnjax.core.journal import Journal
from tvnjax.core.run_dir import RunDir
from tvnjax.core.stages import Stages
from tvnjax.running.config import PRESETS
from tvnjax.running.problem import prepare_problem
from tvnjax.search.base import Evaluation, SearchTask, Verdict
from tvnjax.search.budget import Budget, Costs
from tvnjax.search.gradient.differentiable import DifferentiableSearch
from tvnjax.search.gradient.search_checkpoint import SearchCheckpoint
from tvnjax.spaces.tvn.genotype import Genotype


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file of the numbers")
    parser.add_argument("--steps", type=int, help="of the search; default: the preset's")
    options = parser.parse_args()
    config = PRESETS["quick"][1]
    if options.steps is not None:
        config = dataclasses.replace(config, search=dataclasses.replace(config.search, steps=options.steps))
    use_compilation_cache()
    spent = {"handing_over": [0.0, 0.0], "journal": [0.0, 0.0]}
    _count(SearchCheckpoint, "capture", spent["handing_over"])
    _count(Checkpoints, "remember", spent["handing_over"])
    _count(Journal, "add", spent["journal"])
    with tempfile.TemporaryDirectory() as folder:
        run_dir = RunDir(Path(folder) / "run")
        stages = Stages(run_dir, ConsoleMonitor(run_dir), config.checkpoint_seconds)
        stage = stages.stage("differentiable")
        problem = prepare_problem(config, stage)
        classes = problem.num_classes
        macs = problem.relaxation.expected(lambda layer: layer.macs / 1e6, classes, constant=0.1)
        budget_ms = macs.of_network(problem.lower(problem.space.sample(np.random.default_rng(0))))
        costs = Costs(ms=macs, predict=macs.of_network, budget=Budget(ms=budget_ms))

        def check(genotype: Genotype) -> tuple[Verdict, float]:
            ms = macs.of_network(problem.lower(genotype))
            return Verdict(predicted_ms=ms, latency_ms=ms, feasible=ms <= budget_ms), 0.0

        def evaluate(genotype: Genotype, seed: int, part: float) -> Evaluation:
            return Evaluation(top1=0.5, top5=1.0, compile_seconds=0.0)

        task = SearchTask(space=problem.space, budget_ms=budget_ms, check=check, evaluate=evaluate)
        start, busy = time.monotonic(), time.process_time()
        result, _ = DifferentiableSearch(config.search, problem.relaxation, costs, classes, config.seed).run(
            task, problem.search_data(stage), stage
        )
        stage.checkpoints.wait()
        clock_s, processor_s = time.monotonic() - start, time.process_time() - busy
        kept = stage.checkpoints
        size = sum(path.stat().st_size for path in kept.folder.rglob("*") if path.is_file()) if kept.folder else 0
        stages.close()
    cost = {
        "clock_s": sum(part[0] for part in spent.values()) + kept.seconds,
        "processor_s": sum(part[1] for part in spent.values()) + kept.processor_seconds,
    }
    found: dict[str, Any] = {
        "part_of_the_search": cost["processor_s"] / processor_s,
        "part_by_the_clock": cost["clock_s"] / clock_s,
        "wanted_at_most": 0.03,
        "search": {"clock_s": clock_s, "processor_s": processor_s, "compile_s": result.compile_seconds},
        "checkpoints": cost,
        "handing_over_ms_a_step": 1e3 * spent["handing_over"][1] / config.search.steps,
        "writing": {"clock_s": kept.seconds, "processor_s": kept.processor_seconds, "times": kept.count},
        "kept_mb": size / 2**20,
        "checkpoint_seconds": config.checkpoint_seconds,
        "steps": config.search.steps,
        "command": "python -m experiments.benchmarks.checkpoint_cost " + " ".join(sys.argv[1:]),
        "environment": environment(),
    }
    print(json.dumps(found, indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if found["part_of_the_search"] <= found["wanted_at_most"] else 1


def _count(kind: type, name: str, spent: list[float]) -> None:
    """Adds up a method's seconds of the clock and of the processor."""
    plain: Callable[..., Any] = getattr(kind, name)

    def timed(*args: Any, **options: Any) -> Any:
        start, busy = time.monotonic(), time.thread_time()
        try:
            return plain(*args, **options)
        finally:
            spent[0] += time.monotonic() - start
            spent[1] += time.thread_time() - busy

    setattr(kind, name, timed)


if __name__ == "__main__":
    sys.exit(main())
