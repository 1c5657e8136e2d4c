"""A one-hot supernet is the child, for every value of every gene; plans share parameters by their leading corners."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.nn.one_hots import Calls, assert_one_hot_is_the_child, networks_with_every_value, randomise
from tvnjax.core.variables import ArchParam
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.relaxation.supernet import Supernet, softmax_weights
from tvnjax.spaces.tvn.relaxed import GENES, OperatorChoices, relax_plan
from tvnjax.spaces.tvn.shapes import BlockPlan, Plan
from tvnjax.trainers.gene_weights import one_hot

# Odd and even sizes, a stride above 1 in space and in time, repeats, and every kind with an even kernel.
PLAN = Plan(
    image_size=7,
    num_frames=3,
    blocks=(
        BlockPlan(spatial_stride=2, filters=6, repeats=2),
        BlockPlan(spatial_stride=1, temporal_stride=2, filters=8),
    ),
)
OPERATORS = OperatorChoices(
    spatial_type=("std", "1std", "depth", "maxpool", "avgpool"),
    spatial_kernel=(1, 2, 3, 4),
    temporal_kernel=(1, 2, 3),
    width=(0.5, 1.0),
    expand=(0, 1, 2),
    squeeze=(0.0, 0.4, 0.8),
    non_local=(0, 4, 6),
    spatial_act=("relu", "hswish"),
    temporal_act=("hswish", "relu"),
    act=("relu", "hswish"),
    inverted_bottleneck=(False, True),
)


def calls_of(plan, operators=OPERATORS, **options):
    sampled = options.pop("sampled", (False,))
    model = Supernet(relax_plan(plan, operators), 4, **options)
    randomise(model)
    return Calls(model, sampled)


@pytest.fixture(scope="module")
def every_gene():
    return calls_of(PLAN, sampled=(False, True), head="softmax_time")


@pytest.mark.parametrize("genotype", networks_with_every_value(relax_plan(PLAN, OPERATORS)), ids=lambda genotype: "")
def test_one_hot_equals_the_child_with_the_same_weights(every_gene, genotype):
    assert_one_hot_is_the_child(every_gene, genotype)


# The whole range of the genes that decide widths; a few operators, so that a supernet of 32 channels compiles quickly.
WIDTHS = OperatorChoices(
    spatial_type=("std", "maxpool"),
    spatial_kernel=(1, 3),
    temporal_type=("1d", "avgpool"),
    temporal_kernel=(1, 3),
    width=(0.5, 1.0),
    expand=tuple(range(9)),
    squeeze=tuple(eighth / 8 for eighth in range(8)),
    non_local=(0, 4, 8),
    act=("hswish", "relu"),
    inverted_bottleneck=(True, False),
)
WIDTHS_PLAN = Plan(image_size=4, num_frames=2, blocks=(BlockPlan(spatial_stride=1, filters=6, repeats=2),))


@pytest.fixture(scope="module")
def every_width():
    return calls_of(WIDTHS_PLAN, WIDTHS, head="max_time")


@pytest.mark.parametrize(
    ("expand", "inverted"), [(expand, False) for expand in range(9)] + [(expand, True) for expand in (0, 1, 3, 8)]
)
def test_every_width_plain_and_inverted(every_width, expand, inverted):
    plan = relax_plan(WIDTHS_PLAN, WIDTHS)
    (block,) = networks_with_every_value(plan, seed=expand)[expand].blocks
    network = Genotype(image_size=4, num_frames=2, blocks=(block,))
    genes = {"expand": expand, "inverted_bottleneck": inverted, "squeeze": (expand % 8) / 8}
    assert_one_hot_is_the_child(every_width, network.replace_block(0, **genes))


@pytest.mark.parametrize("temporal", ["identity", "avgpool", "1d"])
@pytest.mark.parametrize("spatial", ["identity", "maxpool", "std"])
def test_without_expansion_a_unit_of_pools_keeps_its_width(every_width, spatial, temporal):
    kinds = {} if spatial == "identity" else {"spatial_type": spatial, "spatial_kernel": 3}
    kinds |= {} if temporal == "identity" else {"temporal_type": temporal, "temporal_kernel": 3}
    block = Block(**{"repeats": 2, "expand": 0, "filters": 6, "squeeze": 0.875, "skip": True} | kinds)
    assert_one_hot_is_the_child(every_width, Genotype(image_size=4, num_frames=2, blocks=(block,)))


FEW = OperatorChoices(
    spatial_type=("1std", "avgpool"),
    spatial_kernel=(1, 3),
    temporal_kernel=(1, 2),
    width=(0.5, 1.0),
    expand=(0, 1),
    squeeze=(0.0, 0.5),
    non_local=(0, 4),
)
UNUSUAL_PLANS = {
    "one frame of one pixel": Plan(image_size=1, num_frames=1, blocks=(BlockPlan(spatial_stride=1, filters=4),) * 2),
    "eight repeats": Plan(image_size=3, num_frames=2, blocks=(BlockPlan(filters=4, temporal_stride=2, repeats=8),)),
    "long strides": Plan(
        image_size=8, num_frames=8, blocks=(BlockPlan(spatial_stride=8, temporal_stride=7, filters=4, repeats=2),)
    ),
}


@pytest.mark.parametrize("name", UNUSUAL_PLANS)
def test_repeats_strides_and_single_frames_and_pixels(name):
    calls = calls_of(UNUSUAL_PLANS[name], FEW)
    for genotype in networks_with_every_value(calls.model.plan, seed=3):
        assert_one_hot_is_the_child(calls, genotype)


def test_two_paths_sampled_are_their_mixture(every_gene):
    first, second = (one_hot(every_gene.model.plan, g) for g in networks_with_every_value(every_gene.model.plan)[:2])
    weights = jax.tree.map(lambda a, b: 0.3 * a + 0.7 * b, first, second)
    for train in (False, True):
        mixed, sampled = (every_gene(weights, train=train, sampled=how) for how in (False, True))
        np.testing.assert_allclose(sampled, mixed, atol=1e-5 * float(jnp.abs(mixed).max()))


SMALL_PLAN = Plan(
    image_size=5,
    num_frames=1,
    blocks=(BlockPlan(spatial_stride=2, filters=4, repeats=1),),
)


def test_a_small_plan_runs_on_corners_of_a_large_ones_weights(every_gene):
    """Fewer blocks, repeats and frames, narrower: every parameter is a leading corner of the same-named one."""
    small = Supernet(relax_plan(SMALL_PLAN, OPERATORS), 4, head="softmax_time")
    kinds = nnx.Any(nnx.Param, nnx.BatchStat)
    large = dict(nnx.to_flat_state(nnx.state(every_gene.model, kinds)))
    for path, variable in nnx.to_flat_state(nnx.state(small, kinds)):
        assert len(large[path].shape) == len(variable.shape)
        assert all(ours <= theirs for ours, theirs in zip(variable.shape, large[path].shape)), path
        variable[...] = large[path][...][tuple(slice(size) for size in variable.shape)]
    calls = Calls(small)
    for genotype in networks_with_every_value(small.plan)[:3]:
        assert_one_hot_is_the_child(calls, genotype)


@pytest.mark.parametrize("operators", [OPERATORS, WIDTHS, FEW, OperatorChoices()])
@pytest.mark.parametrize("frames", [1, 2])
def test_every_plan_has_corners_of_the_largest_ones_parameters(operators, frames):
    def parameters(plan):
        graph = nnx.eval_shape(lambda: Supernet(relax_plan(plan, operators), 4))
        return {path: variable.shape for path, variable in nnx.to_flat_state(nnx.state(graph))}

    def blocks(*filters, repeats):
        return tuple(BlockPlan(spatial_stride=1, filters=width, repeats=repeats) for width in filters)

    large = parameters(Plan(image_size=6, num_frames=2, blocks=blocks(20, 12, 8, repeats=3)))
    for repeats in (1, 2):
        for filters in ((20,), (8, 12), (12, 12, 8)):
            plan = Plan(image_size=5, num_frames=frames, blocks=blocks(*filters, repeats=repeats))
            for path, shape in parameters(plan).items():
                assert all(ours <= theirs for ours, theirs in zip(shape, large[path], strict=True)), (plan, path)


def test_logits_stand_apart_from_weights_and_belong_to_every_choice():
    model = Supernet(relax_plan(Plan(num_frames=1, image_size=8), OPERATORS), 3)
    alphas = nnx.to_flat_state(nnx.state(model, ArchParam))
    assert {path[-1] for path, _ in alphas} == set(GENES)  # also of the temporal choice, idle in one frame
    assert not any("alphas" in path for path, _ in nnx.to_flat_state(nnx.state(model, nnx.Param)))
    for block, p in zip(model.plan.blocks, model.probabilities(0.5)):
        for gene in GENES:
            np.testing.assert_allclose(p[gene].sum(), 1, atol=1e-6)
            assert p[gene].shape == (len(block.candidates(gene)),)


def test_illegal_candidates_get_no_weight_and_idle_choices_their_default():
    operators = OperatorChoices(spatial_kernel=(1, 3), non_local=(4, 0), non_local_tokens=1)
    plan = relax_plan(Plan(image_size=8, num_frames=1, blocks=(BlockPlan(spatial_stride=2),)), operators)
    rng = np.random.default_rng(0)
    alphas = [
        {gene: jnp.asarray(rng.standard_normal(len(plan.blocks[0].candidates(gene)))) for gene in GENES}
        for _ in range(3)  # those of absent blocks are ignored
    ]
    ((block,), (p,)) = plan.blocks, softmax_weights(plan, alphas, 2.0)
    assert not block.legal("spatial")[0]
    logits = np.exp(np.asarray(alphas[0]["spatial"]) / 2) * block.legal("spatial")
    np.testing.assert_allclose(p["spatial"], logits / logits.sum(), rtol=1e-5)
    np.testing.assert_array_equal(p["non_local"], [0, 1])
    np.testing.assert_array_equal(p["temporal"], np.eye(len(block.temporal))[0])
    gradient = jax.grad(lambda logits: softmax_weights(plan, logits, 2.0)[0]["spatial"][1])(alphas)
    assert gradient[0]["spatial"][0] == 0 and np.isfinite(gradient[0]["spatial"]).all() and gradient[0]["spatial"].any()
    assert not gradient[0]["temporal"].any()
