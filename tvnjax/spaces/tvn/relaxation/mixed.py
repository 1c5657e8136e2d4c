"""Mixtures of spatial and temporal operators that cost about one operator.

A weighted sum of convolutions of one stride is one convolution with the weighted sum of their kernels, so candidates
that are convolutions are mixed *in kernel space* and a single convolution runs: smaller kernels are windows of one
superkernel, depthwise kernels are added on its diagonal, and a convolution without the 1x1 in front (``1std``) reads
further channels of the same input. Pools and the identity see the unit's own input (a TVN unit puts no 1x1 in front of
them), so they take paths of their own, which are cheap. Widths are prefix masks.

With a one-hot weight on every choice each module equals the lowered unit's layers with the same (sliced) weights.

Called with ``sampled``, for weights that are mostly 0, every path stands behind a condition and is its own convolution:
the values are the same, and what has no weight is not computed.

Here is what the two have in common; ``mixed_spatial`` and ``mixed_temporal`` have their convolutions.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flax import nnx
from jax import Array

from tvnjax.graph import Shape
from tvnjax.nn.conditional import module_if, run_if
from tvnjax.nn.convolution import Form
from tvnjax.nn.parts import BN_MOMENTUM, BatchNorm, Initializer, times
from tvnjax.nn.pooling import avg_pool, max_pool, trained_form
from tvnjax.nn.weighted import chosen, combined, weighted_sum
from tvnjax.spaces.tvn.operators import IDENTITY, Operator, bypasses, can_stride
from tvnjax.spaces.tvn.own_operators import Axis, OwnOperator
from tvnjax.spaces.tvn.relaxation.masks import Widths, fit_channels, mixed_activation
from tvnjax.spaces.tvn.relaxation.own_path import OwnPath

POOL_KINDS = ("maxpool", "avgpool")


class MixedOp(nnx.Module):
    """What the spatial and the temporal mixture have in common: candidates, and the paths that are no convolution.

    Args:
        operators: all candidates; an identity that would have to stride is left out, its weight is 0.
        in_shape: the widest input.
        filters: the widest result of a convolution.
        axis: ``spatial`` or ``temporal``.
        stride: along that axis.
        acts: candidates of the activation behind each convolution.
        form: see ``convolution.Form``.
        init: draws the weights.
        widths: every width that may come in; needed where there are own operators.
        room: widths of other plans (see ``OwnPath``).
    """

    def __init__(
        self,
        operators: tuple[Operator, ...],
        in_shape: Shape,
        filters: int,
        axis: Axis,
        stride: int,
        acts: tuple[str, ...],
        form: Form,
        init: Initializer,
        widths: Sequence[int] = (),
        room: Sequence[int] = (),
    ):
        self.operators, self.axis, self.stride, self.acts = operators, axis, stride, acts
        self.form: Form = form
        self.size = in_shape.h if axis == "spatial" else in_shape.t
        self.convolves = not all(map(bypasses, operators))
        self.bypasses = any(map(bypasses, operators))
        self.filters = filters
        self.own_indices = [
            index
            for index, operator in enumerate(operators)
            if isinstance(operator[0], OwnOperator) and self._fits(operator)
        ]
        if self.own_indices:
            # Under the candidate's number: a plan that lacks one has the others under the same names.
            self.own = nnx.Dict(
                {
                    f"candidate{index}": OwnPath(operators[index], (axis, stride), in_shape, widths, room, init, form)
                    for index in self.own_indices
                }
            )
        # A shorter clip has no temporal mixture and passes on all its channels; the longer one has room for as many.
        passed = in_shape.c if self.bypasses or axis == "temporal" else 0
        self.out_channels = max(filters if self.convolves else 0, passed)

    def indices(self, *kinds: str) -> list[int]:
        return [i for kind in kinds for i, (other, _) in enumerate(self.operators) if other == kind]

    def kernels(self, *kinds: str) -> list[int]:
        return [self.operators[i][1] for i in self.indices(*kinds)]

    def bypass_amount(self, weights: Array) -> Array:
        """Weight of all candidates that keep the width of their input."""
        return combined(weights, np.array(list(map(bypasses, self.operators))))

    def bypass(
        self,
        x: Array,
        weights: Array,
        sampled: bool,
        widths: Widths | None = None,
        *,
        train: bool = False,
        momentum: float | Array = BN_MOMENTUM,
    ) -> Any:
        """Weighted sum of the identity, the pools and the own operators of ``x``; 0 where there are none."""
        paths: dict[int, Array] = {}
        for index, operator in enumerate(self.operators):
            kind, k = operator
            if operator == IDENTITY:
                if self._fits(operator):
                    paths[index] = x
            elif index in self.own_indices:
                assert widths is not None
                path = self.own_path(index)

                def run(path: Any, x: Array, p: Array, momentum: Any, sizes: tuple[int, ...] = widths.sizes) -> Array:
                    return path(x, Widths(sizes, p), x.shape[-1], train=train, momentum=momentum)

                arrays = (x, widths.probabilities, momentum)
                paths[index] = module_if(weights[index], path, run, *arrays) if sampled else run(path, *arrays)
            elif kind in POOL_KINDS:
                pool = self._pool(kind, k, train)
                paths[index] = run_if(weights[index], pool, x) if sampled else pool(x)
        if not paths:
            return 0.0
        total = weighted_sum(chosen(weights, list(paths)), list(paths.values()), self.form)
        return fit_channels(total, self.out_channels)

    def activated(
        self, norm: BatchNorm, y: Array, mask: Array, act: Array | None, *, train: bool, momentum: float | Array
    ) -> Array:
        """``y`` normalised, behind its mixture of activations and times a mask over its channels."""
        if len(self.acts) == 1:
            return norm(y, train=train, momentum=momentum, act=self.acts[0], mask=mask)
        return times(mask, mixed_activation(self.acts, norm(y, train=train, momentum=momentum), act, self.form))

    def own_path(self, index: int) -> OwnPath:
        """The path of an own operator by its candidate's number."""
        return self.own[f"candidate{index}"]

    def _fits(self, operator: Operator) -> bool:
        """Whether the operator stands here: one that cannot stride does not where sizes change."""
        return can_stride(operator) or -(-self.size // self.stride) == self.size

    def _pool(self, kind: str, k: int, train: bool) -> Callable[[Array], Array]:
        spatial, s = self.axis == "spatial", self.stride
        window, stride = ((1, k, k), (1, s, s)) if spatial else ((k, 1, 1), (s, 1, 1))
        if kind == "maxpool":
            return lambda x: max_pool(x, window, stride, form=trained_form(self.form, train))
        return lambda x: avg_pool(x, window, stride, form=self.form)

    def __call__(
        self,
        x: Array,
        weights: Array,
        keep: Array,
        act: Array | None = None,
        *,
        train: bool,
        momentum: float | Array,
        sampled: bool = False,
        widths: Widths | None = None,
    ) -> Array:
        """The mixture at one position of the network.

        Args:
            x: ``[B, T, H, W, C]``.
            weights: ``[operators]``.
            keep: ``[filters]``, expected mask over the channels of a convolution.
            act: ``[acts]``; may be absent for a single activation.
            train: batch statistics, and the running ones move.
            momentum: of the running statistics.
            sampled: paths of weight 0 are not computed.
            widths: how likely each width of ``x`` is; needed where there are own operators.

        Returns:
            ``[B, T', H', W', out_channels]``.
        """
        total = self.bypass(x, weights, sampled, widths, train=train, momentum=momentum)
        if self.convolves:
            indices = [i for i, operator in enumerate(self.operators) if not bypasses(operator)]

            def convolved(module: Any, *arrays: Any) -> Array:
                return module.convolved(*arrays, train=train, sampled=sampled)

            alone = len(indices) == len(self.operators)
            arrays = (x, weights, keep, act, momentum)
            if sampled and not alone:
                amount = combined(weights, np.isin(np.arange(len(self.operators)), indices))
                y = module_if(amount, self, convolved, *arrays)
            else:
                y = convolved(self, *arrays)
            total = total + fit_channels(y, self.out_channels)
        return total
