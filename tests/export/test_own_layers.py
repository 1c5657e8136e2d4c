"""Networks with layers that people write compute in other runtimes what they do here, in a chain and in a TVN."""

import importlib.util
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.export.test_export import NEEDS, installed
from tests.own_layers import Blur, Every, Shift, Shuffled
from tvnjax.core.errors import InvalidInputError
from tvnjax.export.formats import convert
from tvnjax.export.program import export_program
from tvnjax.export.run_file import largest_difference
from tvnjax.graph import Layer
from tvnjax.nn.child import Child
from tvnjax.spaces.chain.options import conv
from tvnjax.spaces.chain.space import ChainSpace
from tvnjax.spaces.tvn.genotype import Block, Genotype

NEEDED = NEEDS | {"onnx": ("jax2onnx", *NEEDS["onnx"])}
CHAIN = ChainSpace(
    frames=4, size=7, positions=[[conv(8, 3, stride=2)], [Shift(fold=4)], [Shuffled()], [Blur(stride=2)], [conv(6)]]
).genotype([0] * 5)
TVN = Genotype(
    image_size=9,
    num_frames=4,
    blocks=(
        Block(filters=8, spatial_kernel=3, spatial_stride=2, temporal_type=Shift(fold=4), temporal_kernel=3),
        Block(filters=8, spatial_type=Shuffled, spatial_kernel=3, temporal_type=Every, temporal_kernel=2, expand=2),
        Block(
            filters=8, spatial_type=Blur, spatial_kernel=2, spatial_stride=2, skip=True, temporal_kernel=3, repeats=2
        ),
    ),
)


def away_from_the_start(network):
    """Weights and statistics that are not those of a fresh network."""
    child, rng = Child(network, seed=1), np.random.default_rng(0)
    for _, leaf in nnx.to_flat_state(nnx.state(child)):
        leaf[...] = leaf[...] + 0.1 * np.abs(rng.standard_normal(leaf.shape)).astype(np.float32)
    return nnx.split(child, nnx.Param, ...)[1:]


@pytest.mark.parametrize("kind", list(NEEDED))
@pytest.mark.parametrize("genotype", [CHAIN, TVN], ids=["chain", "tvn"])
def test_it_computes_what_the_network_does(genotype, kind):
    if not installed(*NEEDED[kind]):
        pytest.skip(f"{' and '.join(NEEDED[kind])} not installed")
    network = genotype.lower(3)
    program = export_program(network, *away_from_the_start(network))
    clip = np.random.default_rng(1).standard_normal(program.inputs["clip"].shape).astype(np.float32)
    assert largest_difference(convert(program, kind, {}), kind, program, clip) < 1e-5


@pytest.mark.skipif(not installed("jax2onnx", "onnx"), reason="jax2onnx is not installed")
def test_the_converter_leaves_jax_as_it_was():
    program = export_program(CHAIN.lower(3))
    before = {name: getattr(jnp, name) for name in dir(jnp)}
    convert(program, "onnx", {})
    assert [name for name, value in before.items() if getattr(jnp, name) is not value] == []
    assert float(jnp.cumsum(jnp.ones(3), 0)[-1]) == 3


class SortedModule(nnx.Module):
    def __call__(self, x):
        return jnp.linalg.svd(x, compute_uv=False)[..., None] * jnp.ones_like(x)


class Sorted(Layer):
    def build(self, rngs):
        return SortedModule()


@pytest.mark.skipif(not installed("jax2onnx", "onnx"), reason="jax2onnx is not installed")
def test_what_the_converter_cannot_express_is_named_with_the_formats_that_can():
    space = ChainSpace(frames=1, size=3, positions=[[conv(3, 1)], [Sorted()]])
    with pytest.raises(InvalidInputError, match=r"cannot express Sorted .*export to stablehlo or tflite"):
        convert(export_program(space.genotype([0, 0]).lower(2)), "onnx", {})


def test_without_the_converter_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    if importlib.util.find_spec("onnx") is None:
        pytest.skip("onnx not installed")
    with pytest.raises(InvalidInputError, match=r"ONNX form of Shift needs the package jax2onnx.*pip inst"):
        convert(export_program(CHAIN.lower(3)), "onnx", {})
