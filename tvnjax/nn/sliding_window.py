"""How a window slides over ``[batch, *axes, channels]`` under SAME padding, and sums of shifted products.

XLA on a CPU runs depthwise convolution one output at a time; the same sum written as one shifted product for
each kernel tap becomes a few vectorised loops. What autodiff makes of those shifts is slow again, so
``correlate`` carries its own gradients.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax


@dataclasses.dataclass(frozen=True)
class Axis:
    """A SAME window along one axis, less the taps that only ever meet padding.

    Output ``o`` reads input ``o * stride + i - before`` through tap ``i``, which is tap ``first + i`` of the
    whole window: a kernel of 3 on a single frame keeps its middle tap alone.
    """

    size: int
    out: int
    stride: int
    first: int
    taps: int
    before: int

    @property
    def after(self) -> int:
        """Padding after the last element; negative where the last windows stop short of it."""
        return (self.out - 1) * self.stride + self.taps - self.before - self.size

    @property
    def phases(self) -> list[list[tuple[int, int]]]:
        """For inputs ``q * stride + phase``: the taps that read them and the output, ``q + shift``, they serve; a
        later tap serves an earlier output."""
        return [
            [
                (tap, (phase + self.before - tap) // self.stride)
                for tap in range(self.taps)
                if (phase + self.before - tap) % self.stride == 0
            ]
            for phase in range(min(self.stride, self.size))
        ]

    @property
    def phase_size(self) -> int:
        """Elements of the longest phase."""
        return math.ceil(self.size / self.stride)


def same_axis(size: int, window: int, stride: int, *, centered: bool = False) -> Axis:
    """Returns the axis of XLA's SAME rule: ``ceil(size / stride)`` outputs, the odd pixel of padding after.

    ``centered`` pads ``window // 2`` before instead, whatever the stride (PyTorch's usual padding of odd windows).
    """
    out = math.ceil(size / stride)
    before = window // 2 if centered else max((out - 1) * stride + window - size, 0) // 2
    first = max(0, before - (out - 1) * stride)
    last = min(window - 1, before + size - 1)
    return Axis(size, out, stride, first, last - first + 1, before - first)


def unmoved(size: int) -> Axis:
    """Returns the axis of a window of one element that visits every element."""
    return same_axis(size, 1, 1)


def shifted(x: Array, axes: Sequence[Axis], fill: float = 0.0) -> list[Array]:
    """Returns what each tap reads, row-major over taps: arrays ``[batch, *outs, channels]``.

    Args:
      x: ``[batch, *sizes, channels]``, with one of ``axes`` for each size.
      axes: how the window slides.
      fill: value of the padding.
    """
    padded = _pad(x, [(axis.before, axis.after) for axis in axes], fill)
    outs, strides = [axis.out for axis in axes], [axis.stride for axis in axes]
    return [_take(padded, taps, outs, strides) for taps in itertools.product(*(range(axis.taps) for axis in axes))]


def overlap_add(term: Callable[..., Array], outputs: Sequence[tuple[Array, int]], axes: Sequence[Axis]) -> Array:
    """Sums, for each input element, one term from every window that read it: the transpose of ``shifted``.

    Inputs that lie a stride apart are read through the same taps. Each such phase is therefore computed
    densely and the phases are interleaved, so no product is spent on the zeros of a dilated array.

    Args:
      term: called with a tuple of tap indices and the slices of every output array that the tap reached.
      outputs: arrays ``[batch, *outs, channels]``, each with the value of its padding.
      axes: how the window slides.

    Returns:
      An array ``[batch, *sizes, channels]``.
    """
    batch, channels = outputs[0][0].shape[0], outputs[0][0].shape[-1]
    phases = [axis.phases for axis in axes]
    shifts = [[shift for phase in along for _, shift in phase] for along in phases]
    counts = [axis.phase_size for axis in axes]
    before = [max(0, -min(along)) for along in shifts]
    after = [max(0, max(along) + n - a.out) for along, n, a in zip(shifts, counts, axes)]
    padded = [_pad(array, list(zip(before, after)), fill) for array, fill in outputs]

    strides = [1] * len(axes)

    def one_phase(phase: tuple[list[tuple[int, int]], ...]) -> Array:
        total = jnp.zeros((batch, *counts, channels), outputs[0][0].dtype)
        for reads in itertools.product(*phase):
            starts = [b + shift for b, (_, shift) in zip(before, reads)]
            pieces = [_take(array, starts, counts, strides) for array in padded]
            total = total + term(tuple(tap for tap, _ in reads), *pieces)
        return total

    parts = jnp.stack([one_phase(phase) for phase in itertools.product(*phases)])
    # [phases of each axis, batch, elements of a phase along each axis, channels] to every element in its place.
    rank, lengths = len(axes), [len(along) for along in phases]
    parts = parts.reshape(*lengths, batch, *counts, channels)
    parts = parts.transpose(rank, *(d for i in range(rank) for d in (rank + 1 + i, i)), 2 * rank + 1)
    whole = parts.reshape(batch, *(n * length for n, length in zip(counts, lengths)), channels)
    return _take(whole, [0] * rank, [axis.size for axis in axes], strides)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def correlate(x: Array, kernel: Array, axes: tuple[Axis, ...]) -> Array:
    """Depthwise convolution as a sum of shifted products.

    ``sum(correlate(x, kernel) * g)`` is linear in each of x, kernel and g, so the three partial derivatives are
    one another's gradients: any order of reverse differentiation stays in these three functions. Forward mode
    (``jax.jvp``) does not pass a ``custom_vjp``.

    Args:
      x: ``[batch, *sizes, channels]``.
      kernel: ``[*taps, channels]``.
      axes: how the window slides, one axis for each size.

    Returns:
      ``[batch, *outs, channels]``.
    """
    weights = kernel.reshape(-1, kernel.shape[-1])
    return functools.reduce(jnp.add, [piece * weight for piece, weight in zip(shifted(x, axes), weights)])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _input_gradient(g: Array, kernel: Array, axes: tuple[Axis, ...]) -> Array:
    return overlap_add(lambda taps, piece: piece * kernel[taps], [(g, 0)], axes)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _kernel_gradient(x: Array, g: Array, axes: tuple[Axis, ...]) -> Array:
    # One reduction with an operand for each tap reads x and g once; summing first along the axes that slide
    # leaves vectors over channels to accumulate, and many of them. A sum for each tap takes 3-10 times as long.
    products = [piece * g for piece in shifted(x, axes)]
    zeros = [jnp.zeros((), x.dtype)] * len(products)
    sliding = tuple(d for d, axis in enumerate(axes, 1) if axis.taps > 1) or tuple(range(1, len(axes) + 1))
    sums = jnp.stack(lax.reduce(products, zeros, lambda a, b: [p + q for p, q in zip(a, b)], sliding))
    sums = sums.sum(tuple(range(1, sums.ndim - 1)))
    return sums.reshape(*(axis.taps for axis in axes), x.shape[-1])


correlate.defvjp(
    lambda x, kernel, axes: (correlate(x, kernel, axes), (x, kernel)),
    lambda axes, saved, g: (_input_gradient(g, saved[1], axes), _kernel_gradient(saved[0], g, axes)),
)
_input_gradient.defvjp(
    lambda g, kernel, axes: (_input_gradient(g, kernel, axes), (g, kernel)),
    lambda axes, saved, x: (correlate(x, saved[1], axes), _kernel_gradient(x, saved[0], axes)),
)
_kernel_gradient.defvjp(
    lambda x, g, axes: (_kernel_gradient(x, g, axes), (x, g)),
    lambda axes, saved, kernel: (
        _input_gradient(saved[1], kernel, axes),
        correlate(saved[0], kernel, axes),
    ),
)


def _pad(x: Array, widths: Sequence[tuple[int, int]], fill: float) -> Array:
    """Pads the axes between batch and channels; a negative width crops."""
    if all(width == (0, 0) for width in widths):
        return x
    return lax.pad(x, jnp.asarray(fill, x.dtype), ((0, 0, 0), *((*width, 0) for width in widths), (0, 0, 0)))


def _take(x: Array, starts: Sequence[int], counts: Sequence[int], strides: Sequence[int]) -> Array:
    """``counts`` elements of each axis between batch and channels; ``lax.slice`` traces faster than indexing."""
    ends = [start + (n - 1) * stride + 1 for start, n, stride in zip(starts, counts, strides)]
    return lax.slice(x, (0, *starts, 0), (x.shape[0], *ends, x.shape[-1]), (1, *strides, 1))
