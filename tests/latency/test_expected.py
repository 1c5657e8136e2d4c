"""Expected cost against the lowering, against sampling, and its gradient."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvnjax.latency.expected import ExpectedCost
from tvnjax.latency.extremes import extreme_network
from tvnjax.nn.supernet import one_hot
from tvnjax.space.lowering import lower
from tvnjax.space.relaxed import GENES, OperatorChoices, relax_plan
from tvnjax.space.shapes import BlockPlan, Plan

PLAN = Plan(
    image_size=11,
    num_frames=4,
    blocks=(
        BlockPlan(spatial_stride=2, filters=12, repeats=2),
        BlockPlan(spatial_stride=1, temporal_stride=2, filters=16, repeats=3),
        BlockPlan(spatial_stride=3, filters=8),
    ),
)
RELAXED = relax_plan(PLAN, OperatorChoices(width=(0.5, 1.0), expand=(1, 2, 3)))
UNIT_MS, CONSTANT_MS, CLASSES = 0.3, 2.0, 5


def layer_cost(layer) -> float:
    """A cost of no structure at all: any two layers that differ in anything cost differently."""
    return zlib.crc32(repr(layer).encode()) % 1000 / 100


def network_cost(genotype) -> float:
    network = lower(genotype, CLASSES)
    layers = sum(layer_cost(layer) for layer in network.layers())
    return CONSTANT_MS + UNIT_MS * len(network.units) + layers + layer_cost(network.head)


@pytest.fixture(scope="module")
def expected():
    return ExpectedCost(RELAXED, CLASSES, layer_cost, unit_cost=UNIT_MS, constant=CONSTANT_MS)


def random_logits(seed):
    rng = np.random.default_rng(seed)
    return tuple(
        {gene: jnp.asarray(rng.standard_normal(len(block.candidates(gene))), jnp.float32) for gene in GENES}
        for block in RELAXED.blocks
    )


def softmax(logits):
    return jax.tree.map(jax.nn.softmax, logits)


def draw(p, rng):
    chosen = tuple(
        {
            gene: int(rng.choice(len(q), p=np.asarray(q, float) / np.asarray(q, float).sum()))
            for gene, q in block.items()
        }
        for block in p
    )
    return RELAXED.decode(chosen)


def test_at_one_hot_it_is_the_network_s_own_cost(expected):
    rng, p, call = np.random.default_rng(0), softmax(random_logits(0)), jax.jit(lambda w: expected(w))
    for _ in range(25):
        genotype = draw(p, rng)
        assert float(call(one_hot(RELAXED, genotype))) == pytest.approx(network_cost(genotype), rel=1e-5)


def test_it_is_the_mean_over_sampled_networks(expected):
    rng, p = np.random.default_rng(1), softmax(random_logits(1))
    costs = [network_cost(draw(p, rng)) for _ in range(2000)]
    error = np.std(costs) / np.sqrt(len(costs))
    assert abs(float(expected(p)) - np.mean(costs)) < 3 * error


def test_its_gradient_matches_finite_differences(expected):
    logits = random_logits(2)
    flat, unravel = jax.flatten_util.ravel_pytree(logits)
    with jax.enable_x64():
        call = jax.jit(lambda v: expected(softmax(unravel(v.astype(jnp.float32)))))
        gradient = jax.grad(call)(flat)
        rng = np.random.default_rng(2)
        for _ in range(5):
            direction = jnp.asarray(rng.standard_normal(flat.shape), jnp.float32)
            step = 0.02
            slope = (float(call(flat + step * direction)) - float(call(flat - step * direction))) / (2 * step)
            assert slope == pytest.approx(float(gradient @ direction), rel=0.02, abs=0.02)


def test_block_options_sum_to_the_network_s_cost(expected):
    rng, p = np.random.default_rng(3), softmax(random_logits(3))
    for _ in range(10):
        genotype = draw(p, rng)
        total, width = expected.constant, 3
        for index, (chosen, block) in enumerate(zip(RELAXED.encode(genotype), genotype.blocks)):
            total += expected.block_options(index, width)[tuple(chosen[gene] for gene in GENES)]
            width = block.filters * block.expand
        total += expected.head[RELAXED.blocks[-1].widths.index(width)]
        assert total == pytest.approx(network_cost(genotype))


def test_no_sampled_network_is_beyond_the_extremes(expected):
    low, high = (network_cost(extreme_network(expected, which)) for which in ("cheapest", "dearest"))
    rng, p = np.random.default_rng(4), softmax(random_logits(4))
    assert all(low <= network_cost(draw(p, rng)) <= high for _ in range(300))


def test_parameters_and_multiply_adds_are_expected_the_same_way():
    p, rng = softmax(random_logits(5)), np.random.default_rng(5)
    for name in ("params", "macs"):
        mean = float(ExpectedCost(RELAXED, CLASSES, lambda layer, name=name: float(getattr(layer, name)))(p))
        counts = [getattr(lower(draw(p, rng), CLASSES), name) for _ in range(600)]
        assert abs(mean - np.mean(counts)) < 4 * np.std(counts) / np.sqrt(600)
