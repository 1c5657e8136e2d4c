"""What a run ends with: each strategy's network, measured once more and trained to the end."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tvnjax.core.run_dir import write_json
from tvnjax.core.stages import Stage, Stages
from tvnjax.latency.measure import DriftError, Measurement, ReferenceNetwork, measure, measure_network
from tvnjax.latency.memory import memory_mb
from tvnjax.latency.profile import Profile
from tvnjax.latency.timer import Timer
from tvnjax.nn.saved_weights import save_weights
from tvnjax.running.problem import Problem, filter_timer
from tvnjax.running.search_devices import retrain_devices
from tvnjax.search.base import Candidate, SearchResult
from tvnjax.search.budget import Costs
from tvnjax.spaces.base import Genotype
from tvnjax.spaces.registry import genotype_from_json
from tvnjax.trainers.trainer import ChildState, ChildTrainer, Score, Trained

_CONFIRM_ATTEMPTS = 100
_SEEDS_APART = 1000
"""Between the seeds of one network's trainings: further than the seeds of runs that are compared."""

Chosen = dict[str, tuple[Candidate, float, float | None]]
"""By strategy its network, the milliseconds and their spread."""


def confirm(
    found: list[SearchResult], costs: Costs, problem: Problem, reference: ReferenceNetwork | None, stages: Stages
) -> Chosen:
    """Measures the strategies' best networks once more, in turns, and keeps for each the fittest still within the
    budget.

    A first measurement near the budget may have been a lucky one. A reproducible run goes by its table alone.
    """
    stage = stages.stage("confirmed")
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
    chosen: Chosen = {}
    if problem.config.reproducible:
        return {name: (queue[0], queue[0].verdict.latency_ms or 0.0, None) for name, queue in queues.items() if queue}
    assert reference is not None
    while queues := {name: queue for name, queue in queues.items() if queue and name not in chosen}:

        def measure_all(queues: dict[str, list[Candidate]] = queues) -> dict[str, Any]:
            prepared = {}
            for name, queue in queues.items():
                stage.progress("confirming", len(chosen), len(found), f"{name}'s best network")
                prepared[name] = problem.runtime.network(problem.lower(queue[0].genotype))
            return {name: dataclasses.asdict(m) for name, m in measure(prepared, timer, reference).items()}

        ids = " ".join(queue[0].id for queue in queues.values())
        for name, told in stage.once("measured", ids, measure_all).items():
            measured = Measurement(**told)
            candidate = queues[name].pop(0)
            if measured.latency_ms <= budget_ms:
                chosen[name] = (candidate, measured.latency_ms, measured.iqr_ms)
            stage.event(
                "confirmed",
                strategy=name,
                id=candidate.id,
                latency_ms=measured.latency_ms,
                drift=measured.drift,
                within=measured.latency_ms <= budget_ms,
            )
    if stage.result is None:
        stage.finish({name: candidate.id for name, (candidate, _, _) in chosen.items()})
    return chosen


def retrain(
    result: SearchResult,
    chosen: tuple[Candidate, float, float | None] | None,
    budget_ms: float,
    problem: Problem,
    profile: Profile,
    stages: Stages,
) -> dict[str, Any]:
    """Trains the network a strategy chose to the end, and scores it on the test split; returns its row of results.

    Every training is a stage of its own; the accuracies of several are averaged.
    """
    stage = stages.stage(f"retrained-{result.name}-{result.seed}")
    row = stage.result
    if row is None:
        row = stage.finish(_retrain(result, chosen, budget_ms, problem, profile, stages.run_dir.path, stage))
    if row["top1"] is None or problem.config.retrain_seeds == 1:
        return row
    genotype = genotype_from_json(row["genotype"])
    runs = [row]
    for number in range(1, problem.config.retrain_seeds):
        stage = stages.stage(f"retrained-{result.name}-{result.seed}-{number}")
        runs.append(stage.result or stage.finish(_again(result, genotype, number, problem, stage)))
    return row | averaged(runs)


def averaged(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means of the accuracies of several trainings of one network, their spread, and the seconds of all; one that
    broke is counted and has no accuracy."""
    whole = [run for run in runs if run["top1"] is not None]
    return {
        "top1": statistics.fmean(run["top1"] for run in whole),
        "top5": statistics.fmean(run["top5"] for run in whole),
        "top1_sd": statistics.stdev(run["top1"] for run in whole) if len(whole) > 1 else None,
        "top1_runs": [run["top1"] for run in runs],
        "retrain_seconds": sum(run["retrain_seconds"] or 0.0 for run in runs),
        "retrain_compile_seconds": sum(run["retrain_compile_seconds"] or 0.0 for run in runs),
    }


def _retrain(
    result: SearchResult,
    chosen: tuple[Candidate, float, float | None] | None,
    budget_ms: float,
    problem: Problem,
    profile: Profile,
    out: Path,
    stage: Stage,
) -> dict[str, Any]:
    config = problem.config
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
        "spent": dict(result.seconds_by_kind),
        "evaluations": result.evaluations,
        "infeasible": result.infeasible,
        "genotype": None,
    }
    if chosen is None:
        spent = ", ".join(f"{what} {seconds:.0f} s" for what, seconds in result.seconds_by_kind.items())
        why = "no network it proposed was measured within the budget and trained"
        if result.best is not None:
            why = "of the networks it trained none was within the budget when it was measured before the last training"
        return row | {"error": f"{why}; spent: {spent}"}
    candidate, latency_ms, iqr_ms = chosen
    genotype, name = candidate.genotype, f"{result.name}-{result.seed}"
    network = problem.lower(genotype)
    if config.reproducible:
        row["decided_ms"] = latency_ms
        told = stage.once("measured", name, lambda: _measured(problem, profile, genotype))
        latency_ms, iqr_ms = told["latency_ms"], told["iqr_ms"]
    write_json(out / "genotypes" / f"{name}.json", genotype.to_json())
    row |= {
        "latency_ms": latency_ms,
        "latency_iqr_ms": iqr_ms,
        "predicted_ms": candidate.verdict.predicted_ms,
        "params": network.params,
        "macs": network.macs,
        "memory_mb": memory_mb(network),
        "genotype": genotype.to_json(),
        "genotype_id": genotype.id,
    }
    try:
        state, told = _scored(result, genotype, 0, problem, stage)
    except FloatingPointError as error:
        return row | {"error": str(error)}
    save_weights(out / "checkpoints" / name, state.params, state.stats, problem.trained(name, genotype))
    stage.event("retrained", strategy=result.name, seed=result.seed, id=candidate.id, latency_ms=latency_ms, **told)
    del told["history"]
    return row | told


def _again(result: SearchResult, genotype: Genotype, number: int, problem: Problem, stage: Stage) -> dict[str, Any]:
    """Another training of the same network."""
    try:
        _, told = _scored(result, genotype, number, problem, stage)
    except FloatingPointError as error:
        broken = dict.fromkeys(("top1", "top5", "retrain_seconds", "retrain_compile_seconds"))
        return broken | {"error": str(error)}
    stage.event("retrained", strategy=result.name, seed=result.seed, number=number, id=genotype.id, **told)
    del told["history"]
    return told


def _scored(
    result: SearchResult, genotype: Genotype, number: int, problem: Problem, stage: Stage
) -> tuple[ChildState, dict[str, Any]]:
    """A training to the end and what is told of it."""
    training, seed = problem.config.retrain, problem.config.seed + _SEEDS_APART * number
    trainer = ChildTrainer(problem.lower(genotype), training, seed, retrain_devices(problem.config))

    def on_step(step: int, loss: float) -> None:
        if step % 10 == 0 or step == training.steps:
            which = f" ({number + 1} of {problem.config.retrain_seeds})" if problem.config.retrain_seeds > 1 else ""
            stage.progress(f"retraining {result.name}{which}", step, training.steps, f"loss {loss:.3f}")

    trained, seconds = _trained(problem, genotype, trainer, stage, on_step)
    score: Score = trainer.score(trained.state, problem.eval_batches(genotype, "test"))
    return trained.state, {
        "top1": score.top1,
        "top5": score.top5,
        "retrain_seconds": seconds,
        "retrain_compile_seconds": trained.compile_seconds,
        "history": trained.history,
    }


def _trained(
    problem: Problem, genotype: Genotype, trainer: ChildTrainer, stage: Stage, on_step: Callable[[int, float], None]
) -> tuple[Trained, float]:
    """The training, or what is left of it; and the seconds of all of it."""
    config, training, start = problem.config, problem.config.retrain, time.monotonic()
    stream = problem.train_batches(genotype, config.retrain_on, training.batch_size, trainer.seed)
    state, history, before = None, [], 0.0
    saved = stage.checkpoints.newest(trainer.init())
    if saved is not None:
        state, history, before = trainer.placed(saved.tree), saved.state["history"], saved.state["seconds"]
        stream.set_state(saved.state["stream"])
        stage.resumed(saved.seq)

    def on_window(state: ChildState, history: list[dict[str, float]]) -> None:
        seconds = before + time.monotonic() - start
        place = {"history": history, "stream": stream.get_state(), "seconds": seconds}
        stage.checkpoints.offer(int(state.step), state, place)

    trained = trainer.train(stream, state=state, on_step=on_step, on_window=on_window, history=history)
    return trained, before + time.monotonic() - start


def _measured(problem: Problem, profile: Profile, genotype: Genotype) -> dict[str, Any]:
    """Milliseconds for the report of a reproducible run, none of whose decisions rest on them."""
    timer = Timer(repeats=problem.config.profile.repeats)
    try:
        measured = measure_network(problem.lower(genotype), problem.runtime, timer, profile.reference)
    except DriftError:
        return {"latency_ms": None, "iqr_ms": None}
    return {"latency_ms": measured.latency_ms, "iqr_ms": measured.iqr_ms}
