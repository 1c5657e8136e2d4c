"""Plans drawn where few have room: those that are drawn have, in the lengths asked for, by the policy's own chances."""

import numpy as np
import pytest

from tvnjax.spaces.tvn.relaxation.room import RoomyDraws, least_weights
from tvnjax.spaces.tvn.relaxation.working_set import WorkingSet
from tvnjax.spaces.tvn.relaxed import relax_plan
from tvnjax.spaces.tvn.search_space import paper_ranges
from tvnjax.spaces.tvn.shapes import BlockPlan, BlockShapes, Plan, ShapeChoices, ShapeKey, ShapeSpace

SHAPES, OPERATORS = paper_ranges(clip_frames=64)
UNIFORM = SHAPES.uniform()


def least(plan):
    return least_weights(relax_plan(plan, OPERATORS))


def drawn(most, together=4, count=200):
    rng = np.random.default_rng(0)
    room = RoomyDraws(SHAPES, OPERATORS, lambda: most)
    return room, room.of([SHAPES.sample(UNIFORM, rng) for _ in range(count)], together, UNIFORM, rng)


@pytest.mark.parametrize("most", [3e7, 3e8, 3e9])
def test_every_plan_has_its_part_of_the_room_and_every_length_occurs(most):
    room, plans = drawn(int(most))
    assert max(map(least, plans)) <= most / 4 and room.passed_over > 100
    assert all(SHAPES.canonical(plan) == plan and SHAPES.probability(plan, UNIFORM) > 0 for plan in plans)
    lengths = {len(plan.blocks) for plan in plans}
    assert lengths == set(range(1, 9)) or most < 1e8
    assert len({block.filters for plan in plans for block in plan.blocks}) > 2


def test_without_regard_to_weights_next_to_none_has_room():
    """What the draws are for."""
    rng = np.random.default_rng(0)
    plans = [SHAPES.lengthened(SHAPES.sample(UNIFORM, rng), UNIFORM, rng) for _ in range(256)]
    assert not any(least(plan) <= 3e8 for plan in plans)


def test_a_block_is_drawn_by_the_policy_among_those_that_have_room():
    """The chances are those of drawing again until a block has room."""
    shapes = ShapeSpace(
        ShapeChoices(image_size=(8,), num_frames=(1,), blocks=(BlockShapes(filters=(32, 64, 96), repeats=(1, 2, 4)),))
    )
    p = {**shapes.uniform(), ShapeKey("filters", 0): np.array([0.2, 0.3, 0.5])}
    p[ShapeKey("repeats", 0)] = np.array([0.5, 0.3, 0.2])

    def block(filters, repeats):
        return BlockPlan(filters=filters, repeats=repeats)

    def of(one):
        return least(Plan(image_size=8, num_frames=1, blocks=(one,)))

    most = of(block(64, 2))
    rng = np.random.default_rng(0)
    room = RoomyDraws(shapes, OPERATORS, lambda: most)
    plans = room.of([shapes.sample(p, rng) for _ in range(6000)], 1, p, rng)
    chances = {(f, r): a * b for f, a in zip((32, 64, 96), (0.2, 0.3, 0.5)) for r, b in zip((1, 2, 4), (0.5, 0.3, 0.2))}
    fits = {pair: chance for pair, chance in chances.items() if of(block(*pair)) <= most}
    assert (64, 2) in fits and 2 < len(fits) < 9
    for pair in chances:
        met = np.mean([(plan.blocks[0].filters, plan.blocks[0].repeats) == pair for plan in plans])
        assert met == pytest.approx(fits.get(pair, 0.0) / sum(fits.values()), abs=0.02), pair


def test_a_part_of_the_room_that_nothing_has_is_given_up_for_all_of_it():
    smallest = least(Plan(image_size=8, num_frames=1, blocks=(BlockPlan(filters=32, spatial_stride=1),)))
    _, plans = drawn(smallest)
    assert plans and {len(plan.blocks) for plan in plans} == {1}
    assert {plan.blocks[0].filters * plan.blocks[0].repeats for plan in plans} == {32}
    _, none = drawn(smallest - 1)
    assert none == []


def test_where_all_have_room_draws_are_as_they_were():
    sets = [
        WorkingSet(SHAPES, 4, np.random.default_rng(0), room=room)
        for room in (None, RoomyDraws(SHAPES, OPERATORS, lambda: None))
    ]
    first, second = ([*one.fill(UNIFORM), *one.renew(UNIFORM)] for one in sets)
    assert first == second and sets[1].passed_over == 0


def test_a_set_of_a_space_where_nothing_has_room_stays_empty():
    working = WorkingSet(SHAPES, 4, np.random.default_rng(0), room=RoomyDraws(SHAPES, OPERATORS, lambda: 10))
    assert working.fill(UNIFORM) == [] and working.plans == [] and working.passed_over > 0
