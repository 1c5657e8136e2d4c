"""The script for an hour of an accelerator, at the sizes of a test on a CPU; and what its parts measure."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.accelerator import form_checks, one_hour, step_times
from experiments.accelerator.parts import Rows
from experiments.accelerator.step_times import Measured, peak_of
from tvnjax.latency.timer import Timing

ROOT = Path(__file__).parents[2]
PARTS = ("machine", "forms", "steps", "torch", "gate", "search", "evolution")


@pytest.mark.slow
def test_a_toy_goes_through_all_parts_and_on_after_a_kill(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "experiments.accelerator.one_hour", "--out", str(out), "--toy", "--minutes", "10"]
    variables = {"PYTHONPATH": str(ROOT), "TVNJAX_CACHE": str(tmp_path / "cache"), "JAX_PLATFORMS": "cpu"}
    options = {"cwd": ROOT, "env": {**os.environ, **variables}}
    process = subprocess.Popen(command, **options, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 300
    while not (out / "steps" / "rows.json").is_file():
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    forms = (out / "forms" / "rows.json").read_text()
    # Sizes are those it began with, though the hour is asked for now.
    ended = subprocess.run([*command[:5], "--minutes", "60"], **options, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert "goes on with them" in ended.stdout and "forms: done before" in ended.stdout
    assert ended.stderr.count("a step of the search takes at least") == 1
    assert (out / "forms" / "rows.json").read_text() == forms
    told = json.loads((out / "one_hour.json").read_text())
    assert tuple(told["parts"]) == PARTS
    assert {name: part["state"] for name, part in told["parts"].items()} == dict.fromkeys(PARTS, "done")
    rows = {name: part["rows"] for name, part in told["parts"].items()}
    assert all(row["holds"] for row in rows["forms"].values())
    assert {"machine", "commit", "device", "jax", "driver"} <= set(rows["machine"]["machine"])
    for row in rows["steps"].values():
        assert row["tflop_s"] > 0
    search, evolution = rows["search"]["search"], rows["evolution"]["evolution"]
    assert search["search_steps"] == 6 and search["latency_ms"] > 0
    # On the same seconds, but for what a network more would have taken.
    given = search["seconds"] - search["profile_seconds"]
    assert 0.5 * given < evolution["seconds"] - evolution["profile_seconds"] < 1.5 * given
    assert evolution["evaluations"] > 0
    assert (out / "one_hour.txt").read_text() in ended.stdout


def test_a_wrong_layer_and_a_wrong_gradient_are_found(tmp_path, monkeypatch):
    """An output that is off by a hundredth, and one that is right and whose gradient is not."""
    import jax

    def off(x, *, form):
        return x * (1.01 if form == "shifted" else 1.0)

    def flat(x, *, form):
        return x if form == "plain" else x + (jax.lax.stop_gradient(0.5 * x) - 0.5 * x)

    x = np.linspace(-1, 1, 32).reshape(2, 16)
    monkeypatch.setattr(form_checks, "cases", lambda: {"off": (off, [x]), "flat": (flat, [x])})
    rows = Rows(tmp_path, 60)
    form_checks.check_forms(rows)
    assert {name: row["holds"] for name, row in rows.kept.items() if "float32" in name} == {
        "off, shifted, float32": False,
        "off, plain, float32": True,
        "flat, shifted, float32": False,
        "flat, plain, float32": True,
    }
    assert rows.kept["off, shifted, float32"]["output_error"] == pytest.approx(0.01, rel=1e-3)
    assert rows.kept["flat, shifted, float32"]["output_error"] < 1e-6
    assert rows.kept["flat, shifted, float32"]["gradient_error"] == pytest.approx(0.5)


def test_every_kind_of_layer_that_networks_have_is_checked():
    named = {type(layer).__name__ for layer in form_checks.LAYERS.values()}
    assert {"Conv", "Pool", "SqueezeExcite", "ContextGate", "NonLocal", "Scale"} <= named
    assert len(form_checks.cases()) > 25


def test_rates_are_counted_arithmetic_over_measured_time(monkeypatch):
    timing = Timing(samples_ms=(8.0, 10.0, 12.0, 10.0))
    row = step_times._rates(timing, 4e12, 800.0, 989e12)
    assert row["tflop_s"] == pytest.approx(400.0)
    assert row["of_peak"] == pytest.approx(400 / 989) and row["of_product"] == pytest.approx(0.5)
    assert step_times._rates(timing, 4e12, None, None)["of_peak"] is None


@pytest.mark.parametrize(("kind", "peak"), [("NVIDIA H200", 989e12), ("TPU v5 lite", 197e12), ("TPU v4", 275e12)])
def test_peaks_are_those_of_the_data_sheets(kind, peak):
    assert peak_of(kind) == peak
    assert peak_of("cpu") is None


def test_steps_are_timed_behind_one_another():
    """As many steps a run as asked, five runs, two steps before: each gets the state of the one before."""
    seen = []
    timing = step_times.timed(lambda state: seen.append(state) or state + 1, 0, 3)
    assert seen == list(range(2 + 5 * 3))
    assert len(timing.samples_ms) == 5


def test_without_pytorch_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(step_times.importlib.util, "find_spec", lambda name: None)
    rows = Rows(tmp_path, 60)
    step_times.time_torch(rows, step_times.CHILDREN, Measured(2, 1))
    assert {row["said"] for row in rows.kept.values()} == {"PyTorch is not here: nothing is compared"}


def test_slices_and_sizes():
    hour, minutes = one_hour.sizes_of("hour"), one_hour.sizes_of("minutes")
    for sizes in (hour, minutes):
        assert sizes.search.strategies == ("differentiable",) and sizes.search.search.precision == "bfloat16"
        assert max(sizes.search.shapes.num_frames) <= sizes.search.data.clip_frames
        assert sizes.search.data.size >= max(sizes.search.shapes.image_size)
        shares = [part.share for part in one_hour.parts_of(sizes, Path())]
        assert sum(shares) == pytest.approx(60, abs=1)
        assert set(sizes.forms or ()) <= set(form_checks.cases())
    assert hour.networks >= 100 and hour.selected >= 30  # what a gate rests on
    assert minutes.search.search.steps < hour.search.search.steps


def test_the_table_tells_what_failed():
    rows = {
        "a, plain, float32": {"output_error": 1e-6, "gradient_error": 2e-6, "holds": True},
        "a, plain, bfloat16": {"output_error": 0.5, "gradient_error": 0.1, "holds": False},
    }
    part = {"state": "failed", "reason": "1 rows failed", "seconds": 3.0, "rows": {"x": {"failed": "OSError: no"}}}
    table = one_hour.table_of({"forms": {"state": "done", "reason": "", "seconds": 2.0, "rows": rows}, "gate": part})
    assert "1 of 2 hold; largest errors: float32 2e-06, bfloat16 0.5" in table
    assert "a, plain, bfloat16" in table and "a, plain, float32" not in table
    assert "gate: failed, 1 rows failed, 3 s" in table and "OSError: no" in table


@pytest.mark.torch
@pytest.mark.parametrize("name", step_times.CHILDREN)
def test_a_network_in_pytorch_has_as_many_parameters_and_scores(name):
    torch = pytest.importorskip("torch")

    from experiments.accelerator.torch_network import torch_network

    network = step_times.zoo_network(name, Measured(2, 1, image_size=32, num_frames=2))
    model = torch_network(network)
    assert sum(parameter.numel() for parameter in model.parameters()) == network.params
    clip = torch.zeros((2, 3, *network.input_shape[:3]))
    assert model(clip).shape == (2, network.head.num_classes)
