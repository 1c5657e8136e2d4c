"""Exported networks compute what the network does, in every format whose runtime is installed."""

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from tvnjax.cli import main
from tvnjax.core.checkpoint import save_state
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.run_dir import write_json
from tvnjax.export.export_network import export_network
from tvnjax.export.optional import CONVERTER, optional_package
from tvnjax.export.run_file import run_file
from tvnjax.nn.child import Child
from tvnjax.nn.parts import PIXEL_MEAN, PIXEL_SCALE
from tvnjax.nn.saved_weights import save_weights
from tvnjax.spaces.registry import read_genotype
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.training.saved import open_saved
from tvnjax.zoo.resolve import of_genotype
from tvnjax.zoo.trained import TrainedNetwork

CLASSES = ["blue", "green", "red"]
NEEDS = {
    "stablehlo": ("flatbuffers",),
    "onnx": ("onnx", "onnxruntime"),
    "tflite": ("litert_converter", "ai_edge_litert"),
}
GENOTYPE = Genotype(
    image_size=13,
    num_frames=4,
    frame_stride=2,
    blocks=(
        Block(filters=8, spatial_type="std", spatial_kernel=3, spatial_stride=2, temporal_kernel=3, skip=True),
        Block(filters=8, spatial_type="depth", spatial_kernel=4, squeeze=0.25, context_gate=True, act="hswish"),
        Block(filters=12, spatial_type="maxpool", spatial_kernel=3, temporal_type="avgpool", temporal_kernel=2),
        Block(filters=12, spatial_type="avgpool", spatial_kernel=2, temporal_type="maxpool", temporal_kernel=3),
        Block(filters=8, spatial_type="1std", spatial_kernel=3, temporal_stride=2, temporal_kernel=2, non_local=4),
        Block(filters=8, inverted_bottleneck=True, expand=2, spatial_type="depth", spatial_kernel=3),
    ),
)
"""Every kind of layer, odd sides, even kernels, strides in space and time."""


def installed(*packages):
    return all(importlib.util.find_spec(package) for package in packages)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's directory as far as an export looks into it, with weights that are not those of a fresh network."""
    folder = tmp_path_factory.mktemp("run")
    graph, params, stats = nnx.split(Child(lower(GENOTYPE, len(CLASSES)), seed=3), nnx.Param, ...)
    rng = np.random.default_rng(0)
    params, stats = (
        jax.tree.map(lambda leaf: leaf + 0.01 * np.abs(rng.standard_normal(leaf.shape)).astype(np.float32), part)
        for part in (params, stats)
    )
    trained = TrainedNetwork(entry=of_genotype("found", GENOTYPE), classes=tuple(CLASSES), head="mean")
    save_weights(folder / "checkpoints" / "found", params, stats, trained)
    write_json(folder / "genotypes" / "found.json", GENOTYPE.to_json())
    write_json(folder / "results.json", {"data": {"class_names": CLASSES}})
    write_json(folder / "config.json", {"config": {"head": "mean"}})
    return folder, nnx.merge(graph, params, stats)


@pytest.mark.parametrize("kind", list(NEEDS))
def test_an_exported_network_computes_what_the_network_does(kind, run, tmp_path):
    if not installed(*NEEDS[kind]):
        pytest.skip(f"{' and '.join(NEEDS[kind])} not installed (the extra 'export')")
    folder, model = run
    out = tmp_path / f"net.{kind}"
    saved = open_saved(folder / "checkpoints" / "found")
    exported = export_network(saved.trained, saved.weights, kind, out)
    clip = np.random.default_rng(1).standard_normal((1, 4, 13, 13, 3)).astype(np.float32)
    theirs = run_file(out.read_bytes(), kind, clip)
    ours = np.asarray(jax.jit(model)(clip))
    np.testing.assert_allclose(theirs, ours, atol=1e-4 * max(1, np.abs(ours).max()))
    assert np.ptp(ours) > 1e-2, "scores that say nothing could not differ"
    assert exported.difference <= 1e-4
    description = json.loads(exported.description.read_text())
    assert description["classes"] == CLASSES and description["genotype"] == GENOTYPE.to_json()
    assert description["input"]["shape"] == [1, 4, 13, 13, 3] and description["input"]["frame_stride"] == 2
    assert (description["input"]["mean"], description["input"]["scale"]) == (PIXEL_MEAN, PIXEL_SCALE)
    if kind == "onnx":
        import onnxruntime

        stored = onnxruntime.InferenceSession(out.read_bytes()).get_modelmeta().custom_metadata_map
        assert json.loads(stored["classes"]) == CLASSES and json.loads(stored["input"]) == description["input"]


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    with pytest.raises(InvalidInputError, match=r"no_such_package.*pip install 'tvnjax\[export\]'"):
        optional_package("no_such_package", "exporting to X")


def error_of(capsys, *argv):
    status = main(["export", *map(str, argv)])
    lines = capsys.readouterr().err.splitlines()
    assert status == 2 and len(lines) == 1
    return lines[0]


def test_bad_input_is_one_line(run, tmp_path, capsys):
    folder, _ = run
    genotype, checkpoint = folder / "genotypes" / "found.json", folder / "checkpoints" / "found"
    assert "nothing.json" in error_of(capsys, tmp_path / "nothing.json", "--checkpoint", checkpoint)
    (tmp_path / "bad.json").write_text('{"image_size": 0}')
    assert "holds no genotype" in error_of(capsys, tmp_path / "bad.json", "--checkpoint", checkpoint)
    assert "no-weights" in error_of(capsys, genotype, "--checkpoint", folder / "no-weights")
    assert "--checkpoint" in error_of(capsys, genotype)
    assert "tensorrt" in error_of(capsys, genotype, "--checkpoint", checkpoint, "--to", "tensorrt")
    other = tmp_path / "other.json"
    other.write_text(json.dumps(GENOTYPE.replace_block(0, filters=16).to_json()))
    assert "fits the network" in error_of(capsys, other, "--checkpoint", checkpoint, "--to", "stablehlo")
    lonely = tmp_path / "lonely"  # as version 0.1 left it, outside its run
    graph = nnx.split(Child(lower(GENOTYPE, len(CLASSES))), nnx.Param, ...)
    save_state(lonely, {"params": graph[1], "stats": graph[2]})
    assert "--classes" in error_of(capsys, genotype, "--checkpoint", lonely, "--to", "stablehlo")


def test_a_checkpoint_is_not_exported_as_a_network_that_only_looks_the_same(run, tmp_path, capsys):
    """Activations leave every shape as it is, and so do sizes; on 0.1 both were exported with 'differ by 0.0e+00'."""
    folder, _ = run
    checkpoint, other = folder / "checkpoints" / "found", tmp_path / "other.json"
    swapped = GENOTYPE.replace_block(1, act="relu")
    for genotype, rule in (
        (swapped, "whose layers are not those of other"),
        (GENOTYPE.replace_block(2, spatial_type="avgpool"), "whose layers are not those of other"),
        (dataclasses.replace(GENOTYPE, image_size=16), "trained with image_size 13, and 16 was asked for"),
        (dataclasses.replace(GENOTYPE, frame_stride=1), "trained with frame_stride 2, and 1 was asked for"),
    ):
        other.write_text(json.dumps(genotype.to_json()))
        assert rule in error_of(capsys, other, "--checkpoint", checkpoint, "--to", "stablehlo")
    same = folder / "genotypes" / "found.json"
    for options, rule in (
        (["--classes", "red", "green", "blue"], "has the classes of its weights"),
        (["--head", "max_time"], "has the head of its weights"),
        (["--frames", "8"], "trained with num_frames 4, and 8 was asked for"),
    ):
        assert rule in error_of(capsys, same, "--checkpoint", checkpoint, "--to", "stablehlo", *options)


def test_the_command_writes_the_file_and_says_how_exact_it_is(run, tmp_path, capsys, monkeypatch):
    if not installed(*NEEDS["stablehlo"]):
        pytest.skip("flatbuffers not installed (the extra 'export')")
    folder, _ = run
    monkeypatch.chdir(tmp_path)
    genotype, checkpoint = folder / "genotypes" / "found.json", folder / "checkpoints" / "found"
    assert read_genotype(genotype) == GENOTYPE
    assert main(["export", str(genotype), "--checkpoint", str(checkpoint), "--to", "stablehlo"]) == 0
    assert Path("found.stablehlo").is_file() and Path("found.stablehlo.json").is_file()
    assert "differ from JAX's by" in capsys.readouterr().out


def test_the_command_that_installs_the_converter_is_the_readmes(monkeypatch):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"<!-- converter command -->\n```bash\n{CONVERTER}\n```" in readme
    monkeypatch.setitem(sys.modules, "litert_converter", None)
    with pytest.raises(InvalidInputError, match=CONVERTER):
        optional_package("litert_converter", "this")
