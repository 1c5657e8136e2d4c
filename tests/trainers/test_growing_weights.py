"""Weights for the plans that are trained, where those of the largest plan have no room."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.trainers.test_supernet_trainer import OPERATORS, TRAINING, batches, nothing, view_of
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.to_json import jsonable
from tvnjax.spaces.tvn.relaxation.relaxation import TvnRelaxation
from tvnjax.spaces.tvn.search_space import paper_space
from tvnjax.spaces.tvn.shapes import BlockPlan, BlockShapes, Plan, ShapeChoices, ShapeSpace
from tvnjax.trainers.fresh_weights import standard_normal
from tvnjax.trainers.outline import count, covers, outline, union
from tvnjax.trainers.plan_weights import STEP_BYTES, most_weights
from tvnjax.trainers.programs import Programs
from tvnjax.trainers.supernet_trainer import SupernetTrainer

SHAPES = ShapeSpace(
    ShapeChoices(
        image_size=(8,),
        num_frames=(1,),
        num_blocks=(1, 2),
        blocks=(BlockShapes(filters=(8, 40)), BlockShapes(filters=(8, 40))),
    )
)
RELAXATION = TvnRelaxation(SHAPES, OPERATORS)
WIDE = Plan(image_size=8, num_frames=1, blocks=(BlockPlan(filters=40),))
LONG = Plan(image_size=8, num_frames=1, blocks=(BlockPlan(filters=8), BlockPlan(filters=8)))
ALL = Plan(image_size=8, num_frames=1, blocks=(BlockPlan(filters=40), BlockPlan(filters=40)))


def sketched(plan):
    net = RELAXATION.supernet(RELAXATION.relaxed(plan), 3, None)
    return outline(nnx.state(net, nnx.Param))


def make(most, programs=None, **changes):
    return SupernetTrainer(
        RELAXATION,
        3,
        view_of,
        nothing,
        1,
        type(TRAINING)(**{**vars(TRAINING), **changes}),
        seed=0,
        programs=programs,
        most=most,
    )


def growing():
    return make(count(sketched(ALL)) - 1)


def trained(trainer, state, plans, count, seed=0):
    """Behind some steps in turn; and their losses."""
    stream, losses = batches(seed), []
    for number in range(count):
        state, loss = trainer.weight_step(state, plans[number % len(plans)], next(stream), 1.0)
        losses.append(float(loss))
    return state, losses


def per_weight(trainer, state):
    """Weights, counts and moments by name."""
    size, leaves = trainer.weights_layout.size, [state.params, *jax.tree.leaves(state.opt)]
    return [trainer.weights_layout.on_host(np.asarray(leaf)) for leaf in leaves if leaf.shape == (size,)]


@pytest.mark.parametrize("shape", [(), (7,), (33, 65), (3, 1, 40, 33), (2, 2, 2, 1, 70)])
def test_an_array_is_the_leading_part_of_every_larger_one(shape):
    larger = standard_normal(
        [size + 31 if place >= len(shape) - 2 else size + 1 for place, size in enumerate(shape)], 5, ("a", 0)
    )
    corner = tuple(map(slice, shape))
    np.testing.assert_array_equal(standard_normal(shape, 5, ("a", 0)), larger[corner])
    assert not np.array_equal(standard_normal(shape, 5, ("a", 1)), larger[corner])
    assert not np.array_equal(standard_normal(shape, 6, ("a", 0)), larger[corner])


def test_such_numbers_are_independent_and_standard_normal():
    drawn = standard_normal((4, 100, 100), 0, ("kernel",)).reshape(4, -1)
    assert abs(drawn.mean()) < 0.02 and abs(drawn.std() - 1) < 0.02 and abs((drawn**4).mean() - 3) < 0.2
    assert np.abs(np.corrcoef(drawn) - np.eye(4)).max() < 0.05
    tiles = drawn.reshape(4, 100, 100)[:, :96, :96].reshape(4, 3, 32, 3, 32).transpose(0, 1, 3, 2, 4).reshape(36, -1)
    assert np.abs(np.corrcoef(tiles) - np.eye(36)).max() < 0.15


@pytest.mark.parametrize("plan", [WIDE, LONG, ALL])
def test_what_is_told_of_a_plan_is_what_its_supernet_has(plan):
    """Shapes exactly, and the deviation that the layer draws with; the rest to the bit."""
    told = sketched(plan)
    made = nnx.to_flat_state(nnx.state(RELAXATION.supernet(RELAXATION.relaxed(plan), 3, 0), nnx.Param))
    assert {path: sketch.shape for path, sketch in told.items()} == {path: leaf.shape for path, leaf in made}
    drawn = 0
    for path, leaf in made:
        array, sketch = np.asarray(leaf[...]), told[path]
        if sketch.deviation == 0:
            np.testing.assert_array_equal(array, np.full(sketch.shape, sketch.mean))
        elif array.size > 50:
            drawn += 1
            assert array.std() == pytest.approx(sketch.deviation, rel=5 / np.sqrt(2 * array.size)), path
            ours = sketch.drawn(0, path)
            assert ours.std() == pytest.approx(sketch.deviation, rel=5 / np.sqrt(2 * array.size)), path
    assert drawn > 3


def test_the_paper_s_largest_plan_is_counted_without_being_made():
    relaxation = paper_space().relax()
    assert relaxation is not None
    net = relaxation.supernet(relaxation.largest(), 10, None)
    arrays = [leaf[...] for _, leaf in nnx.to_flat_state(nnx.state(net, nnx.Param))]
    assert sum(array.size for array in arrays) > 2e11
    held = sum(array.nbytes for array in arrays if not isinstance(array, np.ndarray) or any(array.strides))
    assert held < 1e8


def test_what_has_room_is_what_a_step_takes_of_the_device():
    assert most_weights(Programs(memory_bytes=STEP_BYTES * 1000.0)) == 1000
    assert most_weights(Programs(memory_bytes=1e18)) == most_weights(Programs()) < 1e10


def test_where_the_largest_plan_has_room_nothing_is_another():
    size = count(sketched(ALL))
    for most in (None, size, size + 1):
        trainer = make(most)
        state = trainer.init()
        assert not trainer.arrays.grow and trainer.arrays.most is None and state.params.shape == (size,)
        again, growth, left_out = trainer.add(state, [LONG], [LONG])
        assert again is state and not growth.changed and not left_out and trainer.has_room(ALL)
        model = nnx.state(RELAXATION.supernet(RELAXATION.largest(), 3, 0), nnx.Param)
        np.testing.assert_array_equal(state.params, trainer.weights_layout.flatten(model))


def test_growth_keeps_what_is_there_and_its_moments():
    trainer = growing()
    assert trainer.arrays.grow and trainer.init().params.shape == (0,)
    state, growth, _ = trainer.add(trainer.init(), [LONG], [LONG])
    assert growth.changed and growth.before == growth.dropped == 0
    assert trainer.weights_layout.size == count(sketched(LONG))
    state, _ = trained(trainer, state, [LONG], 4)
    before = per_weight(trainer, state)
    grown, growth, _ = trainer.add(state, [WIDE], [LONG, WIDE])
    assert growth.changed and growth.before == count(sketched(LONG)) and growth.dropped == 0
    assert trainer.weights_layout.size == count(union([sketched(LONG), sketched(WIDE)]))
    after = per_weight(trainer, grown)
    assert len(before) == len(after) == 4, "weights, counts, two moments"
    assert any(array.any() for array in before[1].values()), "there is something to keep"
    for number, (old, new) in enumerate(zip(before, after)):
        for path, array in new.items():
            fresh = np.ones(array.shape, bool)
            if path in old:
                corner = tuple(map(slice, old[path].shape))
                np.testing.assert_array_equal(array[corner], old[path])
                fresh[corner] = False
            expected = trainer.arrays._held[path].drawn(0, path) if number == 0 else np.zeros(array.shape)
            np.testing.assert_array_equal(array[fresh], expected[fresh])
    same, growth, _ = trainer.add(grown, [LONG], [LONG, WIDE])
    assert same is grown and not growth.changed, "its arrays are there"


def test_steps_that_are_one_program_and_take_the_state_s_memory_grow_too():
    most, ends = count(sketched(ALL)) - 1, []
    for programs in (None, Programs(fused=True, donate=True)):
        trainer = make(most, programs)
        state, _, _ = trainer.add(trainer.init(), [WIDE], [WIDE])
        state, before = trained(trainer, state, [WIDE], 2)
        state, _, _ = trainer.add(state, [LONG], [WIDE, LONG])
        ends.append(before + trained(trainer, state, [WIDE, LONG], 4)[1])
    np.testing.assert_allclose(*ends, rtol=1e-4)


def test_fresh_weights_do_not_depend_on_the_order_of_plans():
    states = []
    for plans in ([LONG, WIDE], [WIDE, LONG]):
        trainer = growing()
        state, _, _ = trainer.add(trainer.init(), plans, plans)
        states.append(state.params)
    np.testing.assert_array_equal(*states)
    # One after the other: the same draws, at the deviation that the layer asks for at the size it has by then.
    for plans in ([LONG, WIDE], [WIDE, LONG]):
        trainer = growing()
        state, _, _ = trainer.add(trainer.init(), plans[:1], plans[:1])
        state, _, _ = trainer.add(state, plans[1:], plans)
        assert state.params.shape == states[0].shape
        together, apart = (trainer.weights_layout.on_host(np.asarray(p)) for p in (states[0], state.params))
        for path in together:
            there = together[path] != 0
            ratio = apart[path][there] / together[path][there]
            assert (ratio > 0).all() and ratio.max(initial=1) <= np.sqrt(40 / 3) * 1.001, path


def test_losses_are_those_of_weights_of_the_largest_plan():
    """With every plan there from the start a search is the ordinary one to the bit, weights being the same."""
    ours, theirs = growing_to_all(), make(None)
    plans = [ALL, LONG, WIDE]
    state, _, _ = ours.add(ours.init(), plans, plans)
    assert ours.weights_layout.shapes == theirs.weights_layout.shapes
    fixed = theirs.init()._replace(params=state.params)
    (state, losses), (fixed, others) = trained(ours, state, plans, 9), trained(theirs, fixed, plans, 9)
    assert losses == others and len(set(losses)) == 9
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(fixed), strict=True):
        np.testing.assert_array_equal(a, b)


def growing_to_all():
    """Arrays that grow up to those of the largest plan: as where a search goes on that began with less memory."""
    trainer = growing()
    trainer.arrays._most = count(sketched(ALL))
    trainer.arrays._room = {}
    return trainer


def test_losses_of_small_plans_are_those_on_slices_of_the_largest_plan_s():
    ours, theirs = growing(), make(None)
    plans = [LONG, WIDE]
    state, _, _ = ours.add(ours.init(), plans, plans)
    fixed = theirs.init()
    whole = np.array(fixed.params)
    arrays = theirs.weights_layout.on_host(whole)
    for path, array in ours.weights_layout.on_host(np.asarray(state.params)).items():
        arrays[path][tuple(map(slice, array.shape))] = array
    fixed = fixed._replace(params=jnp.asarray(whole))
    (_, losses), (_, others) = trained(ours, state, plans, 8), trained(theirs, fixed, plans, 8)
    np.testing.assert_allclose(losses, others, rtol=2e-5)


def test_it_goes_on_from_json_to_the_bit_and_grows_to_the_same():
    ours = growing()
    state, _, _ = ours.add(ours.init(), [LONG], [LONG])
    state, _ = trained(ours, state, [LONG], 3)
    told = json.loads(json.dumps(jsonable(ours.capture())))
    arrays = jax.device_get(state)
    other = growing()
    like = other.like(other.init(), told)
    assert [a.shape for a in jax.tree.leaves(like)] == [a.shape for a in jax.tree.leaves(arrays)]
    assert [a.dtype for a in jax.tree.leaves(like)] == [a.dtype for a in jax.tree.leaves(arrays)]
    other.restore(told)
    assert other.weights_layout.shapes == ours.weights_layout.shapes
    ends = []
    for trainer, begun in ((ours, state), (other, other.placed(arrays))):
        grown, _, _ = trainer.add(begun, [WIDE], [LONG, WIDE])
        ends.append(trained(trainer, grown, [LONG, WIDE], 4, seed=1))
    assert ends[0][1] == ends[1][1]
    for a, b in zip(jax.tree.leaves(ends[0][0]), jax.tree.leaves(ends[1][0]), strict=True):
        np.testing.assert_array_equal(a, b)
    # Back to what was there before, in the same process.
    ours.restore(told)
    _, losses = trained(ours, state, [LONG], 2, seed=2)
    _, others = trained(other, ours.placed(arrays), [LONG], 0)
    assert ours.weights_layout.size == count(sketched(LONG)) and len(losses) == 2 and not others


def test_other_arrays_are_never_taken_for_those_of_a_checkpoint():
    whole, grows = make(None), growing()
    with pytest.raises(InvalidInputError, match=r"largest plan's \d+; there is room for \d+: go on where"):
        grows.restore(json.loads(json.dumps(jsonable(whole.capture()))))
    grows.add(grows.init(), [WIDE], [WIDE])
    whole.restore(json.loads(json.dumps(jsonable(grows.capture()))))
    assert whole.arrays.grow and whole.arrays.most == grows.arrays.most, "where there is more room it goes on as it was"
    assert whole.weights_layout.shapes == grows.weights_layout.shapes and not whole.has_room(ALL)
    less = make(count(sketched(WIDE)))
    with pytest.warns(UserWarning, match=r"began where \d+ weights had room, here \d+ have"):
        less.restore(json.loads(json.dumps(jsonable(grows.capture()))))
    assert less.arrays.most == count(sketched(WIDE)) < grows.arrays.most


def test_what_no_plan_of_the_working_set_uses_is_dropped_before_a_plan_is_left_out():
    room = max(count(sketched(LONG)), count(sketched(WIDE)))
    assert count(union([sketched(LONG), sketched(WIDE)])) > room
    trainer = make(room)
    assert trainer.has_room(LONG) and trainer.has_room(WIDE) and not trainer.has_room(ALL)
    state, _, left_out = trainer.add(trainer.init(), [LONG, ALL], [LONG, ALL])
    assert [fitted.plan for fitted in left_out] == [ALL] and left_out[0].working is None
    assert "weights, and" in left_out[0].reason and trainer.weights_layout.size == count(sketched(LONG))
    state, _ = trained(trainer, state, [LONG], 3)
    before = per_weight(trainer, state)
    # Beside it the other has no room; in its place it has.
    same, growth, left_out = trainer.add(state, [WIDE], [LONG, WIDE])
    assert same is state and [fitted.plan for fitted in left_out] == [WIDE] and "with the others" in left_out[0].reason
    again = make(room)
    again.restore({**trainer.capture(), "plans": {"working": {}, "left_out": []}})
    state, growth, left_out = again.add(state, [WIDE], [WIDE])
    assert not left_out and growth.before - growth.dropped > 0 and growth.dropped > 0
    after = per_weight(again, state)
    assert {path: a.shape for path, a in after[0].items()} == {p: s.shape for p, s in sketched(WIDE).items()}
    kept = 0
    for old, new in zip(before, after):
        for path in set(old) & set(new):
            corner = tuple(map(slice, map(min, old[path].shape, new[path].shape)))
            np.testing.assert_array_equal(new[path][corner], old[path][corner])
            kept += old[path][corner].size
    assert kept == len(before) * (growth.before - growth.dropped)


def test_union_and_cover():
    both = union([sketched(LONG), sketched(WIDE)])
    assert covers(both, sketched(LONG)) and covers(both, sketched(WIDE)) and covers(sketched(ALL), both)
    assert not covers(sketched(LONG), sketched(WIDE)) and not covers(sketched(WIDE), sketched(LONG))
