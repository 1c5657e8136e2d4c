"""The working set covers what is alive, respects what is not allowed, and follows the policy."""

import time

import numpy as np
import pytest

from tvnjax.spaces.tvn.relaxation.working_set import WorkingSet, likeliest
from tvnjax.spaces.tvn.shapes import BlockShapes, ShapeChoices, ShapeKey, ShapeSpace

SHAPES = ShapeSpace(
    ShapeChoices(
        image_size=(8, 16, 32),
        num_frames=(1, 2, 4, 8),
        frame_stride=(1, 2, 4, 8),
        num_blocks=(1, 2, 3),
        blocks=(BlockShapes(spatial_stride=(1, 2)),) * 3,
    ),
    clip_frames=16,
)

STRIDES = (1, 2, 4, 8)


def make(size=8, seed=0, **options):
    return WorkingSet(SHAPES, size, np.random.default_rng(seed), **options)


def inputs(plan):
    return plan.image_size, plan.num_frames


def covered(plans, key):
    """Values that some plan has and that mean something there."""
    values = np.zeros(len(SHAPES.values(key)), bool)
    for plan in plans:
        mask = SHAPES.equivalent(plan)[key]
        values |= mask if not mask.all() else False
    return values


def test_every_value_of_every_gene_is_in_a_set_of_eight():
    for seed in range(10):
        working = make(seed=seed)
        assert working.fill(SHAPES.uniform()) == working.programs and len(working.programs) == 8
        assert len(working.plans) == len(set(working.plans))
        assert all(covered(working.plans, key).all() for key in SHAPES.searched), seed


def test_distances_between_frames_and_fewer_blocks_come_along_for_free():
    working = make(3, seed=1)
    for program in working.fill(SHAPES.uniform()):
        own = [plan for plan in working.plans if plan.blocks == program.blocks[: len(plan.blocks)]]
        own = [plan for plan in own if inputs(plan) == inputs(program)]
        legal = SHAPES.legal_strides(program.num_frames)
        strides = np.array(SHAPES.choices.frame_stride)[legal] if program.num_frames > 1 else [1]
        assert {(len(p.blocks), p.frame_stride) for p in own} == {(n, s) for n in (1, 2, 3) for s in strides}


def test_a_view_is_what_one_run_of_a_program_computes():
    working = make(4, seed=2)
    working.fill(SHAPES.uniform())
    assert sorted(map(str, (plan for view in working.views for plan in view))) == sorted(map(str, working.plans))
    for view in working.views:
        assert [len(plan.blocks) for plan in view] == [1, 2, 3] or len(view) < 3
        assert len({(inputs(plan), plan.frame_stride) for plan in view}) == 1
        assert all(plan.blocks == view[-1].blocks[: len(plan.blocks)] for plan in view)


def test_a_dead_value_is_not_covered_for_its_own_sake():
    weights = {**SHAPES.uniform(), ShapeKey("image_size"): np.array([0.0, 0.995, 0.005])}
    small = [sum(plan.image_size != 16 for plan in make(4, seed).fill(weights)) for seed in range(20)]
    assert np.mean(small) < 2


def test_only_allowed_plans_are_members_unless_there_is_none():
    working = make(allowed=lambda plan: plan.image_size == 8 and len(plan.blocks) < 3)
    working.fill(SHAPES.uniform())
    assert {plan.image_size for plan in working.plans} == {8}
    assert {len(plan.blocks) for plan in working.plans} == {1, 2}
    assert max(len(plan.blocks) for plan in working.programs) == 2, "nothing is compiled for what is not allowed"
    assert len(make(allowed=lambda plan: False).fill(SHAPES.uniform())) == 1


def test_renewing_keeps_the_likeliest_and_remembers_all():
    working, rng = make(6), np.random.default_rng(1)
    working.fill(SHAPES.uniform())
    first, programs = working.plans, working.programs
    leaning = {key: rng.dirichlet(np.ones(len(SHAPES.values(key)))) for key in SHAPES.keys}

    def owner(plan):
        """The first program a plan is a prefix of."""
        fits = (p for p in programs if inputs(p) == inputs(plan) and p.blocks[: len(plan.blocks)] == plan.blocks)
        return next(fits)

    def chance(program):
        return sum(SHAPES.probability(plan, leaning) for plan in first if owner(plan) == program)

    strong = sorted(programs, key=chance)[2:]
    new = working.renew(leaning)
    assert set(strong) <= set(working.programs) and len(working.programs) == 6
    assert set(new) == set(working.programs) - set(programs)
    assert {*first, *working.plans} == set(working.seen)
    assert SHAPES.mode(leaning) in working.plans


def test_a_space_smaller_than_the_set_is_held_whole():
    shapes = ShapeSpace(ShapeChoices(image_size=(8, 16)))
    working = WorkingSet(shapes, 6, np.random.default_rng(0))
    assert len(working.fill(shapes.uniform())) == len(working.plans) == 2
    np.testing.assert_allclose(working.probabilities(shapes.uniform()), 0.5)
    table = working.members()
    assert set(table) == {ShapeKey("image_size")} and table[ShapeKey("image_size")][0].shape == (2, 2)


def test_scores_are_smoothed_and_strangers_get_the_mean():
    working = make(2, strides=1)
    working.fill(SHAPES.uniform())
    count = len(working.plans)
    assert working.scores().tolist() == [0.0] * count
    working.scored([1.0] + [2.0] * (count - 1))
    working.scored([2.0] * count)
    np.testing.assert_allclose(working.scores(), [1.5] + [2.0] * (count - 1))
    working.renew({key: np.eye(len(SHAPES.values(key)))[-1] for key in SHAPES.keys}, part=0.5)
    mean = working.scores()[[plan not in working._losses for plan in working.plans]]
    assert len(working.scores()) == len(working.plans) and len(mean) and len(set(mean.tolist())) == 1


def test_a_program_without_members_of_its_own_is_none():
    working = make(2, seed=3)
    working.fill(SHAPES.uniform())
    before = working.programs
    shortened = SHAPES.prefixes(before[0])[0]
    working._take([plan for plan in working.plans if plan.blocks == shortened.blocks])
    assert working.programs == before and all(working.members_of(program) for program in before)


PAPER = ShapeSpace(
    ShapeChoices(
        image_size=tuple(range(32, 321, 32)),
        num_frames=tuple(range(1, 33)),
        frame_stride=tuple(range(1, 26)),
        num_blocks=tuple(range(1, 9)),
        blocks=(BlockShapes(spatial_stride=STRIDES, temporal_stride=STRIDES, filters=tuple(range(32, 2049, 32))),) * 8,
    ),
    clip_frames=100,
)


@pytest.mark.parametrize("shapes", [SHAPES, PAPER], ids=["small", "paper"])
def test_probabilities_of_many_plans_are_those_of_each(shapes):
    rng = np.random.default_rng(3)
    working = WorkingSet(shapes, 16, rng)
    for turn in range(3):
        weights = {key: rng.dirichlet(np.full(len(shapes.values(key)), 0.3)) for key in shapes.keys}
        # One value that is out of the question, so that some plans have no chance at all.
        weights[ShapeKey("num_frames")][turn] = 0.0
        new = working.renew(weights) if turn else working.fill(weights)
        assert new
        each = np.array([shapes.probability(plan, weights) for plan in working.plans])
        assert (working.probabilities(weights) == each / each.sum()).all(), "to the last digit: draws hang on them"
        by_chance = sorted(working.plans, key=lambda plan: -shapes.probability(plan, weights))
        assert likeliest(shapes, weights, working.plans) == by_chance


def test_no_probability_at_all_is_shared_alike():
    working = make(3)
    working.fill(SHAPES.uniform())
    nothing = {**SHAPES.uniform(), ShapeKey("image_size"): np.zeros(3)}
    np.testing.assert_allclose(working.probabilities(nothing), 1 / len(working.plans))


def test_a_set_of_64_programs_takes_milliseconds():
    working = WorkingSet(PAPER, 64, np.random.default_rng(0))
    weights = PAPER.uniform()
    working.fill(weights)
    working.probabilities(weights)
    start = time.process_time()
    for _ in range(10):
        working.probabilities(weights)
    one_by_one = time.process_time()
    for plan in working.plans[:50]:
        PAPER.probability(plan, weights)
    each = (time.process_time() - one_by_one) / 50
    assert (one_by_one - start) / 10 < 0.2 * each * len(working.plans)
