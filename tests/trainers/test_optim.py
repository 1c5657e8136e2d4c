"""The optimizer on one vector of all weights is AdamW of each array, clipped by the norm of all."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from tvnjax.trainers.optim import Optimizer, updated

SHAPES = {"kernel": (3, 3, 2, 4), "scale": (4,), "dense": (4, 5), "bias": (5,)}


def drawn(seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return {name: jnp.asarray(scale * rng.normal(size=shape), jnp.float32) for name, shape in SHAPES.items()}


@pytest.mark.parametrize("schedule", ["cosine", "step"])
def test_one_vector_of_moments_is_adamw_of_every_array(schedule):
    """Against optax's own AdamW behind its own clipping; some gradients are clipped, some are not."""
    settings = Optimizer(learning_rate=0.05, schedule=schedule, weight_decay=0.1, clip_norm=2.0)
    ours = settings.build(12)
    theirs = optax.chain(
        optax.clip_by_global_norm(2.0),
        optax.adamw(settings.schedule_of(12), weight_decay=0.1, mask={n: len(s) > 1 for n, s in SHAPES.items()}),
    )
    mine, other = drawn(0), drawn(0)
    my_state, other_state = ours.init(mine), theirs.init(other)
    for step in range(12):
        grads = drawn(step + 1, scale=0.05 if step % 2 else 3.0)
        mine, my_state = updated(ours, grads, my_state, mine)
        other, other_state = updated(theirs, grads, other_state, other)
        for name in SHAPES:
            np.testing.assert_allclose(mine[name], other[name], rtol=1e-5, atol=1e-6)
    assert not np.allclose(mine["bias"], drawn(0)["bias"])


@pytest.mark.parametrize("part", ["whole arrays", "corners"])
def test_shared_weights_move_as_if_their_own_steps_were_all_there_are(part):
    """Networks take turns, by lot; each weight against AdamW that saw the steps of its network alone.

    Also its moments: between its steps nothing of it changes."""
    settings = Optimizer(learning_rate=0.05, warmup=0.0, schedule="step", drop=1.0, weight_decay=0.1, clip_norm=1e6)
    decays = ravel_pytree({name: jnp.full(shape, len(shape) > 1) for name, shape in SHAPES.items()})[0]
    tx, rng = settings.build_vector(40, lambda params: params * decays, shared=True), np.random.default_rng(0)

    def of_network(number, name):
        if part == "corners":
            inside = np.zeros(SHAPES[name], bool)
            inside[tuple(slice(0, size // (2 - number)) for size in SHAPES[name])] = True
            return inside
        return np.full(SHAPES[name], (name in ("kernel", "bias")) == bool(number))

    turns = rng.integers(0, 2, 40)
    params, start = drawn(0), drawn(0)
    state, apart = tx.init(ravel_pytree(params)[0]), ravel_pytree(params)[1]
    for step, turn in enumerate(turns):
        masks = {name: of_network(turn, name) for name in SHAPES}
        grads = {name: grad * masks[name] for name, grad in drawn(step + 1).items()}
        whole, after = updated(tx, ravel_pytree(grads)[0], state, ravel_pytree(params)[0])
        moved = apart(whole)
        outside = np.concatenate([~masks[name].ravel() for name in sorted(SHAPES)])
        for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(after)):
            if old.shape == outside.shape:
                np.testing.assert_array_equal(np.asarray(old)[outside], np.asarray(new)[outside])
                assert (np.asarray(old)[~outside] != np.asarray(new)[~outside]).all()
        for name in SHAPES:
            np.testing.assert_array_equal(moved[name][~masks[name]], params[name][~masks[name]])
        params, state = moved, after
    for name in SHAPES:
        mask = len(SHAPES[name]) > 1
        reference = optax.adamw(0.05, weight_decay=0.1 if mask else 0.0)
        for inside, seen in _groups(name, of_network):
            weight = start[name]
            inner = reference.init(weight)
            for step, turn in enumerate(turns):
                if turn in seen:
                    weight, inner = updated(reference, drawn(step + 1)[name], inner, weight)
            np.testing.assert_allclose(params[name][inside], weight[inside], rtol=2e-4, atol=2e-5)
            assert not seen or not np.allclose(params[name][inside], start[name][inside])


def _groups(name, of_network):
    """Elements by the networks that have them."""
    first, second = of_network(0, name), of_network(1, name)
    every = [(first & second, {0, 1}), (first & ~second, {0}), (~first & second, {1}), (~first & ~second, set())]
    return [(inside, seen) for inside, seen in every if inside.any()]


def test_moments_are_two_vectors_however_many_arrays_there_are():
    """What is compiled for an update does not grow with the moments of every array."""
    state = jax.eval_shape(Optimizer().build(10).init, drawn(0))
    size = sum(int(np.prod(shape)) for shape in SHAPES.values())
    assert sorted(leaf.shape for leaf in jax.tree.leaves(state) if leaf.ndim) == [(size,), (size,)]
