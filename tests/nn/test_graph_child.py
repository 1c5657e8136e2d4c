"""The module of a network that is no chain computes what the graph says."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.graph.example_networks import assemblenet_like, conv, evanet_like, network, unit
from tests.graph.random_graphs import draw_graph
from tests.graph.reference import disturbed, scores
from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Branches, Fuse, Join, Layer, Merge, Network, Shape, Stream
from tvnjax.nn.child import Child
from tvnjax.nn.layers import build_layer
from tvnjax.nn.parts import Initializer

EXAMPLES = {"branches": evanet_like, "streams": assemblenet_like}


def streams_of(lowered: Network, rng: np.random.Generator, batch: int = 2) -> list[np.ndarray]:
    return [rng.standard_normal((batch, *shape)).astype(np.float32) for shape in lowered.input_shapes]


@pytest.mark.parametrize("form", ["plain", "shifted"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_scores_are_those_of_the_definition(name, form):
    rng = np.random.default_rng(1)
    lowered = EXAMPLES[name]()
    child = disturbed(Child(lowered, form=form), rng)
    streams = streams_of(lowered, rng)
    graphdef, state = nnx.split(child)
    given = tuple(streams) if len(streams) > 1 else streams[0]
    ours = jax.jit(lambda state, given: nnx.merge(graphdef, state)(given))(state, given)
    expected = scores(lowered, child, streams)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)
    assert np.ptp(expected) > 0.1


def test_random_graphs_have_the_shapes_and_counts_of_the_lowering():
    """Also without a weight: ``eval_shape`` runs no arithmetic."""
    rng = np.random.default_rng(7)
    joined, streams = set(), set()
    for _ in range(40):
        lowered = draw_graph(rng)
        child = Child(lowered)
        assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(child, nnx.Param))) == lowered.params
        graphdef, state = nnx.split(child)
        for index, part in enumerate(lowered.units):
            arrays = [jax.ShapeDtypeStruct((2, *shape), jnp.float32) for shape in part.in_shapes]
            run = functools.partial(_unit, graphdef, index)
            assert jax.eval_shape(run, state, *arrays).shape == (2, *part.out_shape)
            joined.add((type(part.join).__name__, getattr(part.join, "how", ""), len(part.in_shapes) > 2))
        clips = tuple(jax.ShapeDtypeStruct((2, *shape), jnp.float32) for shape in lowered.input_shapes)
        whole = jax.eval_shape(lambda state, clips: nnx.merge(graphdef, state)(clips), state, clips)  # noqa: B023
        assert whole.shape == (2, 3)
        streams.add(len(lowered.input_shapes))
    assert streams == {1, 2} and {("Fuse", "", True), ("Merge", "concat", True), ("Merge", "sum", False)} <= joined


def _unit(graphdef, index, state, *arrays):
    return nnx.merge(graphdef, state).units[index](*arrays, train=False)


def test_random_graphs_compute_what_they_say():
    rng = np.random.default_rng(11)
    for _ in range(4):
        lowered = draw_graph(rng)
        child = disturbed(Child(lowered, form="plain"), rng)
        streams = streams_of(lowered, rng)
        np.testing.assert_allclose(child(tuple(streams)), scores(lowered, child, streams), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_gradient_reaches_every_gate_kernel_and_branch(name):
    rng = np.random.default_rng(2)
    lowered = EXAMPLES[name]()
    graphdef, params, rest = nnx.split(disturbed(Child(lowered), rng), nnx.Param, ...)
    streams = tuple(streams_of(lowered, rng, 3))

    def loss(params):
        return (nnx.merge(graphdef, params, rest, copy=True)(streams, train=True) ** 2).sum()

    flat = nnx.to_flat_state(jax.jit(jax.grad(loss))(params))
    paths = {"/".join(map(str, path)): np.abs(np.asarray(leaf[...])).max(0) for path, leaf in flat}
    assert all((largest > 1e-7).any() for largest in paths.values())
    gates = [np.asarray(leaf[...]) for path, leaf in flat if path[-1] == "gates"]
    assert all((np.abs(gate) > 1e-6).all() for gate in gates) and len(gates) == (3 if name == "streams" else 0)
    if name == "branches":
        assert {f"units/2/layers/0/branches/{branch}" for branch in range(3)} <= {
            path.rsplit("/", 2)[0] for path in paths
        }


def test_gates_start_at_a_half_and_inputs_of_one_width_share_a_kernel():
    shapes = tuple(Shape(1, 2, 2, width) for width in (3, 3, 5, 2))
    child = build_layer(Fuse(in_shapes=shapes), Initializer(0), "plain")
    np.testing.assert_allclose(nnx.sigmoid(child.gates[...]), 0.5, atol=0.02)
    assert np.ptp(np.asarray(child.gates[...])) > 0
    assert [kernel.shape for kernel in child.kernels] == [(1, 1, 1, 3, 5), (1, 1, 1, 2, 5)]
    arrays = [np.full((1, *shape), value, np.float32) for shape, value in zip(shapes, (1.0, -1.0, 0.0, 0.0))]
    child.gates[...] = jnp.zeros(4)
    np.testing.assert_allclose(child(arrays, train=False), 0, atol=1e-6)  # equal and opposite, behind one kernel


def test_frames_stay_apart_in_a_fusion():
    shapes = (Shape(3, 4, 4, 2), Shape(3, 2, 2, 4))
    child = build_layer(Fuse(in_shapes=shapes), Initializer(0), "plain")
    rng = np.random.default_rng(0)
    first, second = (rng.standard_normal((1, *shape)).astype(np.float32) for shape in shapes)
    changed = first.copy()
    changed[:, 1] += 1
    difference = np.abs(np.asarray(child((changed, second), train=False) - child((first, second), train=False)))
    assert (difference.max((0, 2, 3, 4)) > 0).tolist() == [False, True, False]


def test_streams_are_counted():
    lowered = assemblenet_like()
    child, (clip, flow) = Child(lowered), streams_of(lowered, np.random.default_rng(0))
    for given, count in ((clip, 1), ((clip,), 1), ((clip, flow, flow), 3)):
        with pytest.raises(InvalidInputError, match=f"each stream it reads, 2 here; got {count}"):
            child(given)


def test_an_own_join_is_checked_and_runs():
    class Longest(Join):
        """The largest of its inputs, element by element."""

        @property
        def out_shape(self):
            return self.in_shapes[0]

        def build(self, rngs):
            return LongestModule()

    class LongestModule(nnx.Module):
        def __call__(self, arrays):
            return functools.reduce(jnp.maximum, arrays)

    class WiderModule(nnx.Module):
        def __call__(self, arrays):
            return jnp.concatenate(arrays, axis=-1)

    class Wider(Longest):
        def build(self, rngs):
            return WiderModule()

    clip = Shape(2, 4, 4, 3)
    stems = [unit(0, 0, (conv(clip, 4),), inputs=(Stream(index),)) for index in range(2)]
    shapes = (stems[0].out_shape,) * 2

    def lowered(join: Join) -> Network:
        return network(clip, [*stems, unit(1, 0, (), inputs=(0, 1), join=join)], further_inputs=(clip,))

    child = Child(lowered(Longest(in_shapes=shapes)))
    streams = streams_of(lowered(Longest(in_shapes=shapes)), np.random.default_rng(0))
    ends = [child.units[index](streams[index], train=False) for index in range(2)]
    np.testing.assert_array_equal(child.units[2](*ends, train=False), np.maximum(*ends))
    words = r"Wider says \(2, 4, 4, 4\) for \(2, 4, 4, 4\) and \(2, 4, 4, 4\), and its module gives \(2, 4, 4, 8\)"
    with pytest.raises(InvalidInputError, match=words):
        Child(lowered(Wider(in_shapes=shapes)))


def test_a_layer_without_a_module_inside_of_branches_is_named():
    class Bare(Layer):
        pass

    shape = Shape(1, 2, 2, 3)
    layer = Branches(in_shape=shape, branches=((Bare(in_shape=shape),), ()), how="sum")
    with pytest.raises(InvalidInputError, match="Bare has none"):
        build_layer(layer, Initializer(0), "plain")


def test_merges():
    shape = Shape(1, 2, 2, 3)
    arrays = [np.full((1, *shape), value, np.float32) for value in (1.0, 2.0, 6.0)]
    for how, value, width in (("sum", 9.0, 3), ("mean", 3.0, 3)):
        given = build_layer(Merge(in_shapes=(shape,) * 3, how=how), Initializer(0), "plain")(arrays, train=False)
        np.testing.assert_allclose(given, np.full((1, 1, 2, 2, width), value))
    joined = build_layer(Merge(in_shapes=(shape,) * 3, how="concat"), Initializer(0), "plain")(arrays, train=False)
    np.testing.assert_allclose(joined[0, 0, 0, 0], [1] * 3 + [2] * 3 + [6] * 3)
