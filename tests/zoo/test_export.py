"""Networks other than TVNs as files of other runtimes."""

import importlib.util

import numpy as np
import pytest
from flax import nnx

from tests.zoo.small import NETWORKS
from tests.zoo.weights import randomize
from tvnjax.export.formats import convert
from tvnjax.export.program import export_program
from tvnjax.export.run_file import largest_difference
from tvnjax.nn.child import Child
from tvnjax.zoo.registry import ZOO, zoo_entry

NEEDS = {
    "stablehlo": ("flatbuffers",),
    "onnx": ("onnx", "onnxruntime"),
    "tflite": ("litert_converter", "ai_edge_litert"),
}


def exported_difference(network, kind, scalars=(0.5, 1.0)):
    if not all(importlib.util.find_spec(package) for package in NEEDS[kind]):
        pytest.skip(f"{' and '.join(NEEDS[kind])} not installed (the extra 'export')")
    child = Child(network)
    randomize(child, scalars=scalars)
    program = export_program(network, nnx.state(child))
    clip = np.random.default_rng(0).standard_normal(program.inputs["clip"].shape).astype(np.float32)
    return largest_difference(convert(program, kind, {}), kind, program, clip)


@pytest.mark.parametrize("kind", NEEDS)
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "tvn"])
def test_a_small_member_of_every_family(name, kind):
    assert exported_difference(NETWORKS[name], kind) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("kind", NEEDS)
@pytest.mark.parametrize("name", ZOO)
def test_every_network(name, kind):
    network = zoo_entry(name).network(num_frames=2, image_size=64)
    assert exported_difference(network, kind, scalars=(0.2, 0.4)) <= 1e-4
