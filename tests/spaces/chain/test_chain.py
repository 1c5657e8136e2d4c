"""Spaces of positions in a row: every network, every cost, and the way back, against enumeration."""

import itertools
from multiprocessing.reduction import ForkingPickler

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.own_layers import Shift, Shuffled
from tvnjax.core.errors import InvalidInputError
from tvnjax.nn.child import Child
from tvnjax.spaces.base import Reads
from tvnjax.spaces.chain.options import (
    avgpool,
    branches,
    conv,
    depthwise,
    identity,
    maxpool,
    squeeze_excite,
    temporal_conv,
)
from tvnjax.spaces.chain.relaxation.supernet import ChainSupernet, subnet
from tvnjax.spaces.chain.space import ChainSpace
from tvnjax.spaces.registry import genotype_from_json, space_from_json
from tvnjax.trainers.gene_weights import one_hot

POSITIONS = [
    [conv(8, 3, stride=2), depthwise(12, 5, stride=2), maxpool(3, stride=2)],
    [Shift(), temporal_conv(8, 3), identity()],
    [conv(12, 3, stride=2), conv(8, 5, stride=2), avgpool(2, stride=2)],
    [Shuffled(groups=1), squeeze_excite(0.5), identity()],
]
SPACE = ChainSpace(POSITIONS, frames=3, size=12)
CLASSES = 3


def everything(space):
    return [space.genotype(chosen) for chosen in itertools.product(*(range(len(o)) for o in space.options))]


def moved(module, seed=0):
    """Weights and running statistics that are not where they begin."""
    rng = np.random.default_rng(seed)
    for _, leaf in nnx.to_flat_state(nnx.state(module, (nnx.Param, nnx.BatchStat))):
        leaf[...] = jnp.asarray(np.abs(rng.normal(0.5, 0.3, leaf.shape)), jnp.float32)
    return module


@pytest.fixture(scope="module")
def supernet():
    return moved(ChainSupernet(SPACE, CLASSES, form="plain"))


def test_a_one_hot_supernet_is_its_network(supernet):
    """All 81, own layers among them, in evaluation."""
    clip = jnp.asarray(np.random.default_rng(1).standard_normal((2, 3, 12, 12, 3)), jnp.float32)
    graphdef, state = nnx.split(supernet)
    plan = SPACE.relax().largest()
    forward = jax.jit(lambda state, weights: nnx.merge(graphdef, state)(clip, weights))
    for genotype in everything(SPACE):
        mixed = forward(state, one_hot(plan, genotype))
        alone = subnet(supernet, genotype, form="plain")(clip)
        np.testing.assert_allclose(mixed, alone, rtol=1e-5, atol=1e-5, err_msg=str(genotype))


SIDES = ChainSpace(
    frames=3,
    size=8,
    positions=[
        [conv(4, 3, stride=2), conv(8, 3, stride=2)],
        [
            branches([conv(4, 1), Shift()], maxpool(3), identity()),
            branches(temporal_conv(6), conv(6, 3), how="sum"),
            identity(),
        ],
    ],
)


def test_branches_stand_at_a_position():
    """At both widths that come in; counted as their layers, one-hot equal to the network."""
    wide = SIDES.genotype([1, 0]).lower(CLASSES)
    assert [unit.out_shape.c for unit in wide.units] == [8, 4 + 8 + 8]
    assert "concat [conv 1 > 4, shift" in SIDES.options[1][0].name.lower()
    supernet = moved(ChainSupernet(SIDES, CLASSES, form="plain"))
    clip = jnp.asarray(np.random.default_rng(1).standard_normal((2, 3, 8, 8, 3)), jnp.float32)
    plan, cost = SIDES.relax().largest(), SIDES.relax().expected(lambda layer: layer.macs + layer.params, CLASSES)
    for genotype in everything(SIDES):
        mixed = supernet(clip, one_hot(plan, genotype))
        np.testing.assert_allclose(mixed, subnet(supernet, genotype, form="plain")(clip), rtol=1e-5, atol=1e-5)
        network = genotype.lower(CLASSES)
        assert cost.of_genotype(genotype) == pytest.approx(network.macs + network.params)
    with pytest.raises(InvalidInputError, match="joined by concat or sum; got 0 chains and"):
        branches()


def test_every_network_has_the_shapes_it_says():
    clip = jax.ShapeDtypeStruct((1, 3, 12, 12, 3), jnp.float32)
    for genotype in everything(SPACE)[::7]:
        network = genotype.lower(CLASSES)
        child = Child(network, form="plain")
        graphdef, state = nnx.split(child)
        scores = jax.eval_shape(lambda s, x, g=graphdef: nnx.merge(g, s)(x), state, clip)
        assert scores.shape == (1, CLASSES)
        leaves = [np.prod(p.shape) for p in jax.tree.leaves(nnx.state(child, nnx.Param))]
        assert network.params == sum(leaves)


@pytest.mark.parametrize("seed", range(3))
def test_the_expected_cost_is_the_mean_over_all_networks(seed):
    rng = np.random.default_rng(seed)
    probabilities = [rng.dirichlet(np.ones(len(options))) for options in SPACE.options]
    cost = SPACE.relax().expected(lambda layer: layer.macs + 0.1 * layer.params, CLASSES, unit_cost=7.0, constant=3.0)
    mean = sum(
        np.prod([p[i] for p, i in zip(probabilities, genotype.chosen)]) * cost.of_genotype(genotype)
        for genotype in everything(SPACE)
    )
    with jax.enable_x64(True):
        got = float(cost([{"layer": jnp.asarray(p)} for p in probabilities]))
    assert got == pytest.approx(mean, rel=1e-9)


def test_extremes_are_those_of_all_networks():
    relaxation = SPACE.relax()
    cost = relaxation.expected(lambda layer: float(layer.macs), CLASSES, unit_cost=50.0)
    costs = [cost.of_genotype(genotype) for genotype in everything(SPACE)]
    assert cost.of_genotype(relaxation.extreme(cost, "cheapest")) == pytest.approx(min(costs))
    assert cost.of_genotype(relaxation.extreme(cost, "most_expensive")) == pytest.approx(max(costs))


def test_the_likeliest_networks_of_a_window_come_first():
    rng = np.random.default_rng(5)
    probabilities = [rng.dirichlet(np.ones(len(options))) for options in SPACE.options]
    relaxation = SPACE.relax()
    cost = relaxation.expected(lambda layer: float(layer.macs), CLASSES)
    scored: dict[str, tuple[float, float]] = {}
    for genotype in everything(SPACE):
        score = float(np.log(np.prod([p[i] for p, i in zip(probabilities, genotype.chosen)])))
        if genotype.id not in scored or score > scored[genotype.id][0]:
            scored[genotype.id] = (score, cost.of_genotype(genotype))
    low, high = np.quantile([ms for _, ms in scored.values()], [0.2, 0.8])
    inside = sorted(((s, i) for i, (s, ms) in scored.items() if low < ms <= high), reverse=True)
    weights = [{"layer": p} for p in probabilities]
    found = relaxation.discretize(weights, cost, relaxation.plan, high, floor=low, count=10)
    assert [choice.genotype.id for choice in found] == [identity for _, identity in inside[:10]]
    assert [choice.log_probability for choice in found] == pytest.approx([s for s, _ in inside[:10]])
    few = relaxation.discretize(weights, cost, relaxation.plan, high, count=500, also=[(lambda n: n.params, 900)])
    assert few and all(choice.genotype.lower(CLASSES).params <= 900 for choice in few)
    assert relaxation.discretize(weights, cost, relaxation.plan, 0.0) == []


def test_mutants_are_other_networks_and_samples_reach_all():
    rng = np.random.default_rng(0)
    genotype, met = SPACE.sample(rng), set()
    for _ in range(600):
        mutant = SPACE.mutate(genotype, rng)
        assert mutant.id != genotype.id
        assert sum(a != b for a, b in zip(mutant.chosen, genotype.chosen)) == 1
        genotype = mutant
        met.add(SPACE.sample(rng).chosen)
    assert len(met) == 81 and SPACE.log10_size == pytest.approx(np.log10(81))


def test_networks_are_read_back_where_their_space_is_and_equal_ones_have_one_id():
    for genotype in everything(SPACE)[::5]:
        assert genotype_from_json(genotype.to_json()) == genotype
        assert ForkingPickler.loads(ForkingPickler.dumps(genotype)).id == genotype.id, "it is sent to workers"
        other = genotype.reading(Reads(5, 2, 16))
        assert genotype_from_json(other.to_json()) == other and other.id != genotype.id
    assert space_from_json(SPACE.to_json(), "here") is SPACE
    with pytest.raises(InvalidInputError, match="make the ChainSpace first"):
        genotype_from_json({**genotype.to_json(), "of": "0" * 16})
    twice = ChainSpace([[conv(4), conv(4, act="relu6")], [identity(), squeeze_excite()]], frames=1, size=8)
    assert twice.genotype([0, 0]).id != twice.genotype([1, 0]).id


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        ([], "a chain has a position"),
        ([[]], "position 0 has []"),
        ([[conv(4), conv(4)]], "each once"),
        ([[conv(4, stride=2), identity()]], "give them one stride"),
        ([[conv(4)], [conv(6, groups=4)]], "groups divide the channels"),
        ([["conv"]], "an option of a position is a layer"),
        ([[3]], "got int"),
    ],
)
def test_chains_that_cannot_be_are_refused(positions, words):
    with pytest.raises(InvalidInputError) as refused:
        ChainSpace(positions, frames=2, size=8)
    assert words in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("chosen", [[0], [0, 0, 0, 3], [-1, 0, 0, 0], [0, 0, 0, 0, 0]])
def test_networks_that_are_not_of_the_space_are_refused(chosen):
    with pytest.raises(InvalidInputError, match="names an option for each of 4 positions"):
        SPACE.genotype(chosen)
