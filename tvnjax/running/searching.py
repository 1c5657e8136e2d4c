"""The searches of a run, one after another; a finished one is not run again when the run goes on."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax

from tvnjax.core.checkpoint import save_state
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.host_arrays import introduce
from tvnjax.core.hosts import ALONE, Hosts
from tvnjax.core.journal import OtherCourseError
from tvnjax.core.stages import Stage, Stages
from tvnjax.data.placement import Placement
from tvnjax.latency.profile import Profile
from tvnjax.running.problem import Problem
from tvnjax.running.search_devices import search_devices
from tvnjax.running.task import Evaluator
from tvnjax.running.together import led
from tvnjax.running.worker_problem import EvaluatorOf
from tvnjax.search.base import Candidate, SearchResult, SearchTask
from tvnjax.search.budget import Costs
from tvnjax.search.cost_account import run_strategy
from tvnjax.search.gradient.differentiable import DifferentiableSearch
from tvnjax.search.pools import Pool, make_pool
from tvnjax.search.registry import BUILT_IN, GRADIENT, Registered, registered
from tvnjax.search.results import result_from_json, result_to_json
from tvnjax.search.shared_weights import SharedWeights
from tvnjax.search.strategies.evolution import Evolution
from tvnjax.search.workers import run_on_workers


def search_all(
    problem: Problem, profile: Profile, costs: Costs, task: SearchTask, stages: Stages, hosts: Hosts = ALONE
) -> list[SearchResult]:
    """Runs the strategies, each a stage; each is charged for the latency table, which all of them filter by. The search
    by gradient is that of all processes; behind it process 0 is alone."""
    config, found = problem.config, []
    table = {"table": profile.seconds}
    limit_s = None if config.baseline_seconds is None else config.baseline_seconds + profile.seconds
    strategies = [registered(choice) for choice in config.strategies]
    by_gradient = [one for one in strategies if one.by_gradient]
    if by_gradient:
        result = _differentiable(problem, costs, task, table, stages, hosts)
        hosts.leave()
        limit_s = limit_s or config.baseline_ratio * result.seconds
        for one in sorted(by_gradient, key=lambda one: one.seeded):
            found.append(_seeded(one.name, problem, task, result, limit_s, stages) if one.seeded else result)
    if config.reproducible:
        limit_s = None
    else:
        assert limit_s is not None, "the configuration asks for seconds where there is no differentiable search"
    asking = [one for one in strategies if one.make is not None]
    pool = make_pool(config.workers, EvaluatorOf(config, problem.clips), stages.monitor) if asking else None
    try:
        found += _ask_for_evaluations(problem, task, table, limit_s, pool, stages, asking)
    finally:
        if pool is not None:
            pool.close()
    return found


def _differentiable(
    problem: Problem, costs: Costs, task: SearchTask, table: dict[str, float], stages: Stages, hosts: Hosts
) -> SearchResult:
    config = problem.config
    stage = stages.stage(f"{GRADIENT.name}-{config.seed}")
    done = stage.result
    hosts.same("journal", lambda: None if done is not None else stage.journal.entries)
    if done is not None:
        return result_from_json(done)
    result, parts = gradient_search(problem, costs, task, table, stage, hosts)
    save_state(stages.run_dir.path / "checkpoints" / f"supernet-{config.seed}", parts)
    return result_from_json(stage.finish(result_to_json(result)))


def gradient_search(
    problem: Problem, costs: Costs, task: SearchTask, table: dict[str, float], stage: Stage, hosts: Hosts = ALONE
) -> tuple[SearchResult, dict[str, Any]]:
    """The search by gradient, the same on every process; returns what it found, and the supernet's arrays on the host.

    Args:
        table: seconds charged already, by kind.
    """
    config = problem.config
    devices = search_devices(config)
    search = DifferentiableSearch(
        config.search,
        problem.relaxation,
        costs,
        problem.num_classes,
        config.seed,
        devices,
        hosts,
        head=config.head,
    )
    placement = Placement.over(devices)
    if placement.spans_processes:
        introduce(placement.whole)
    data = problem.search_data(stage, placement, len(devices), hosts)
    result, state = search.run(led(task, hosts), data, stage, table)
    return result, {"params": jax.device_get(search.weights(state)), "alphas": search.logits(state)}


def _ask_for_evaluations(
    problem: Problem,
    task: SearchTask,
    table: dict[str, float],
    limit_s: float | None,
    pool: Pool | None,
    stages: Stages,
    strategies: Sequence[Registered],
) -> list[SearchResult]:
    """The strategies that propose networks and are told how they did."""
    config, found = problem.config, []
    shared: SharedWeights | None = None
    for one in strategies:
        stage = stages.stage(f"{one.name}-{config.seed}")
        if stage.result is not None:
            found.append(result_from_json(stage.result))
            continue
        own, before = dataclasses.replace(task, evaluate=Evaluator(problem).evaluate), dict(table)
        if one.shares_weights:
            shared = shared or _share_weights(problem, stages)
            own = dataclasses.replace(own, inherit=shared.inherit, space=shared.covered)
            before |= {"supernet": shared.seconds - shared.compile_seconds, "compile": shared.compile_seconds}
        assert one.make is not None, "strategies that ask for evaluations are made"
        strategy = one.make(config, own.space, config.seed)
        options: Any = {"seed": config.seed, "limit_s": limit_s, "monitor": stage, "initial_seconds": before}
        options["limit_evaluations"] = config.baseline_networks if config.reproducible else None
        try:
            if pool is None:
                result = run_strategy(strategy, own, **options)
            else:
                result = run_on_workers(strategy, own, pool, **options)
        except OtherCourseError as error:
            if one.name in BUILT_IN:
                raise
            raise InvalidInputError(
                f"a strategy that is told the same proposes the same; {one.name} did not, when the run went on "
                f"({error}): let it draw from self.rng alone, and draw nothing before it waits"
            ) from None
        found.append(result_from_json(stage.finish(result_to_json(result))))
    return found


def _share_weights(problem: Problem, stages: Stages) -> SharedWeights:
    config = problem.config
    stage = stages.stage(f"shared-weights-{config.seed}")
    return SharedWeights(
        config.search,
        problem.relaxation,
        problem.space,
        problem.num_classes,
        problem.search_data(stage),
        config.seed,
        stage,
        fine_tune_steps=config.sharing.fine_tune_steps,
        head=config.head,
    )


def seeds_of(first: SearchResult) -> list[Candidate]:
    """What another search starts from, fittest first: networks trained to the end, and those that are over the budget.
    A network that lost a race has the fitness of part of a training, and may be proposed again."""
    return sorted((c for c in first.candidates if c.whole), key=lambda candidate: -candidate.fitness)


def _seeded(
    name: str, problem: Problem, task: SearchTask, first: SearchResult, limit_s: float, stages: Stages
) -> SearchResult:
    """Evolution for as long again, its pool seeded with what the gradient search proposed, fittest first; the seconds
    of both are charged. It mutates in the refined space, which holds values the relaxed one left out."""
    config = problem.config
    stage = stages.stage(f"{name}-{config.seed}")
    if stage.result is not None:
        return result_from_json(stage.result)
    seeds = seeds_of(first)
    fine = dataclasses.replace(task, space=problem.space.refined())
    evolution = Evolution(
        fine.space,
        dataclasses.replace(config.evolution, population=max(1, sum(c.fitness > float("-inf") for c in seeds))),
        config.seed,
        known=seeds,
        name=name,
    )
    second = run_strategy(
        evolution,
        fine,
        seed=config.seed,
        limit_s=None if config.reproducible else first.seconds + limit_s,
        monitor=stage,
        initial_seconds=first.seconds_by_kind,
        limit_evaluations=config.baseline_networks if config.reproducible else None,
    )
    both = dataclasses.replace(
        second,
        candidates=first.candidates + second.candidates,
        evaluations=first.evaluations + second.evaluations,
        infeasible=first.infeasible + second.infeasible,
        best=max((c for c in (first.best, second.best) if c is not None), key=lambda c: c.fitness, default=None),
    )
    return result_from_json(stage.finish(result_to_json(both)))
