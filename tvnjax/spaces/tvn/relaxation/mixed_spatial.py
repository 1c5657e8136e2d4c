"""The mixture of spatial operators: its convolutions."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.graph import Shape
from tvnjax.nn.conditional import branch_conv, module_if, run_if
from tvnjax.nn.convolution import Form
from tvnjax.nn.halves import shared_conv
from tvnjax.nn.layers import ConvNorm
from tvnjax.nn.parts import BatchNorm, Initializer, times
from tvnjax.nn.weighted import combined
from tvnjax.spaces.tvn.operators import Operator
from tvnjax.spaces.tvn.relaxation.masks import (
    fit_channels,
    kernel_windows,
    mixed_activation,
    share,
    whole_kernel,
    with_diagonal,
)
from tvnjax.spaces.tvn.relaxation.mixed import MixedOp

SPATIAL_CONVOLUTIONS: tuple[str, ...] = ("std", "1std", "depth")


class MixedSpatial(MixedOp):
    """Mixture over spatial kinds and kernels.

    ``std`` and ``depth`` share the 1x1 in front; these two and ``1std`` have one superkernel each, of as many taps, and
    share the batch normalisation behind.

    In a unit that can be inverted ``filters`` is the expanded width, where a dense kernel costs the square of the
    expansion. Its weights there are fewer: dense into the first ``dense`` channels, the widest of the plain unit, and
    one tap sequence for each channel, as depthwise, on the diagonal. So depthwise candidates keep a depthwise
    convolution, and ``std`` runs at the plain unit's width beside it. One-hot it is the network with these kernels
    exactly; a network trained from scratch has a full kernel, so that here wide ``std`` and ``1std`` are members of
    what they can be (``depth``, and dense mixing of some channels between two 1x1 convolutions that mix all).
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
        dense: int | None = None,
        **own: Any,
    ):
        super().__init__(operators, in_shape, filters, "spatial", stride, acts, form, init, **own)
        if not self.convolves:
            return
        self.dense = filters if dense is None else dense
        inner = in_shape._replace(c=filters)
        std, straight, depth = (bool(self.kernels(kind)) for kind in SPATIAL_CONVOLUTIONS)
        self.kernel_size = k = max(self.kernels(*SPATIAL_CONVOLUTIONS))
        front = graph.Conv(in_shape=in_shape, out_shape=inner, act=acts[0] if len(acts) == 1 else None)
        self.pointwise = ConvNorm(front, init, form) if std or depth else None
        taps, dense = (1, k, k), self.dense
        self.std_kernel = nnx.Param(init.normal((*taps, dense, dense), k * k * dense)) if std else None
        self.straight_kernel = (
            nnx.Param(init.normal((*taps, in_shape.c, dense), k * k * in_shape.c)) if straight else None
        )
        if dense < filters:
            self.std_diagonal = nnx.Param(init.normal((*taps, 1, filters), k * k)) if std else None
            self.straight_diagonal = nnx.Param(init.normal((*taps, 1, filters), k * k)) if straight else None
        self.depth_kernel = nnx.Param(init.normal((1, k, k, 1, filters), k * k)) if depth else None
        self.norm = BatchNorm(filters, form=form)

    def mixed_kernels(self, within: Mapping[str, Array]) -> dict[str, Array]:
        """For each kind there is its superkernel, every tap times the weight of the candidates that have it."""
        return self._mixed(within, {"std": self.std_kernel, "1std": self.straight_kernel, "depth": self.depth_kernel})

    def superkernel(self, kind: str) -> Array:
        """The whole kernel of a kind, ``[1, k, k, channels, filters]`` or depthwise."""
        params: Any = {"std": self.std_kernel, "1std": self.straight_kernel, "depth": self.depth_kernel}
        kernel = params[kind][...]
        if self.dense == self.filters or kind == "depth":
            return kernel
        diagonals: Any = {"std": self.std_diagonal, "1std": self.straight_diagonal}
        return whole_kernel(kernel, diagonals[kind][...])

    def _mixed(self, within: Mapping[str, Array], params: Mapping[str, Any]) -> dict[str, Array]:
        mixed = {}
        for kind, param in params.items():
            if param is not None:
                windows = kernel_windows(self.kernels(kind), self.size, self.stride, self.kernel_size)
                taps = combined(within[kind], windows[:, :, None] * windows[:, None])
                mixed[kind] = param[...] * taps[None, :, :, None, None]
        return mixed

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
        """Weighted sum of the convolutions behind their normalisation and activation: ``[B, T, H', W', filters]``."""
        amount, within = share(weights, self.indices(*SPATIAL_CONVOLUTIONS))
        ends = np.cumsum([len(self.kernels(kind)) for kind in SPATIAL_CONVOLUTIONS])
        parts = dict(zip(SPATIAL_CONVOLUTIONS, jnp.split(within, ends[:-1])))
        chances = {kind: combined(part, np.ones(part.shape)) for kind, part in parts.items()}
        kernels, behind = self.mixed_kernels(parts), None
        if self.pointwise is not None:

            def pointwise(module: Any, x: Array, keep: Array, act: Array | None, momentum: float | Array) -> Array:
                if len(self.acts) == 1:
                    return module(x, train=train, momentum=momentum, mask=keep)
                y = module(x, train=train, momentum=momentum)
                return times(keep, mixed_activation(self.acts, y, act, self.form))

            arrays = (x, keep, act, momentum)
            if sampled and "1std" in kernels:
                behind = module_if(chances["std"] + chances["depth"], self.pointwise, pointwise, *arrays)
            else:
                behind = pointwise(self.pointwise, *arrays)
        inputs = {"std": behind, "1std": x, "depth": behind}
        if self.dense < self.filters and ("std" in kernels or "1std" in kernels):
            y = self._wide(inputs, kernels, parts, chances, sampled)
        elif sampled:
            y = self._sampled(inputs, kernels, chances)
        else:
            y = self._fused(inputs, kernels)
        return self.activated(self.norm, y, amount * keep, act, train=train, momentum=momentum)

    def _wide(
        self,
        inputs: dict[str, Any],
        kernels: dict[str, Array],
        parts: Mapping[str, Array],
        chances: dict[str, Array],
        sampled: bool,
    ) -> Array:
        """Dense kernels into the first channels, and what lies on the diagonal as depthwise convolutions."""
        params = {"std": self.std_diagonal, "1std": self.straight_diagonal}
        diagonals = self._mixed(parts, {kind: param for kind, param in params.items() if kind in kernels})
        dense = {kind: kernels[kind] for kind in diagonals}
        narrow = {**inputs, "std": None if inputs["std"] is None else inputs["std"][..., : self.dense]}
        y = self._sampled(narrow, dense, chances) if sampled else self._fused(narrow, dense)
        behind = [
            *([diagonals["std"]] if "std" in diagonals else []),
            *([kernels["depth"]] if "depth" in kernels else []),
        ]
        depthwise = {"1std": diagonals["1std"]} if "1std" in diagonals else {}
        if behind:
            depthwise["depth"] = sum(behind[1:], start=behind[0])
        wide = {"1std": fit_channels(inputs["1std"], self.filters), "depth": inputs["depth"]}
        if sampled:
            z = self._sampled(wide, depthwise, {**chances, "depth": chances["std"] + chances["depth"]})
        else:
            z = self._apart(wide, depthwise)
        return fit_channels(y, self.filters) + z

    def _sampled(self, inputs: Mapping[str, Any], kernels: Mapping[str, Array], chances: Mapping[str, Array]) -> Any:
        def convolve(x: Array, kernel: Array) -> Array:
            return branch_conv(x, kernel.astype(x.dtype), (1, self.stride, self.stride), form=self.form)

        return sum(run_if(chances[kind], convolve, inputs[kind], kernel) for kind, kernel in kernels.items())

    def _apart(self, inputs: Mapping[str, Any], kernels: Mapping[str, Array]) -> Array:
        stride = (1, self.stride, self.stride)
        convolved = [
            shared_conv(inputs[kind], k.astype(inputs[kind].dtype), stride, form=self.form)
            for kind, k in kernels.items()
        ]
        return sum(convolved[1:], start=convolved[0])

    def _fused(self, inputs: Mapping[str, Any], kernels: dict[str, Array]) -> Array:
        if "std" in kernels and "depth" in kernels:
            kernels = {**kernels, "std": with_diagonal(kernels["std"], kernels["depth"])}
            del kernels["depth"]
        dense = [kind for kind in kernels if kind != "depth"]
        if len(dense) == 2:
            x, kernel = (
                jnp.concatenate([inputs[kind] for kind in dense], axis=-1),
                jnp.concatenate([kernels[kind] for kind in dense], axis=3),
            )
            return shared_conv(x, kernel.astype(x.dtype), (1, self.stride, self.stride), form=self.form)
        return self._apart(inputs, kernels)
