"""Steps as one program each, that take the memory of the state they are given: the same numbers as part by part."""

import jax
import numpy as np
import pytest

from tests.trainers.compilation import no_compilation
from tests.trainers.test_supernet_trainer import LARGE, SHAPES, SMALL, batches, make, masks
from tvnjax.trainers.programs import Programs


def search(trainer, group=1):
    """Weight steps, then steps of both, some of them in one program, and one of the shapes; everything on the device
    goes there by explicit calls."""
    stream = batches(0)
    state = trainer.init()
    told = []
    members = masks(SMALL, LARGE)
    for plan in (SMALL, LARGE):
        some = [jax.device_put(next(stream)) for _ in range(8)]
        trains, vals = some[:4], some[4:]
        with jax.transfer_guard("disallow"):
            for first in range(0, 4, group):
                part = slice(first, first + group)
                temperatures, progress = [1.0] * group, [0.0] * group
                state, loss = trainer.weight_steps(state, plan, trains[part], temperatures, progress, {})
                told.append([loss])
            for first in range(0, 4, group):
                part, temperatures = slice(first, first + group), [0.9, 0.8, 0.7, 0.6][first : first + group]
                progress = [0.3, 0.4, 0.6, 0.7][first : first + group]
                found = trainer.search_steps(state, plan, trains[part], vals[part], temperatures, progress)
                state, told = found[0], [*told, found[1:]]
            losses = trainer.plan_losses(state, {plan: vals[0]}, 0.9, 0.5)[plan]
            told.append([np.float32(loss) for loss in losses.values()])
            both = np.array([0.3, 0.7], np.float32)
            state = trainer.shape_step(state, both, members, 0.9, 0.5, rate=1.0, decay=0.1)
    return jax.device_get(state), jax.device_get(told)


@pytest.fixture(scope="module")
def apart():
    return search(make(mode="concrete", latency_weight=0.1))


def fused(**options):
    return make(mode="concrete", latency_weight=0.1, programs=Programs(fused=True, **options))


@pytest.mark.parametrize("group", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_fused_steps_give_what_their_parts_give(apart, group):
    trainer = fused()
    state, told = search(trainer, group)
    for ours, theirs in zip(jax.tree.leaves(state), jax.tree.leaves(apart[0]), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
    last = [row for number, row in enumerate(apart[1]) if number % 9 == 8 or number % 9 % group == group - 1]
    for ours, theirs in zip(jax.tree.leaves(told), jax.tree.leaves(last), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
    if group == 1:
        with no_compilation():
            search(trainer)


def test_a_donated_state_is_gone_and_a_copy_is_not():
    trainer, stream = fused(), batches(1)
    state = trainer.init()
    kept = trainer.copied(state)
    batch = next(stream)
    trainer.weight_step(state, SMALL, batch, 1.0)
    assert any(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))
    again, _ = trainer.weight_step(trainer.copied(kept), SMALL, batch, 1.0)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves((kept, again)))
    free = fused(donate=False)
    state = free.init()
    free.weight_step(state, SMALL, batch, 1.0)
    assert free.copied(state) is state and not any(leaf.is_deleted() for leaf in jax.tree.leaves(state))


def test_what_is_compiled_ahead_is_not_compiled_again():
    trainer, stream = fused(), batches(2)
    state, batch = trainer.init(), next(stream)
    plans = [SMALL, LARGE]
    assert not trainer.ready(plans, learning=False)
    trainer.compile(plans, state, lambda plan: batch, lambda plan: batch, learning=False)
    assert trainer.ready(plans, learning=False) and not trainer.ready(plans, learning=True)
    before = trainer.compile_seconds
    assert before > 0
    with no_compilation():
        for plan in plans:
            state, _ = trainer.weight_step(state, plan, batch, 1.0)
            trainer.plan_losses(state, {plan: batch}, 1.0)
    assert trainer.compile_seconds == before
    assert len(SHAPES.prefixes(LARGE)) == 2
