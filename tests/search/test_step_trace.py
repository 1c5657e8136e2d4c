"""Recorded steps: the files that Perfetto and TensorBoard open, and the operations that took the most time."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tvnjax
from tests.api.tiny import TINY_RUN
from tvnjax.core.errors import InvalidInputError
from tvnjax.report.record import read_run
from tvnjax.report.trace_parts import costliest_operations
from tvnjax.search.gradient.config import DifferentiableConfig
from tvnjax.search.gradient.step_trace import StepTrace, costliest


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Four steps of two programs, one of which does far more."""
    folder = tmp_path_factory.mktemp("trace")
    small, large = jnp.ones((8, 8)), jnp.ones((600, 600))

    def little(x):
        return jnp.sin(x) + 1

    def much(x):
        return jnp.tanh(x @ x @ x)

    little, much = jax.jit(little), jax.jit(much)
    jax.block_until_ready((little(small), much(large)))
    trace, told = StepTrace(folder, first=3, count=4), []
    for step in range(1, 11):
        trace.before(step)
        state = little(small), much(large)
        told.append(trace.after(step, state, step == 10))
    return folder, told


def test_the_steps_asked_for_are_recorded_and_no_others(recorded):
    folder, told = recorded
    assert [step for step, one in enumerate(told, 1) if one is not None] == [6]
    assert (told[5]["first"], told[5]["steps"], told[5]["folder"]) == (3, 4, folder.name)
    assert len(list(folder.rglob("perfetto_trace.json.gz"))) == len(list(folder.rglob("*.xplane.pb"))) == 1


def test_the_costliest_operation_is_that_of_the_program_that_does_more(recorded):
    operations = recorded[1][5]["operations"]
    assert operations[0]["program"] == "jit_much" and operations[0]["calls"] >= 4
    assert [one["ms"] for one in operations] == sorted((one["ms"] for one in operations), reverse=True)
    assert 0.5 < sum(one["part"] for one in operations) <= 1 + 1e-9 and len(operations) <= 10
    assert len(costliest(recorded[0], 1)) == 1


def test_what_is_stopped_in_the_midst_ends_the_recording(tmp_path):
    trace = StepTrace(tmp_path / "one", first=1, count=5)
    trace.before(1)
    trace.stop()
    trace.stop()
    with jax.profiler.trace(str(tmp_path / "another")):
        jnp.ones(3).block_until_ready()


def test_without_a_run_it_is_said_that_nothing_is_recorded():
    with pytest.warns(UserWarning, match="this search has none and records nothing"):
        trace = StepTrace(None, first=1, count=2)
    trace.before(1)
    assert trace.after(1, None, True) is None
    with pytest.raises(InvalidInputError, match=r"search.trace is 0 or above; got -1"):
        DifferentiableConfig(trace=-1)


def test_a_run_leaves_the_recording_and_its_report_lists_the_operations(tmp_path):
    options = {"steps": 8, "trace": 2}
    run = tvnjax.run(TINY_RUN, strategies=("differentiable",), search=options, out=tmp_path / "run", quiet=True)
    (event,) = [e for line in (run.path / "events.jsonl").open() if (e := json.loads(line))["event"] == "trace"]
    assert event["steps"] == 2 and event["operations"] and any((run.path / "trace").rglob("*.xplane.pb"))
    table = costliest_operations(read_run(run.path))[2]
    assert np.isclose(float(table.rows[0][3].text), event["operations"][0]["ms"], rtol=0.01)
    assert "Costliest operations" in (run.path / "report.html").read_text()
