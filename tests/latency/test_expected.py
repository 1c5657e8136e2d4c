"""Expected costs against the lowering, against sampling, and their gradient; extremes; memory."""

import dataclasses

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from tests.latency.generated_spaces import (
    CLASSES,
    draw_network,
    every_network,
    layer_cost,
    one_hot,
    random_probabilities,
    random_space,
)
from tests.own_layers import Shift
from tvnjax.core.errors import InvalidInputError
from tvnjax.latency.memory import memory_mb, peak_activation_bytes
from tvnjax.spaces.tvn.costs import table_sizes
from tvnjax.spaces.tvn.costs.bounds import extreme_genotype, extreme_network
from tvnjax.spaces.tvn.costs.expected import ExpectedCost
from tvnjax.spaces.tvn.costs.memory import ExpectedMemory
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.relaxed import IDENTITY, OperatorChoices, relax_plan
from tvnjax.spaces.tvn.shapes import BlockPlan, BlockShapes, Plan, ShapeChoices, ShapeKey, ShapeSpace

SEEDS = (1, 3, 10)
"""Together these have every gene free: repeats of three, idle units, inverted and open blocks, single frames."""
UNIT, CONSTANT = 3.0, 2.0


def network_cost(genotype) -> float:
    network = lower(genotype, CLASSES)
    layers = sum(layer_cost(layer) for layer in network.layers())
    return CONSTANT + UNIT * len(network.units) + layers + layer_cost(network.head)


@pytest.fixture(scope="module", params=[*((seed, False) for seed in SEEDS), (1, True), (10, True)])
def space(request):
    """A generated space, its expected cost, the cost as a compiled function, and a source of chance."""
    seed, own = request.param
    rng = np.random.default_rng(seed)
    shapes, operators = random_space(rng, own)
    expected = ExpectedCost(shapes, operators, CLASSES, layer_cost, unit_cost=UNIT, constant=CONSTANT)
    return expected, jax.jit(expected), rng


def test_at_one_hot_it_is_the_network_s_own_cost_and_memory(space):
    expected, call, rng = space
    memory = jax.jit(ExpectedMemory(expected.shapes, expected.operators, CLASSES))
    for _ in range(40):
        plan, chosen, genotype = draw_network(expected, random_probabilities(expected, rng, 0.5), rng)
        only = one_hot(expected, plan, chosen)
        assert float(call(*only)) == pytest.approx(network_cost(genotype), rel=1e-5)
        assert expected.of_genotype(genotype) == pytest.approx(network_cost(genotype))
        assert float(memory(*only)) == pytest.approx(memory_mb(lower(genotype, CLASSES)), rel=1e-5)


def test_it_is_the_mean_over_sampled_networks_between_the_extremes(space):
    expected, call, rng = space
    p = random_probabilities(expected, rng)
    costs = [expected.of_genotype(draw_network(expected, p, rng)[2]) for _ in range(2000)]
    error = np.std(costs) / np.sqrt(len(costs))
    assert abs(float(call(*p)) - np.mean(costs)) < 3 * error + 1e-3
    low, high = (network_cost(extreme_genotype(expected, which)) for which in ("cheapest", "most_expensive"))
    assert low - 1e-9 <= min(costs) and max(costs) <= high + 1e-9


def test_its_gradient_in_every_logit_matches_finite_differences():
    rng = np.random.default_rng(4)
    expected = ExpectedCost(*random_space(rng), CLASSES, layer_cost, unit_cost=UNIT, constant=CONSTANT)
    with jax.enable_x64():
        logits = jax.tree.map(lambda p: jnp.log(jnp.asarray(p)), random_probabilities(expected, rng))
        flat, unravel = jax.flatten_util.ravel_pytree(logits)
        call = jax.jit(jax.value_and_grad(lambda v: expected(*jax.tree.map(jax.nn.softmax, unravel(v)))))
        step = 1e-5
        slopes = [
            (call(flat.at[i].add(step))[0] - call(flat.at[i].add(-step))[0]) / (2 * step) for i in range(len(flat))
        ]
        np.testing.assert_allclose(call(flat)[1], slopes, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("own", [(), (Shift,)], ids=["", "own"])
def test_extremes_equal_trying_everything_in_a_tiny_space(own):
    shapes = ShapeSpace(
        ShapeChoices(
            image_size=(2, 3),
            num_frames=(1, 2),
            num_blocks=(1, 2),
            blocks=(
                BlockShapes(spatial_stride=(1, 2), repeats=(1, 2), filters=(8,)),
                BlockShapes(spatial_stride=(1,), temporal_stride=(1, 2), filters=(4, 12)),
            ),
        )
    )
    operators = OperatorChoices(
        spatial_type=("std", "maxpool"),
        spatial_kernel=(1, 2),
        temporal_type=("1d", *own),
        temporal_kernel=(1, 2),
        width=(1.0,),
        expand=(0, 1),
        squeeze=(0.0,),
        context_gate=(False,),
        skip=(False,),
        act=("relu", "hswish"),
    )
    expected = ExpectedCost(shapes, operators, CLASSES, layer_cost, unit_cost=UNIT, constant=CONSTANT)
    costs = {plan: [network_cost(g) for g in every_network(relax_plan(plan, operators))] for plan in shapes.plans()}
    for which, best in (("cheapest", min), ("most_expensive", max)):
        for plan, each in costs.items():
            assert network_cost(extreme_network(expected, plan, which)) == pytest.approx(best(each))
        assert network_cost(extreme_genotype(expected, which)) == pytest.approx(best(map(best, costs.values())))


PLAN = Plan(
    image_size=11,
    num_frames=4,
    blocks=(
        BlockPlan(spatial_stride=2, filters=12, repeats=2),
        BlockPlan(spatial_stride=1, temporal_stride=2, filters=16, repeats=3),
    ),
)


def test_one_plan_needs_no_shape_probabilities():
    expected = ExpectedCost.of_plan(PLAN, OperatorChoices(), CLASSES, layer_cost)
    operators, shapes = random_probabilities(expected, np.random.default_rng(0))
    call = jax.jit(expected)
    assert float(call(operators)) == pytest.approx(float(call(operators, shapes)))


def test_parameters_and_multiply_adds_are_expected_the_same_way():
    for name in ("params", "macs"):
        expected = ExpectedCost.of_plan(
            PLAN, OperatorChoices(), CLASSES, lambda layer, name=name: float(getattr(layer, name))
        )
        rng = np.random.default_rng(5)
        p = random_probabilities(expected, rng)
        counts = [getattr(lower(draw_network(expected, p, rng)[2], CLASSES), name) for _ in range(600)]
        assert abs(float(jax.jit(expected)(*p)) - np.mean(counts)) < 4 * np.std(counts) / np.sqrt(600)


def test_an_illegal_candidate_gets_no_weight_even_where_it_has_all_of_it():
    expected = ExpectedCost.of_plan(PLAN, OperatorChoices(), CLASSES, layer_cost)
    operators, _ = random_probabilities(expected, np.random.default_rng(1))
    kinds = expected.blocks[0].contexts.relaxed.spatial
    operators[0]["spatial"] = np.eye(len(kinds))[kinds.index(IDENTITY)]
    rest = np.array([kind != IDENTITY for kind in kinds])
    uniform = ({**operators[0], "spatial": rest / rest.sum()}, operators[1])
    call = jax.jit(expected)
    assert float(call(operators)) == pytest.approx(float(call(uniform)))


def test_expected_memory_is_below_the_mean_and_has_a_gradient():
    space = ShapeSpace(ShapeChoices(image_size=(8, 16), num_frames=(2, 4), blocks=(BlockShapes(),)))
    memory = ExpectedMemory(space, OperatorChoices(), CLASSES)
    expected = ExpectedCost(space, OperatorChoices(), CLASSES, layer_cost)
    rng = np.random.default_rng(2)
    p = random_probabilities(expected, rng)
    sampled = [memory_mb(lower(draw_network(expected, p, rng)[2], CLASSES)) for _ in range(500)]
    memory_of = jax.jit(memory)
    assert 0 < float(memory_of(*p)) < np.mean(sampled) + 3 * np.std(sampled) / np.sqrt(500)
    slope = jax.jit(jax.grad(lambda shapes: memory(p[0], shapes)))(jax.tree.map(jnp.asarray, p[1]))
    assert float(slope[ShapeKey("image_size")][1]) > float(slope[ShapeKey("image_size")][0])


def test_peak_memory_by_hand():
    block = Block(spatial_type="std", spatial_kernel=3, filters=4, skip=True)
    network = lower(Genotype(image_size=6, num_frames=1, blocks=(block,)), 2)
    # 1x1 of 3 to 4, conv of 4 to 4, expanding 1x1 of 4 to 4 channels, the last two beside the 3 of the input.
    assert peak_activation_bytes(network) == 4 * 36 * (4 + 4 + 3)
    assert memory_mb(network) == (4 * network.params + peak_activation_bytes(network)) / 2**20


@pytest.mark.parametrize("own", [False, True], ids=["", "own"])
@pytest.mark.parametrize("seed", range(6))
def test_tables_are_counted_before_they_are_made(seed, own):
    shapes, operators = random_space(np.random.default_rng(100 + seed), own)
    expected = ExpectedCost(shapes, operators, CLASSES, lambda layer: 1.0)
    made = [sum(unit.numbers for unit in block.units) for block in expected.blocks]
    assert table_sizes.numbers_by_block(shapes.choices, operators) == made


def test_a_space_too_large_to_tabulate_is_refused_at_once_with_what_to_shorten(monkeypatch):
    asked = []
    wide = ShapeChoices(image_size=(32, 64, 96), blocks=(BlockShapes(spatial_stride=tuple(range(1, 9))),) * 2)
    monkeypatch.setattr(table_sizes, "MOST_NUMBERS", 100)
    with pytest.raises(InvalidInputError, match=r"at most 100 costs of layers; this space has .*: shorten") as raised:
        ExpectedCost(ShapeSpace(wide), OperatorChoices(), CLASSES, asked.append)
    assert not asked, "nothing is asked of the cost before the space is refused"
    # What the message promises is what halving does.
    halved = dataclasses.replace(wide, blocks=(BlockShapes(spatial_stride=(1, 3, 5, 7)),) * 2)
    left = sum(table_sizes.numbers_by_block(halved, OperatorChoices()))
    assert f"half of spatial_stride leaves {left:,}" in str(raised.value) and "frame_stride" not in str(raised.value)


def test_wrong_numbers_of_probabilities_and_foreign_plans_are_refused():
    expected = ExpectedCost.of_plan(PLAN, OperatorChoices(), CLASSES, layer_cost)
    operators, _ = random_probabilities(expected, np.random.default_rng(1))
    with pytest.raises(InvalidInputError, match="every block of the space, 2; got 1"):
        expected(operators[:1])
    with pytest.raises(InvalidInputError, match="plans of its own space"):
        extreme_network(expected, Plan(image_size=7, num_frames=4, blocks=PLAN.blocks), "cheapest")
    shapes = ShapeSpace(ShapeChoices(image_size=(8, 16)))
    with pytest.raises(InvalidInputError, match="none were given for image_size"):
        ExpectedCost(shapes, OperatorChoices(), CLASSES, layer_cost)(operators[:1])
