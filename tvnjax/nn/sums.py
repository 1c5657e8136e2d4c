"""Several sums over the same positions."""

import math

import numpy as np
from jax import Array, lax

from tvnjax.nn.convolution import Form


_PARTS = 128


def grouped(x: Array, form: Form) -> Array:
    """Positions in groups"""
    if form == "shifted" or x.ndim < 3:
        return x
    clips, rows = x.shape[0], math.prod(x.shape[1:-1])
    parts = math.gcd(max(_PARTS // clips, 1), rows)
    return x.reshape(clips, parts, rows // parts, x.shape[-1])


def sums(arrays: tuple[Array, ...], form: Form, *, everything: bool = False) -> tuple[Array, ...]:
    """Sums of float32 arrays of one shape ``[..., C]`` for every channel, or over everything.

    The plain form is one reduction of all arrays: XLA splits a long one in two for a GPU, and would run the second half
    of each alone. On a CPU, where it does not vectorise that, there is one for each.
    """
    zeros = (np.zeros((), np.float32),) * len(arrays)

    def add(some: tuple[Array, ...], others: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(one + other for one, other in zip(some, others))

    if form == "plain" and not everything and arrays[0].ndim == 4:
        found = lax.reduce(arrays, zeros, add, (2,))
        parts = range(arrays[0].shape[1])
        return tuple(sum(lax.index_in_dim(one, part, 1, keepdims=False) for part in parts).sum(0) for one in found)
    axes = tuple(range(arrays[0].ndim - (0 if everything else 1)))
    if form == "shifted" or len(arrays) == 1:
        return tuple(array.sum(axes) for array in arrays)
    return tuple(lax.reduce(arrays, zeros, add, axes))
