"""The mixture of temporal operators: its convolutions."""

from typing import Any

from flax import nnx
from jax import Array

from tvnjax.graph import Shape
from tvnjax.nn.conditional import branch_conv
from tvnjax.nn.convolution import Form, conv
from tvnjax.nn.parts import BatchNorm, Initializer, times
from tvnjax.spaces.tvn.operators import Operator
from tvnjax.spaces.tvn.relaxation.masks import kernel_windows, mixed_activation, share
from tvnjax.spaces.tvn.relaxation.mixed import MixedOp


class MixedTemporal(MixedOp):
    """Mixture over temporal kinds and kernels; convolutions share one superkernel and one batch normalisation."""

    def __init__(
        self,
        operators: tuple[Operator, ...],
        in_shape: Shape,
        filters: int,
        stride: int,
        init: Initializer,
        form: Form,
        acts: tuple[str, ...] = ("relu",),
        **own: Any,
    ):
        super().__init__(operators, in_shape, filters, "temporal", stride, acts, form, init, **own)
        if not self.convolves:
            return
        k = max(self.kernels("1d"))
        self.kernel = nnx.Param(init.normal((k, 1, 1, in_shape.c, filters), k * in_shape.c))
        self.norm = BatchNorm(filters)

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
        kernel = self.kernel[...] * (within @ windows)[:, None, None, None, None]
        convolve = branch_conv if sampled else conv
        y = convolve(x, kernel.astype(x.dtype), (self.stride, 1, 1), form=self.form)
        y = self.norm(y, train=train, momentum=momentum)
        return times(amount * keep, mixed_activation(self.acts, y, act))
