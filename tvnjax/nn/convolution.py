"""Convolution of ``[batch, time, height, width, channels]`` arrays in two forms that give the same numbers.

XLA on a CPU is 10-80 times slower than the arithmetic asks for at depthwise, grouped and temporal convolution,
and exported models are slow at anything but plain convolutions. So a layer trains in the form its backend runs
well and is exported in the plain one; ``experiments/benchmarks/layer_forms.py`` measures both.
"""

import functools
import math
from collections.abc import Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from tvnjax.core.errors import InvalidInputError
from tvnjax.nn.sliding_window import Axis, correlate, same_axis, shifted, unmoved

Form = Literal["shifted", "plain"]
"""``shifted``: slices, products and matrix products, for XLA on a CPU. ``plain``: one ``lax`` operation."""

_TIME, _HEIGHT, _WIDTH = 0, 1, 2

_PART = 64
"""Images for which the gradient of a kernel is found at a time, where there are enough of them."""
_NARROW = 64
"""Channels below which phases share a convolution."""


def default_form(platform: str | None = None) -> Form:
    """Returns the form that trains fastest on a platform of JAX's (None: that of the device arrays go to where none is
    named, ``jax.default_device``'s or the default backend's). What is compiled for another device says its platform."""
    return "shifted" if (platform or _default_platform()) == "cpu" else "plain"


def _default_platform() -> str:
    device = jax.config.jax_default_device  # type: ignore[attr-defined]
    if device is None:
        return jax.default_backend()
    return device if isinstance(device, str) else device.platform


def conv(
    x: Array, kernel: Array, stride: tuple[int, int, int] = (1, 1, 1), *, form: Form, centered: bool = False
) -> Array:
    """Convolves with SAME padding and no bias; any kernel size and stride, depthwise and grouped included.

    The output has ``ceil(size / stride)`` elements along an axis and padding puts its odd element after, as
    ``padding="SAME"`` does in XLA and TensorFlow.

    The shifted form differentiates in reverse, to any order, but not in forward mode.

    Args:
      x: ``[b, t, h, w, c]``.
      kernel: ``[kt, kh, kw, c / groups, features]``. Its fourth size sets the number of groups, and group
        ``i`` of the input channels makes group ``i`` of the features.
      stride: ``(t, h, w)``.
      form: see ``Form`` and ``default_form``.
      centered: pads half the window before instead (see ``windows.same_axis``); for odd kernels.

    Returns:
      ``[b, ceil(t / stride_t), ceil(h / stride_h), ceil(w / stride_w), features]`` of the dtype of ``x``.

    Raises:
      InvalidInputError: where shapes, dtypes, strides or the form do not fit together.
    """
    check_window("convolution", x, kernel.shape[:3], stride, form)
    if kernel.ndim != 5 or x.shape[-1] % kernel.shape[3] or kernel.shape[4] % (x.shape[-1] // kernel.shape[3]):
        raise InvalidInputError(
            "a convolution's kernel is [kt, kh, kw, channels / groups, features] with groups dividing both; met "
            f"{kernel.shape} for {x.shape[-1]} channels: change the channels or the features"
        )
    if x.dtype != kernel.dtype:
        raise InvalidInputError(
            f"a convolution's input and kernel share one dtype; met {x.dtype} and {kernel.dtype}: cast one"
        )
    return (_plain if form == "plain" else _shifted)(x, kernel, stride, centered)


def check_window(layer: str, x: Array, window: Sequence[int], stride: Sequence[int], form: Form) -> None:
    """Raises InvalidInputError unless a window and a stride of positive ``(t, h, w)`` fit a 5-D ``x``."""
    if form not in get_args(Form):
        raise InvalidInputError(f"a {layer} has the forms {get_args(Form)}; met {form!r}: pass one of them")
    if x.ndim != 5 or len(window) != 3 or len(stride) != 3 or min(*window, *stride) < 1:
        raise InvalidInputError(
            f"a {layer} takes [b, t, h, w, c] and a window and stride of three sizes from 1 up, (t, h, w); met "
            f"{x.shape}, {tuple(window)} and {tuple(stride)}: reshape the input or correct the sizes"
        )


def _plain(x: Array, kernel: Array, stride: tuple[int, int, int], centered: bool) -> Array:
    groups = x.shape[-1] // kernel.shape[3]
    taps = kernel.shape[:3]
    # An axis with one tap is sliced, so that what is left has two axes wherever it can: exporters and their
    # runtimes support and optimise two-dimensional convolution first.
    x = x[(slice(None), *(slice(None, None, s if k == 1 else 1) for k, s in zip(taps, stride)))]
    b, t, h, w, c = x.shape
    strides = [s if k > 1 else 1 for k, s in zip(taps, stride)]

    def padding(*sliding: int) -> str | list[tuple[int, int]]:
        return [_centered_padding(x.shape[i + 1], taps[i], strides[i]) for i in sliding] if centered else "SAME"

    if taps[_TIME] == 1:
        y = lax_conv(x.reshape(b * t, h, w, c), kernel[0], strides[1:], padding(_HEIGHT, _WIDTH), groups)
        return y.reshape(b, t, *y.shape[1:])
    if taps[_HEIGHT] == taps[_WIDTH] == 1:
        y = lax_conv(x.reshape(b, t, h * w, c), kernel[:, 0], (strides[_TIME], 1), padding(_TIME, _WIDTH), groups)
        return y.reshape(b, -1, h, w, y.shape[-1])
    if groups > 1:
        # One convolution in space for each tap in time: few runtimes have grouped convolutions in three axes.
        time = same_axis(t, taps[_TIME], strides[_TIME], centered=centered)
        parts = [
            lax_conv(part.reshape(-1, h, w, c), kernel[tap], strides[1:], padding(_HEIGHT, _WIDTH), groups)
            for tap, part in enumerate(shifted(x, (time, unmoved(h), unmoved(w))), time.first)
        ]
        y = functools.reduce(jnp.add, parts)
        return y.reshape(b, time.out, *y.shape[1:])
    return lax_conv(x, kernel, strides, padding(_TIME, _HEIGHT, _WIDTH), groups)


def _centered_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    before = window // 2
    return before, (math.ceil(size / stride) - 1) * stride + window - before - size


def _shifted(x: Array, kernel: Array, stride: tuple[int, int, int], centered: bool) -> Array:
    axes = tuple(same_axis(n, k, s, centered=centered) for n, k, s in zip(x.shape[1:4], kernel.shape, stride))
    kernel = kernel[tuple(slice(axis.first, axis.first + axis.taps) for axis in axes)]
    groups = x.shape[-1] // kernel.shape[3]
    if groups == 1:
        return _dense(x, kernel, axes)
    if kernel.shape[3] == 1:
        return _depthwise(x, kernel[:, :, :, 0], axes)
    parts = zip(jnp.split(x, groups, axis=-1), jnp.split(kernel, groups, axis=-1))
    return jnp.concatenate([_dense(x_part, kernel_part, axes) for x_part, kernel_part in parts], axis=-1)


def _depthwise(x: Array, kernel: Array, axes: tuple[Axis, ...]) -> Array:
    """``kernel [*taps, m * c]``: feature f reads channel ``f // m``."""
    if kernel.shape[-1] != x.shape[-1]:
        x = jnp.repeat(x, kernel.shape[-1] // x.shape[-1], axis=-1)
    # Sums in at least float32, as XLA's own convolutions do.
    wide = jnp.promote_types(x.dtype, jnp.float32)
    y: Array = correlate(x.astype(wide), kernel.astype(wide), axes)
    return y.astype(x.dtype)


def _dense(x: Array, kernel: Array, axes: tuple[Axis, ...]) -> Array:
    """One group, reduced to what XLA:CPU does well: a matrix product, or a convolution in one or two axes."""
    sliding = [i for i in (_TIME, _HEIGHT, _WIDTH) if axes[i].taps > 1]
    if len(sliding) > 1 and sliding[0] == _TIME:
        # A convolution in three axes takes 3-10 times as long as one in two that reads the frames side by side.
        sliding = sliding[1:]
    x, kernel = _fold_taps(x, kernel, axes, [i for i in range(3) if i not in sliding])
    if sliding and _patches_pay(x.shape[-1], [axes[i] for i in sliding]):
        x, kernel = _fold_taps(x, kernel, axes, sliding)
        sliding = []

    b, t, h, w, c = x.shape
    if not sliding:
        # As one matrix: of products over four axes XLA transposes an operand for the kernel's gradient.
        return (x.reshape(-1, c) @ kernel[0, 0, 0]).reshape(b, t, h, w, -1)
    if sliding == [_TIME]:
        y: Array = _temporal(x.reshape(b, t, h * w, c), kernel[:, 0, 0], axes[_TIME])
        return y.reshape(b, -1, h, w, y.shape[-1])
    along = tuple(axes[i] if i in sliding else unmoved(x.shape[i + 1]) for i in (_HEIGHT, _WIDTH))
    y = _spatial(x.reshape(b * t, h, w, c), kernel[0], along)
    return y.reshape(b, t, *y.shape[1:])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _spatial(x: Array, kernel: Array, axes: tuple[Axis, Axis]) -> Array:
    """``x [b, h, w, c]`` with ``kernel [kh, kw, c, features]`` to ``[b, *outs, features]``."""
    return over_space(x, kernel, axes)


def over_space(x: Array, kernel: Array, axes: tuple[Axis, Axis]) -> Array:
    """``_spatial`` as XLA has it, its gradients included."""
    return lax_conv(x, kernel, [axis.stride for axis in axes], [(axis.before, axis.after) for axis in axes])


def _spatial_gradient(axes: tuple[Axis, Axis], saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = saved
    # XLA transposes both arrays so that the batch is innermost, which takes it several times less in parts.
    parts = max(part for part in (1, 2, 4) if part == 1 or (x.shape[0] >= part * _PART and x.shape[0] % part == 0))

    def of_part(x: Array, g: Array) -> Array:
        return jax.linear_transpose(lambda kernel: over_space(x, kernel, axes), kernel)(g)[0]

    dkernel = functools.reduce(jnp.add, map(of_part, jnp.split(x, parts), jnp.split(g, parts)))
    return input_gradient(g, kernel, axes), dkernel


_spatial.defvjp(lambda x, kernel, axes: (over_space(x, kernel, axes), (x, kernel)), _spatial_gradient)


def input_gradient(g: Array, kernel: Array, axes: tuple[Axis, Axis]) -> Array:
    """``[b, *sizes, c]`` from ``g [b, *outs, features]``.

    XLA dilates g with zeros where a window moves by more than one element, and multiplies them all: 2-5 times as long.
    Inputs that lie a stride apart are read through the same taps; each such phase is a convolution of its own.
    """
    (rows, columns), channels = axes, kernel.shape[2]
    # Few channels leave a convolution's inner loop short: the columns' phases then share one, side by side.
    groups = [columns.phases] if channels < _NARROW else [[phase] for phase in columns.phases]
    parts = []
    for phase in rows.phases:
        beside = [_phase(g, kernel, axes, phase, group) for group in groups]
        part = jnp.concatenate(beside, axis=-1) if len(beside) > 1 else beside[0]
        parts.append(part.reshape(g.shape[0], rows.phase_size, -1, channels))
    whole = jnp.stack(parts, axis=2).reshape(g.shape[0], -1, parts[0].shape[2], channels)
    return whole[:, : rows.size, : columns.size]


def _phase(
    g: Array, kernel: Array, axes: tuple[Axis, Axis], row: list[tuple[int, int]], columns: list[list[tuple[int, int]]]
) -> Array:
    """``[b, rows, columns, len(columns) * c]``: the inputs of one phase of rows and of some of columns."""
    reads = [(tap, shift) for column in columns for tap, shift in column]
    if not row or not reads:
        sizes = [axis.phase_size for axis in axes]
        return jnp.zeros((g.shape[0], *sizes, len(columns) * kernel.shape[2]), g.dtype)
    first, last = min(shift for _, shift in reads), max(shift for _, shift in reads)
    # Taps by the outputs they serve, first to last; a tap that a phase lacks is one of zeros.
    lacking = kernel.shape[1]
    taps = np.full((last - first + 1, len(columns)), lacking)
    for number, column in enumerate(columns):
        for tap, shift in column:
            taps[shift - first, number] = tap
    kernel = kernel[np.array([tap for tap, _ in reversed(row)])]
    if (taps == lacking).any():
        kernel = jnp.pad(kernel, ((0, 0), (0, 1), (0, 0), (0, 0)))
    kernel = kernel[:, taps].transpose(0, 1, 4, 2, 3)
    kernel = kernel.reshape(*kernel.shape[:3], -1)
    spans = ((row[-1][1], row[0][1]), (first, last))
    padding = [(-low, axis.phase_size - 1 + high - (axis.out - 1)) for axis, (low, high) in zip(axes, spans)]
    return lax_conv(g, kernel, (1, 1), padding)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _temporal(x: Array, kernel: Array, axis: Axis) -> Array:
    """``x [b, t, pixels, c]`` with ``kernel [kt, c, features]`` to ``[b, out, pixels, features]``."""
    return _over_time(x, kernel, axis)


def _over_time(x: Array, kernel: Array, axis: Axis) -> Array:
    return over_space(x, kernel[:, None], (axis, unmoved(x.shape[2])))


def _over_rows(x: Array, kernel: Array, axis: Axis) -> Array:
    """The same with every pixel a row of frames of its own."""
    rows = x.swapaxes(1, 2).reshape(-1, axis.size, x.shape[-1])
    y = lax_conv(rows, kernel, (axis.stride,), [(axis.before, axis.after)])
    return y.reshape(x.shape[0], x.shape[2], axis.out, y.shape[-1]).swapaxes(1, 2)


def _temporal_gradient(axis: Axis, saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    # Each by its fastest way: the kernel's gradient takes 2-5 times as long over images as over rows, while
    # forward and the input's gradient would pay for the transpositions.
    x, kernel = saved
    dx = input_gradient(g, kernel[:, None], (axis, unmoved(x.shape[2])))
    (dkernel,) = jax.linear_transpose(lambda kernel: _over_rows(x, kernel, axis), kernel)(g)
    return dx, dkernel


_temporal.defvjp(lambda x, kernel, axis: (_over_time(x, kernel, axis), (x, kernel)), _temporal_gradient)


def _fold_taps(x: Array, kernel: Array, axes: tuple[Axis, ...], folded: list[int]) -> tuple[Array, Array]:
    """Moves the taps of some axes into the channels of x and kernel, which leaves those axes one tap each."""
    along = [axes[i] if i in folded else unmoved(x.shape[i + 1]) for i in range(3)]
    x = jnp.concatenate(shifted(x, along), axis=-1)
    kept = [i for i in range(3) if i not in folded]
    taps = [1 if i in folded else kernel.shape[i] for i in range(3)]
    kernel = kernel.transpose(*kept, *folded, 3, 4).reshape(*taps, x.shape[-1], kernel.shape[-1])
    return x, kernel


def _patches_pay(channels: int, sliding: list[Axis]) -> bool:
    """Whether to copy out the patch under every window and multiply matrices instead of convolving."""
    patches = math.prod(axis.taps * axis.out for axis in sliding)
    return (
        any(axis.taps > axis.out for axis in sliding)  # XLA then loops naively, here or in the gradient: 3-15 times
        or channels == 3  # the first layer, where XLA's convolution does not vectorise: 2-5 times
        or patches <= 2 * math.prod(axis.size for axis in sliding)  # windows that hardly overlap: up to 2 times
    )


def lax_conv(
    x: Array,
    kernel: Array,
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    groups: int = 1,
) -> Array:
    axes = "THW"[3 - len(strides) :]
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        feature_group_count=groups,
    )
