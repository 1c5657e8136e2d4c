"""Parts of a network that run only when their weight is not zero, and convolutions fit to stand in them.

XLA on a CPU hands a convolution to its fast kernels only if the layout is the usual one, and puts others into it by
passes that do not reach the branches of a ``cond``: the gradient of a ``lax`` convolution takes 20-50 times as long
there. Here every convolution, those of the gradients included, is written in the usual layout or as a matrix product.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

from tvnjax.nn.convolution import Form, conv, input_gradient, over_space
from tvnjax.nn.sliding_window import Axis, same_axis, shifted


def run_if(weight: Array | float, function: Callable[..., Any], *operands: Any) -> Any:
    """``function(*operands)``, or zeros where ``weight`` is 0; the function then does not run, nor does its gradient.

    The gradient runs the function again instead of keeping what lies in between: a ``cond`` would keep that for every
    branch and fill the absent ones with zeros, which took half of a step.

    Args:
        weight: a scalar.
        function: of float arrays, which are all among ``operands`` (it closes over none).
        operands: arrays, or trees of them.

    Returns:
        An array or a tree of them.
    """
    return _branch(function, jnp.asarray(weight, jnp.float32), operands)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _branch(function: Callable[..., Any], weight: Array, operands: tuple[Any, ...]) -> Any:
    shapes = jax.eval_shape(function, *operands)
    return lax.cond(weight != 0, lambda operands: function(*operands), lambda _: _zeros(shapes), operands)


def _branch_gradient(function: Callable[..., Any], saved: tuple[Array, tuple[Any, ...]], g: Any) -> tuple[Array, Any]:
    weight, operands = saved

    def run(operands: tuple[Any, ...], g: Any) -> Any:
        return jax.vjp(function, *operands)[1](g)

    gradients = lax.cond(weight != 0, run, lambda operands, _: _zeros(operands), operands, g)
    return jnp.zeros_like(weight), gradients


def _zeros(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), tree)


_branch.defvjp(
    lambda function, weight, operands: (_branch(function, weight, operands), (weight, operands)), _branch_gradient
)


def module_if(weight: Array | float, module: nnx.Module, function: Callable[..., Array], *operands: Any) -> Array:
    """``function(module, *operands)``, or zeros of its shape where ``weight`` is 0 (see ``run_if``).

    Running statistics move only if the function runs: they never see an absent path's zeros.
    """
    weight = jnp.asarray(weight, jnp.float32)
    graph, statistics, rest = nnx.split(module, nnx.BatchStat, ...)

    def run(statistics: Any, rest: Any, *operands: Any) -> tuple[Array, Any]:
        copy = nnx.merge(graph, statistics, rest, copy=True)
        y = function(copy, *operands)
        return y, nnx.state(copy, nnx.BatchStat)

    y, moved = run_if(weight, run, statistics, rest, *operands)
    nnx.update(module, jax.tree.map(lambda new, old: jnp.where(weight != 0, new, old), moved, statistics))
    return y


def branch_conv(x: Array, kernel: Array, stride: tuple[int, int, int], *, form: Form) -> Array:
    """``conv`` whose gradient is as fast inside a branch as outside.

    Args:
        x: ``[b, t, h, w, c]``.
        kernel: ``[kt, kh, kw, c, features]`` with one tap in time or one in space, or ``[1, kh, kw, 1, c]`` depthwise.
        stride: ``(t, h, w)``.
        form: see ``convolution.Form``.
    """
    depthwise = kernel.shape[3] == 1 and x.shape[-1] > 1
    if form == "plain" or depthwise:  # a shifted depthwise convolution carries its own gradients
        return conv(x, kernel, stride, form=form)
    axes = [same_axis(n, k, s) for n, k, s in zip(x.shape[1:4], kernel.shape, stride)]
    kernel = kernel[tuple(slice(axis.first, axis.first + axis.taps) for axis in axes)]
    if axes[0].taps > 1 or axes[0].stride > 1 or _patches_pay(x.shape[-1], axes[1:]):
        patches = jnp.concatenate(shifted(x, axes), axis=-1)
        flat: Array = patches.reshape(-1, patches.shape[-1]) @ kernel.reshape(-1, kernel.shape[-1])
        return flat.reshape(*patches.shape[:-1], -1)
    b, t, h, w, c = x.shape
    y: Array = _conv2d(x.reshape(b * t, h, w, c), kernel[0], (axes[1], axes[2]))
    return y.reshape(b, t, *y.shape[1:])


def _patches_pay(channels: int, axes: Sequence[Axis]) -> bool:
    """As in ``convolution``: XLA loops naively where a window has more taps than outputs, and few channels (the clip's
    own) do not vectorise."""
    return channels <= 3 or any(axis.taps > axis.out for axis in axes) or all(axis.taps <= axis.stride for axis in axes)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv2d(x: Array, kernel: Array, axes: tuple[Axis, Axis]) -> Array:
    """``x [n, h, w, c]`` with ``kernel [kh, kw, c, features]`` to ``[n, h', w', features]``."""
    return over_space(x, kernel, axes)


def _conv2d_gradient(axes: tuple[Axis, Axis], saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = saved
    # x under windows as large as the gradient, whose elements lie a stride apart; channels of x stand in for the batch.
    spans = [(axis.out - 1) * axis.stride + 1 for axis in axes]
    pads = [(axis.before, axis.taps - 1 + span - axis.size - axis.before) for axis, span in zip(axes, spans)]
    dkernel = lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        g.transpose(1, 2, 0, 3),
        (1, 1),
        pads,
        rhs_dilation=[axis.stride for axis in axes],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return input_gradient(g, kernel, axes), dkernel.transpose(1, 2, 0, 3)


_conv2d.defvjp(lambda x, kernel, axes: (over_space(x, kernel, axes), (x, kernel)), _conv2d_gradient)
