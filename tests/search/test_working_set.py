"""The working set covers what is alive, respects what is not allowed, and follows the policy."""

import dataclasses

import numpy as np

from tvnjax.search.working_set import WorkingSet, likeliest
from tvnjax.space.shapes import BlockShapes, ShapeChoices, ShapeKey, ShapeSpace

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


def make(size=8, seed=0, **options):
    return WorkingSet(SHAPES, size, np.random.default_rng(seed), **options)


def programs(plans):
    return len({dataclasses.replace(plan, frame_stride=1) for plan in plans})


def covered(plans, key):
    """Values that some plan has and that mean something there."""
    values = np.zeros(len(SHAPES.values(key)), bool)
    for plan in plans:
        mask = SHAPES.equivalent(plan)[key]
        values |= mask if not mask.all() else False
    return values


def test_every_value_of_every_gene_is_in_a_set_of_eight():
    for seed in range(10):
        plans = make(seed=seed).fill(SHAPES.uniform())
        assert len(plans) == len(set(plans)) and programs(plans) == 8
        assert all(covered(plans, key).all() for key in SHAPES.searched), seed


def test_distances_between_frames_come_along_for_free():
    plans = make(3, seed=1).fill(SHAPES.uniform())
    for plan in plans:
        strides = {other.frame_stride for other in plans if programs([plan, other]) == 1}
        legal = SHAPES.legal_strides(plan.num_frames)
        assert len(strides) == (legal.sum() if plan.num_frames > 1 else 1)


def test_a_dead_value_is_not_covered_for_its_own_sake():
    weights = {**SHAPES.uniform(), ShapeKey("image_size"): np.array([0.0, 0.995, 0.005])}
    small = [sum(plan.image_size != 16 for plan in make(4, seed).fill(weights)) for seed in range(20)]
    assert np.mean(small) < 2


def test_only_allowed_plans_are_members_unless_there_is_none():
    plans = make(allowed=lambda plan: plan.image_size == 8).fill(SHAPES.uniform())
    assert {plan.image_size for plan in plans} == {8}
    assert programs(make(allowed=lambda plan: False).fill(SHAPES.uniform())) == 1


def test_renewing_keeps_the_likeliest_and_remembers_all():
    working, rng = make(6, strides=1), np.random.default_rng(1)
    first = working.fill(SHAPES.uniform())
    leaning = {key: rng.dirichlet(np.ones(len(SHAPES.values(key)))) for key in SHAPES.keys}
    strong = likeliest(SHAPES, leaning, first)[:4]
    working.renew(leaning)
    apart = {dataclasses.replace(plan, frame_stride=1) for plan in working.plans}
    assert {dataclasses.replace(plan, frame_stride=1) for plan in strong} <= apart and len(apart) == 6
    assert {*first, *working.plans} == set(working.seen)
    assert SHAPES.mode(leaning) in working.plans


def test_a_space_smaller_than_the_set_is_held_whole():
    shapes = ShapeSpace(ShapeChoices(image_size=(8, 16)))
    working = WorkingSet(shapes, 6, np.random.default_rng(0))
    assert len(working.fill(shapes.uniform())) == 2
    np.testing.assert_allclose(working.probabilities(shapes.uniform()), 0.5)
    table = working.members()
    assert set(table) == {ShapeKey("image_size")} and table[ShapeKey("image_size")][0].shape == (2, 2)


def test_scores_are_smoothed_and_strangers_get_the_mean():
    working = make(2, strides=1)
    working.fill(SHAPES.uniform())
    assert working.scores().tolist() == [0.0, 0.0]
    working.scored([1.0, 2.0])
    working.scored([2.0, 2.0])
    np.testing.assert_allclose(working.scores(), [1.5, 2.0])
    working.renew({key: np.eye(len(SHAPES.values(key)))[-1] for key in SHAPES.keys}, part=0.5)
    assert len(working.scores()) == len(working.plans) and set(working.scores().tolist()) <= {1.5, 2.0}
