"""Expected masks and weights: how a distribution over widths, kernels or activations acts on arrays.

For a one-hot distribution each is exactly the one candidate.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.nn.convolution import Form
from tvnjax.nn.parts import activation
from tvnjax.nn.weighted import chosen, combined, weighted_sum


def prefix_mask(sizes: Sequence[int] | np.ndarray, weights: Array, width: int) -> Array:
    """Expected mask over channels ``[width]``: channel c is kept by every candidate wider than c."""
    keeps = np.arange(width)[None] < np.asarray(sizes)[:, None]
    return combined(weights, keeps)


class Widths(NamedTuple):
    """How likely each width is that an array may have."""

    sizes: tuple[int, ...]
    """A size that stands here several times is as likely as all of them together."""
    probabilities: Array
    """``[len(sizes)]``."""

    @staticmethod
    def listed(*parts: tuple[Sequence[int], Array]) -> "Widths":
        """Sizes and probabilities of several parts as they come."""
        sizes = tuple(int(size) for part, _ in parts for size in part)
        chances = [probabilities for _, probabilities in parts]
        return Widths(sizes, jnp.concatenate(chances) if len(chances) > 1 else chances[0])

    @staticmethod
    def joined(*parts: tuple[Sequence[int], Array]) -> "Widths":
        """Sizes and probabilities of several parts, each size once, ascending."""
        every = np.concatenate([np.asarray(sizes, int) for sizes, _ in parts])
        unique, place = np.unique(every, return_inverse=True)
        where = np.split(place[:, None] == np.arange(len(unique)), np.cumsum([len(sizes) for sizes, _ in parts])[:-1])
        chances = [combined(probabilities, rows) for (_, probabilities), rows in zip(parts, where, strict=True)]
        return Widths(tuple(int(size) for size in unique), sum(chances[1:], start=chances[0]))

    def mask(self, width: int) -> Array:
        """Expected mask over channels ``[width]``."""
        return prefix_mask(self.sizes, self.probabilities, width)


def subkernel_offset(size: int, stride: int, kernel: int, sub: int) -> int:
    """Where a kernel of ``sub`` taps lies in a superkernel of ``kernel`` taps, so that SAME padding centres both
    alike."""

    def low_padding(taps: int) -> int:
        count = -(-size // stride)
        return max((count - 1) * stride + taps - size, 0) // 2

    return low_padding(kernel) - low_padding(sub)


def kernel_windows(sizes: Sequence[int], axis_size: int, stride: int, kernel: int) -> np.ndarray:
    """``[len(sizes), kernel]``: 1 where a candidate's taps lie in the superkernel along one axis."""
    windows = np.zeros((len(sizes), kernel), np.float32)
    for row, sub in zip(windows, sizes):
        start = subkernel_offset(axis_size, stride, kernel, sub)
        row[start : start + sub] = 1
    return windows


def whole_kernel(dense: Array, diagonal: Array) -> Array:
    """The sum of a kernel into the first channels and a depthwise one, ``[*taps, 1, filters]``, as one dense kernel."""
    filters = diagonal.shape[-1]
    channels = max(dense.shape[-2], filters)
    missing = [(0, 0)] * 3 + [(0, channels - dense.shape[-2]), (0, filters - dense.shape[-1])]
    return jnp.pad(dense, missing) + diagonal * jnp.eye(channels, filters)


@jax.custom_vjp
def with_diagonal(dense: Array, diagonal: Array) -> Array:
    """The sum of a kernel ``[*taps, c, c]`` and a depthwise one, ``[*taps, 1, c]``.

    As a product with the unit matrix the diagonal's gradient would be a sum; it is a slice.
    """
    return dense + diagonal * jnp.eye(dense.shape[-1], dtype=dense.dtype)


def _diagonal_gradient(_: None, g: Array) -> tuple[Array, Array]:
    return g, g.reshape(*g.shape[:-2], 1, -1)[..., :: g.shape[-1] + 1]


with_diagonal.defvjp(lambda dense, diagonal: (with_diagonal(dense, diagonal), None), _diagonal_gradient)


def fit_channels(x: Array, width: int) -> Array:
    """The first ``width`` channels of ``x``, with zeros behind where it has fewer."""
    missing = width - x.shape[-1]
    if missing < 0:
        return x[..., :width]
    return jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((0, missing),)) if missing else x


def share(weights: Array, indices: Sequence[int] | np.ndarray) -> tuple[Array, Array]:
    """Total weight of some candidates and their weights within it (uniform where the total is 0, e.g. one-hot
    elsewhere)."""
    part = chosen(weights, indices)
    total = combined(weights, np.isin(np.arange(weights.shape[0]), indices))
    # Below this the quotient's gradient overflows, and nothing is lost: what it weighs is as small.
    some = total > 1e-12
    safe = jnp.where(some, total, 1.0)
    return total, jnp.where(some, part / safe, 1.0 / len(indices))


def mixed_activation(names: Sequence[str], x: Array, weights: Array | None, form: Form) -> Array:
    """Weighted sum of activations; a single one needs no weights."""
    if len(names) == 1 or weights is None:
        return activation(names[0])(x)
    return weighted_sum(weights, [activation(name)(x) for name in names], form)
