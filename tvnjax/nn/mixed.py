"""Mixtures of spatial and temporal operators that cost about one operator.

A weighted sum of convolutions of one stride is one convolution with the weighted sum of their kernels, so candidates
that are convolutions are mixed *in kernel space* and a single convolution runs: smaller kernels are windows of one
superkernel, depthwise kernels are added on its diagonal. Pools and the identity see the unit's own input (a TVN unit
puts no 1x1 in front of them), so they take paths of their own, which are cheap. Widths are prefix masks.

With a one-hot weight on every choice each module equals the lowered unit's layers with the same (sliced) weights.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax.nn.convolution import Form, conv
from tvnjax.nn.layers import BatchNorm, ConvNorm, Initializer, activation
from tvnjax.nn.pooling import avg_pool, max_pool
from tvnjax.space import network
from tvnjax.space.network import Shape
from tvnjax.space.relaxed import IDENTITY, Operator

POOL_KINDS = ("maxpool", "avgpool")


def prefix_mask(sizes: Sequence[int] | np.ndarray, weights: Array, width: int) -> Array:
    """Expected mask over channels ``[width]``: channel c is kept by every candidate wider than c."""
    keeps = np.arange(width)[None] < np.asarray(sizes)[:, None]
    return weights @ keeps.astype(np.float32)


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


def pad_channels(x: Array, width: int) -> Array:
    """Zero channels behind ``x`` up to ``width``."""
    missing = width - x.shape[-1]
    return jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((0, missing),)) if missing else x


def share(weights: Array, indices: Sequence[int] | np.ndarray) -> tuple[Array, Array]:
    """Total weight of some candidates and their weights within it (uniform where the total is 0, e.g. one-hot
    elsewhere)."""
    part = weights[np.asarray(indices)]
    total = part.sum()
    safe = jnp.where(total > 0, total, 1.0)
    return total, jnp.where(total > 0, part / safe, 1.0 / len(indices))


class MixedOp(nnx.Module):
    """What the spatial and the temporal mixture have in common: candidates, and the paths that are no convolution."""

    def __init__(
        self, operators: tuple[Operator, ...], in_shape: Shape, filters: int, form: Form, axis: str, stride: int
    ):
        self.operators, self.axis, self.stride = operators, axis, stride
        self.form: Form = form
        self.size = in_shape.h if axis == "spatial" else in_shape.t
        kinds = [kind for kind, _ in operators]
        self.convolves = any(kind not in (*POOL_KINDS, "identity") for kind in kinds)
        self.bypasses = any(kind in (*POOL_KINDS, "identity") for kind in kinds)
        self.filters = filters
        self.out_channels = max(filters if self.convolves else 0, in_shape.c if self.bypasses else 0)

    def indices(self, *kinds: str) -> list[int]:
        return [i for i, (kind, _) in enumerate(self.operators) if kind in kinds]

    def kernels(self, kind: str) -> list[int]:
        return [k for other, k in self.operators if other == kind]

    def bypass(self, x: Array, weights: Array) -> Any:
        """Weighted sum of the identity and the pools of ``x``; 0 where there are none."""
        total: Any = 0.0
        for index, operator in enumerate(self.operators):
            kind, k = operator
            if operator == IDENTITY:
                total = total + weights[index] * x
            elif kind in POOL_KINDS:
                spatial = self.axis == "spatial"
                window = (1, k, k) if spatial else (k, 1, 1)
                stride = (1, self.stride, self.stride) if spatial else (self.stride, 1, 1)
                pool = max_pool if kind == "maxpool" else avg_pool
                total = total + weights[index] * pool(x, window, stride, form=self.form)
        return total if isinstance(total, float) else pad_channels(total, self.out_channels)


class MixedSpatial(MixedOp):
    """Mixture over spatial kinds and kernels.

    ``std`` and ``depth`` share the 1x1 in front, one superkernel each, and one batch normalisation behind.
    """

    def __init__(
        self, operators: tuple[Operator, ...], in_shape: Shape, filters: int, stride: int, init: Initializer, form: Form
    ):
        super().__init__(operators, in_shape, filters, form, "spatial", stride)
        if not self.convolves:
            return
        inner = in_shape._replace(c=filters)
        self.pointwise = ConvNorm(network.Conv(in_shape=in_shape, out_shape=inner, act="relu"), init, form)
        std, depth = self.kernels("std"), self.kernels("depth")
        self.kernel_size = k = max(std + depth)
        self.std_kernel = nnx.Param(init.normal((1, k, k, filters, filters), k * k * filters)) if std else None
        self.depth_kernel = nnx.Param(init.normal((1, k, k, 1, filters), k * k)) if depth else None
        self.norm = BatchNorm(filters)

    def mixed_kernel(self, std_weights: Array, depth_weights: Array) -> Array:
        """The one kernel that runs: ``[1, k, k, F, F]``, or ``[1, k, k, 1, F]`` where every candidate is depthwise."""
        parts = []
        for kind, param, weights in (
            ("std", self.std_kernel, std_weights),
            ("depth", self.depth_kernel, depth_weights),
        ):
            if param is not None:
                windows = kernel_windows(self.kernels(kind), self.size, self.stride, self.kernel_size)
                taps = jnp.einsum("n,ni,nj->ij", weights, windows, windows)
                parts.append(param[...] * taps[None, :, :, None, None])
        if self.std_kernel is not None and self.depth_kernel is not None:
            return parts[0] + parts[1] * jnp.eye(self.filters)
        return parts[0]

    def __call__(self, x: Array, weights: Array, keep: Array, *, train: bool, momentum: float | Array) -> Array:
        """``x [B, T, H, W, C]``, ``weights [operators]``, ``keep [filters]`` to ``[B, T, H', W', out_channels]``."""
        total = self.bypass(x, weights)
        if self.convolves:
            std, depth = self.indices("std"), self.indices("depth")
            amount, within = share(weights, std + depth)
            kernel = self.mixed_kernel(within[: len(std)], within[len(std) :])
            h = self.pointwise(x, train=train, momentum=momentum) * keep
            y = self.norm(
                conv(h, kernel, (1, self.stride, self.stride), form=self.form), train=train, momentum=momentum
            )
            total = total + pad_channels(amount * keep * activation("relu")(y), self.out_channels)
        return total


class MixedTemporal(MixedOp):
    """Mixture over temporal kinds and kernels; convolutions share one superkernel and one batch normalisation."""

    def __init__(
        self, operators: tuple[Operator, ...], in_shape: Shape, filters: int, stride: int, init: Initializer, form: Form
    ):
        super().__init__(operators, in_shape, filters, form, "temporal", stride)
        if not self.convolves:
            return
        sizes = self.kernels("1d")
        k = max(sizes)
        self.kernel = nnx.Param(init.normal((k, 1, 1, in_shape.c, filters), k * in_shape.c))
        self.norm = BatchNorm(filters)

    def __call__(self, x: Array, weights: Array, keep: Array, *, train: bool, momentum: float | Array) -> Array:
        """``x [B, T, H, W, C]``, ``weights [operators]``, ``keep [filters]`` to ``[B, T', H, W, out_channels]``."""
        total = self.bypass(x, weights)
        if self.convolves:
            amount, within = share(weights, self.indices("1d"))
            windows = kernel_windows(self.kernels("1d"), self.size, self.stride, self.kernel.shape[0])
            kernel = self.kernel[...] * (within @ windows)[:, None, None, None, None]
            y = self.norm(conv(x, kernel, (self.stride, 1, 1), form=self.form), train=train, momentum=momentum)
            total = total + pad_channels(amount * keep * activation("relu")(y), self.out_channels)
        return total
