"""Mixtures the plain way: every candidate runs by itself and the results are summed.

What the fused mixtures are tested against, and what they are timed against in
``experiments/benchmarks/supernet_step.py``.
"""

from typing import Any

from flax import nnx
from jax import Array

from tvnjax.nn.convolution import Form, conv
from tvnjax.nn.pooling import avg_pool, max_pool
from tvnjax.spaces.tvn.relaxation.masks import fit_channels, subkernel_offset
from tvnjax.spaces.tvn.relaxation.mixed_spatial import MixedSpatial
from tvnjax.spaces.tvn.relaxation.mixed_temporal import MixedTemporal

Triple = tuple[int, int, int]


def naive_spatial(
    mixed: MixedSpatial,
    x: Array,
    weights: Array,
    keep: Array,
    act: Array | None = None,
    *,
    form: Form = "plain",
    momentum: float | Array = 0.9,
) -> Array:
    """One batch normalisation behind the sum of the convolutions, as in the mixture (in training mode).

    ``act``, the weights of activations, is that of relu alone.
    """
    h = nnx.relu(mixed.pointwise(x, train=True, momentum=momentum)) * keep

    def convolve(kind: str, k: int, stride: Triple) -> Array:
        at = subkernel_offset(x.shape[2], mixed.stride, mixed.kernel_size, k)
        superkernel = mixed.superkernel(kind)
        return conv(x if kind == "1std" else h, superkernel[:, at : at + k, at : at + k], stride, form=form)

    return _sum(mixed, x, weights, keep, lambda k: (1, k, k), (1, mixed.stride, mixed.stride), convolve, form, momentum)


def naive_temporal(
    mixed: MixedTemporal,
    x: Array,
    weights: Array,
    keep: Array,
    act: Array | None = None,
    *,
    form: Form = "plain",
    momentum: float | Array = 0.9,
) -> Array:
    def convolve(kind: str, k: int, stride: Triple) -> Array:
        at = subkernel_offset(x.shape[1], mixed.stride, mixed.kernel.shape[0], k)
        superkernel = mixed.superkernel()
        return conv(x[..., : superkernel.shape[3]], superkernel[at : at + k], stride, form=form)

    return _sum(mixed, x, weights, keep, lambda k: (k, 1, 1), (mixed.stride, 1, 1), convolve, form, momentum)


def _sum(mixed, x, weights, keep, window, stride, convolve, form, momentum) -> Array:
    bypassed: Any = 0.0
    convolved, amount = 0.0, 0.0
    for weight, (kind, k) in zip(weights, mixed.operators):
        if kind == "identity" and max(stride) > 1:
            continue  # illegal in a block that strides
        if kind == "identity":
            bypassed += weight * x
        elif kind in ("maxpool", "avgpool"):
            pool = max_pool if kind == "maxpool" else avg_pool
            bypassed += weight * pool(x, window(k), stride, form=form)
        else:
            convolved += weight * convolve(kind, k, stride)
            amount += weight
    y = amount * keep * nnx.relu(mixed.norm(convolved / amount, train=True, momentum=momentum))
    y = fit_channels(y, mixed.out_channels)
    return y if isinstance(bypassed, float) else fit_channels(bypassed, mixed.out_channels) + y
