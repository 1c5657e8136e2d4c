"""Max and average pooling of ``[batch, time, height, width, channels]`` arrays in the two forms of ``conv``."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax.nn.convolution import Form, check_window
from tvnjax.nn.sliding_window import Axis, correlate, overlap_add, same_axis, shifted, unmoved


def trained_form(form: Form, train: bool) -> Form:
    """The form a max pool takes: in training the shifted one on every device.

    XLA has no program for the gradient of the other on a GPU. It makes one that keeps, of every window, the number and
    its place along each axis: ten bytes more for each byte of a bfloat16 array, 31 GiB for one unit at the scale of the
    paper, and scatters with them. The shifted form keeps a byte.
    """
    return "shifted" if train else form


def max_pool(x: Array, window: tuple[int, int, int], stride: tuple[int, int, int], *, form: Form) -> Array:
    """Takes the largest element under each window, with SAME padding that never wins.

    Where elements tie, as zeros do after a ReLU, the gradient goes to the first of them in row-major order, in
    both forms. The shifted form does not differentiate in forward mode.

    Args:
      x: ``[b, t, h, w, c]`` of a floating dtype.
      window: ``(t, h, w)``.
      stride: ``(t, h, w)``.
      form: see ``convolution.Form``.

    Returns:
      ``[b, ceil(t / stride_t), ceil(h / stride_h), ceil(w / stride_w), c]`` of the dtype of ``x``.

    Raises:
      InvalidInputError: where the shape, the window, the stride or the form is not one of these.
    """
    check_window("max pool", x, window, stride, form)
    if form == "plain":
        return _plain(nnx.max_pool, x, window, stride)
    # Width first, then height, then time: the first of equals along each is the row-major first of them all.
    for dim in (3, 2, 1):
        if window[dim - 1] > 1 or stride[dim - 1] > 1:
            x = _max_along(x, dim, same_axis(x.shape[dim], window[dim - 1], stride[dim - 1]))
    return x


def avg_pool(x: Array, window: tuple[int, int, int], stride: tuple[int, int, int], *, form: Form) -> Array:
    """Averages the elements under each window, with SAME padding left out of the divisor.

    Args:
      x: ``[b, t, h, w, c]`` of a floating dtype.
      window: ``(t, h, w)``.
      stride: ``(t, h, w)``.
      form: see ``convolution.Form``.

    Returns:
      ``[b, ceil(t / stride_t), ceil(h / stride_h), ceil(w / stride_w), c]`` of the dtype of ``x``.

    Raises:
      InvalidInputError: where the shape, the window, the stride or the form is not one of these.
    """
    check_window("average pool", x, window, stride, form)
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if form == "plain":
        return _plain(nnx.avg_pool, wide, window, stride, count_include_pad=False).astype(x.dtype)
    axes = [same_axis(n, k, s) for n, k, s in zip(x.shape[1:4], window, stride)]
    count = functools.reduce(np.multiply.outer, [_elements(axis) for axis in axes])
    return (_sum_windows(wide, axes) / count[..., None].astype(wide.dtype)).astype(x.dtype)


def _plain(
    pool: Callable[..., Array], x: Array, window: tuple[int, int, int], stride: tuple[int, int, int], **options: Any
) -> Array:
    """A pool of Flax's with SAME padding. A window that leaves time or space alone is a two-dimensional one: other
    runtimes have no three-dimensional pools, or slow ones."""
    b, t, h, w, c = x.shape
    sizes = [-(-n // s) for n, s in zip((t, h, w), stride)]
    if window[0] == stride[0] == 1:
        x, window2, stride2 = x.reshape(b * t, h, w, c), window[1:], stride[1:]
    elif window[1:] == stride[1:] == (1, 1):
        x, window2, stride2 = x.reshape(b, t, h * w, c), (window[0], 1), (stride[0], 1)
    else:
        window2, stride2 = window, stride
    # By keyword: converters to other runtimes stand in for these functions and know their arguments by name.
    y = pool(x, window_shape=window2, strides=stride2, padding="SAME", **options)
    return y.reshape(b, *sizes, c)


def _sum_windows(x: Array, axes: list[Axis]) -> Array:
    """Sums under each window, time apart from space so that there are few taps."""
    time, height, width = axes
    for step in (
        (unmoved(time.size), height, width),
        (time, unmoved(height.out), unmoved(width.out)),
    ):
        if any(axis.taps > 1 or axis.stride > 1 for axis in step):
            x = correlate(x, jnp.ones((*(axis.taps for axis in step), x.shape[-1]), x.dtype), step)
    return x


def _elements(axis: Axis) -> np.ndarray:
    """How many input elements each window holds."""
    starts = np.arange(axis.out) * axis.stride - axis.before
    return np.minimum(starts + axis.taps, axis.size) - np.maximum(starts, 0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _max_along(x: Array, dim: int, axis: Axis) -> Array:
    return functools.reduce(jnp.maximum, shifted(x, _only(x, dim, axis), -math.inf))


def _max_along_gradient(dim: int, axis: Axis, x: Array, g: Array) -> tuple[Array]:
    axes = _only(x, dim, axis)
    best, *others = shifted(x, axes, -math.inf)
    winner = jnp.zeros(best.shape, jnp.int8 if axis.taps < 128 else jnp.int32)
    for tap, piece in enumerate(others, 1):
        larger = piece > best
        best = jnp.where(larger, piece, best)
        winner = jnp.where(larger, jnp.asarray(tap, winner.dtype), winner)

    def share(taps: tuple[int, ...], g: Array, winner: Array) -> Array:
        return jnp.where(winner == taps[dim - 1], g, jnp.zeros((), g.dtype))

    return (overlap_add(share, [(g, 0), (winner, -1)], axes),)


_max_along.defvjp(lambda x, dim, axis: (_max_along(x, dim, axis), x), _max_along_gradient)


def _only(x: Array, dim: int, axis: Axis) -> list[Axis]:
    return [axis if d == dim else unmoved(x.shape[d]) for d in (1, 2, 3)]
