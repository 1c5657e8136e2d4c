"""Networks that are no chains compute the same in every format: branches, fusions and several named inputs."""

import numpy as np
import pytest
from flax import nnx

from tests.export.test_export import NEEDS, installed
from tests.graph.example_networks import assemblenet_like, conv, evanet_like, network, unit
from tests.graph.random_graphs import draw_graph
from tests.graph.reference import disturbed, scores
from tvnjax.core.errors import InvalidInputError
from tvnjax.export.formats import convert
from tvnjax.export.program import export_program
from tvnjax.export.run_file import largest_difference, run_file
from tvnjax.graph import Join, Merge, Network, Shape, Stream
from tvnjax.nn.child import Child, UnitModule
from tvnjax.nn.parts import Initializer

EXAMPLES = {"branches": evanet_like, "streams": assemblenet_like}


def check(kind: str, lowered: Network, seed: int) -> None:
    if not installed(*NEEDS[kind]):
        pytest.skip(f"{' and '.join(NEEDS[kind])} not installed (the extra 'export')")
    rng = np.random.default_rng(seed)
    child = disturbed(Child(lowered, form="plain"), rng)
    program = export_program(lowered, nnx.state(child))
    assert list(program.inputs) == (["clip"] if len(lowered.input_shapes) == 1 else ["clip_1", "clip_2"])
    streams = [rng.standard_normal(given.shape).astype(np.float32) for given in program.inputs.values()]
    content = convert(program, kind, {})  # type: ignore[arg-type]
    ours, theirs = scores(lowered, child, streams), run_file(content, kind, *streams)  # type: ignore[arg-type]
    np.testing.assert_allclose(theirs, ours, atol=1e-4 * max(1, np.abs(ours).max()))
    assert np.ptp(ours) > 1e-2, "scores that say nothing could not differ"
    assert largest_difference(content, kind, program, *streams) <= 1e-5  # type: ignore[arg-type]
    if len(streams) > 1 and streams[0].shape == streams[1].shape:
        crossed = run_file(content, kind, *reversed(streams))  # type: ignore[arg-type]
        assert np.abs(crossed - ours).max() > 1e-3


@pytest.mark.parametrize("kind", list(NEEDS))
@pytest.mark.parametrize("name", EXAMPLES)
def test_scores_are_those_of_the_definition(name, kind):
    check(kind, EXAMPLES[name](), 1)


@pytest.mark.parametrize("kind", ["onnx"])
@pytest.mark.parametrize("seed", range(8))
def test_random_graphs_are_exported(seed, kind):
    check(kind, draw_graph(np.random.default_rng(seed)), seed)


def test_inputs_keep_their_order():
    """Two streams of one shape: exchanged, they give other scores."""
    clip = Shape(1, 4, 4, 3)
    stems = [unit(0, 0, (conv(clip, 4, act="relu"),), inputs=(Stream(index),)) for index in range(2)]
    join = Merge(in_shapes=(stems[0].out_shape,) * 2, how="concat")
    check("onnx", network(clip, [*stems, unit(1, 0, (), inputs=(0, 1), join=join)], further_inputs=(clip,)), 3)


def test_a_unit_of_several_inputs_is_exported():
    if not installed(*NEEDS["onnx"]):
        pytest.skip("onnx is not installed (the extra 'export')")
    import onnxruntime

    from tvnjax.export.onnx import onnx_unit

    lowered = assemblenet_like()
    fused, rng = lowered.units[4], np.random.default_rng(0)
    module = UnitModule(fused, Initializer(0), "plain")
    session = onnxruntime.InferenceSession(onnx_unit(fused, module), providers=["CPUExecutionProvider"])
    arrays = [rng.standard_normal((1, *shape)).astype(np.float32) for shape in fused.in_shapes]
    assert [given.name for given in session.get_inputs()] == [f"clip_{number}" for number in range(1, 5)]
    feed = {f"clip_{number}": array[0].transpose(0, 3, 1, 2) for number, array in enumerate(arrays, 1)}
    given = session.run(None, feed)[0].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(given[None], module(*arrays, train=False), atol=1e-5)


def test_a_join_without_an_onnx_form_is_refused():
    if not installed("onnx"):
        pytest.skip("onnx is not installed (the extra 'export')")

    class Unknown(Join):
        @property
        def out_shape(self):
            return self.in_shapes[0]

        def build(self, rngs):
            return First()

    class First(nnx.Module):
        def __call__(self, arrays):
            return arrays[0]

    clip = Shape(1, 4, 4, 3)
    lowered = network(clip, [unit(0, 0, (), inputs=(Stream(0),), join=Unknown(in_shapes=(clip,)))])
    with pytest.raises(InvalidInputError, match="no ONNX form is known for a join unknown"):
        convert(export_program(lowered), "onnx", {})
