"""Every runtime prepares networks and units that can be timed; what cannot be had is refused in a sentence."""

import importlib.util

import jax
import numpy as np
import pytest

from tvnjax.core.environment import fingerprint
from tvnjax.core.errors import InvalidInputError
from tvnjax.latency.measure import check_memory, latency_rule, measure, measure_networks
from tvnjax.latency.runtimes import load_runtime
from tvnjax.latency.timer import Timer
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.lowering import lower

PACKAGES = {"xla": (), "litert": ("ai_edge_litert", "litert_converter"), "onnxruntime": ("onnx", "onnxruntime")}
SMALL, LARGE = (
    lower(
        Genotype(image_size=size, num_frames=4, blocks=(Block(filters=8, temporal_kernel=3, squeeze=0.25),) * 2),
        num_classes=3,
    )
    for size in (8, 32)
)


@pytest.fixture(params=PACKAGES, scope="module")
def runtime(request):
    if not all(importlib.util.find_spec(package) for package in PACKAGES[request.param]):
        pytest.skip(f"{request.param} is not installed")
    return load_runtime(request.param)


def test_a_larger_network_takes_longer(runtime):
    rows = {row["name"]: row for row in measure_networks({"small": SMALL, "large": LARGE}, runtime, Timer(repeats=30))}
    assert 0 < rows["small"]["latency_ms"] < rows["large"]["latency_ms"]
    assert rows["large"]["latency_ms"] <= rows["large"]["median_ms"]
    assert rows["large"]["macs"] == LARGE.macs and rows["large"]["image_size"] == 32


def test_units_are_timed_by_themselves(runtime):
    unit = LARGE.units[0]
    measured = measure({"unit": runtime.unit(unit), "network": runtime.network(LARGE)}, Timer(repeats=30))
    assert 0 < measured["unit"].latency_ms < 1.5 * measured["network"].latency_ms


def test_what_a_runtime_says_of_itself_tells_tables_apart(runtime):
    described = runtime.description
    assert set(described) == {"runtime", "runtime_version", "backend", "device", "threads", "batch"}
    others = [described | {"threads": 64}, described | {"runtime_version": "0"}, described | {"runtime": "other"}]
    others += [described | {"batch": 2}, described | {"batch": 8}, described | {"kernels": "counted"}]
    assert len({fingerprint(entry) for entry in [described, *others]}) == 7
    said = {name: value for name, value in described.items() if name != "batch"}
    assert fingerprint(said) == fingerprint(described), "tables of before batches were said are of one clip"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "onnxruntim"}, "did you mean 'onnxruntime'"),
        ({"name": "xla", "threads": 0}, "threads is 1 or above; got 0"),
        ({"name": "xla", "threads": 4096}, "as many as its process has cores.*taskset"),
        ({"name": "xla", "device": "abacus"}, r"one JAX has here \(cpu.*'abacus'"),
        ({"name": "litert", "device": "gpu"}, "litert runs on the CPU; got the device 'gpu'"),
        (
            {"name": "litert", "batch": 2},
            "litert runs the exported network.* one clip a call; got a batch of 2",
        ),
        (
            {"name": "onnxruntime", "batch": 8},
            "onnxruntime runs the exported.*; got a batch of 8: leave it out",
        ),
        ({"name": "xla", "batch": 0}, "the batch of a latency is 1 clip or above; got 0"),
    ],
)
def test_what_cannot_be_had_is_refused(arguments, words):
    with pytest.raises(InvalidInputError, match=words):
        load_runtime(**arguments)


def test_a_missing_package_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(InvalidInputError, match=r"pip install 'tvnjax\[export\]'"):
        load_runtime("onnxruntime")


def test_a_network_over_memory_is_refused_before_it_is_compiled():
    huge = lower(Genotype(image_size=1024, num_frames=64, blocks=(Block(filters=2048, spatial_stride=1),)), 3)
    with pytest.raises(InvalidInputError, match=r"fits the memory that is free.*huge needs at least [\d,]+ MiB"):
        check_memory("huge", huge)


def test_a_batch_is_what_is_called_and_told():
    """A call takes the batch: its scores are as many, a row says clips a call and a second, memory grows by them."""
    runtime = load_runtime("xla", batch=4)
    assert np.asarray(runtime.network(SMALL).call()).shape == (4, 3)
    (one,), (row,) = (measure_networks({"small": SMALL}, r, Timer(repeats=30)) for r in (load_runtime("xla"), runtime))
    assert (one["batch"], row["batch"]) == (1, 4)
    for told in (one, row):
        assert told["clips_per_s"] == pytest.approx(1e3 * told["batch"] / told["latency_ms"])
    weights = 4 * SMALL.params / 2**20
    assert row["memory_mb"] - weights == pytest.approx(4 * (one["memory_mb"] - weights))
    assert row["allocated_mb"] > one["allocated_mb"]
    measured = measure({"unit": runtime.unit(LARGE.units[0])}, Timer(repeats=30))
    single = measure({"unit": load_runtime("xla").unit(LARGE.units[0])}, Timer(repeats=30))
    assert measured["unit"].latency_ms > 1.5 * single["unit"].latency_ms


def test_the_rule_says_the_batch():
    assert latency_rule().startswith("one clip, float32") and latency_rule(16).startswith(
        "a call of 16 clips together,"
    )
    assert latency_rule().split(", ", 1)[1] == latency_rule(16).split(", ", 1)[1]


def test_a_batch_over_memory_is_refused_before_it_is_compiled():
    check_memory("large", LARGE)
    with pytest.raises(InvalidInputError, match=r"fits the memory that is free.*or fewer than 65536000 clips a call"):
        check_memory("large", LARGE, 65_536_000)


def test_one_thread_of_xla_is_asked_of_its_compiler():
    alone = load_runtime("xla", threads=1)
    assert alone.description["threads"] == 1
    prepared = alone.network(SMALL)
    assert np.isfinite(np.asarray(jax.block_until_ready(prepared.call()))).all()
