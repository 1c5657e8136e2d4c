"""A run on two processes: the numbers of one, and a word of what happened when one of them is gone."""

import json
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments.reliability.kill_anywhere import what_is_left
from tests.reliability.several import Process, free_address, searching, until
from tvnjax.core.checkpoint import save_state
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.joining import Address, connect
from tvnjax.report.record import read_events
from tvnjax.running.config import RunConfig
from tvnjax.running.distributed import Distributed, without_place

LONG = {"search": {"steps": 300}}
"""So many steps that a process is killed before they end."""


def test_what_process_0_decides_is_the_same_on_all(tmp_path):
    address = free_address()
    save_state(
        tmp_path / "before", {"params": nnx.State({"w": nnx.Param(jnp.arange(3.0, 6)), "b": nnx.Param(jnp.zeros(()))})}
    )
    processes = [Process("tests.reliability.in_touch", address, 2, index, tmp_path) for index in range(2)]
    (lead, out, err), (follow, out_1, err_1) = (process.ended() for process in processes)
    told = [json.loads(text) for text in (out, out_1)]  # and nothing else
    assert [one.pop("own") for one in told] == [[[[0, 1, 2], [3, 4, 5]]], [[[6, 7, 8], [9, 10, 11]]]]
    assert told[0] == told[1]
    assert (told[0]["same"], told[0]["each"], told[0]["least"]) == (0, [10, 11], 3.0)
    assert told[0]["bits"] == np.array([-0.0, np.pi, np.inf]).tobytes().hex()
    assert (told[0]["others"], told[0]["devices"]) == ([7, [0, 2]], [0, 1])
    assert told[0]["whole"] and told[0]["doubled"] and told[0]["saved"]
    # The two then ask for different things: said, not answered with what was not asked for.
    assert (follow, lead) == (2, 0), err + err_1
    assert "process 0 tells of 'a decision', process 1 waits for 'another'" in err_1


def test_processes_with_other_options_are_named(tmp_path):
    steps = ({"search": {"steps": 12}}, {"search": {"steps": 13}, "seed": 1})
    ended = [process.ended() for process in searching(tmp_path / "run", steps[0], others=steps[1])]
    for status, _, err in ended:
        last = err.strip().splitlines()[-1]
        assert status == 2 and "process 0 and process 1 differ in" in last, err
        assert "seed: 0 of 0, 1 of 1" in last and "search.steps: 12 of 0, 13 of 1" in last
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"processes": 2}, "--distributed.coordinator HOST:PORT"),
        ({"processes": 2, "index": 2, "coordinator": "a:1"}, "below distributed.processes"),
        ({"processes": 2, "index": -1, "coordinator": "a:1"}, "below distributed.processes"),
        ({"processes": 0}, "below distributed.processes"),
        ({"coordinator": "nowhere"}, "HOST:PORT"),
        ({"coordinator": "a:70000"}, "65535"),
        ({"coordinator": ":80"}, "HOST:PORT"),
        ({"auto": True, "processes": 2, "coordinator": "a:1"}, "one or the other"),
    ],
)
def test_places_that_are_none_are_refused(given, said):
    with pytest.raises(InvalidInputError, match=said):
        Distributed(**given)


def test_processes_without_a_search_by_gradient_are_refused():
    place = Distributed(processes=2, coordinator="a:1")
    with pytest.raises(InvalidInputError, match="process 0 does all else alone"):
        RunConfig(strategies=("random",), baseline_seconds=1.0, distributed=place)


def test_auto_without_a_cluster_says_so(monkeypatch):
    monkeypatch.delenv("JAX_COORDINATOR_ADDRESS", raising=False)
    with pytest.raises(InvalidInputError, match="here none does"):
        Distributed(auto=True).address()


def test_a_process_that_has_devices_already_cannot_join():
    import jax

    jax.devices()
    with (
        pytest.raises(InvalidInputError, match="before JAX looks for devices"),
        connect(Address(coordinator="a:1", count=2, index=1)),
    ):
        pass


def test_a_place_is_no_part_of_the_arguments_a_run_is_gone_on_with():
    place = ["--distributed.coordinator", "a:1", "--distributed.processes=2", "--distributed.index", "1"]
    assert without_place(["quick", *place, "--seed", "3"]) == ["quick", "--seed", "3"]
    assert without_place(["quick", "--distributed.auto", "--seed", "3"]) == ["quick", "--seed", "3"]
    assert without_place(["quick", "--seed=3", "--distributed.auto", "True"]) == ["quick", "--seed=3"]


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_who_does_not_come_is_said_within_a_minute(index):
    address, start = free_address(), time.monotonic()
    where = ["--distributed.coordinator", address, "--distributed.processes", "2", "--distributed.index", str(index)]
    done = subprocess.run(
        [sys.executable, "-m", "tvnjax", "run", "quick", "--out", "/nowhere/to/be", "--devices", "all", *where],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert 55 < time.monotonic() - start < 100
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:") or "Traceback" in line]
    assert len(lines) == 1 and address in lines[0], done.stderr
    assert "did not answer within 60 s" in lines[0] if index else "not all did" in lines[0]
    assert done.returncode == 2


def told_of(out: Path) -> tuple[np.ndarray, list[str]]:
    """Losses of the steps, and the plans."""
    events = read_events(out)
    steps = [event for event in events if event["event"] == "search_step"]
    losses = [[step["loss"], step["val_loss"] or 0.0, step["costs"]["ms"]["part"]] for step in steps]
    return np.array(losses), [event["plan"] for event in events if event["event"] == "plan"]


@pytest.mark.slow
def test_two_processes_find_what_one_finds_and_the_same_each_time(tmp_path):
    options = {"search": {"steps": 30}}
    alone, both, again = (tmp_path / name for name in ("alone", "both", "again"))
    for out, processes in ((alone, 1), (both, 2), (again, 2)):
        for process in searching(out, options, processes):
            assert process.status == 0
    (losses, plans), (together, of_both) = told_of(alone), told_of(both)
    assert len(losses) == 30 and plans == of_both
    np.testing.assert_allclose(together, losses, rtol=1e-5, atol=1e-5)
    left = [what_is_left(out) for out in (alone, both, again)]
    assert left[0]["genotypes"] == left[1]["genotypes"]
    assert left[1] == left[2]


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_where_one_is_killed_the_other_says_so_and_the_run_goes_on(tmp_path, killed):
    out = tmp_path / "run"
    processes = searching(out, LONG)
    until(lambda: list(out.glob("stages/differentiable-0/step-*.json")), processes)
    processes[killed].kill()
    start = time.monotonic()
    status, _, err = processes[1 - killed].ended()
    assert time.monotonic() - start < 60
    last = err.strip().splitlines()[-1]
    assert status in (1, 2) and last.startswith("error: ") and f"process {killed} of 2" in last, err
    assert "kept" in last or "keeps" in last
    assert "--resume" in last and "on one process or several" in last and "Traceback" not in err
    processes[killed].ended()
    # It goes on on two processes, and then on one that has two devices.
    kept = {path.name for path in out.glob("stages/differentiable-0/step-*.json")}
    processes = searching(out, LONG)
    until(lambda: {p.name for p in out.glob("stages/differentiable-0/step-*.json")} - kept, processes)
    for process in processes:
        process.kill()
        process.ended()
    address = free_address()
    options = json.dumps(LONG)
    few = Process("tests.reliability.one_of_several", out, address, 1, 0, options, devices=1)
    status, _, err = few.ended()
    assert status == 2 and "began with 2, now 1" in err
    one = Process("tests.reliability.one_of_several", out, address, 1, 0, options, devices=2)
    assert one.status == 0
    # Of those that were overtaken, too, which a reader of the log leaves out.
    lines = map(json.loads, (out / "events.jsonl").read_text().splitlines())
    resumed = [line for line in lines if line["event"] == "resumed"]
    assert (out / "results.json").is_file() and len(resumed) >= 2


@pytest.mark.slow
def test_all_go_back_where_all_have_no_memory_left(tmp_path):
    out = tmp_path / "run"
    for process in searching(out, {}, planted="0,1"):
        status, _, err = process.ended()
        assert status == 0 and "RESOURCE_EXHAUSTED" in err, err
    assert [event["becomes"] for event in read_events(out) if event["event"] == "plan_memory"]
    assert len([event for event in read_events(out) if event["event"] == "search_step"]) == 12


@pytest.mark.slow
def test_where_one_alone_has_no_memory_left_all_end_and_say_so(tmp_path):
    for process in searching(tmp_path / "run", {}, planted="1"):
        status, _, err = process.ended()
        last = err.strip().splitlines()[-1]
        assert status in (1, 2) and "process 1 had no memory left behind step" in last and "Traceback" not in err, err
        assert "--resume" in last


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [0, 1])
def test_where_one_is_stopped_the_other_says_so(tmp_path, stopped):
    out = tmp_path / "run"
    processes = searching(out, LONG)
    until(lambda: list(out.glob("stages/differentiable-0/step-*.json")), processes)
    processes[stopped].stop()
    _, _, err = processes[1 - stopped].ended()
    last = err.strip().splitlines()[-1]
    assert f"process {stopped} of 2 has ended: it was stopped (SIGTERM)" in last and "Traceback" not in err, err
    assert processes[stopped].ended()[0] == 143
