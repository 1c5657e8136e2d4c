"""Several sums over the same positions."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.custom_batching
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from tvnjax.nn.convolution import Form

_GROUPS = 128
"""Partial sums of each channel; fewer leave a GPU's cores idle, more are slow to add up one after the other."""


def grouped(x: Array, form: Form) -> Array:
    """``[..., C]`` as ``[clips, groups, positions, C]``, of which ``sums`` are made in two steps; as it is where the form
    is not plain. Clips stay an axis of their own, which may be spread over devices."""
    if form == "shifted" or x.ndim < 3:
        return x
    clips, rows = x.shape[0], math.prod(x.shape[1:-1])
    groups = math.gcd(max(_GROUPS // clips, 1), rows)
    return x.reshape(clips, groups, rows // groups, x.shape[-1])


def sums(arrays: tuple[Array, ...], form: Form, *, everything: bool = False) -> tuple[Array, ...]:
    """Sums of float32 arrays of one shape ``[..., C]`` for every channel, or over everything.

    The plain form is one reduction of all arrays: XLA splits a long one in two for a GPU, and would run the second half
    of each alone. On a CPU, where it does not vectorise that, there is one for each.
    """
    axes = tuple(range(arrays[0].ndim - (0 if everything else 1)))
    if form == "shifted" or len(arrays) == 1:
        return tuple(array.sum(axes) for array in arrays)
    if arrays[0].ndim == 4 and not everything:
        return _of_groups(*arrays)
    return _reduced(arrays, axes)


@jax.custom_batching.custom_vmap
def _of_groups(*arrays: Array) -> tuple[Array, ...]:
    """Over all but the last of four axes."""
    return _reduced(arrays, (0, 1, 2))


@_of_groups.def_vmap
def _of_groups_side_by_side(size: int, batched: Sequence[bool], *arrays: Array) -> tuple[Any, Any]:
    """In two steps, the second one small enough for XLA to write it into the kernel of what is made of the sums: two
    batches in one pass have 50 kernels less so, of 554. For a single batch it writes it into kernels of whole layers as
    well, where every element adds up the groups again."""
    whole = [x if there else jnp.broadcast_to(x, (size, *x.shape)) for x, there in zip(arrays, batched, strict=True)]
    groups = range(whole[0].shape[2])
    found = [
        sum(lax.index_in_dim(one, group, 2, keepdims=False) for group in groups).sum(1)
        for one in _reduced(whole, (3,))
    ]
    return tuple(found), (True,) * len(found)


def _reduced(arrays: Sequence[Array], axes: tuple[int, ...]) -> tuple[Array, ...]:
    def add(some: tuple[Array, ...], others: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(one + other for one, other in zip(some, others))

    return tuple(lax.reduce(tuple(arrays), (np.zeros((), np.float32),) * len(arrays), add, axes))
