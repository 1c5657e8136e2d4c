"""Small products written out for accelerators: those of matrices, gradients included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvnjax.nn.parts import Dense, Initializer
from tvnjax.nn.small_product import small_product


@pytest.mark.parametrize(("n", "c", "features"), [(16, 32, 8), (1, 3, 70), (5, 1, 1)])
def test_a_small_product_and_its_gradients_are_those_of_a_product(n, c, features):
    rng = np.random.default_rng(0)
    x, kernel, g = (rng.normal(size=size).astype(np.float32) for size in ((n, c), (c, features), (n, features)))
    y, back = jax.vjp(small_product, x, kernel)
    np.testing.assert_allclose(y, x @ kernel, atol=1e-5)
    for ours, theirs in zip(back(g), (g @ kernel.T, x.T @ g), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 6)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_layer_of_either_form_is_the_same(shape, dtype):
    """Arrays of clips are written out, others are not; bfloat16 is rounded behind the sum at most."""
    x = jnp.asarray(np.random.default_rng(1).normal(size=shape), dtype)
    plain, shifted = (Dense(6, 5, Initializer(0), form=form) for form in ("plain", "shifted"))
    assert plain(x).dtype == x.dtype
    np.testing.assert_allclose(
        plain(x).astype(jnp.float32), shifted(x).astype(jnp.float32), atol=1e-6 if dtype == "float32" else 3e-2
    )
