"""Both forms of the pools give the numbers, and the gradients, of pools written as loops."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.nn.pooling import avg_pool, max_pool

# (input, window, stride)
CASES = [
    ((2, 2, 6, 7, 3), (1, 3, 3), (1, 1, 1)),
    ((2, 2, 8, 7, 3), (1, 3, 3), (1, 2, 2)),
    ((2, 4, 5, 6, 3), (2, 2, 2), (2, 2, 2)),
    ((2, 5, 4, 4, 3), (3, 3, 3), (2, 1, 3)),
    ((2, 6, 3, 2, 3), (3, 1, 1), (1, 1, 1)),
    ((2, 1, 4, 4, 3), (3, 5, 8), (1, 1, 1)),
    ((2, 1, 1, 1, 3), (2, 3, 3), (1, 2, 2)),
    ((2, 5, 9, 8, 3), (1, 1, 2), (2, 3, 5)),
]


def tied(shape):
    """Small whole numbers, half of them zeros: nearly every window holds its maximum more than once."""
    return jnp.asarray(np.maximum(np.random.default_rng(0).integers(-3, 4, shape), 0), jnp.float32)


def differentiate(pool, window, stride, form):
    """A function of x that returns the output and the gradient of an uneven sum of it."""

    def run(x):
        y, pull_back = jax.vjp(lambda x: pool(x, window, stride, form=form), x)
        return y, *pull_back(weights(y))

    return run


def weights(y):
    return jnp.cos(jnp.arange(y.size)).astype(y.dtype).reshape(y.shape)


def windows(shape, window, stride):
    """Pairs of an output position and the slices of the input that its window covers."""
    outs = [-(-n // s) for n, s in zip(shape[1:4], stride)]
    before = [max((o - 1) * s + k - n, 0) // 2 for o, s, k, n in zip(outs, stride, window, shape[1:4])]
    for at in itertools.product(*map(range, outs)):
        starts = [o * s - p for o, s, p in zip(at, stride, before)]
        yield at, tuple(slice(max(a, 0), min(a + k, n)) for a, k, n in zip(starts, window, shape[1:4]))


def pool_with_loops(kind, x, window, stride):
    """Value and gradient; the first maximum in row-major order takes the whole of its window's gradient."""
    x = np.asarray(x, np.float64)
    y = np.zeros((x.shape[0], *(-(-n // s) for n, s in zip(x.shape[1:4], stride)), x.shape[-1]))
    g, dx = np.asarray(weights(jnp.asarray(y, jnp.float32)), np.float64), np.zeros_like(x)
    for at, covered in windows(x.shape, window, stride):
        for b, c in itertools.product(range(x.shape[0]), range(x.shape[-1])):
            seen, share = x[(b, *covered, c)], dx[(b, *covered, c)]
            if kind == "avg":
                y[(b, *at, c)], share[...] = seen.mean(), share + g[(b, *at, c)] / seen.size
            else:
                first = np.unravel_index(seen.argmax(), seen.shape)
                y[(b, *at, c)] = seen[first]
                share[first] += g[(b, *at, c)]
    return y, dx


@pytest.mark.parametrize("form", ["plain", "shifted"])
@pytest.mark.parametrize(("kind", "pool"), [("max", max_pool), ("avg", avg_pool)])
@pytest.mark.parametrize(("shape", "window", "stride"), CASES)
def test_pools_agree_with_loops_where_elements_tie(shape, window, stride, kind, pool, form):
    x = tied(shape)
    got = jax.jit(differentiate(pool, window, stride, form))(x)
    for a, b in zip(got, pool_with_loops(kind, x, window, stride), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pool", [max_pool, avg_pool])
@pytest.mark.parametrize("k", range(1, 9))
def test_forms_agree_at_every_window_and_stride(k, pool):
    """One program for each window: the strides to 8 of one parity over rows of 9 pixels."""
    x = tied((2, 1, 2, 9, 2))

    def run(form):
        return [differentiate(pool, (1, 1, k), (1, 1, s), form)(x) for s in range(1 + k % 2, 9, 2)]

    both = [jax.tree.leaves(jax.jit(run, static_argnums=0)(form)) for form in ("shifted", "plain")]
    for a, b in zip(*both, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_gradient_of_max_pool_differentiates_again():
    x = tied((2, 2, 5, 5, 2)) + 0.5

    def penalty(x, form):
        return (jax.grad(lambda x: (max_pool(x, (1, 3, 3), (1, 2, 2), form=form) ** 3).sum())(x) ** 2).sum()

    second = jax.jit(jax.grad(penalty), static_argnums=1)
    np.testing.assert_allclose(second(x, "shifted"), second(x, "plain"), rtol=1e-5)


@pytest.mark.parametrize("form", ["plain", "shifted"])
@pytest.mark.parametrize("pool", [max_pool, avg_pool])
def test_bfloat16_stays_bfloat16(pool, form):
    for shape, window, stride in CASES:
        narrow = jax.ShapeDtypeStruct(shape, jnp.bfloat16)
        outputs = jax.eval_shape(differentiate(pool, window, stride, form), narrow)
        assert {out.dtype for out in outputs} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize("form", ["plain", "shifted"])
def test_max_pool_lets_nan_through(form):
    x = jnp.zeros((1, 1, 4, 4, 1)).at[0, 0, 3, 3, 0].set(jnp.nan)
    assert np.isnan(max_pool(x, (1, 2, 2), (1, 2, 2), form=form)).sum() == 1


@pytest.mark.parametrize("pool", [max_pool, avg_pool])
@pytest.mark.parametrize(
    ("shape", "window", "stride", "form"),
    [
        ((2, 4, 4, 3), (1, 2, 2), (1, 2, 2), "plain"),
        ((2, 1, 4, 4, 3), (2, 2), (1, 2, 2), "plain"),
        ((2, 1, 4, 4, 3), (1, 2, 2), (1, 0, 2), "plain"),
        ((2, 1, 4, 4, 3), (1, 2, 2), (1, 2, 2), "fast"),
    ],
)
def test_misfits_are_refused(pool, shape, window, stride, form):
    with pytest.raises(InvalidInputError, match="; met "):
        pool(jnp.zeros(shape), window, stride, form=form)
