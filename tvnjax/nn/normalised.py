"""Batch normalisation with what stands right behind it, as one function with its own gradient.

On an accelerator a kernel costs more than the arithmetic of most layers here, and sums over positions are what kernels
are made of. Automatic differentiation gives a normalisation, its activation and a factor behind that up to six sums
over positions; two suffice. With ``y = mask act(z)``, ``z = scale n + bias``, ``n`` the normalised ``x``, and an
activation that is its own slope times its argument, ``act(z) = act'(z) z`` (none, or relu), every gradient follows from
the sums of ``u = g act'(z)`` and of ``u n``: for example that of the mask, ``sum(g act(z))``, is
``scale sum(u n) + bias sum(u)``.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from tvnjax.nn.convolution import Form
from tvnjax.nn.sums import grouped, sums

HOMOGENEOUS = (None, "relu")
"""Activations that are their own slope times their argument."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def normalized(
    epsilon: float, act: str | None, form: Form, x: Array, scale: Array, bias: Array, mask: Array
) -> tuple[Array, Array, Array]:
    """``mask * act(scale * (x - mean) / sqrt(var + epsilon) + bias)``.

    Args:
        epsilon: added to the variance.
        act: one of ``HOMOGENEOUS``.
        form: see ``sums``.
        x: ``[..., C]``.
        scale: ``[C]``, as ``bias`` and ``mask`` are.

    Returns:
        The result in the dtype of ``x``; mean and biased variance of every channel of ``x``, in float32.
    """
    return _forward(epsilon, act, form, x, scale, bias, mask)[0]


def _forward(
    epsilon: float, act: str | None, form: Form, x: Array, scale: Array, bias: Array, mask: Array
) -> tuple[tuple[Array, Array, Array], Any]:
    shape, x = x.shape, grouped(x, form)
    mean, var = moments(x, form)
    inverse = lax.rsqrt(var + epsilon)
    z = _scaled(x, scale, bias, mean, inverse)
    y = mask * (jnp.maximum(z, 0) if act == "relu" else z)
    return (y.astype(x.dtype).reshape(shape), mean, var), (x, scale, bias, mask, mean, inverse)


def _backward(
    epsilon: float, act: str | None, form: Form, saved: Any, g: tuple[Array, Array, Array]
) -> tuple[Array, Array, Array, Array]:
    x, scale, bias, mask, mean, inverse = saved
    by_y, by_mean, by_var = g
    count = x.size // x.shape[-1]
    shape, by_y = by_y.shape, by_y.reshape(x.shape)
    wide, u = x.astype(jnp.float32), by_y.astype(jnp.float32)
    if act == "relu":
        u = jnp.where(_scaled(x, scale, bias, mean, inverse) > 0, u, 0)
    # Each element is multiplied and added, nothing else: centring it first costs a CPU 5 % of a network's step.
    total, along = sums((u, u * wide), form)
    along = (along - mean * total) * inverse
    factor = mask * scale * inverse
    slope = (2 * by_var - factor * along * inverse) / count
    constant = (by_mean - factor * total) / count - slope * mean
    by_x = factor * u + (slope * wide + constant)
    return by_x.astype(x.dtype).reshape(shape), mask * along, mask * total, scale * along + bias * total


def _scaled(x: Array, scale: Array, bias: Array, mean: Array, inverse: Array) -> Array:
    scale = scale * inverse
    return x * scale + (bias - mean * scale)


normalized.defvjp(_forward, _backward)


def moments(x: Array, form: Form = "shifted") -> tuple[Array, Array]:
    """Mean and biased variance of every channel of ``x [..., C]``, in float32.

    ``E[x^2] - E[x]^2`` loses the variance of channels whose mean is many times their deviation (7 % of it at 1000
    times). So it is taken of ``x`` less one of its elements, which changes nothing in exact arithmetic (Chan, Golub and
    LeVeque 1983, "Algorithms for computing the sample variance"): the relative error is then that of a sum in float32
    times ``1 + k^2``, with k the distance of that element from the mean in standard deviations. A second pass over
    ``x`` would do without the factor, and costs an accelerator one more kernel for each of dozens of layers.
    """
    wide = x.astype(jnp.float32)
    # Of the first clip, away from the edges, where padding makes other values. What it is depends on no device count.
    middle = lax.stop_gradient(wide[(0, *(size // 2 for size in x.shape[1:-1]))])
    rest = wide - middle
    total, squares = sums((rest, jnp.square(rest)), form)
    count = x.size // x.shape[-1]
    mean = total / count
    return middle + mean, jnp.maximum(squares / count - jnp.square(mean), 0)
