"""A run that goes on where its latencies do not hold: what differs is said, and what does help."""

import json
import os
import types

import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Silent
from tvnjax.core.run_dir import RunDir
from tvnjax.core.stages import Stages
from tvnjax.latency.table import LatencyTable
from tvnjax.running.profiling import TABLE_FILE, profile_run


class Stand:
    conditions = None

    def __init__(self, threads=1):
        self.description = {"runtime": "stand-in", "runtime_version": "1", "threads": threads}


def resumed(out, runtime):
    """Goes on with a run whose profile is there, as far as its table."""
    run_dir = RunDir(out, resume=True)
    stages = Stages(run_dir, Silent(), 0.0)
    problem = types.SimpleNamespace(config=None, space=None, num_classes=2, runtime=runtime)
    try:
        profile_run(problem, stages)
    finally:
        stages.close()


@pytest.fixture
def run(tmp_path):
    out = tmp_path / "a run"
    run_dir = RunDir(out)
    stages = Stages(run_dir, Silent(), 0.0)
    table = LatencyTable(out / TABLE_FILE, Stand(threads=2))
    table.copy_to(out / TABLE_FILE)
    stages.stage("profile").finish({"table": table.digest, "cost": {}})
    stages.close()
    return out


@pytest.mark.parametrize(
    ("here", "cpus", "words"),
    [
        (1, 8, ["threads: 2 there, 1 here", "with as many cores", "taskset -c 0-1 tvnjax run --resume '"]),
        (8, 8, ["threads: 2 there, 8 here", "taskset -c 0-1 tvnjax run --resume '"]),
        (1, 1, ["threads: 2 there, 1 here", "on a machine that gives it 2 cores"]),
    ],
)
def test_another_number_of_cores_is_said_with_what_helps(run, here, cpus, words, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: cpus)
    with pytest.raises(InvalidInputError) as refused:
        resumed(run, Stand(threads=here))
    told = str(refused.value)
    assert all(word in told for word in words), told
    assert "tvnjax profile" not in told, "that measures, and a run goes on with what it has"
    assert "python" not in told and "cores: " not in told, "what changes no latency is not told"
    assert ("taskset" in told) == (cpus >= 2)


@pytest.mark.parametrize("name", ["jax", "processor", "xla_flags"])
def test_another_machine_or_version_sends_the_run_back(run, name):
    data = json.loads((run / TABLE_FILE).read_text())
    data["environment"][name] = "another"
    (run / TABLE_FILE).write_text(json.dumps(data))
    for threads in (1, 2):
        with pytest.raises(InvalidInputError, match=f"{name}: another there.*go on where it began, or begin a new run"):
            resumed(run, Stand(threads=threads))


@pytest.mark.parametrize("threads", [None, "two", -1, 10**9, 2.5, [2]])
def test_a_table_that_tells_threads_that_cannot_be(run, threads):
    data = json.loads((run / TABLE_FILE).read_text())
    data["environment"]["threads"] = threads
    (run / TABLE_FILE).write_text(json.dumps(data))
    with pytest.raises(InvalidInputError, match="begin a new run here"):
        resumed(run, Stand(threads=2))
