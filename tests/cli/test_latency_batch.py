"""``--latency-batch``: milliseconds of a call of several clips, clips a second, and tables of their own."""

import csv
import dataclasses
import io
import json

import pytest

from tests.cli.told import configured, json_of, refused, said
from tvnjax.core.monitor import Silent
from tvnjax.running.config import PRESETS
from tvnjax.running.problem import space_and_classes
from tvnjax.spaces.tvn.genotype import Block, Genotype


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "small.json"
    genotype = Genotype(image_size=16, num_frames=2, blocks=(Block(filters=8),))
    path.write_text(json.dumps(genotype.to_json()))
    return str(path)


MEASURE = ("--repeats", "30", "--classes", "3")


def test_measure_tells_the_call_and_the_throughput(capsys, network):
    told = json_of(capsys, "measure", network, *MEASURE, "--latency-batch", "8", "--json")
    (row,) = told["networks"]
    assert row["batch"] == told["environment"]["batch"] == 8
    assert row["clips_per_s"] == pytest.approx(8e3 / row["latency_ms"])
    assert told["rules"]["latency"].startswith("a call of 8 clips together, float32")
    assert "clocks" not in told["environment"], "a CPU is not watched"
    (one,) = json_of(capsys, "measure", network, *MEASURE, "--json")["networks"]
    assert one["batch"] == 1 and one["clips_per_s"] == pytest.approx(1e3 / one["latency_ms"])


def test_measure_prints_both(capsys, network):
    out, _ = said(capsys, "measure", network, *MEASURE, "--latency-batch", "3")
    assert "clips/s" in out and "a call of 3 clips together, float32" in " ".join(out.split())
    out, _ = said(capsys, "measure", network, *MEASURE, "--format", "csv", "--latency-batch", "3")
    (row,) = csv.DictReader(io.StringIO(out))
    assert float(row["clips_per_s"]) == pytest.approx(3e3 / float(row["latency_ms"]))


@pytest.mark.parametrize(("command", "names"), [("zoo", ["tvn1"]), ("tables", ["frames"])])
def test_networks_of_papers_are_timed_by_the_batch(capsys, monkeypatch, command, names):
    asked = []

    def instead(networks, options, repeats=30):
        asked.append(options.latency_batch)
        return [20.0] * len(networks)

    monkeypatch.setattr(f"tvnjax.cli.{command}.networks_ms", instead)
    rows = json_of(capsys, command, *names, "--measure", "--latency-batch", "8", "--json")
    assert {(row["latency_ms"], row["batch"], row["clips_per_s"]) for row in rows} == {(20.0, 8, 400.0)}
    out, _ = said(capsys, command, *names, "--measure", "--latency-batch", "8")
    assert "400" in out.split() and "clips/s" in out and "a call of 8 clips together" in " ".join(out.split())
    assert set(asked) == {8}


def test_other_runtimes_and_no_clips_are_refused_in_a_line(capsys, network):
    for runtime in ("onnxruntime", "litert"):
        line = refused(capsys, "measure", network, *MEASURE, "--latency-batch", "2", "--runtime", runtime)
        assert f"{runtime} runs the exported network" in line
    for command in (["measure", network], ["zoo", "tvn1", "--measure"], ["run", "quick"], ["profile", "quick"]):
        assert "latency_batch is 1 or above; got 0" in refused(capsys, *command, "--latency-batch", "0")
    assert "latency_batch is from 1 to 65,536" in refused(capsys, "run", "quick", "--latency-batch", "70000")


def test_a_run_and_a_profile_time_the_batch_of_their_configuration(capsys):
    assert configured(capsys, "quick", "--latency-batch", "4")["latency_batch"] == 4
    config = dataclasses.replace(PRESETS["quick"][1], latency_batch=4)
    _, _, runtime = space_and_classes(config, 3, 3, Silent())
    assert runtime.description["batch"] == 4
