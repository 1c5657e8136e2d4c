"""Networks proposed out of a relaxed space: within the limit, each once, drawn as often as the space says."""

import itertools

import numpy as np
import pytest

from tests.search.test_projection import MACS, OPERATORS, SHAPES, UndecidedTrainer
from tvnjax.search.budget import Budget, Costs
from tvnjax.search.gradient.proposals import Proposals
from tvnjax.spaces.tvn.costs.expected import ExpectedCost
from tvnjax.spaces.tvn.relaxation.relaxation import TvnRelaxation
from tvnjax.spaces.tvn.relaxed import OperatorChoices, relax_plan
from tvnjax.spaces.tvn.search_space import search_space
from tvnjax.spaces.tvn.shapes import BlockShapes, ShapeChoices, ShapeSpace

PLANS = list(itertools.islice(SHAPES.plans(), 2))


def make(seed=0, **budget):
    costs = Costs(ms=MACS, predict=MACS.of_network, budget=Budget(ms=16.0, **budget), params=MACS)
    return Proposals(TvnRelaxation(SHAPES, OPERATORS), costs, np.random.default_rng(seed))


def test_every_network_is_proposed_once_within_the_limit_and_of_its_plan():
    proposals, genes, p = make(), UndecidedTrainer(0).genes, np.array([0.7, 0.3])
    found = proposals.likeliest(genes, PLANS[0], 8.0, 5) + proposals.likeliest(genes, PLANS[0], 8.0, 3)
    assert [one.origin for one in found] == ["likeliest"] * 8
    found += [proposals.drawn(genes, PLANS, p, part / 10, 8.0) for part in range(10)]
    space = search_space(SHAPES, OPERATORS)
    found += [proposals.near(found, space, PLANS, 8.0) for _ in range(10)]
    assert len({one.genotype.id for one in found}) == len(found) == 28
    for one in found:
        assert one.predicted_ms == pytest.approx(MACS.of_genotype(one.genotype)) and one.predicted_ms <= 8.0
        relax_plan(one.plan, OPERATORS).encode(one.genotype)
    near = [one for one in found if one.origin == "near"]
    assert len(near) == 10


def test_likeliest_come_by_falling_probability():
    genes = UndecidedTrainer(1).genes
    relaxation = TvnRelaxation(SHAPES, OPERATORS)
    expected = relaxation.discretize(genes, MACS, PLANS[0], 8.0, count=6)
    proposals = make()
    found = proposals.likeliest(genes, PLANS[0], 8.0, 2) + proposals.likeliest(genes, PLANS[0], 8.0, 4)
    assert [one.genotype.id for one in found] == [choice.genotype.id for choice in expected]


def test_budgets_that_are_counted_hold_for_all_kinds():
    genes, p = UndecidedTrainer(2).genes, np.ones(2) / 2
    free = make().likeliest(genes, PLANS[0], 8.0, 30)
    most = sorted(one.genotype.lower(4).params for one in free)[5]
    proposals = make(params=most)
    found = proposals.likeliest(genes, PLANS[0], 8.0, 3)
    found += [one for _ in range(4) if (one := proposals.drawn(genes, PLANS, p, 0.2, 8.0)) is not None]
    found += [proposals.near(found, search_space(SHAPES, OPERATORS), PLANS, 8.0) for _ in range(4)]
    assert len(found) > 8 and max(one.genotype.lower(4).params for one in found if one is not None) <= most


def test_draws_follow_the_probabilities():
    """One gene that is open, a limit that lets all through: candidates come as often as the softmax says, and half
    the uniform mix."""
    shapes = ShapeSpace(ShapeChoices(image_size=(16,), num_frames=(2,), blocks=(BlockShapes(filters=(8,)),)))
    one_of = {"temporal_type": ("1d",), "temporal_kernel": (1,), "expand": (1,), "squeeze": (0.0,)}
    one_of |= {"context_gate": (False,), "skip": (False,), "non_local": (0,), "width": (1.0,), "spatial_kernel": (3,)}
    operators = OperatorChoices(spatial_type=("std", "depth", "maxpool"), **one_of)
    ms = ExpectedCost(shapes, operators, 4, lambda layer: layer.macs / 1e6, constant=0.1)
    costs = Costs(ms=ms, predict=ms.of_network, budget=Budget(ms=1e6))
    (plan, *_) = shapes.plans()
    genes = [
        {gene: np.ones(len(block.candidates(gene))) / len(block.candidates(gene)) for gene in block.genes}
        for block in relax_plan(plan, operators).blocks
    ]
    probabilities = np.array([0.7, 0.2, 0.1])
    (gene,) = [gene for gene, p in genes[0].items() if len(p) == 3]
    genes[0][gene] = probabilities
    rng, counts = np.random.default_rng(0), dict.fromkeys(("std", "depth", "maxpool"), 0)
    for _ in range(600):
        drawn = Proposals(TvnRelaxation(shapes, operators), costs, rng).drawn(genes, [plan], np.ones(1), 0.5, 1e5)
        counts[drawn.genotype.blocks[0].spatial_type] += 1
    order = [kind for kind, _ in relax_plan(plan, operators).blocks[0].spatial]
    got = np.array([counts[kind] for kind in order]) / 600
    assert np.abs(got - (0.5 * probabilities + 0.5 / 3)).max() < 0.06
