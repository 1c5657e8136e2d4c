"""Expected costs by structure: against tables where both can be had, against single networks in the paper's ranges."""

import jax
import numpy as np
import pytest

from tests.latency.generated_spaces import (
    CLASSES,
    draw_network,
    layer_cost,
    one_hot,
    random_probabilities,
    random_space,
)
from tvnjax.core.errors import InvalidInputError
from tvnjax.latency.memory import working_set
from tvnjax.spaces.tvn.costs import of_space
from tvnjax.spaces.tvn.costs.bounds import extreme_genotype, extreme_network
from tvnjax.spaces.tvn.costs.discretize import discretize
from tvnjax.spaces.tvn.costs.expected import ExpectedCost
from tvnjax.spaces.tvn.costs.expected_unit_cost import SLOTS
from tvnjax.spaces.tvn.costs.factored.axes import axis, strided, width_axis
from tvnjax.spaces.tvn.costs.factored.cross import cross
from tvnjax.spaces.tvn.costs.factored.expected import FactoredCost
from tvnjax.spaces.tvn.relaxed import OperatorChoices, relax_plan
from tvnjax.spaces.tvn.search_space import paper_ranges
from tvnjax.spaces.tvn.shapes import BlockPlan, BlockShapes, Plan, ShapeChoices, ShapeSpace

PAPER = paper_ranges()


def by_unit(expected, slots):
    """``[blocks, kinds of units, slots]`` and the heads, from what ``slots`` gives."""
    blocks, heads = len(expected.shapes.choices.blocks), len(expected.shapes.choices.lengths)
    table = np.zeros((blocks, 3, len(SLOTS)))
    rows = np.asarray(slots)[:-heads].reshape(-1, len(SLOTS))
    if isinstance(expected, ExpectedCost):
        for (block, repeat), row in zip((key for _, keys in expected.stacks for key in keys), rows, strict=True):
            table[block, repeat] = row
    else:
        kinds = rows.reshape(-1, blocks, len(SLOTS))
        table[:, : len(kinds)] = kinds.swapaxes(0, 1)
    return table, np.asarray(slots)[-heads:]


def made(shapes, operators, cost, **options):
    """The same expected cost by tables and by structure."""
    return [kind(shapes, operators, CLASSES, cost, **options) for kind in (ExpectedCost, FactoredCost)]


def check_alike(both, *, largest):
    p = random_probabilities(both[0], np.random.default_rng(7))
    with jax.enable_x64():
        found = [jax.jit(lambda p, e=e: e.slots(*p, largest=largest))(p) for e in both]
    (a, heads_a), (b, heads_b) = (by_unit(e, slots) for e, (slots, _) in zip(both, found))
    np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(heads_b, heads_a, rtol=1e-9)
    assert float(found[1][1]) == pytest.approx(float(found[0][1])), "cost of units, idle ones left out"


@pytest.mark.parametrize("seed, own", [(1, False), (3, False), (10, False), (3, True)])
def test_where_every_size_is_a_node_it_is_the_tabulated_mean_whatever_layers_cost(seed, own):
    shapes, operators = random_space(np.random.default_rng(seed), own)
    check_alike(made(shapes, operators, layer_cost, unit_cost=3.0), largest=False)


@pytest.mark.parametrize("seed, own", [(10, False), (1, True)])
def test_and_what_shortcuts_hold_beside_the_largest_of_a_kind(seed, own):
    shapes, operators = random_space(np.random.default_rng(seed), own)
    check_alike(made(shapes, operators, lambda layer: float(working_set(layer))), largest=True)


def test_it_rises_in_every_direction_as_the_tables_do():
    both = made(*random_space(np.random.default_rng(37)), layer_cost, unit_cost=3.0)
    p, *steps = (random_probabilities(both[0], np.random.default_rng(seed)) for seed in (8, 9, 10, 11))
    with jax.enable_x64():
        slope = [jax.jit(lambda step, e=e: jax.jvp(lambda p: e(*p), (p,), (step,))[1]) for e in both]
        for step in steps:
            towards = jax.tree.map(lambda a, b: b - a, p, step)
            assert float(slope[1](towards)) == pytest.approx(float(slope[0](towards)), rel=1e-9)


def test_between_nodes_what_is_quadratic_in_sizes_is_exact():
    sizes = set(range(32, 321, 32))
    for _ in range(8):
        sizes |= {-(-side // stride) for side in sizes for stride in range(1, 9)}
    whole = axis(sizes)
    assert len(whole.nodes) < 0.7 * len(whole.values)
    for power in (0, 1, 2):
        truth = np.array(whole.values, float) ** power
        np.testing.assert_allclose(whole.onto @ np.array(whole.nodes, float) ** power, truth)
    # Before a stride and behind it, at once.
    space = strided(sizes, range(1, 9), 2)
    nodes = np.array(space.nodes)
    assert len(nodes) < space.onto.shape[0] * space.onto.shape[1]
    behind = -(-nodes[:, 0] // nodes[:, 1])
    before, after = np.square(space.sizes)[:, None], np.array(space.sizes)[space.behind]
    for told, truth in (
        (nodes[:, 0] ** 2, before + 0 * after),
        (behind**2, after**2),
        (3 * nodes[:, 0] ** 2 + 5 * behind, 3 * before + 5 * after),
    ):
        np.testing.assert_allclose(space.onto @ told.astype(float), truth, rtol=1e-9)


def test_widths_have_no_neighbours_with_another_rest_of_a_vector():
    widths = width_axis({3, *range(32, 2049, 32), *(8 * odd for odd in range(1, 60, 2))})
    values, nodes = np.array(widths.values), np.array(widths.nodes)
    assert not widths.onto[values[:, None] % 16 != nodes % 16].any()
    whole_vectors = -(-values // 16) * 16
    np.testing.assert_allclose(widths.onto @ (-(-nodes // 16) * 16.0), whole_vectors)
    assert widths.onto[0, nodes == 3] == 1


def test_a_matrix_of_low_rank_over_many_decades_is_found_from_a_few_rows():
    rng = np.random.default_rng(0)
    rows, columns = 10.0 ** rng.uniform(-3, 9, 300), 10.0 ** rng.uniform(-2, 5, 400)
    matrix = 1 + np.outer(rows, columns) + np.outer(np.sqrt(rows), np.log1p(columns)) + rows[:, None]
    asked = set()

    def entry(i, j):
        asked.add((i, j))
        return matrix[i, j]

    found = cross(*matrix.shape, entry, 1e-6, np.random.default_rng(1))
    assert np.abs(found.left @ found.right / matrix - 1).max() < 1e-4, "small ones too"
    assert len(asked) < 0.1 * matrix.size
    nothing = cross(300, 400, lambda i, j: 0.0, 1e-6, np.random.default_rng(1))
    assert not (nothing.left @ nothing.right).any()


def wide_space():
    """More sizes than nodes, few of everything else."""
    shapes = ShapeChoices(
        image_size=tuple(range(8, 65, 4)), num_frames=tuple(range(1, 20)), blocks=(BlockShapes(spatial_stride=(1, 2)),)
    )
    operators = OperatorChoices(
        spatial_type=("std",), spatial_kernel=(1, 3), temporal_kernel=(1, 3), expand=(1,), squeeze=(0.0,), skip=(False,)
    )
    return ShapeSpace(shapes), operators


def test_it_knows_how_far_off_it_is_and_says_so():
    # Smooth, and no polynomial: near enough, and known to be off a little.
    smooth = FactoredCost(*wide_space(), CLASSES, lambda layer: float(layer.in_shape.size) ** 0.7)
    assert 1e-7 < max(smooth.errors.values()) < 3e-3
    assert not ExpectedCost(*wide_space(), CLASSES, lambda layer: 1.0).errors, "tables are exact"
    with pytest.warns(UserWarning, match=r"costs of \w+ layers drawn at random are off by \d+\.\d% on average: "):
        FactoredCost(*wide_space(), CLASSES, layer_cost)


def test_spaces_with_small_tables_keep_them(monkeypatch):
    def kind(shapes, operators):
        return type(of_space.expected_cost(shapes, operators, CLASSES, lambda layer: float(layer.params)))

    assert kind(*wide_space()) is ExpectedCost and kind(*PAPER) is FactoredCost
    monkeypatch.setattr(of_space, "MOST_TABULATED", 10)
    assert kind(*wide_space()) is FactoredCost


@pytest.mark.parametrize("seed", range(8))
def test_extremes_by_steps_are_those_of_dynamic_programming(seed):
    both = made(*random_space(np.random.default_rng(seed)), lambda layer: layer.macs + 1.0, unit_cost=0.5)
    for which in ("cheapest", "most_expensive"):
        tables, steps = (expected.of_genotype(extreme_genotype(expected, which)) for expected in both)
        assert steps == pytest.approx(tables)


def test_one_plan_s_extremes_and_projection_are_exact():
    shapes, operators = random_space(np.random.default_rng(3))
    both = made(shapes, operators, layer_cost, unit_cost=3.0)
    plan = shapes.sample(shapes.uniform(), np.random.default_rng(0))
    p, _ = random_probabilities(both[0], np.random.default_rng(2))
    low, high = ([e.of_genotype(extreme_network(e, plan, w)) for e in both] for w in ("cheapest", "most_expensive"))
    assert low[0] == pytest.approx(low[1]) and high[0] == pytest.approx(high[1])
    chosen = [discretize(p, e, plan, 0.5 * (low[0] + high[0]), count=4) for e in both]
    assert [c.log_probability for c in chosen[0]] == pytest.approx([c.log_probability for c in chosen[1]])
    assert [c.predicted_ms for c in chosen[0]] == pytest.approx([c.predicted_ms for c in chosen[1]])
    with pytest.raises(InvalidInputError, match="plans of its own space"):
        extreme_network(both[1], Plan(image_size=7, num_frames=4, blocks=plan.blocks), "cheapest")


def test_the_paper_s_ranges_are_made_at_once_and_know_their_cheapest_network():
    expected = FactoredCost(*PAPER, CLASSES, lambda layer: layer.params + layer.macs / 1e3, unit_cost=0.5)
    assert max(expected.errors.values()) < 5e-3
    # One idle unit: nothing but the head on three channels.
    cheapest = extreme_genotype(expected, "cheapest")
    assert len(cheapest.blocks) == 1 and not cheapest.lower(CLASSES).units[0].layers
    blocks = (BlockPlan(filters=64, repeats=3), BlockPlan(filters=96, repeats=2))
    plan = Plan(image_size=64, num_frames=8, blocks=blocks)
    most = extreme_network(expected, plan, "most_expensive")
    rng = np.random.default_rng(0)
    relaxed = relax_plan(plan, expected.operators)
    for _ in range(50):
        drawn = [{gene: int(rng.choice(np.flatnonzero(b.legal(gene)))) for gene in b.genes} for b in relaxed.blocks]
        assert expected.of_genotype(relaxed.decode(tuple(drawn))) <= expected.of_genotype(most)


@pytest.mark.slow
def test_in_the_paper_s_ranges_it_is_right_for_single_networks_and_on_average():
    # Quadratic in every size but for attention, so that single precision is all that is lost.
    expected = FactoredCost(*PAPER, CLASSES, lambda layer: layer.params + layer.macs / 1e3, unit_cost=1e4)
    call, rng = jax.jit(expected), np.random.default_rng(5)
    p = random_probabilities(expected, rng)
    drawn = [draw_network(expected, p, rng) for _ in range(3000)]
    for plan, chosen, genotype in drawn[:40]:
        assert float(call(*one_hot(expected, plan, chosen))) == pytest.approx(expected.of_genotype(genotype), rel=2e-4)
    costs = np.array([expected.of_genotype(genotype) for _, _, genotype in drawn])
    assert abs(float(call(*p)) - costs.mean()) < 4 * costs.std() / np.sqrt(len(costs))
