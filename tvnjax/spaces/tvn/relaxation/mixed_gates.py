"""Mixtures of the layers that look at a whole clip: non-local layer, squeeze-excite and context gate."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.graph import Shape
from tvnjax.nn.conditional import module_if
from tvnjax.nn.convolution import Form
from tvnjax.nn.layers import NonLocal
from tvnjax.nn.parts import Dense, Initializer, times
from tvnjax.nn.weighted import combined
from tvnjax.spaces.tvn.lowering import squeeze_hidden
from tvnjax.spaces.tvn.relaxation.masks import Widths, prefix_mask, share
from tvnjax.spaces.tvn.relaxed import RelaxedBlock


class MixedGates(nnx.Module):
    """Non-local layer, then squeeze-excite, then context gate, each weighted against being off.

    Args:
        block: the candidates.
        shape: of the input, as wide as it can be.
        widths: every width the input may have.
        init: draws the weights.
        form: see ``convolution.Form``.
    """

    def __init__(self, block: RelaxedBlock, shape: Shape, widths: Sequence[int], init: Initializer, form: Form):
        self.block = block
        self.ratios = tuple(ratio for ratio in block.squeeze if ratio > 0)
        if self.ratios:
            self.hidden = squeeze_hidden(max(widths), max(self.ratios))
            self.reduce = Dense(shape.c, self.hidden, init, gain=2.0, form=form)
            self.restore = Dense(self.hidden, shape.c, init, form=form)
        if any(block.context_gate):
            self.gate = Dense(shape.c, shape.c, init, form=form)
        # A plan with too many positions for attention has the parameters all the same: plans share them by name.
        if any(block.non_local):
            self.non_local = NonLocal(graph.NonLocal(in_shape=shape, bottleneck=max(block.non_local)), init, form)
        self.attends = any(size > 0 and legal for size, legal in zip(block.non_local, block.legal("non_local")))

    def __call__(self, x: Array, p: Mapping[str, Array], widths: Widths, *, sampled: bool = False) -> Array:
        """``[B, T, H, W, C]`` to the same shape, under the block's gene weights.

        Args:
            x: the input.
            p: a vector of weights for each gene.
            widths: how likely each width of ``x`` is.
            sampled: layers of weight 0 are not computed.
        """
        if self.attends:
            on = np.flatnonzero(self.block.non_local)
            amount, within = share(p["non_local"], on)
            bottlenecks = np.asarray(self.block.non_local)[on]
            bottleneck = prefix_mask(bottlenecks, within, int(bottlenecks.max()))

            def attention(layer: Any, x: Array, bottleneck: Array) -> Array:
                return layer.attention(x, bottleneck)

            arrays = (x, bottleneck)
            added = (
                module_if(amount, self.non_local, attention, *arrays) if sampled else attention(self.non_local, *arrays)
            )
            x = x + times(amount * widths.mask(x.shape[-1]), added)
        if not self.ratios and not any(self.block.context_gate):
            return x

        if not sampled:
            return times(x, self.scale(x.mean((1, 2, 3)), p, widths)[:, None, None, None])

        def change(gates: Any, x: Array, p: Mapping[str, Array], probabilities: Array) -> Array:
            scale = gates.scale(x.mean((1, 2, 3)), p, Widths(widths.sizes, probabilities))
            return times(x, (scale - 1)[:, None, None, None])

        off = combined(p["squeeze"], np.array(self.block.squeeze) == 0)
        off = off * combined(p["context_gate"], ~np.array(self.block.context_gate))
        # The change to x, so that nothing is left to do where it is skipped but an addition of zeros.
        return x + module_if(1 - off, self, change, x, dict(p), widths.probabilities)

    def scale(self, mean: Array, p: Mapping[str, Array], widths: Widths) -> Array:
        """The factors of every channel, float32 ``[B, C]``, from the channels' means over the clip."""
        scale = jnp.ones(mean.shape)
        if self.ratios:
            amount, within = share(p["squeeze"], np.flatnonzero(self.block.squeeze))
            hidden = [squeeze_hidden(width, ratio) for width in widths.sizes for ratio in self.ratios]
            keep = prefix_mask(hidden, jnp.outer(widths.probabilities, within).ravel(), self.hidden)
            gate = nnx.sigmoid(self.restore(times(keep, nnx.relu(self.reduce(mean)))))
            scale = 1 - amount + amount * gate
        if any(self.block.context_gate):
            amount = combined(p["context_gate"], np.array(self.block.context_gate))
            # One gate scales the whole clip, so the mean behind the first gate is the scaled mean.
            scale = scale * (1 - amount + amount * nnx.sigmoid(self.gate(times(mean, scale))))
        return scale
