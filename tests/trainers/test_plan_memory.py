"""Plans that a device has no room for: worked on in parts, rematerialised, or left out, and always said."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.trainers.test_supernet_trainer import LARGE, SMALL, batches, gradients, make
from tvnjax.trainers.plan_store import Working
from tvnjax.trainers.programs import DoesNotFitError, Programs, is_out_of_memory, needed_bytes


def fit(trainer, plan, fits):
    """What ``PlanStore.fit`` makes of a plan whose programs fit where ``fits`` says so, and the ways it tried."""
    tried = []

    def compile_(supernet):
        way = Working(supernet._remat, supernet._accumulate)
        tried.append(way)
        if not fits(way):
            raise DoesNotFitError("too large")

    return trainer.store.fit(plan, compile_), tried


def test_the_first_way_that_fits_is_taken_in_order_of_time():
    trainer = make(most_parts=12)
    found, tried = fit(trainer, LARGE, lambda way: True)
    assert found is None and tried == [Working(False, 1)]
    found, tried = fit(trainer, LARGE, lambda way: way.accumulate >= 3)
    assert tried == [Working(False, 1), Working(True, 1), Working(True, 2), Working(True, 4)]
    assert found.working == Working(True, 4) and found.reason == "too large" and "4 parts" in str(found.working)
    assert trainer.supernet(LARGE)._accumulate == 4 and trainer.supernet(SMALL)._accumulate == 1
    again, tried = fit(trainer, LARGE, lambda way: True)
    assert again is None and tried == [Working(True, 4)], "it stays so"
    assert trainer.has_room(LARGE)


def test_a_plan_that_no_way_fits_is_left_out_and_that_is_kept():
    trainer = make(most_parts=2)
    found, tried = fit(trainer, LARGE, lambda way: False)
    assert found.working is None and tried[-1] == Working(True, 2)
    assert not trainer.has_room(LARGE) and trainer.has_room(SMALL)
    fit(trainer, SMALL, lambda way: way.remat)
    other = make(most_parts=2)
    other.restore(trainer.capture())
    assert not other.has_room(LARGE) and other.supernet(SMALL)._remat


def test_a_step_that_had_no_memory_left_takes_the_next_way():
    trainer = make(most_parts=2)
    ways = [trainer.store.lessen(SMALL, "none left").working for _ in range(3)]
    assert ways == [Working(True, 1), Working(True, 2), None] and not trainer.has_room(SMALL)
    assert is_out_of_memory(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes"))
    assert not is_out_of_memory(jax.errors.JaxRuntimeError("INVALID_ARGUMENT: no"))
    assert not is_out_of_memory(ValueError("RESOURCE_EXHAUSTED"))


def test_programs_are_refused_by_what_they_need():
    x = jnp.ones((256, 256))

    def square(x):
        return jnp.tanh(x @ x)

    needed = needed_bytes(jax.jit(square).lower(x).compile())
    assert needed >= 2 * x.nbytes
    assert Programs(memory_bytes=needed).run("square", square, x).shape == x.shape
    with pytest.raises(DoesNotFitError, match="needs"):
        Programs(memory_bytes=needed - 1).run("square", square, x)


@pytest.mark.parametrize("unroll", [True, False])
def test_parts_of_a_batch_give_the_mean_of_their_gradients(unroll):
    """Every so manieth clip makes a part, each with batch statistics of its own."""
    trainer, whole = make(accumulate=2), make()
    batch, state = next(batches(3)), whole.init()
    weights = whole.weights(whole.relaxed(SMALL), state, 1.0)
    trainer.supernet(SMALL)._unroll = unroll
    ours = gradients(trainer, SMALL, state.params, weights, batch)
    halves = [{name: value[half::2] for name, value in batch.items()} for half in (0, 1)]
    theirs = [gradients(whole, SMALL, state.params, weights, half) for half in halves]
    for mine, one, two in zip(*map(jax.tree.leaves, (ours, *theirs)), strict=True):
        np.testing.assert_allclose(mine, (np.asarray(one) + np.asarray(two)) / 2, atol=1e-5)
