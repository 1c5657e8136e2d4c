"""A one-hot supernet with operators of one's own is the child, in evaluation, in training and sampled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.nn.one_hots import FAST_COMPILE, Calls, assert_one_hot_is_the_child, networks_with_every_value, randomise
from tests.own_layers import Blur, Every, Shift, Shuffled
from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Shape
from tvnjax.nn.parts import Initializer
from tvnjax.spaces.tvn.operators import named, operator_of
from tvnjax.spaces.tvn.own_operators import OwnOperator
from tvnjax.spaces.tvn.relaxation.masks import Widths
from tvnjax.spaces.tvn.relaxation.own_path import OwnPath
from tvnjax.spaces.tvn.relaxation.relaxation import TvnRelaxation
from tvnjax.spaces.tvn.relaxation.subnet import subnet
from tvnjax.spaces.tvn.relaxation.supernet import Supernet
from tvnjax.spaces.tvn.relaxed import OperatorChoices, relax_plan
from tvnjax.spaces.tvn.shapes import BlockPlan, BlockShapes, Plan, ShapeChoices, ShapeSpace
from tvnjax.trainers.gene_weights import one_hot

PLAN = Plan(
    image_size=6,
    num_frames=3,
    blocks=(
        BlockPlan(spatial_stride=2, filters=6, repeats=2),
        BlockPlan(spatial_stride=1, temporal_stride=2, filters=8),
    ),
)
OPERATORS = OperatorChoices(
    spatial_type=("std", "maxpool", Shuffled, Blur),
    spatial_kernel=(1, 2, 3),
    temporal_type=("1d", Shift(fold=3), Every),
    temporal_kernel=(1, 3),
    width=(0.5, 1.0),
    expand=(0, 1, 2),
    squeeze=(0.0,),
    context_gate=(False,),
    act=("relu", "hswish"),
    inverted_bottleneck=(False, True),
)


@pytest.fixture(scope="module")
def supernet():
    model = Supernet(relax_plan(PLAN, OPERATORS), 4)
    randomise(model)
    return Calls(model, sampled=(False, True))


def test_candidates_stand_once_unless_they_have_a_kernel_and_stride_where_they_can():
    first, second = relax_plan(PLAN, OPERATORS).blocks
    own = [(str(kind), kernel) for kind, kernel in first.spatial if isinstance(kind, OwnOperator)]
    assert own == [("Shuffled", 2), ("Blur", 2), ("Blur", 3)]
    assert [named(operator) for operator in first.spatial][-3:] == ["Shuffled", "Blur 2", "Blur 3"]
    assert [str(kind) for (kind, _), legal in zip(first.spatial, first.legal("spatial")) if not legal] == [
        "identity",
        "Shuffled",
    ]
    assert [str(kind) for (kind, _), legal in zip(second.temporal, second.legal("temporal")) if not legal] == [
        "identity",
        "Shift(fold=3)",
    ]


def candidate_names(block):
    axes = ((block.spatial_type, block.spatial_kernel), (block.temporal_type, block.temporal_kernel))
    return {operator_of(*axis)[0] for axis in axes}


@pytest.mark.parametrize("genotype", networks_with_every_value(relax_plan(PLAN, OPERATORS), 3), ids=lambda _: "")
def test_one_hot_equals_the_child_with_the_same_weights(supernet, genotype):
    assert_one_hot_is_the_child(supernet, genotype)


def test_running_statistics_of_a_single_network_are_its_own(supernet):
    """Other widths run as well, but do not count."""
    plan = supernet.model.plan
    genotype = next(
        g
        for g in networks_with_every_value(plan, 3)
        if g.blocks[1].spatial_type == "Shuffled" and g.blocks[1].spatial_kernel > 1
    )
    weights = one_hot(plan, genotype)

    def trained(graph, state, *given):
        def step(state, clip):
            module = nnx.merge(graph, state, copy=True)
            module(clip, *given, train=True, momentum=jnp.float32(0.0))
            return nnx.state(module)

        return nnx.merge(graph, jax.jit(step, compiler_options=FAST_COMPILE)(state, supernet.clip))

    moved = trained(supernet.graph, supernet.state, weights)
    child = trained(*nnx.split(subnet(supernet.model, genotype)))
    again = nnx.to_flat_state(nnx.state(subnet(moved, genotype), nnx.BatchStat))
    for (path, ours), (_, theirs) in zip(again, nnx.to_flat_state(nnx.state(child, nnx.BatchStat)), strict=True):
        np.testing.assert_allclose(ours[...], theirs[...], atol=1e-5, err_msg=str(path))


def test_weights_of_every_plan_are_slices_of_the_largest_s():
    """Eighteen channels in two groups have more of them in each than thirty-two in four."""
    blocks = (BlockShapes(spatial_stride=(1, 2), filters=(18, 32)), BlockShapes(spatial_stride=(1,), filters=(8,)))
    shapes = ShapeSpace(ShapeChoices(image_size=(6,), num_frames=(2,), num_blocks=(2,), blocks=blocks))
    operators = OperatorChoices(
        spatial_type=("std", Shuffled), spatial_kernel=(3,), temporal_type=("1d", Shift), width=(1.0,), expand=(1,)
    )
    relaxation = TvnRelaxation(shapes, operators)
    whole = dict(nnx.to_flat_state(nnx.state(relaxation.supernet(relaxation.largest(), 2), nnx.Param)))
    assert any("own" in path for path in whole)
    for plan in shapes.plans():
        for path, leaf in nnx.to_flat_state(nnx.state(relaxation.supernet(relaxation.relaxed(plan), 2), nnx.Param)):
            assert all(ours <= theirs for ours, theirs in zip(leaf.shape, whole[path].shape, strict=True)), path


def test_a_width_that_is_certain_is_the_layer_there_whatever_lies_behind():
    kind = OwnOperator(Shuffled())
    path = OwnPath((kind, 3), ("spatial", 1), Shape(2, 4, 4, 1), (3, 6, 8), (), Initializer(0), "plain")
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 2, 4, 4, 8)), jnp.float32)
    p = Widths((3, 6, 8), jnp.asarray([0.0, 1.0, 0.0]))
    ours = path(x, p, 8, train=False, momentum=0.9)
    changed = path(x.at[..., 6:].set(7.0), p, 8, train=False, momentum=0.9)
    np.testing.assert_array_equal(ours, changed)
    assert not np.any(ours[..., 6:]) and np.any(ours[..., :6])


def test_a_module_that_cannot_stand_where_its_layer_does_is_named():
    class Odd(Shuffled):
        @property
        def divided(self):
            return 4

    with pytest.raises(InvalidInputError, match=r"Odd with in_shape \(3, 3, 3, 3\): "):
        Supernet(relax_plan(PLAN, OperatorChoices(spatial_type=("std", Odd), spatial_kernel=(3,))), 4)
