"""A run's latency profile: made once, kept with the run, and made of the same table when the run goes on."""

import dataclasses
import os
import shlex
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from tvnjax.core.environment import cache_dir
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.journal import Journal
from tvnjax.core.monitor import Silent
from tvnjax.core.stages import Stage, Stages
from tvnjax.latency.measure import Measurement
from tvnjax.latency.profile import Profile
from tvnjax.latency.table import LatencyTable, OtherEnvironmentError
from tvnjax.running.problem import Problem, profile_device

TABLE_FILE = "latency_table.json"
_PASSES = 5


def profile_run(problem: Problem, stages: Stages) -> tuple[Profile, str]:
    """The profile of a run and the digest of its table; measured by the first half of a run alone.

    What is measured next depends on what was measured before. So the profile that counts is one for which nothing was
    missing: it is a function of the table, and comes out the same from the run's copy of it.
    """
    config, stage = problem.config, stages.stage("profile")
    about = (config, problem.space, problem.num_classes, problem.runtime)
    copy = stages.run_dir.path / TABLE_FILE
    done = stage.result
    if done is not None:
        try:
            table = LatencyTable(copy, problem.runtime, frozen=True, shared=False)
        except OtherEnvironmentError as error:
            raise InvalidInputError(f"{error.rule}: {_where_to_go_on(error, stages.run_dir.path)}") from None
        if not isinstance(done, dict) or table.digest != done.get("table"):
            raise InvalidInputError(
                f"a run goes on with the latencies it began with; {copy} was changed since: put it back, or begin anew"
            )
        profile = profile_device(*about, Silent(), table)
        return dataclasses.replace(profile, **done["cost"]), table.digest
    table = _table(problem)
    if config.latency_table is not None:
        # That file is another run's; what has to be measured besides is kept with this one.
        table.go_on_in(copy)
    last = _Last(stage)
    profile = profile_device(*about, last, table)
    cost = {"measured": profile.measured, "reused": profile.reused, "seconds": profile.seconds}
    for _ in range(_PASSES):
        if profile.measured == 0:
            break
        profile = profile_device(*about, last, table)
        cost["measured"] += profile.measured
        cost["seconds"] += profile.seconds
    cost_told = {"measured": cost["measured"], "reused": cost["reused"], "took_s": cost["seconds"]}
    stage.event("profile", **{**last.fields, **cost_told})
    table.copy_to(copy)
    stage.finish({"table": table.digest, "cost": cost})
    return dataclasses.replace(profile, **cost), table.digest


class Measurements(dict[str, tuple[Measurement, float]], MutableMapping[str, tuple[Measurement, float]]):
    """What was measured of networks by their ids, on disk as soon as it is known."""

    def __init__(self, path: Path):
        self._journal = Journal(path)
        kept = self._journal.recall_all()
        try:
            found = {key: (Measurement(**value["measured"]), value["seconds"]) for key, value in kept.items()}
            for measured, seconds in found.values():
                # Adds up numbers and nothing else.
                sum((*dataclasses.astuple(measured), seconds))
        except (TypeError, KeyError, ValueError) as error:
            raise InvalidInputError(
                f"a run's measurements are read as they were written; {path} holds what is none ({error}): use the "
                "version it was begun with, or remove the file, and they are measured again"
            ) from None
        super().__init__(found)

    def __setitem__(self, key: str, value: tuple[Measurement, float]) -> None:
        self._journal.add("measured", key, {"measured": dataclasses.asdict(value[0]), "seconds": value[1]})
        super().__setitem__(key, value)


class _Last(Silent):
    """Passes on how far it is, and keeps the last event: a profile is told of once."""

    def __init__(self, stage: Stage):
        self._stage = stage
        self.fields: dict[str, Any] = {}

    def event(self, kind: str, **fields: Any) -> None:
        self.fields = fields

    def progress(self, stage: str, done: float, total: float, text: str = "") -> None:
        self._stage.progress(stage, done, total, text)


def _where_to_go_on(error: OtherEnvironmentError, run: Path) -> str:
    """What can be done: a network measured here would be held against those measured there."""
    threads = error.threads if isinstance(error.threads, int) else 0
    if error.differs != ["threads"] or not 0 < threads < 2**16:
        return "go on where it began, or begin a new run here"
    # XLA's threads are the cores of the process; those of the other runtimes are an option, which a run keeps.
    if threads <= (os.cpu_count() or 1):
        cores = "0" if threads == 1 else f"0-{threads - 1}"
        here = f"taskset -c {cores} tvnjax run --resume {shlex.quote(str(run))}"
        return f"go on with as many cores as it began with, by '{here}', or begin a new run here"
    return f"go on on a machine that gives it {threads} cores, or begin a new run here"


def _table(problem: Problem) -> LatencyTable:
    config, runtime = problem.config, problem.runtime
    path = config.latency_table
    if path is not None and not path.is_file():
        raise InvalidInputError(f"a latency table is a file; there is none at {path}: check the path")
    if path is not None:
        return LatencyTable(path, runtime, frozen=True, shared=False)
    return LatencyTable.for_this_environment(cache_dir() / "latency", runtime, frozen=config.reproducible)
