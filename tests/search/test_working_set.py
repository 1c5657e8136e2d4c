"""The working set covers what is alive, respects what is not allowed, and follows the policy."""

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
        assert len(plans) == len(set(plans)) == 8
        assert all(covered(plans, key).all() for key in SHAPES.searched), seed


def test_a_dead_value_is_not_covered_for_its_own_sake():
    weights = {**SHAPES.uniform(), ShapeKey("image_size"): np.array([0.0, 0.995, 0.005])}
    small = [sum(plan.image_size != 16 for plan in make(4, seed).fill(weights)) for seed in range(20)]
    assert np.mean(small) < 2


def test_only_allowed_plans_are_members_unless_there_is_none():
    plans = make(allowed=lambda plan: plan.image_size == 8).fill(SHAPES.uniform())
    assert {plan.image_size for plan in plans} == {8}
    assert len(make(allowed=lambda plan: False).fill(SHAPES.uniform())) == 1


def test_renewing_keeps_the_likeliest_and_remembers_all():
    working, rng = make(6), np.random.default_rng(1)
    first = working.fill(SHAPES.uniform())
    leaning = {key: rng.dirichlet(np.ones(len(SHAPES.values(key)))) for key in SHAPES.keys}
    strong = likeliest(SHAPES, leaning, first)[:4]
    new = working.renew(leaning)
    assert len(new) == 2 and set(strong) <= set(working.plans) and set(working.seen) == {*first, *new}
    assert SHAPES.mode(leaning) in working.plans


def test_a_space_smaller_than_the_set_is_held_whole():
    shapes = ShapeSpace(ShapeChoices(image_size=(8, 16)))
    working = WorkingSet(shapes, 6, np.random.default_rng(0))
    assert len(working.fill(shapes.uniform())) == 2
    np.testing.assert_allclose(working.probabilities(shapes.uniform()), 0.5)
    table = working.members()
    assert set(table) == {ShapeKey("image_size")} and table[ShapeKey("image_size")][0].shape == (2, 2)
