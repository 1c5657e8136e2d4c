"""Two processes that share one cache: nothing is lost, and a reproducible one comes to what it comes to alone."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.reliability.kill_anywhere import differences, untimed, what_is_left
from tests.reliability.sharing import KINDS

ROOT = Path(__file__).parents[2]


def start(kind, out, cache):
    given = {
        **os.environ,
        "TVNJAX_CACHE": str(cache),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    command = [sys.executable, "-m", "tests.reliability.sharing", kind, str(out)]
    return subprocess.Popen(command, cwd=ROOT, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def end(process):
    told, _ = process.communicate()
    assert process.returncode == 0 and "Traceback" not in told and "damaged" not in told, told
    return told


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Compiled programs of all kinds, so that what takes time is what is shared."""
    folder = tmp_path_factory.mktemp("shared")
    for kind in KINDS:
        end(start(kind, folder / f"warm-{kind}", folder / "cache"))
    return folder / "cache"


def entries(path):
    return {(entry["kind"], entry["key"]): entry["latency_ms"] for entry in json.loads(path.read_text())["entries"]}


def left(out):
    return json.loads(json.dumps(what_is_left(out)))


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), list(itertools.combinations_with_replacement(KINDS, 2)))
def test_pairs(first, second, cache, tmp_path):
    for kept in ("latency", "datasets"):
        shutil.rmtree(cache / kept, ignore_errors=True)
    outs = [tmp_path / f"{number}-{kind}" for number, kind in enumerate((first, second))]
    for process in [start(kind, out, cache) for kind, out in zip((first, second), outs)]:
        end(process)
    assert not list(cache.rglob("*incomplete*")) and not list(cache.rglob("*.damaged"))
    tables = {"-frozen" in path.name: entries(path) for path in (cache / "latency").glob("*.json")}
    for kind, out in zip((first, second), outs):
        if kind in ("run", "reproducible"):
            own, shared = entries(out / "latency_table.json"), tables[kind == "reproducible"]
            assert set(own) <= set(shared), "what a run measured is not replaced by what the other did"
            if kind == "reproducible":
                assert all(shared[key] == ms for key, ms in own.items()), "and a frozen table never changes"
            digest = json.loads((out / "latency_table.json").read_text())["digest"]
            assert json.loads((out / "results.json").read_text())["latency_table"] == digest
    if "reproducible" in (first, second):
        # Alone, by the table that the two have made.
        end(start("reproducible", tmp_path / "alone", cache))
        expected = left(tmp_path / "alone")
        for kind, out in zip((first, second), outs):
            assert kind != "reproducible" or _different(expected, left(out)) == []
    if "train" in (first, second):
        end(start("train", tmp_path / "train-alone", cache))
        for kind, out in zip((first, second), outs):
            if kind == "train":
                assert _scores(out) == _scores(tmp_path / "train-alone")


def _different(expected, found):
    """A run's copy of the table holds whatever others had measured by then; what it decided by is compared."""
    results = [{**side, "results": {**side["results"], "latency_table": None}} for side in (expected, found)]
    return differences(*results)


def _scores(out):
    return untimed(json.loads((out / "results.json").read_text()))["scores"]
