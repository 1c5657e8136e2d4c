"""The projection onto the budget against trying everything."""

import numpy as np
import pytest

from tests.latency.generated_spaces import CLASSES, every_network, layer_cost, random_probabilities, random_space
from tvnjax.spaces.tvn.canonical import genotype_id
from tvnjax.spaces.tvn.costs.discretize import discretize
from tvnjax.spaces.tvn.costs.expected import ExpectedCost
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.relaxed import OperatorChoices, relax_plan
from tvnjax.spaces.tvn.shapes import BlockPlan, Plan


def small_problem(seed):
    """A generated space, and a plan of it with a few hundred networks."""
    rng = np.random.default_rng(seed)
    while True:
        shapes, operators = random_space(rng)
        plan = shapes.sample(shapes.uniform(), rng)
        relaxed = relax_plan(plan, operators)
        if 200 < np.prod([float(b.legal(gene).sum()) for b in relaxed.blocks for gene in b.active]) < 2500:
            return ExpectedCost(shapes, operators, CLASSES, layer_cost, unit_cost=3.0, constant=2.0), plan, relaxed, rng


def everything(expected, relaxed, p):
    """By id the best score and the cost of every network of the plan, straight from the genes and the lowering."""
    rows = {}
    for genotype in every_network(relaxed):
        score = 0.0
        for block, chosen, q in zip(relaxed.blocks, relaxed.encode(genotype), p):
            for gene in block.active:
                legal = q[gene] * block.legal(gene)
                score += np.log(legal[chosen[gene]] / legal.sum())
        name = genotype_id(genotype)
        if name not in rows or rows[name][0] < score:
            rows[name] = (score, expected.of_network(lower(genotype, CLASSES)))
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_the_likeliest_networks_of_every_window(seed):
    expected, plan, relaxed, rng = small_problem(seed)
    p, _ = random_probabilities(expected, rng)
    rows = everything(expected, relaxed, p)
    costs = sorted(cost for _, cost in rows.values())
    low, middle, high = np.quantile(costs, [0.1, 0.5, 0.55])
    windows = [(0.0, costs[0] * 1.0001), (0.0, low), (0.0, middle), (0.0, costs[-1] * 1.01)]
    for floor, limit in [*windows, (middle, high), (costs[-1] * 0.97, costs[-1] * 1.001)]:
        choices = discretize(p, expected, plan, limit, floor=floor, count=6)
        fitting = sorted((score for score, cost in rows.values() if floor < cost <= limit), reverse=True)
        np.testing.assert_allclose([choice.log_probability for choice in choices], fitting[:6], atol=1e-6)
        assert len({genotype_id(choice.genotype) for choice in choices}) == len(choices)
        for choice in choices:
            score, cost = rows[genotype_id(choice.genotype)]
            assert choice.predicted_ms == pytest.approx(cost) and floor < cost <= limit
            assert choice.log_probability == pytest.approx(score)


def test_further_limits_are_kept():
    expected, plan, relaxed, rng = small_problem(0)
    p, _ = random_probabilities(expected, rng)
    params = [lower(genotype, CLASSES).params for genotype in every_network(relaxed)]
    most = float(np.quantile(params, 0.4))
    choices = discretize(p, expected, plan, 1e6, count=5, also=[(lambda network: network.params, most)])
    assert len(choices) == 5 and all(lower(choice.genotype, CLASSES).params <= most for choice in choices)
    free = discretize(p, expected, plan, 1e6, count=200)
    kept = [choice for choice in free if lower(choice.genotype, CLASSES).params <= most]
    assert [c.log_probability for c in choices] == pytest.approx([c.log_probability for c in kept[:5]])


def test_no_network_fits_a_limit_below_the_cheapest():
    expected, plan, _, rng = small_problem(0)
    p, _ = random_probabilities(expected, rng)
    assert discretize(p, expected, plan, 0.5) == []
    assert discretize(p, expected, plan, 0.0) == []


@pytest.mark.parametrize("sharpness", (0.0, 0.01, 3.0))
def test_many_genes_take_a_moment_however_undecided_they_are(sharpness):
    plan = Plan(
        image_size=32,
        num_frames=8,
        blocks=tuple(BlockPlan(spatial_stride=1 + (i < 3), filters=16 * (i + 1), repeats=2) for i in range(4)),
    )
    expected = ExpectedCost.of_plan(plan, OperatorChoices(), CLASSES, lambda layer: layer.macs / 1e6)
    p, _ = random_probabilities(expected, np.random.default_rng(0), sharpness)
    free = discretize(p, expected, plan, 1e9)[0].predicted_ms
    choices = discretize(p, expected, plan, 0.5 * free, floor=0.45 * free, count=16)
    assert len(choices) == 16 and all(0.45 * free < choice.predicted_ms <= 0.5 * free for choice in choices)
    scores = [choice.log_probability for choice in choices]
    assert scores == sorted(scores, reverse=True)
