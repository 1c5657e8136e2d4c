"""A run from end to end: data, profile, search, baselines, retraining, results."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tvnjax.config import RunConfig
from tvnjax.core.checkpoint import save_state
from tvnjax.core.environment import environment, use_compilation_cache
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Monitor
from tvnjax.core.run_dir import RunDir, write_json
from tvnjax.latency.measure import LATENCY_RULE, Sentinel, measure
from tvnjax.latency.memory import memory_mb
from tvnjax.latency.profile import Profile
from tvnjax.problem import (
    EvaluatorOf,
    Problem,
    decide_costs,
    filter_timer,
    make_task,
    prepare_problem,
    profile_problem,
    watch_drift,
)
from tvnjax.report.page import write_report
from tvnjax.search.base import Candidate, SearchResult, SearchTask, run_strategy
from tvnjax.search.budget import Costs
from tvnjax.search.differentiable import DifferentiableSearch
from tvnjax.search.evolution import Evolution
from tvnjax.search.shared_weights import SharedWeights
from tvnjax.search.workers import Pool, make_pool, run_on_workers
from tvnjax.space.canonical import genotype_id
from tvnjax.space.network import COUNTING_RULE
from tvnjax.space.search_space import refine
from tvnjax.strategies import make_strategy
from tvnjax.train.trainer import ChildTrainer, Score
from tvnjax.verification import gate_of_searches

_CONFIRM_ATTEMPTS = 100


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
        costs = decide_costs(problem, profile)
    except InvalidInputError:
        run_dir.discard()
        raise
    sentinel = watch_drift(problem, profile, costs)
    task = make_task(problem, profile, costs, sentinel)
    budget_ms = task.budget_ms
    found = _search(problem, profile, costs, task, out, monitor)
    chosen = _confirm(found, costs, problem, sentinel, monitor)
    gate = gate_of_searches(problem, profile, costs, sentinel, found, monitor)
    rows = []
    for number, result in enumerate(found):
        monitor.progress("retraining", number, len(found), result.name)
        rows.append(_retrain(result, chosen.get(result.name), budget_ms, problem, out, monitor))
    results = {
        "strategies": rows,
        "reference": {
            "largest_ms": profile.dearest_ms,
            "smallest_ms": profile.cheapest_ms,
            "budget_rule": "given" if config.budget.ms is not None else "half the largest network's measured latency",
            "profile_seconds": profile.seconds,
        },
        "counting_rule": COUNTING_RULE,
        "latency_rule": LATENCY_RULE,
        "latency_gate": gate.as_json(),
        "data": problem.describe_data(),
        "budget": dataclasses.asdict(costs.budget),
        "space": {"log10_size": problem.space.log10_size, "shapes": dataclasses.asdict(config.shapes)},
        "seconds": run_dir.elapsed,
        "environment": environment() | problem.runtime.description,
    }
    write_json(out / "results.json", results)
    run_dir.close()
    write_report(out)
    return results


def _search(
    problem: Problem, profile: Profile, costs: Costs, task: SearchTask, out: Path, monitor: Monitor
) -> list[SearchResult]:
    """Runs the strategies; each is charged for the latency table, which all of them filter by."""
    config, found = problem.config, []
    table = {"table": profile.seconds}
    limit_s = None if config.baseline_seconds is None else config.baseline_seconds + profile.seconds
    if {"differentiable", "hybrid"} & set(config.strategies):
        search = DifferentiableSearch(
            config.search,
            problem.shapes,
            problem.operators,
            costs,
            problem.num_classes,
            config.seed,
            head=config.head,
        )
        result, state = search.run(task, problem.search_data(), monitor, table)
        parts = {"params": state.params, "alphas": state.alphas}
        save_state(out / "checkpoints" / f"supernet-{config.seed}", parts)
        limit_s = limit_s or profile.seconds + config.baseline_ratio * (result.seconds - profile.seconds)
        if "differentiable" in config.strategies:
            found.append(result)
        if "hybrid" in config.strategies:
            found.append(_hybrid(problem, task, result, limit_s, monitor))
    assert limit_s is not None, "the configuration asks for seconds where there is no differentiable search"
    asking = [name for name in config.strategies if name not in ("differentiable", "hybrid")]
    pool = make_pool(config.workers, EvaluatorOf(config)) if asking else None
    try:
        found += _ask_for_evaluations(problem, task, table, limit_s, pool, monitor)
    finally:
        if pool is not None:
            pool.close()
    return found


def _ask_for_evaluations(
    problem: Problem, task: SearchTask, table: dict[str, float], limit_s: float, pool: Pool | None, monitor: Monitor
) -> list[SearchResult]:
    """The strategies that propose networks and are told how they did."""
    config, found = problem.config, []
    shared: SharedWeights | None = None
    for name in config.strategies:
        if name in ("differentiable", "hybrid"):
            continue
        own, before = dataclasses.replace(task, evaluate=problem.evaluator().evaluate), dict(table)
        if name in ("random_weight_sharing", "evolution_weight_sharing"):
            shared = shared or _share_weights(problem, monitor)
            own = dataclasses.replace(own, inherit=shared.inherit, space=shared.covered)
            before |= {"supernet": shared.seconds - shared.compile_seconds, "compile": shared.compile_seconds}
        strategy = make_strategy(name, config, own.space)
        options: Any = {"seed": config.seed, "limit_s": limit_s, "monitor": monitor, "before": before}
        if pool is None:
            found.append(run_strategy(strategy, own, **options))
        else:
            found.append(run_on_workers(strategy, own, pool, **options))
    return found


def _share_weights(problem: Problem, monitor: Monitor) -> SharedWeights:
    config = problem.config
    return SharedWeights(
        config.search,
        problem.shapes,
        problem.operators,
        problem.space,
        problem.num_classes,
        problem.search_data(),
        config.seed,
        monitor,
        head=config.head,
    )


def _hybrid(problem: Problem, task: SearchTask, first: SearchResult, limit_s: float, monitor: Monitor) -> SearchResult:
    """Evolution for as long again, its pool seeded with what the gradient search proposed, fittest first; the seconds
    of both are charged. It mutates in the refined space, which holds values the relaxed one left out."""
    config = problem.config
    seeds = sorted(first.candidates, key=lambda candidate: -candidate.fitness)
    fine = dataclasses.replace(task, space=refine(problem.space))
    evolution = Evolution(
        fine.space,
        dataclasses.replace(config.evolution, population=max(1, sum(c.fitness > float("-inf") for c in seeds))),
        config.seed,
        known=seeds,
        name="hybrid",
    )
    second = run_strategy(
        evolution,
        fine,
        seed=config.seed,
        limit_s=first.seconds + limit_s,
        monitor=monitor,
        before=first.spent,
    )
    return dataclasses.replace(
        second,
        candidates=first.candidates + second.candidates,
        evaluations=first.evaluations + second.evaluations,
        infeasible=first.infeasible + second.infeasible,
        best=max((c for c in (first.best, second.best) if c is not None), key=lambda c: c.fitness, default=None),
    )


def _confirm(
    found: list[SearchResult], costs: Costs, problem: Problem, sentinel: Sentinel, monitor: Monitor
) -> dict[str, tuple[Candidate, float, float]]:
    """Measures the strategies' best networks once more, in turns, and keeps for each the fittest still within the
    budget.

    A first measurement near the budget may have been a lucky one.
    """
    # The search is done: what it found is worth waiting for a quieter moment.
    timer, budget_ms = dataclasses.replace(filter_timer(problem, costs), attempts=_CONFIRM_ATTEMPTS), costs.budget.ms
    assert budget_ms is not None
    queues = {
        result.name: sorted(
            (c for c in result.candidates if c.whole and c.fitness > float("-inf")),
            key=lambda c: c.fitness,
            reverse=True,
        )
        for result in found
    }
    chosen: dict[str, tuple[Candidate, float, float]] = {}
    while queues := {name: queue for name, queue in queues.items() if queue and name not in chosen}:
        prepared = {}
        for name, queue in queues.items():
            monitor.progress("confirming", len(chosen), len(found), f"{name}'s best network")
            prepared[name] = problem.runtime.network(problem.lower(queue[0].genotype))
        for name, measured in measure(prepared, timer, sentinel).items():
            candidate = queues[name].pop(0)
            if measured.latency_ms <= budget_ms:
                chosen[name] = (candidate, measured.latency_ms, measured.iqr_ms)
            monitor.event(
                "confirmed",
                strategy=name,
                id=candidate.id,
                latency_ms=measured.latency_ms,
                drift=measured.drift,
                within=measured.latency_ms <= budget_ms,
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
        "spent": dict(result.spent),
        "evaluations": result.evaluations,
        "infeasible": result.infeasible,
        "genotype": None,
    }
    if chosen is None:
        spent = ", ".join(f"{what} {seconds:.0f} s" for what, seconds in result.spent.items())
        return row | {"error": f"no network it proposed was measured within the budget and trained; spent: {spent}"}
    candidate, latency_ms, iqr_ms = chosen
    genotype, name = candidate.genotype, f"{result.name}-{result.seed}"
    network = problem.lower(genotype)
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
        "memory_mb": memory_mb(network),
        "genotype": genotype.to_json(),
        "genotype_id": genotype_id(genotype),
    }
    try:
        batches = problem.train_batches(genotype, config.retrain_on, training.batch_size, config.seed)
        trained = trainer.train(batches, on_step=on_step)
    except FloatingPointError as error:
        return row | {"error": str(error)}
    score: Score = trainer.score(trained.state, problem.eval_batches(genotype, "test"))
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
