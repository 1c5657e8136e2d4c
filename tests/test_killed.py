"""Searches that are killed with ``kill -9`` at random points end as the one nobody killed, to the bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.search.hill_climb import install

ROOT = Path(__file__).parent.parent


def kills(out, *options, packages=""):
    """The harness in a process of its own: it forks, which a process that has touched a device must not."""
    command = [sys.executable, "-m", "experiments.reliability.kill_anywhere", "--out", str(out), *map(str, options)]
    path = os.pathsep.join(filter(None, [str(ROOT), str(packages), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    counts = json.loads(out.read_text())
    assert counts["differing"] == [] and counts["chains"] >= 1
    return counts


@pytest.mark.slow
def test_a_handful_of_kills_of_an_evolution_changes_nothing(tmp_path):
    counts = kills(tmp_path / "counts.json", "--points", 4, "--seed", 1, "--strategies", "evolution")
    assert counts["kills"] == 4 and counts["compared"]["arrays"] > 5


@pytest.mark.slow
def test_kills_of_a_strategy_of_ones_own_change_nothing(tmp_path):
    install(tmp_path / "packages", "hills", {"hill_climb": "hills:HillClimb"})
    options = ("--points", 6, "--seed", 2, "--strategies", "hill_climb")
    counts = kills(tmp_path / "counts.json", *options, packages=tmp_path / "packages")
    assert counts["kills"] == 6 and counts["compared"]["arrays"] > 5


@pytest.mark.slow
def test_thirty_kills_at_any_time_change_nothing(tmp_path):
    counts = kills(tmp_path / "counts.json", "--points", 30)
    # Where they fall depends on the machine: long stages are met often, short ones below.
    assert counts["kills"] == 30 and len(counts["kills_by_stage"]) >= 2


@pytest.mark.slow
def test_a_kill_in_each_short_stage_changes_nothing(tmp_path):
    stages = ("data", "profile", "projection", "gate", "results")
    counts = kills(tmp_path / "counts.json", "--points", len(stages), "--at", *stages)
    assert counts["kills"] == len(stages) and len(counts["kills_by_stage"]) >= 4
