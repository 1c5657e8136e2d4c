"""A search by gradient of the paper's full ranges at a toy size: few steps on few drawn clips, latencies made up.

What it shows is that such a search runs to its end, and what it takes: nothing is learned in so few steps. Its largest
plan has 2.5e11 weights; those of the plans that are trained are made instead.
"""

import resource
import time
import warnings
from typing import Any

from tvnjax.core.monitor import Monitor
from tvnjax.data.procedural import ProceduralData
from tvnjax.latency.cost_model import CostModel
from tvnjax.running.config import RunConfig
from tvnjax.running.problem import prepare_problem
from tvnjax.running.task import Evaluator
from tvnjax.search.base import SearchTask, Verdict
from tvnjax.search.budget import Budget, Costs
from tvnjax.search.gradient.config import DifferentiableConfig
from tvnjax.search.gradient.differentiable import DifferentiableSearch
from tvnjax.search.gradient.projection import ProjectionConfig
from tvnjax.spaces.tvn.search_space import paper_ranges
from tvnjax.trainers.optim import Optimizer
from tvnjax.trainers.trainer import Training

CLIP_FRAMES = 64


class Kept(Monitor):
    """Keeps what a search tells."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def event(self, kind: str, **fields: Any) -> None:
        self.events.append({"event": kind, **fields})
        if kind in ("plan", "plan_memory", "weights", "candidate"):
            print(f"{time.process_time():.0f} CPU s: {str(self.events[-1])[:200]}", flush=True)

    def progress(self, *args: Any, **options: Any) -> None:
        pass

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]


def toy(steps: int, working_set: int, memory_gb: float) -> RunConfig:
    """A configuration of the full ranges that a CPU can search."""
    shapes, operators = paper_ranges(clip_frames=CLIP_FRAMES)
    return RunConfig(
        data=ProceduralData(task="motion", train_clips=8, val_clips=4, test_clips=4, num_frames=CLIP_FRAMES, size=320),
        shapes=shapes.choices,
        operators=operators,
        strategies=("differentiable",),
        search=DifferentiableConfig(
            steps=steps,
            batch_size=2,
            score_clips=2,
            score_every=2,
            working_set=working_set,
            redraws=2,
            memory_gb=memory_gb,
            projection=ProjectionConfig(top_k=2, finalists=1, recalibration_batches=1, fine_tune_steps=1, attempts=2),
        ),
        proxy=Training(steps=2, batch_size=2, optimizer=Optimizer(learning_rate=1e-3)),
    )


def searched(
    model: CostModel, *, steps: int = 10, working_set: int = 2, memory_gb: float = 1.0, budget_ms: float = 2.0
) -> dict[str, Any]:
    """Runs the search; what it took and found."""
    start, wall, monitor = time.process_time(), time.monotonic(), Kept()
    config = toy(steps, working_set, memory_gb)
    problem = prepare_problem(config, monitor)
    relaxation = problem.relaxation
    expected = relaxation.expected(
        model.layer_ms, problem.num_classes, unit_cost=model.unit_ms, constant=model.network_ms
    )
    costs = Costs(ms=expected, predict=model.predict, budget=Budget(ms=budget_ms))

    def check(genotype: Any) -> tuple[Verdict, float]:
        ms = model.predict(problem.lower(genotype))
        return Verdict(predicted_ms=ms, latency_ms=ms, feasible=ms <= budget_ms), 0.0

    task = SearchTask(space=problem.space, budget_ms=budget_ms, check=check, evaluate=Evaluator(problem).evaluate)
    search = DifferentiableSearch(config.search, relaxation, costs, problem.num_classes, 0)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        result, _ = search.run(task, problem.search_data(monitor), monitor)
    grown = monitor.of("weights")
    best = result.best
    return {
        "steps": steps,
        "working_set": working_set,
        "memory_gb": memory_gb,
        "budget_ms": budget_ms,
        "of_largest": grown[-1]["of_largest"],
        "most": grown[-1]["most"],
        "weights": [event["weights"] for event in grown],
        "dropped": [event["dropped"] for event in grown],
        "passed_over": grown[-1]["passed_over"],
        "plans": [{key: event[key] for key in ("plan", "members")} for event in monitor.of("plan")],
        "plan_memory": [{key: event[key] for key in ("plan", "becomes")} for event in monitor.of("plan_memory")],
        "losses": [event["loss"] for event in monitor.of("search_step")],
        "candidates": len(result.candidates),
        "evaluations": result.evaluations,
        "said": sorted({str(one.message) for one in said}),
        "best": None
        if best is None or best.evaluation is None
        else {
            "id": best.id,
            "genotype": best.genotype.to_json(short=True),
            "ms": best.verdict.latency_ms,
            "top1": best.evaluation.top1,
            "params": problem.lower(best.genotype).params,
        },
        "compile_s": result.compile_seconds,
        "cpu_s": time.process_time() - start,
        "wall_s": time.monotonic() - wall,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
