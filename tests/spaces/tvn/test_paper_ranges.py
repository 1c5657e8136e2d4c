"""The paper's whole ranges as plans and what is relaxed inside each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.variables import ArchParam
from tvnjax.spaces.tvn.relaxation.room import least_weights
from tvnjax.spaces.tvn.relaxed import GENES
from tvnjax.spaces.tvn.search_space import paper_ranges, paper_space, search_space
from tvnjax.spaces.tvn.shapes import BLOCK_SHAPE_GENES, BlockPlan, Plan, ShapeKey
from tvnjax.trainers.objective import cross_entropy


@pytest.mark.parametrize("mobile", [False, True])
def test_the_union_of_all_plans_is_the_paper_s_space(mobile):
    space = paper_space(mobile=mobile)
    assert search_space(*paper_ranges(mobile=mobile)) == space
    block = space.blocks[7]
    assert block.filters == tuple(range(32, 2049, 32)) and block.expand == tuple(range(9))
    assert len(block.spatial_type) == 5 and block.spatial_kernel == block.temporal_stride == tuple(range(1, 9))
    assert space.num_frames == tuple(range(1, 33)) and space.image_size == tuple(range(32, 321, 32))


@pytest.mark.parametrize("clip_frames", [1, 2, 20, 64])
def test_a_short_clip_leaves_plans_out_and_the_ranges_as_they_are(clip_frames):
    space, whole = paper_space(clip_frames=clip_frames), paper_space()
    assert space.blocks == whole.blocks and space.num_frames == whole.num_frames
    relaxation, rng = space.relax(), np.random.default_rng(0)
    assert relaxation is not None
    frames = relaxation.values(ShapeKey("num_frames"))
    assert max(frames) == min(clip_frames, 32)
    for _ in range(50):
        plan = relaxation.shapes.sample(relaxation.uniform(), rng)
        assert plan.window <= clip_frames
        genotype = relaxation.relaxed(plan).decode(tuple(draw(block, rng) for block in relaxation.relaxed(plan).blocks))
        assert len(genotype.lower(10).units) <= 64


def draw(block, rng):
    return {gene: int(rng.choice(np.flatnonzero(block.legal(gene)))) for gene in GENES}


def test_networks_drawn_from_the_space_are_of_its_plans():
    space, rng = paper_space(clip_frames=64), np.random.default_rng(1)
    relaxation = space.relax()
    assert relaxation is not None
    held = 0
    for _ in range(200):
        genotype = space.sample(rng)
        blocks = tuple(BlockPlan(**{g: getattr(b, g) for g in BLOCK_SHAPE_GENES}) for b in genotype.blocks)
        plan = Plan(
            image_size=genotype.image_size,
            num_frames=genotype.num_frames,
            frame_stride=genotype.frame_stride,
            blocks=blocks,
        )
        relaxed = relaxation.relaxed(relaxation.shapes.canonical(plan))
        assert relaxation.shapes.probability(plan, relaxation.uniform()) > 0
        try:
            chosen = relaxed.encode(genotype)
        except ValueError:  # an identity that a stride passes over, or attention over too many positions
            continue
        held += 1
        assert relaxed.decode(chosen).lower(10).macs == genotype.lower(10).macs
    assert held > 20


def test_a_plan_of_the_paper_s_ranges_trains():
    relaxation = paper_space().relax()
    assert relaxation is not None
    plan = Plan(image_size=32, num_frames=3, blocks=(BlockPlan(filters=32),))
    net = relaxation.supernet(relaxation.relaxed(plan), 4)
    graph, alphas, params, rest = nnx.split(net, ArchParam, nnx.Param, ...)
    assert len(net.plan.blocks[0].spatial) == 36 and len(net.plan.blocks[0].temporal) == 22
    clip, label = jax.random.normal(jax.random.key(0), (4, 3, 32, 32, 3)), jnp.arange(4)

    @jax.jit
    def step(params):
        def loss(params):
            model = nnx.merge(graph, alphas, params, rest, copy=True)
            return cross_entropy(model(clip, net.probabilities(), train=True), label)

        value, slope = jax.value_and_grad(loss)(params)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, slope), value

    losses = []
    for _ in range(6):
        params, value = step(params)
        losses.append(float(value))
    assert losses[0] == pytest.approx(np.log(4), rel=0.05) and (np.diff(losses) < 0).all()


def test_a_supernet_that_memory_cannot_hold_is_refused_before_it_is_made():
    relaxation = paper_space().relax()
    assert relaxation is not None
    with pytest.raises(InvalidInputError, match=r"2\.2e\+11 weights take 2,4\d\d GiB with .* lower the largest shapes"):
        relaxation.supernet(relaxation.largest(), 4)


@pytest.mark.parametrize("repeats, filters", [(1, 32), (3, 64)])
def test_what_is_refused_by_is_no_more_than_the_supernet_has(repeats, filters):
    relaxation = paper_space().relax()
    assert relaxation is not None
    block = BlockPlan(filters=filters, repeats=repeats, spatial_stride=1)
    relaxed = relaxation.relaxed(Plan(image_size=32, num_frames=4, blocks=(block,)))
    net = nnx.eval_shape(lambda: relaxation.supernet(relaxed, 4))
    whole = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(net, nnx.Param)))
    assert 0.1 * whole < least_weights(relaxed) <= whole
