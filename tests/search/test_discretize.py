"""The projection onto the budget against trying everything."""

import itertools

import numpy as np
import pytest

from tests.latency.test_expected import layer_cost
from tvnjax.latency.expected import ExpectedCost
from tvnjax.search.discretize import discretize
from tvnjax.space.canonical import genotype_id
from tvnjax.space.lowering import lower
from tvnjax.space.relaxed import GENES, OperatorChoices, relax_plan
from tvnjax.space.shapes import BlockPlan, Plan

SMALL = relax_plan(
    Plan(image_size=8, num_frames=2, blocks=(BlockPlan(filters=8, repeats=2), BlockPlan(filters=16))),
    OperatorChoices(
        spatial_type=("std", "maxpool"),
        spatial_kernel=(3,),
        temporal_kernel=(1, 2),
        temporal_type=("1d",),
        width=(0.5, 1.0),
        expand=(1, 2),
        squeeze=(0.0,),
        context_gate=(False, True),
        skip=(False,),
    ),
)
EXPECTED = ExpectedCost(SMALL, 3, layer_cost, unit_cost=0.1, constant=1.0)


def everything(p):
    """Score and cost of every network of the plan, straight from the lowering."""
    rows = []
    options = [
        [dict(zip(GENES, chosen)) for chosen in itertools.product(*(range(len(b.candidates(g))) for g in GENES))]
        for b in SMALL.blocks
    ]
    for path in itertools.product(*options):
        network = lower(SMALL.decode(path), 3)
        cost = 1.0 + 0.1 * len(network.units) + sum(map(layer_cost, network.layers())) + layer_cost(network.head)
        score = sum(np.log(p[b][g][path[b][g]]) for b in range(len(SMALL.blocks)) for g in SMALL.blocks[b].active)
        rows.append((score, cost, genotype_id(SMALL.decode(path))))
    return rows


def random_probabilities(seed):
    rng = np.random.default_rng(seed)
    return tuple(
        {gene: rng.dirichlet(np.ones(len(block.candidates(gene)))) for gene in GENES} for block in SMALL.blocks
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_likeliest_networks_within_every_limit(seed):
    p = random_probabilities(seed)
    rows = everything(p)
    costs = sorted(cost for _, cost, _ in rows)
    for limit in (costs[0] * 1.001, *np.quantile(costs, [0.05, 0.3, 0.7]), costs[-1] * 1.001):
        choices = discretize(p, EXPECTED, limit, count=5)
        fitting = sorted((score for score, cost, _ in rows if cost <= limit), reverse=True)
        assert choices[0].log_probability == pytest.approx(fitting[0])
        assert len({genotype_id(choice.genotype) for choice in choices}) == len(choices)
        by_id = {name: (score, cost) for score, cost, name in rows}
        for choice in choices:
            score, cost = by_id[genotype_id(choice.genotype)]
            assert choice.predicted_ms == pytest.approx(cost) and cost <= limit
            assert choice.log_probability == pytest.approx(score)
        np.testing.assert_allclose([choice.log_probability for choice in choices], fitting[: len(choices)], atol=0.7)


def test_no_network_fits_a_limit_below_the_cheapest():
    assert discretize(random_probabilities(0), EXPECTED, 0.5) == []
