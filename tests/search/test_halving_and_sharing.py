"""Strategies that judge by less than a whole training: in brackets, or with a supernet's weights."""

import itertools

import numpy as np
import pytest

from tests.search.toy_landscape import SPACE, Counted, closeness, toy_task
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Silent
from tvnjax.search.base import WAIT, Evaluation, Verdict
from tvnjax.search.cost_account import run_strategy
from tvnjax.search.strategies.random_search import RandomSearch
from tvnjax.search.strategies.successive_halving import HalvingConfig, SuccessiveHalving
from tvnjax.search.strategies.weight_sharing import SharingConfig, WeightSharing
from tvnjax.spaces.tvn.canonical import genotype_id
from tvnjax.spaces.tvn.relaxation.covered import CoveredSpace
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.search_space import search_space, space_at_plan
from tvnjax.spaces.tvn.shapes import BlockShapes, Plan, ShapeChoices, ShapeSpace


def run(strategy, task, count=10**6):
    return run_strategy(Counted(strategy, count), task, seed=0, limit_s=1e9, monitor=Silent())


def test_a_bracket_trains_the_best_third_three_times_as_long():
    result = run(SuccessiveHalving(SPACE, HalvingConfig(networks=9), 0), toy_task(), 9 + 3 + 1)
    parts = [candidate.part for candidate in result.candidates]
    assert parts == pytest.approx([1 / 9] * 9 + [1 / 3] * 3 + [1.0])
    rungs = [result.candidates[:9], result.candidates[9:12], result.candidates[12:]]
    for before, after in itertools.pairwise(rungs):
        best = sorted((c.fitness for c in before), reverse=True)[: len(after)]
        assert [c.fitness for c in after] == best and {c.id for c in after} <= {c.id for c in before}
    assert result.best is result.candidates[-1], "only a whole training counts"


def test_a_bracket_follows_another_and_none_repeats_a_network():
    result = run(SuccessiveHalving(SPACE, HalvingConfig(networks=3, rungs=2), 0), toy_task(), 12)
    first = [c.id for c in result.candidates if c.part < 1]
    assert [c.part == 1 for c in result.candidates] == [False, False, False, True] * 3
    assert len(set(first)) == 9


def test_halving_waits_for_its_rung_and_ends_with_a_small_space():
    strategy = SuccessiveHalving(SPACE, HalvingConfig(networks=2, rungs=2), 0)
    asked = [strategy.ask(), strategy.ask()]
    assert strategy.ask() is WAIT and asked[0].genotype != asked[1].genotype
    single = {"spatial_type": ("std",), "temporal_kernel": (1,), "width": (1.0,), "expand": (1,), "squeeze": (0.0,)}
    tiny = space_at_plan(Plan(), OperatorChoices(**single, spatial_kernel=(3, 5), context_gate=(False,), skip=(False,)))
    result = run(SuccessiveHalving(tiny, HalvingConfig(networks=3, rungs=2), 0), toy_task())
    assert len(result.candidates) == 3 and len({c.id for c in result.candidates}) == 2


@pytest.mark.parametrize("sizes", [{"networks": 0}, {"keep": 1}, {"rungs": 0}])
def test_brackets_that_make_no_sense_are_refused(sizes):
    with pytest.raises(InvalidInputError, match="at least"):
        HalvingConfig(**sizes)


def sharing_task(noise, evaluated, limit=1.0):
    """Inherited fitness is the true one with noise; a third of the networks are refused unmeasured."""

    def inherit(genotype):
        rng = np.random.default_rng(int(genotype_id(genotype), 16) % 2**32)
        return Evaluation(top1=closeness(genotype) + rng.normal(0, noise), top5=0.0, compile_seconds=0.0, seconds=0.1)

    def screen(genotype):
        ms = 1.0 + (int(genotype_id(genotype), 16) % 3 == 0)
        return Verdict(predicted_ms=ms, latency_ms=None, feasible=ms <= limit)

    task = toy_task(inherit=inherit, screen=screen)
    original = task.evaluate

    def evaluate(genotype, seed, part):
        evaluated.append(genotype)
        return original(genotype, seed, part)

    object.__setattr__(task, "evaluate", evaluate)
    return task


def test_the_best_by_inherited_weights_are_trained_and_nothing_else():
    evaluated = []
    strategy = WeightSharing("random_weight_sharing", RandomSearch(SPACE, 0), SharingConfig(candidates=60, finalists=3))
    result = run(strategy, sharing_task(0.01, evaluated))
    inherited = [c for c in result.candidates if c.scoring == "inherited"]
    assert len(inherited) == 60 and result.evaluations == len(evaluated) == 3
    refused = [c for c in inherited if c.evaluation is None]
    assert refused and result.infeasible == len(refused)
    ranked = sorted((c for c in inherited if c.evaluation), key=lambda c: -c.fitness)
    assert evaluated == [c.genotype for c in ranked[:3]]
    assert result.best.whole and result.best.genotype in evaluated, "an inherited score is no result"
    # 39 or so scored for 0.1 s each and 3 networks trained for 1 s and checked for 0.5 s.
    assert result.seconds_by_kind["inherited"] == pytest.approx(0.1 * (60 - len(refused)))
    assert result.seconds_by_kind["training"] + result.seconds_by_kind["compile"] == pytest.approx(3.0)


def test_proposals_stay_within_the_compiled_plans():
    shapes = ShapeSpace(
        ShapeChoices(
            image_size=(8, 16), num_frames=(2, 4), blocks=(BlockShapes(filters=(8, 16)), BlockShapes(filters=(16,)))
        ),
        8,
    )
    operators = OperatorChoices(spatial_kernel=(3,))
    plans = [plan for plan in shapes.plans() if (plan.image_size, plan.num_frames) in ((8, 2), (16, 4))]
    covered, rng = CoveredSpace(search_space(shapes, operators), plans, operators), np.random.default_rng(0)
    genotypes = [covered.sample(rng) for _ in range(60)]
    mutants = [covered.mutate(genotype, rng) for genotype in genotypes]
    assert {(g.image_size, g.num_frames) for g in (*genotypes, *mutants)} == {(8, 2), (16, 4)}
    assert all(covered.plan_of(g) in plans for g in (*genotypes, *mutants))
    assert all(genotype_id(a) != genotype_id(b) for a, b in zip(genotypes, mutants))
    outside = [
        g for g in (search_space(shapes, operators).sample(rng) for _ in range(40)) if g.image_size != 4 * g.num_frames
    ]
    assert outside and all(covered.plan_of(g) is None for g in outside)


@pytest.mark.parametrize("wrong", [{"candidates": 2, "finalists": 3}, {"finalists": 0}, {"fine_tune_steps": -1}])
def test_sharing_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        SharingConfig(**wrong)
