"""Several sums over the same positions."""

import numpy as np
from jax import Array, lax

from tvnjax.nn.convolution import Form


def sums(arrays: tuple[Array, ...], form: Form, *, everything: bool = False) -> tuple[Array, ...]:
    """Sums of float32 arrays of one shape ``[..., C]`` for every channel, or over everything.

    The plain form is one reduction of all arrays: XLA splits a long one in two for a GPU, and would run the second half
    of each alone. On a CPU, where it does not vectorise that, there is one for each.
    """
    axes = tuple(range(arrays[0].ndim - (0 if everything else 1)))
    if form == "shifted" or len(arrays) == 1:
        return tuple(array.sum(axes) for array in arrays)

    def add(some: tuple[Array, ...], others: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(one + other for one, other in zip(some, others))

    return tuple(lax.reduce(arrays, (np.zeros((), np.float32),) * len(arrays), add, axes))
