"""Parts of an experiment: kept, tried again, cut, killed. Each experiment is a process, since it forks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from experiments.accelerator.parts import Part, run_parts

out = Path(sys.argv[1])

def called(name):
    with open(out / "calls", "a") as file:
        file.write(name + "\\n")

def first(rows):
    for number in range(2):
        rows.once(f"row {number}", lambda number=number: (called(f"first {number}"), {"value": number})[1])

def breaks(rows):
    called("breaks")
    raise ValueError("no such thing\\nsecond line")

def dies(rows):
    rows.once("before", lambda: (called("dies"), {"value": 1})[1])
    os.kill(os.getpid(), signal.SIGKILL)

def half(rows):
    def fail():
        called("half")
        if not (out / "mended").exists():
            raise OSError("not mended")
        return {"value": 2}
    rows.once("good", lambda: (called("good"), {"value": 1})[1])
    rows.once("bad", fail)

def slow(rows):
    rows.once("quick", lambda: (called("quick"), {"pid": os.getpid()})[1])
    rows.once("long", lambda: time.sleep(0 if (out / "mended").exists() else 600) or {"value": 3})

known = {"first": first, "breaks": breaks, "dies": dies, "half": half, "slow": slow}
parts = [Part(name=name, run=known[name], share=1) for name in sys.argv[3:]]
run_parts(parts, out, float(sys.argv[2]))
"""


def start(out: Path, seconds: float, *names: str) -> subprocess.Popen:
    out.mkdir(exist_ok=True)
    command = [sys.executable, "-c", SCRIPT, str(out), str(seconds), *names]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)


def run(out: Path, seconds: float, *names: str) -> dict[str, tuple[str, str]]:
    """States and reasons."""
    assert start(out, seconds, *names).wait(120) == 0
    told = {name: json.loads((out / name / "state.json").read_text()) for name in names}
    return {name: (state["state"], state["reason"]) for name, state in told.items()}


def calls(out: Path) -> list[str]:
    return (out / "calls").read_text().split("\n")[:-1]


def rows(out: Path, name: str) -> dict:
    return json.loads((out / name / "rows.json").read_text())


def test_parts_that_break_or_die_are_recorded_and_end_no_other(tmp_path):
    states = run(tmp_path, 60, "breaks", "dies", "half", "first")
    assert states == {
        "breaks": ("failed", "ValueError: no such thing"),
        "dies": ("failed", "ended by SIGKILL"),
        "half": ("failed", "1 rows failed; OSError: not mended"),
        "first": ("done", ""),
    }
    assert rows(tmp_path, "dies")["before"]["value"] == 1
    assert rows(tmp_path, "half")["bad"]["failed"] == "OSError: not mended"


def test_going_on_tries_what_failed_again_and_nothing_else(tmp_path):
    run(tmp_path, 60, "half", "first")
    (tmp_path / "mended").touch()
    assert run(tmp_path, 60, "half", "first") == {"half": ("done", ""), "first": ("done", "")}
    assert calls(tmp_path) == ["good", "half", "first 0", "first 1", "half"]
    assert rows(tmp_path, "half")["bad"]["value"] == 2


def test_a_part_is_cut_when_its_time_is_over(tmp_path):
    begun = time.monotonic()
    states = run(tmp_path, 12, "slow", "first")
    assert states["slow"][0] == "out of time" and states["first"] == ("done", "")
    # Half of the time is the other's.
    assert time.monotonic() - begun < 60
    assert "long" not in rows(tmp_path, "slow")
    (tmp_path / "mended").touch()
    assert run(tmp_path, 60, "slow")["slow"] == ("done", "")
    assert calls(tmp_path).count("quick") == 1


@pytest.mark.parametrize("victims", ["experiment", "part"])
def test_killed_it_goes_on_where_it_was(tmp_path, victims):
    process = start(tmp_path, 600, "first", "slow")
    until = time.monotonic() + 60
    while not (tmp_path / "slow" / "rows.json").is_file():
        assert time.monotonic() < until
        time.sleep(0.05)
    pid = rows(tmp_path, "slow")["quick"]["pid"]
    os.kill(process.pid if victims == "experiment" else pid, signal.SIGKILL)
    process.wait(60)
    until = time.monotonic() + 20
    while alive(pid):
        assert time.monotonic() < until, "a part outlives the experiment"
        time.sleep(0.05)
    (tmp_path / "mended").touch()
    assert run(tmp_path, 60, "first", "slow") == {"first": ("done", ""), "slow": ("done", "")}
    assert calls(tmp_path) == ["first 0", "first 1", "quick"]


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
