"""The mixture of temporal operators: its convolutions."""

from typing import Any, NamedTuple

from flax import nnx
from jax import Array

from tvnjax.graph import Shape
from tvnjax.nn.conditional import branch_conv
from tvnjax.nn.convolution import Form
from tvnjax.nn.halves import shared_conv
from tvnjax.nn.parts import BatchNorm, Initializer
from tvnjax.nn.weighted import combined
from tvnjax.spaces.tvn.operators import Operator
from tvnjax.spaces.tvn.relaxation.masks import fit_channels, kernel_windows, share, whole_kernel
from tvnjax.spaces.tvn.relaxation.mixed import MixedOp


class Dense(NamedTuple):
    """Where a kernel is dense: the first so many channels and filters."""

    channels: int
    filters: int


class MixedTemporal(MixedOp):
    """Mixture over temporal kinds and kernels; convolutions share one superkernel and one batch normalisation.

    In a unit that can be inverted the kernel is dense into the plain unit's channels alone, and depthwise beside that
    (see ``MixedSpatial``).
    """

    def __init__(
        self,
        operators: tuple[Operator, ...],
        in_shape: Shape,
        filters: int,
        stride: int,
        init: Initializer,
        form: Form,
        acts: tuple[str, ...] = ("relu",),
        dense: Dense | None = None,
        **own: Any,
    ):
        super().__init__(operators, in_shape, filters, "temporal", stride, acts, form, init, **own)
        if not self.convolves:
            return
        k = max(self.kernels("1d"))
        self.dense = Dense(in_shape.c, filters) if dense is None else dense
        self.kernel = nnx.Param(init.normal((k, 1, 1, *self.dense), k * self.dense.channels))
        wide = self.dense.filters < filters
        self.diagonal = nnx.Param(init.normal((k, 1, 1, 1, filters), k)) if wide else None
        self.norm = BatchNorm(filters, form=form)

    def superkernel(self) -> Array:
        """The whole kernel ``[k, 1, 1, channels, filters]``."""
        if self.diagonal is None:
            return self.kernel[...]
        return whole_kernel(self.kernel[...], self.diagonal[...])

    def convolved(
        self,
        x: Array,
        weights: Array,
        keep: Array,
        act: Array | None,
        momentum: float | Array,
        *,
        train: bool,
        sampled: bool,
    ) -> Array:
        """Weighted sum of the convolutions behind their normalisation and activation: ``[B, T', H, W, filters]``."""
        amount, within = share(weights, self.indices("1d"))
        windows = kernel_windows(self.kernels("1d"), self.size, self.stride, self.kernel.shape[0])
        taps = combined(within, windows)[:, None, None, None, None]

        def convolve(x: Array, superkernel: Array) -> Array:
            how = branch_conv if sampled else shared_conv
            return how(x, (superkernel * taps).astype(x.dtype), (self.stride, 1, 1), form=self.form)

        y = convolve(x[..., : self.dense.channels], self.kernel[...])
        if self.diagonal is not None:
            y = fit_channels(y, self.filters) + convolve(fit_channels(x, self.filters), self.diagonal[...])
        return self.activated(self.norm, y, amount * keep, act, train=train, momentum=momentum)
