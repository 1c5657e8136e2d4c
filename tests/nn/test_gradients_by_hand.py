"""Functions with gradients of their own, against the plain formulas that JAX differentiates."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tvnjax.nn.normalised import normalized
from tvnjax.nn.parts import BatchNorm, activation
from tvnjax.nn.weighted import chosen, combined, weighted_sum
from tvnjax.spaces.tvn.relaxation.masks import with_diagonal

RNG = np.random.default_rng(5)
EPSILON = 1e-3


def draw(*shape):
    return jnp.asarray(RNG.standard_normal(shape), jnp.float32)


def plain(act, x, scale, bias, mask):
    """In float64 where it is on."""
    axes = tuple(range(x.ndim - 1))
    mean, var = x.mean(axes), x.var(axes)
    z = (x - mean) / jnp.sqrt(var + EPSILON) * scale + bias
    return mask * activation(act)(z), mean, var


@pytest.mark.parametrize("form", ["shifted", "plain"])
@pytest.mark.parametrize("act", [None, "relu"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_normalisation_with_activation_and_mask(form, act, dtype):
    """Values and all gradients, those for the statistics' part in a loss included; masks of 0 keep their own."""
    x = (3 * draw(4, 2, 5, 3, 6) + 2).astype(dtype)
    scale, bias = draw(6), 0.3 * draw(6)
    mask = jnp.array([0.0, 1.0, 0.3, 0.0, 0.7, 1.0])
    g = (draw(*x.shape).astype(dtype), draw(6), draw(6))
    made: Any = jax.vjp(lambda *a: normalized(EPSILON, act, form, *a), x, scale, bias, mask)
    ours, grads = made[0], made[1](g)
    with jax.enable_x64(True):
        wide = [jnp.asarray(np.asarray(a, np.float64)) for a in (x, scale, bias, mask, *g)]
        exact, pull = jax.vjp(lambda *a: plain(act, *a), *wide[:4])
        exact_grads = pull(tuple(wide[4:]))
    assert ours[0].dtype == grads[0].dtype == dtype
    assert {a.dtype for a in (*ours[1:], *grads[1:])} == {jnp.dtype(jnp.float32)}
    rounding = 1e-5 if dtype == jnp.float32 else 2**-8
    for number, (one, other) in enumerate(zip((*ours, *grads), (*exact, *exact_grads), strict=True)):
        # Of what is bfloat16 there are x and y alone; sums are float32 whatever comes in.
        error = rounding if number in (0, 3) else 1e-5
        np.testing.assert_allclose(np.asarray(one, np.float64), other, atol=error * float(np.abs(other).max()))
    assert np.abs(np.asarray(grads[3])[[0, 3]]).max() > 0


@pytest.mark.parametrize("act", [None, "relu", "hswish"])
@pytest.mark.parametrize("train", [True, False])
def test_batch_norm_is_the_same_with_activation_and_mask_inside(act, train):
    """Whatever the activation, and in evaluation too: ``mask * act(norm(x))``."""
    x, mask = draw(3, 1, 4, 4, 5), jnp.array([0.0, 1.0, 0.3, 0.5, 1.0])
    norm = BatchNorm(5)
    norm.scale[...], norm.bias[...], norm.mean[...] = draw(5), draw(5), draw(5)
    graph, state = nnx.split(norm)

    def run(inside):
        def call(state, x, mask):
            module = nnx.merge(graph, state, copy=True)
            y = module(x, train=train, act=act, mask=mask) if inside else mask * activation(act)(module(x, train=train))
            return (y * jnp.cos(jnp.arange(y.size).reshape(y.shape))).sum(), nnx.state(module, nnx.BatchStat)

        return jax.value_and_grad(call, argnums=(0, 1, 2), has_aux=True)(state, x, mask)

    for one, other in zip(*(jax.tree.leaves(run(inside)) for inside in (True, False)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(3,), (3, 7), (4, 2, 5), (40, 3), (2, 40), (0,), (0, 3), (17, 0)])
def test_combinations_are_products(shape):
    """Below and above the number of terms that is written out."""
    rows, weights = np.array(draw(*shape)), draw(shape[0])
    rows[:1] = 0
    ours, pull = jax.vjp(lambda w: combined(w, rows), weights)
    g = draw(*ours.shape)
    np.testing.assert_allclose(ours, np.tensordot(weights, rows, 1), atol=1e-5)
    np.testing.assert_allclose(pull(g)[0], (rows * np.asarray(g)).sum(tuple(range(1, rows.ndim))), atol=1e-5)


@pytest.mark.parametrize("indices", [[1, 3], [0, 1, 2, 3], [2], [3, 0]])
def test_chosen_weights(indices):
    weights, g = draw(4), draw(len(indices))
    ours, pull = jax.vjp(lambda w: chosen(w, indices), weights)
    np.testing.assert_array_equal(ours, np.asarray(weights)[indices])
    expected = np.zeros(4, np.float32)
    expected[indices] = g
    np.testing.assert_array_equal(pull(g)[0], expected)


@pytest.mark.parametrize("form", ["shifted", "plain"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("count", [1, 3])
def test_weighted_sums_of_arrays(form, dtype, count):
    """A sum of 3000 equal products, which bfloat16 would stop at 256, is whole in the weights' gradients."""
    arrays, weights = [jnp.abs(draw(30, 2, 5, 2, 5)).astype(dtype) + 1 for _ in range(count)], draw(count)
    ours, pull = jax.vjp(lambda w, xs: weighted_sum(w, xs, form), weights, arrays)
    g = jnp.ones_like(ours)
    by_weights, by_arrays = pull(g)
    exact = [np.asarray(x, np.float64) for x in arrays]
    rounding = 1e-6 if dtype == jnp.float32 else 2**-8
    assert ours.dtype == dtype and by_weights.dtype == jnp.float32
    expected = sum(float(w) * x for w, x in zip(weights, exact))
    np.testing.assert_allclose(np.asarray(ours, np.float64), expected, atol=rounding * float(np.abs(expected).max()))
    np.testing.assert_allclose(by_weights, [x.sum() for x in exact], rtol=1e-5)
    for w, one in zip(weights, by_arrays, strict=True):
        assert one.dtype == dtype
        np.testing.assert_allclose(np.asarray(one, np.float64), float(w), rtol=2 * rounding)


def test_a_kernel_with_a_diagonal():
    dense, diagonal, g = draw(1, 3, 2, 4, 4), draw(1, 3, 2, 1, 4), draw(1, 3, 2, 4, 4)
    ours, pull = jax.vjp(with_diagonal, dense, diagonal)
    exact, exact_pull = jax.vjp(lambda a, b: a + b * jnp.eye(4), dense, diagonal)
    for one, other in zip((ours, *pull(g)), (exact, *exact_pull(g)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_all_of_it_differentiates_twice():
    x, scale, mask = draw(2, 3, 4), draw(4), jnp.array([0.2, 1.0, 0.5, 0.9])
    weights, rows = draw(2), np.asarray(draw(2, 4))

    def ours(x, weights):
        made: Any = normalized(EPSILON, None, "plain", x, scale, scale, mask * combined(weights, rows))
        return jnp.sin(weighted_sum(weights, [made[0], jnp.square(made[0])], "plain")).sum()

    def exact(x, weights):
        y = plain(None, x, scale, scale, mask * (weights @ rows))[0]
        return jnp.sin(weights[0] * y + weights[1] * y * y).sum()

    def twice(f):
        return jax.jit(jax.jacrev(jax.grad(f, argnums=(0, 1)), argnums=(0, 1)))(x, weights)

    for one, other in zip(*(jax.tree.leaves(twice(f)) for f in (ours, exact)), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5 * max(1.0, float(np.abs(other).max())))
