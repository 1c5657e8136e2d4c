"""A run of several processes: what process 0 tells, and the course of those that follow it.

All of them run the same search by gradient with the same seeds, so that their draws agree. What a clock or a
measurement decides (latencies, verdicts, short trainings, the checkpoint that is gone on from) process 0 does, and
tells.
"""

import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tvnjax.core.atomic import write_atomic
from tvnjax.core.environment import environment
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.hosts import Hosts, OtherHostError
from tvnjax.core.journal import Journal
from tvnjax.core.monitor import Silent
from tvnjax.core.printable import say
from tvnjax.core.stages import Stage
from tvnjax.graph import Network, Unit
from tvnjax.latency.profile import Profile
from tvnjax.latency.runtimes import Prepared, Runtime
from tvnjax.latency.table import LatencyTable
from tvnjax.running.config import RunConfig
from tvnjax.running.problem import Problem, decide_costs, prepare_problem, profile_device
from tvnjax.search.base import Evaluation, SearchTask, Verdict
from tvnjax.spaces.base import Genotype

Filter = Callable[[Genotype], tuple[Verdict, float]]
"""As ``SearchTask.check`` and ``confirm``."""


def led(task: SearchTask, hosts: Hosts) -> SearchTask:
    """A task whose answers process 0 finds and the others are told; the others' own functions are not called."""
    if hosts.count == 1:
        return task

    def asked(what: str, genotype: Genotype, found: Callable[[], Any]) -> Any:
        return hosts.same(f"{what} {genotype.id}", found)

    def verdict(what: str, of: Filter, genotype: Genotype) -> tuple[Verdict, float]:
        def found() -> list[Any]:
            verdict, seconds = of(genotype)
            return [dataclasses.asdict(verdict), seconds]

        told, seconds = asked(what, genotype, found)
        return Verdict(**told), seconds

    def evaluate(genotype: Genotype, seed: int, part: float) -> Evaluation:
        told = asked("evaluate", genotype, lambda: dataclasses.asdict(task.evaluate(genotype, seed, part)))
        return Evaluation(**told)

    confirm = None if task.confirm is None else partial(verdict, "confirm", task.confirm)
    check = partial(verdict, "check", task.check)
    return dataclasses.replace(task, check=check, evaluate=evaluate, screen=None, confirm=confirm)


def tell_profile(hosts: Hosts, problem: Problem, table: Path) -> None:
    """Process 0 tells the others the latencies that count, and what they were measured in."""
    if hosts.count > 1:
        measured_in = environment() | problem.runtime.description
        hosts.same("profile", lambda: {"measured_in": measured_in, "table": table.read_text(encoding="utf-8")})


def follow(config: RunConfig, hosts: Hosts, coordinator: str) -> None:
    """The course of a process that follows process 0: until the search by gradient has ended.

    Raises:
        InvalidInputError: it has other clips than process 0.
        HostLostError: another process has ended.
    """
    from tvnjax.running.searching import gradient_search

    # Steps are recorded by process 0 alone.
    config = dataclasses.replace(config, search=dataclasses.replace(config.search, trace=0))
    say(f"process {hosts.index} of {hosts.count} follows process 0 at {coordinator}, which writes the run", error=True)
    # One that shares process 0's cache finds its clips there.
    theirs = hosts.same("clips", lambda: None)
    problem = prepare_problem(config, Silent(), told=False)
    if problem.clips.fingerprint != theirs:
        raise InvalidInputError(
            f"all processes of a run have the same clips; those of process {hosts.index} are "
            f"{problem.clips.fingerprint}, those of process 0 {theirs}: give them the same videos"
        )
    profile = _told_profile(problem, hosts)
    costs = decide_costs(problem, profile)
    assert costs.budget.ms is not None
    entries = hosts.same("journal", lambda: None)
    if entries is None:
        return  # the search has ended before
    nothing: Callable[..., Any] = _not_asked
    confirm = None if config.reproducible else nothing
    task = SearchTask(space=problem.space, budget_ms=costs.budget.ms, check=nothing, evaluate=nothing, confirm=confirm)
    stage = Stage(Silent())
    stage.journal = Journal.of(entries)
    gradient_search(problem, costs, task, {"table": profile.seconds}, stage, hosts)


def _told_profile(problem: Problem, hosts: Hosts) -> Profile:
    told = hosts.same("profile", lambda: None)
    runtime = _OfProcess0(told["measured_in"])
    with tempfile.TemporaryDirectory(prefix="tvnjax-") as folder:
        path = Path(folder) / "latency_table.json"
        write_atomic(path, told["table"].encode())
        table = LatencyTable(path, runtime, frozen=True, shared=False)
        return profile_device(problem.config, problem.space, problem.num_classes, runtime, Silent(), table)


class _OfProcess0(Runtime):
    """The runtime of process 0: its latencies are all there, and none is measured here."""

    def __init__(self, description: Mapping[str, Any]):
        self._description = dict(description)

    @property
    def description(self) -> dict[str, Any]:
        return self._description

    @property
    def conditions(self) -> dict[str, Any]:
        return {}

    def network(self, network: Network) -> Prepared:
        return self._missing(network)

    def unit(self, unit: Unit) -> Prepared:
        return self._missing(unit)

    def _missing(self, what: Network | Unit) -> Prepared:
        """What is asked for and never timed, as the reference network; or else raises when it is."""

        def call() -> Any:
            raise OtherHostError(
                f"process 0 measures, and tells all latencies; that of {what!r:.100} is missing: run again, as the "
                "latency table then has it"
            )

        return Prepared(call=call)


def _not_asked(*_: Any) -> Any:
    raise AssertionError("process 0 answers")
