"""A run from end to end: data, profile, searches, retraining, results; killed anywhere, it goes on where it was."""

import dataclasses
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tvnjax.core.environment import environment, use_compilation_cache
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.hosts import Hosts, joined
from tvnjax.core.monitor import Monitor
from tvnjax.core.run_dir import RunDir, kept, read_json, write_json
from tvnjax.core.signals import stoppable
from tvnjax.core.stages import Stages
from tvnjax.data.contents import copy_contents, what_changed
from tvnjax.graph import COUNTING_RULE
from tvnjax.latency.measure import ReferenceNetwork, latency_rule
from tvnjax.latency.profile import Profile
from tvnjax.report.page import write_report
from tvnjax.running.agreement import agree
from tvnjax.running.config import RunConfig
from tvnjax.running.continuing import begin, check_continues, check_devices
from tvnjax.running.problem import Problem, check_counted, decide_costs, prepare_problem, watch_drift
from tvnjax.running.profiling import TABLE_FILE, Measurements, profile_run
from tvnjax.running.retraining import confirm, retrain
from tvnjax.running.search_devices import search_devices
from tvnjax.running.searching import search_all
from tvnjax.running.step_estimate import warn_of_long_steps
from tvnjax.running.task import make_task
from tvnjax.running.together import follow, tell_profile
from tvnjax.running.verification import gate_of_searches
from tvnjax.search.base import SearchResult
from tvnjax.search.budget import Costs
from tvnjax.search.pools import check_engine
from tvnjax.search.registry import facts_of, name_of, registered
from tvnjax.training.saved import CLIPS_FILE


def _space(config: RunConfig) -> dict[str, Any]:
    """The space for the results."""
    if config.own is not None:
        return {"own": config.own.space.to_json()}
    return {"shapes": dataclasses.asdict(config.shapes)}


def run(
    config: RunConfig,
    out: Path,
    command: str,
    listen: Callable[[RunDir], Monitor],
    *,
    argv: Sequence[str] | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Runs a whole search with its baselines and leaves the run directory; returns what ``results.json`` holds, and
    nothing in a process that follows process 0 of a run.

    Args:
        config: what to run.
        out: the run's directory.
        command: how it was asked for, for the report.
        listen: makes the monitor that watches the run and writes its events.
        argv: the command's arguments, from which another process makes the same configuration.
        resume: goes on with the run that is in the directory; a finished one only has its report written again.

    Raises:
        InvalidInputError: the input breaks a rule; a directory that was made is removed again. Or the run's directory
            can no longer be written, or a loss is not finite; what is finished is then kept.
        Stopped: a signal asked the process to end.
    """
    address, here = config.distributed.address(), f"'tvnjax run --resume {shlex.quote(str(out))}'"
    follows = address is not None and address.index > 0
    # Where a process follows, the directory is one of another host.
    where = "process 0 keeps its checkpoints; go on there with 'tvnjax run --resume DIR'"
    hint = f"{where if follows else f'its checkpoints are kept; go on with {here}'}, on one process or several"
    with joined(address, hint, insisting=argv is not None) as hosts:
        use_compilation_cache()
        _check_deterministic(config)
        agree(hosts, config)
        try:
            if address is None or not follows:
                return _lead(config, out, command, listen, argv, hosts, resume=resume)
            with stoppable(lambda: None, hint, insisting=argv is not None):
                follow(config, hosts, address.coordinator)
            return {}
        except FloatingPointError as error:
            raise InvalidInputError(
                f"{error}: begin again with a lower --search.learning-rate, or --resume with --fork NEW_DIR and one"
            ) from None


def _lead(
    config: RunConfig,
    out: Path,
    command: str,
    listen: Callable[[RunDir], Monitor],
    argv: Sequence[str] | None,
    hosts: Hosts,
    *,
    resume: bool,
) -> dict[str, Any]:
    """The run, in the process that writes it."""
    by_gradient = any(facts_of(name_of(choice)).by_gradient for choice in config.strategies)
    devices, finished = None, resume and (out / "results.json").is_file()
    if by_gradient and not finished:
        devices = len(search_devices(config))
    if resume:
        check_continues(config, out)
        if config.reproducible and not finished:
            check_devices(out, devices)
    run_dir = RunDir(out, resume=resume)
    stages = Stages(run_dir, listen(run_dir), config.checkpoint_seconds)
    hint = f"go on with: tvnjax run --resume {shlex.quote(str(out))}"
    try:
        with kept(out / "config.json", hint), stoppable(stages.keep, hint, insisting=argv is not None):
            return _run(config, stages, lambda: begin(config, out, command, argv, devices), hosts, resume=resume)
    finally:
        stages.close()


def _run(
    config: RunConfig, stages: Stages, begin_run: Callable[[], None], hosts: Hosts, *, resume: bool
) -> dict[str, Any]:
    run_dir = stages.run_dir
    out, finished = run_dir.path, run_dir.path / "results.json"
    if resume and finished.is_file():
        write_report(out)
        return read_json(finished)
    try:
        if not resume:
            begin_run()
        check_engine(config.workers)
        for choice in config.strategies:
            registered(choice)
        problem = _data(config, stages)
        hosts.same("clips", lambda: problem.clips.fingerprint)
        check_counted(problem)
        warn_of_long_steps(problem)
        profile, table = profile_run(problem, stages)
        tell_profile(hosts, problem, out / TABLE_FILE)
        costs = decide_costs(problem, profile)
    except InvalidInputError:
        if not resume:
            run_dir.discard()
        raise
    stage = stages.stage("drift")
    reference = watch_drift(problem, profile, costs, stage)
    task = make_task(problem, profile, costs, reference, Measurements(out / "measurements.jsonl"))
    found = search_all(problem, profile, costs, task, stages, hosts)
    chosen = confirm(found, costs, problem, reference, stages)
    gate = _gate(problem, profile, costs, reference, found, stages)
    rows = []
    for number, result in enumerate(found):
        stages.monitor.progress("retraining", number, len(found), result.name)
        rows.append(retrain(result, chosen.get(result.name), task.budget_ms, problem, profile, stages))
    results = {
        "strategies": rows,
        "reference": {
            "largest_ms": profile.most_expensive_ms,
            "smallest_ms": profile.cheapest_ms,
            "budget_rule": "given" if config.budget.ms is not None else "half the largest network's measured latency",
            "profile_seconds": profile.seconds,
        },
        "counting_rule": COUNTING_RULE,
        "latency_rule": latency_rule(config.latency_batch),
        "latency_gate": gate,
        "data": problem.describe_data(),
        "budget": dataclasses.asdict(costs.budget),
        "space": {"log10_size": problem.space.log10_size, **_space(config)},
        "reproducible": config.reproducible,
        "latency_table": table,
        "seconds": run_dir.elapsed,
        "environment": environment() | profile.environment,
    }
    write_json(finished, results)
    write_report(out)
    return results


def _data(config: RunConfig, stages: Stages) -> Problem:
    """The problem; clips that were changed since the run began are refused."""
    stage = stages.stage("data")
    problem = prepare_problem(config, stage, told=stage.result is None)
    if stage.result is None:
        copy_contents(problem.clips.directory, stages.run_dir.path / CLIPS_FILE)
        stage.finish(problem.clips.fingerprint)
    elif stage.result != problem.clips.fingerprint:
        now = {split: problem.clips.origins(split) for split in problem.clips.splits}
        raise InvalidInputError(
            f"a run goes on with the clips it began with; those of {problem.clips.name} are others: "
            f"{what_changed(stages.run_dir.path / CLIPS_FILE, now)}; put them back, name the right place with "
            "--data.folder or --data.manifest, or begin anew"
        )
    return problem


def _gate(
    problem: Problem,
    profile: Profile,
    costs: Costs,
    reference: ReferenceNetwork | None,
    found: list[SearchResult],
    stages: Stages,
) -> dict[str, Any]:
    stage = stages.stage("gate")
    if stage.result is not None:
        return stage.result
    if reference is None:
        # Nothing that was proposed has been measured: the gate rests on the profile's own networks.
        stage.event("gate", **profile.gate.as_json(), proposed=0, points=[])
        return stage.finish(profile.gate.as_json())
    return stage.finish(gate_of_searches(problem, profile, costs, reference, found, stage).as_json())


def _check_deterministic(config: RunConfig) -> None:
    """A GPU adds in any order unless it is told not to.

    Raises:
        InvalidInputError: the run is to be reproducible, and it is not told.
    """
    import jax

    flag = "--xla_gpu_deterministic_ops=true"
    if config.reproducible and jax.default_backend() == "gpu" and flag not in os.environ.get("XLA_FLAGS", ""):
        raise InvalidInputError(
            f"a GPU adds in an order of its own; a reproducible run needs it fixed: set XLA_FLAGS={flag}, or "
            "JAX_PLATFORMS=cpu"
        )
