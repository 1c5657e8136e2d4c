"""The optimizer on one vector of all weights is AdamW of each array, clipped by the norm of all."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

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


def test_moments_are_two_vectors_however_many_arrays_there_are():
    """What is compiled for an update does not grow with the moments of every array."""
    state = jax.eval_shape(Optimizer().build(10).init, drawn(0))
    size = sum(int(np.prod(shape)) for shape in SHAPES.values())
    assert sorted(leaf.shape for leaf in jax.tree.leaves(state) if leaf.ndim) == [(size,), (size,)]
