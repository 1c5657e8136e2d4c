"""Weighted sums of a few things, written so that an accelerator's compiler puts them into the kernels around them.

A product of a vector of gene weights with a matrix is a kernel of its own, and its gradient another. A supernet has
dozens of them, and each takes as long as a layer. A handful of scalars times constants, added, is arithmetic that fuses
with what uses it.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from tvnjax.nn.convolution import Form
from tvnjax.nn.sums import sums

_UNROLLED = 16
"""Terms up to which a sum is written out; longer ones take longer to compile, and are worth a kernel."""


def combined(weights: Array, rows: np.ndarray) -> Array:
    """``sum_i weights[i] rows[i]``.

    Args:
        weights: ``[n]``.
        rows: ``[n, ...]`` constants.

    Returns:
        ``[...]``, float32.
    """
    rows = np.asarray(rows, np.float32)

    @jax.custom_vjp
    def combination(weights: Array) -> Array:
        return _dot(weights, rows)

    def gradient(_: None, g: Array) -> tuple[Array]:
        return (_dot(g.reshape(-1), rows.reshape(len(rows), math.prod(rows.shape[1:])).T),)

    combination.defvjp(lambda weights: (combination(weights), None), gradient)
    return combination(weights)


def _dot(weights: Array, rows: np.ndarray) -> Array:
    if len(rows) > _UNROLLED:
        return (weights.reshape(-1, *(1,) * (rows.ndim - 1)) * rows).sum(0)
    total = jnp.zeros(rows.shape[1:])
    for number, row in enumerate(rows):
        if row.any():
            total = total + lax.index_in_dim(weights, number, keepdims=False) * row
    return total


def chosen(weights: Array, indices: Sequence[int] | np.ndarray) -> Array:
    """``weights[indices]``."""
    if list(indices) == list(range(weights.shape[0])):
        return weights
    return combined(weights, np.arange(weights.shape[0])[:, None] == np.asarray(indices, int)[None])


def weighted_sum(weights: Array, arrays: list[Array], form: Form) -> Array:
    """``sum_i weights[i] arrays[i]`` of arrays of one shape, added in float32, in their dtype.

    The weights' gradients are one pass over all arrays where the form is plain (see ``sums``).
    """

    @jax.custom_vjp
    def mixture(weights: Array, arrays: list[Array]) -> Array:
        parts = [lax.index_in_dim(weights, i, keepdims=False) * x.astype(jnp.float32) for i, x in enumerate(arrays)]
        return sum(parts[1:], start=parts[0]).astype(arrays[0].dtype)

    def gradient(saved: tuple[Array, list[Array]], g: Array) -> tuple[Array, list[Array]]:
        weights, arrays = saved
        wide = g.astype(jnp.float32)
        totals = sums(tuple(wide * x.astype(jnp.float32) for x in arrays), form, everything=True)
        by_arrays = [
            (lax.index_in_dim(weights, i, keepdims=False) * wide).astype(x.dtype) for i, x in enumerate(arrays)
        ]
        return jnp.stack(totals), by_arrays

    mixture.defvjp(lambda weights, arrays: (mixture(weights, arrays), (weights, arrays)), gradient)
    return mixture(weights, arrays)
