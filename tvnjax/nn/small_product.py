"""Products of small matrices, written so that an accelerator's compiler puts them into the kernels around them."""

import jax
from jax import Array

MOST = 2**22
"""Multiply-adds of a product that is worth writing out; larger ones are for the units that multiply matrices."""


@jax.custom_vjp
def small_product(x: Array, kernel: Array) -> Array:
    """``x @ kernel`` of float32 ``[n, c]`` and ``[c, features]``.

    As a product of matrices it is a kernel of its own, and what cuts its matrix out of a longer vector another.
    """
    return (x[:, :, None] * kernel).sum(1)


def _gradient(saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = saved
    return (g[:, None, :] * kernel).sum(2), x.T @ g


small_product.defvjp(lambda x, kernel: (small_product(x, kernel), (x, kernel)), _gradient)
