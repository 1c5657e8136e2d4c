"""A run from end to end: data, profile, search, baselines, retraining, results."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from tvnjax.config import RunConfig
from tvnjax.core.checkpoint import save_state
from tvnjax.core.environment import cache_dir, environment, use_compilation_cache
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Monitor
from tvnjax.core.run_dir import RunDir, write_json
from tvnjax.data.clips import ClipSet, prepare
from tvnjax.data.loader import TrainLoader, eval_batches
from tvnjax.latency.measure import LATENCY_RULE, measure, prepare_network
from tvnjax.latency.profile import Profile, profile_plan
from tvnjax.latency.table import LatencyTable
from tvnjax.latency.timer import Timer
from tvnjax.report.page import write_report
from tvnjax.search.base import Candidate, Evaluation, SearchResult, SearchTask, run_strategy
from tvnjax.search.constraint import RuntimeFilter
from tvnjax.search.differentiable import Data, DifferentiableSearch
from tvnjax.search.evolution import Evolution
from tvnjax.search.random_search import RandomSearch
from tvnjax.space.canonical import genotype_id
from tvnjax.space.genotype import Genotype
from tvnjax.space.lowering import lower
from tvnjax.space.network import COUNTING_RULE
from tvnjax.space.relaxed import RelaxedPlan, relax_plan
from tvnjax.space.search_space import SearchSpace, space_at_plan
from tvnjax.train.trainer import Batch, ChildTrainer, Score


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """What every strategy of a run shares."""

    config: RunConfig
    clips: ClipSet
    space: SearchSpace
    plan: RelaxedPlan

    @property
    def num_classes(self) -> int:
        return len(self.clips.class_names)

    def sampling(self) -> dict[str, int]:
        """What a network of the plan reads of a clip."""
        plan = self.plan
        return {"num_frames": plan.num_frames, "frame_stride": plan.frame_stride, "image_size": plan.image_size}

    def train_batches(self, split: str, batch_size: int, seed: int) -> Iterator[Batch]:
        """Endless, shuffled, augmented."""
        return iter(TrainLoader(self.clips, split, batch_size=batch_size, seed=seed, augment=True, **self.sampling()))

    def eval_batches(self, split: str) -> Iterator[Batch]:
        """One pass over a split."""
        return iter(eval_batches(self.clips, split, batch_size=64, **self.sampling()))


def prepare_problem(config: RunConfig, monitor: Monitor) -> Problem:
    """Builds the clips (once; later runs find them) and the search space.

    Raises:
        InvalidInputError: the data or the space break a rule.
    """
    space = space_at_plan(config.plan, config.operators)
    plan = relax_plan(config.plan, config.operators)
    clips = prepare(
        config.data,
        num_frames=plan.num_frames,
        frame_stride=plan.frame_stride,
        image_size=plan.image_size,
        cache_dir=cache_dir() / "datasets",
        progress=lambda done, total: monitor.progress("data", done, total, "clips stored"),
    )
    monitor.event("data", **_describe_data(clips))
    return Problem(config=config, clips=clips, space=space, plan=plan)


def profile_problem(problem: Problem, monitor: Monitor) -> Profile:
    """Measures the device for the problem's plan, reusing what was measured before."""
    table = LatencyTable.for_this_environment(cache_dir() / "latency")
    profile = profile_plan(problem.plan, problem.num_classes, table, problem.config.profile, monitor)
    monitor.event(
        "profile",
        measured=profile.measured,
        reused=profile.reused,
        took_s=profile.seconds,
        fit=profile.fit.quality,
        points=profile.fit.points,
    )
    return profile


def run(config: RunConfig, out: Path, command: str, listen: Callable[[RunDir], Monitor]) -> dict[str, Any]:
    """Runs a whole search with its baselines and leaves the run directory; returns what ``results.json`` holds.

    Args:
        config: what to run.
        out: the run's directory.
        command: how it was asked for, for the report.
        listen: makes the monitor that watches the run and writes its events.

    Raises:
        InvalidInputError: the input breaks a rule; a directory that was made is removed again.
    """
    use_compilation_cache()
    run_dir = RunDir(out)
    monitor = listen(run_dir)
    try:
        write_json(out / "config.json", {"command": command, "config": config})
        problem = prepare_problem(config, monitor)
        profile = profile_problem(problem, monitor)
        budget_ms = _budget(config, profile)
    except InvalidInputError:
        run_dir.close()
        shutil.rmtree(out, ignore_errors=True)
        raise
    task = _task(problem, profile, budget_ms)
    found = _search(problem, profile, task, out, monitor)
    chosen = _confirm(found, budget_ms, problem, monitor)
    rows = []
    for number, result in enumerate(found):
        monitor.progress("retraining", number, len(found), result.name)
        rows.append(_retrain(result, chosen.get(result.name), budget_ms, problem, out, monitor))
    results = {
        "strategies": rows,
        "reference": {
            "largest_ms": profile.dearest_ms,
            "smallest_ms": profile.cheapest_ms,
            "budget_rule": "given" if config.budget_ms is not None else "half the largest network's measured latency",
            "profile_seconds": profile.seconds,
        },
        "counting_rule": COUNTING_RULE,
        "latency_rule": LATENCY_RULE,
        "data": _describe_data(problem.clips),
        "space": {"log10_size": problem.space.log10_size, "plan": dataclasses.asdict(config.plan)},
        "seconds": run_dir.elapsed,
        "environment": environment(),
    }
    write_json(out / "results.json", results)
    run_dir.close()
    write_report(out)
    return results


def _budget(config: RunConfig, profile: Profile) -> float:
    budget = config.budget_ms if config.budget_ms is not None else profile.dearest_ms / 2
    if budget < profile.cheapest_ms:
        raise InvalidInputError(
            f"a budget is one some network can meet; {budget:.3g} ms is below the smallest possible here, "
            f"{profile.cheapest_ms:.3g} ms: raise --budget-ms to at least that"
        )
    return budget


def _task(problem: Problem, profile: Profile, budget_ms: float) -> SearchTask:
    timer = Timer(repeats=problem.config.profile.repeats)
    runtime = RuntimeFilter(
        budget_ms=budget_ms,
        model=profile.fit.model,
        margin=max(profile.fit.margin, 0.1),
        num_classes=problem.num_classes,
        timer=timer,
    )
    return SearchTask(
        space=problem.space,
        budget_ms=budget_ms,
        check=runtime.check,
        evaluate=lambda genotype, seed: _evaluate(problem, genotype, seed),
    )


def _evaluate(problem: Problem, genotype: Genotype, seed: int) -> Evaluation:
    """The proxy: a short training from scratch. A candidate that breaks is an evaluation with its reason, not a
    crash."""
    training = problem.config.proxy
    trainer = ChildTrainer(lower(genotype, problem.num_classes), training, seed)
    try:
        trained = trainer.train(problem.train_batches("train", training.batch_size, seed))
        score = trainer.score(trained.state, problem.eval_batches("val"))
    except (FloatingPointError, jax.errors.JaxRuntimeError) as error:
        reason = str(error).splitlines()[0]
        return Evaluation(top1=0.0, top5=0.0, compile_seconds=trainer.compile_seconds, failed=reason)
    return Evaluation(top1=score.top1, top5=score.top5, compile_seconds=trainer.compile_seconds)


def _search(problem: Problem, profile: Profile, task: SearchTask, out: Path, monitor: Monitor) -> list[SearchResult]:
    config, found = problem.config, []
    limit_s = config.baseline_seconds
    if "differentiable" in config.strategies:
        search = DifferentiableSearch(config.search, problem.plan, profile.expected, problem.num_classes, config.seed)
        data = Data(
            train=problem.train_batches("train", config.search.batch_size, config.seed),
            val=problem.train_batches("val", config.search.batch_size, config.seed + 1),
            val_once=lambda: problem.eval_batches("val"),
        )
        result, state = search.run(task, data, monitor)
        found.append(result)
        parts = {"params": state.params, "stats": state.stats, "alphas": state.alphas}
        save_state(out / "checkpoints" / f"supernet-{config.seed}", parts)
        limit_s = limit_s or result.seconds
    assert limit_s is not None, "the configuration asks for seconds where there is no differentiable search"
    if "evolution" in config.strategies:
        evolution = Evolution(problem.space, config.evolution, config.seed)
        found.append(run_strategy(evolution, task, seed=config.seed, limit_s=limit_s, monitor=monitor))
    if "random" in config.strategies:
        random = RandomSearch(problem.space, config.seed)
        found.append(run_strategy(random, task, seed=config.seed, limit_s=limit_s, monitor=monitor))
    return found


def _confirm(
    found: list[SearchResult], budget_ms: float, problem: Problem, monitor: Monitor
) -> dict[str, tuple[Candidate, float, float]]:
    """Measures the strategies' best networks once more, in turns, and keeps for each the fittest still within the
    budget.

    A first measurement near the budget may have been a lucky one.
    """
    timer = Timer(repeats=2 * problem.config.profile.repeats)
    queues = {
        result.name: sorted(
            (c for c in result.candidates if c.fitness > float("-inf")), key=lambda c: c.fitness, reverse=True
        )
        for result in found
    }
    chosen: dict[str, tuple[Candidate, float, float]] = {}
    while queues := {name: queue for name, queue in queues.items() if queue and name not in chosen}:
        prepared = {}
        for name, queue in queues.items():
            monitor.progress("confirming", len(chosen), len(found), f"{name}'s best network")
            prepared[name] = prepare_network(lower(queue[0].genotype, problem.num_classes))
        for name, measured in measure(prepared, timer).items():
            candidate = queues[name].pop(0)
            if measured.median_ms <= budget_ms:
                chosen[name] = (candidate, measured.median_ms, measured.iqr_ms)
            monitor.event(
                "confirmed",
                strategy=name,
                id=candidate.id,
                latency_ms=measured.median_ms,
                within=measured.median_ms <= budget_ms,
            )
    return chosen


def _retrain(
    result: SearchResult,
    chosen: tuple[Candidate, float, float] | None,
    budget_ms: float,
    problem: Problem,
    out: Path,
    monitor: Monitor,
) -> dict[str, Any]:
    config, training = problem.config, problem.config.retrain
    row: dict[str, Any] = {
        "name": result.name,
        "seed": result.seed,
        "top1": None,
        "top5": None,
        "latency_ms": None,
        "budget_ms": budget_ms,
        "params": None,
        "macs": None,
        "seconds": result.seconds,
        "compile_seconds": result.compile_seconds,
        "evaluations": result.evaluations,
        "infeasible": result.infeasible,
        "genotype": None,
    }
    if chosen is None:
        return row | {"error": "no network it proposed was measured within the budget and trained"}
    candidate, latency_ms, iqr_ms = chosen
    genotype, name = candidate.genotype, f"{result.name}-{result.seed}"
    network = lower(genotype, problem.num_classes)
    write_json(out / "genotypes" / f"{name}.json", genotype.to_json())
    trainer = ChildTrainer(network, training, config.seed)

    def on_step(step: int, loss: float) -> None:
        if step % 10 == 0 or step == training.steps:
            monitor.progress(f"retraining {result.name}", step, training.steps, f"loss {loss:.3f}")

    row |= {
        "latency_ms": latency_ms,
        "latency_iqr_ms": iqr_ms,
        "predicted_ms": candidate.verdict.predicted_ms,
        "params": network.params,
        "macs": network.macs,
        "genotype": genotype.to_json(),
        "genotype_id": genotype_id(genotype),
    }
    try:
        batches = problem.train_batches(config.retrain_on, training.batch_size, config.seed)
        trained = trainer.train(batches, on_step=on_step)
    except FloatingPointError as error:
        return row | {"error": str(error)}
    score: Score = trainer.score(trained.state, problem.eval_batches("test"))
    save_state(out / "checkpoints" / name, {"params": trained.state.params, "stats": trained.state.stats})
    monitor.event(
        "retrained",
        strategy=result.name,
        seed=result.seed,
        id=candidate.id,
        top1=score.top1,
        top5=score.top5,
        latency_ms=latency_ms,
        history=trained.history,
    )
    return row | {
        "top1": score.top1,
        "top5": score.top5,
        "retrain_seconds": trained.seconds,
        "retrain_compile_seconds": trained.compile_seconds,
    }


def _describe_data(clips: ClipSet) -> dict[str, Any]:
    return {
        "name": clips.name,
        "class_names": clips.class_names,
        "splits": dict(clips.splits),
        "skipped": [{"path": clip.path, "reason": clip.reason} for clip in clips.skipped],
        "widened": clips.widened,
        "held": clips.held,
        "majority_share": clips.majority_share,
    }
