"""Several sums over the same positions."""

import math

import numpy as np
from jax import Array, lax

from tvnjax.nn.convolution import Form

_GROUPS = 128
"""Partial sums of each channel; fewer leave a GPU's cores idle, more are slow to add up one after the other."""


def grouped(x: Array, form: Form) -> Array:
    """``[..., C]`` as ``[clips, groups, positions, C]``, of which ``sums`` are made in two steps; as it is where the
    form is not plain. Clips stay an axis of their own, which may be spread over devices."""
    if form == "shifted" or x.ndim < 3:
        return x
    clips, rows = x.shape[0], math.prod(x.shape[1:-1])
    groups = math.gcd(max(_GROUPS // clips, 1), rows)
    return x.reshape(clips, groups, rows // groups, x.shape[-1])


def sums(arrays: tuple[Array, ...], form: Form, *, everything: bool = False) -> tuple[Array, ...]:
    """Sums of float32 arrays of one shape ``[..., C]`` for every channel, or over everything.

    The plain form is one reduction of all arrays: XLA splits a long one in two for a GPU, and would run the second half
    of each alone. Of ``grouped`` arrays the second half is written so that XLA puts it into the kernel of what is made
    of the sums. On a CPU, where it does not vectorise that, there is one for each.
    """
    axes = tuple(range(arrays[0].ndim - (0 if everything else 1)))
    if form == "shifted" or len(arrays) == 1:
        return tuple(array.sum(axes) for array in arrays)

    def add(some: tuple[Array, ...], others: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(one + other for one, other in zip(some, others))

    in_groups = len(axes) == 3 and not everything
    found = lax.reduce(arrays, (np.zeros((), np.float32),) * len(arrays), add, axes[2:] if in_groups else axes)
    return tuple(map(_over_groups, found)) if in_groups else tuple(found)


def _over_groups(parts: Array) -> Array:
    """``[clips, groups, C]`` to ``[C]``. XLA gives a sum of 32 rows or more a kernel of its own."""
    first, *others = (lax.index_in_dim(parts, group, 1, keepdims=False) for group in range(parts.shape[1]))
    return sum(others, start=first).sum(0)
