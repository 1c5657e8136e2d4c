"""The supernet: every operator choice of one plan, softmax-weighted, in one program."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax.core.variables import ArchParam
from tvnjax.nn.child import HeadModule
from tvnjax.nn.convolution import Form, default_form
from tvnjax.nn.layers import BN_MOMENTUM, ConvNorm, Dense, Initializer, activation
from tvnjax.nn.mixed import MixedSpatial, MixedTemporal, prefix_mask, share
from tvnjax.space import network
from tvnjax.space.genotype import Genotype
from tvnjax.space.lowering import squeeze_hidden, strided
from tvnjax.space.network import Shape
from tvnjax.space.relaxed import GENES, RelaxedBlock, RelaxedPlan

GeneWeights = tuple[dict[str, Array], ...]
"""For each block and each of ``GENES`` a vector of weights over its candidates, summing to one."""


class MixedGates(nnx.Module):
    """Squeeze-excite and context gate, each weighted against being off."""

    def __init__(self, block: RelaxedBlock, width: int, init: Initializer):
        self.block = block
        self.ratios = tuple(ratio for ratio in block.squeeze if ratio > 0)
        self.hidden = tuple(squeeze_hidden(f * e, r) for f in block.filters for e in block.expand for r in self.ratios)
        if self.ratios:
            self.reduce = Dense(width, max(self.hidden), init, gain=2.0)
            self.restore = Dense(max(self.hidden), width, init)
        if any(block.context_gate):
            self.gate = Dense(width, width, init)

    def __call__(self, x: Array, p: Mapping[str, Array]) -> Array:
        """``[B, T, H, W, C]`` to the same shape, scaled by one vector a clip."""
        mean = x.mean((1, 2, 3))
        scale = jnp.ones_like(mean)
        if self.ratios:
            on = np.array([ratio > 0 for ratio in self.block.squeeze])
            amount, within = share(p["squeeze"], np.flatnonzero(on))
            joint = jnp.einsum("f,e,r->fer", p["filters"], p["expand"], within)
            keep = prefix_mask(self.hidden, joint.ravel(), max(self.hidden))
            gate = nnx.sigmoid(self.restore(keep * nnx.relu(self.reduce(mean))))
            scale = 1 - amount + amount * gate
        if any(self.block.context_gate):
            amount = p["context_gate"] @ np.array(self.block.context_gate, np.float32)
            # One gate scales the whole clip, so the mean behind the first gate is the scaled mean.
            scale = scale * (1 - amount + amount * nnx.sigmoid(self.gate(mean * scale)))
        return x * scale[:, None, None, None]


class MixedUnit(nnx.Module):
    """One unit with all its choices; ``in_shape`` is the widest input it can get."""

    def __init__(self, block: RelaxedBlock, repeat: int, in_shape: Shape, init: Initializer, form: Form):
        self.block = block
        filters, width = max(block.filters), max(block.widths)
        self.filters, self.width = filters, width
        spatial_stride = block.fixed.spatial_stride if repeat == 0 else 1
        temporal_stride = block.fixed.temporal_stride if repeat == 0 and in_shape.t > 1 else 1
        self.spatial = MixedSpatial(block.spatial, in_shape, filters, spatial_stride, init, form)
        shape = strided(in_shape, (1, spatial_stride, spatial_stride), self.spatial.out_channels)
        timed = repeat % 2 == 0 and in_shape.t > 1
        self.temporal = MixedTemporal(block.temporal, shape, filters, temporal_stride, init, form) if timed else None
        if self.temporal is not None:
            shape = strided(shape, (temporal_stride, 1, 1), self.temporal.out_channels)
        self.out_shape = shape._replace(c=width)
        self.expand = ConvNorm(network.Conv(in_shape=shape, out_shape=self.out_shape), init, form)
        self.gates = MixedGates(block, width, init)
        stride = (1, spatial_stride, spatial_stride)
        projection = network.Conv(in_shape=in_shape, out_shape=self.out_shape, stride=stride)
        skips = any(block.skip) and shape.t == in_shape.t
        self.shortcut = ConvNorm(projection, init, form) if skips else None

    def __call__(self, x: Array, p: Mapping[str, Array], *, train: bool, momentum: float | Array) -> Array:
        """``[B, T, H, W, C]`` to ``[B, *out_shape]`` under the block's gene weights."""
        block = self.block
        keep = prefix_mask(block.filters, p["filters"], self.filters)
        y = self.spatial(x, p["spatial"], keep, train=train, momentum=momentum)
        if self.temporal is not None:
            y = self.temporal(y, p["temporal"], keep, train=train, momentum=momentum)
        widths = np.outer(block.filters, block.expand).ravel()
        keep = prefix_mask(widths, jnp.outer(p["filters"], p["expand"]).ravel(), self.width)
        y = self.gates(self.expand(y, train=train, momentum=momentum) * keep, p)
        if self.shortcut is not None:
            amount = p["skip"] @ np.array(block.skip, np.float32)
            y = y + amount * keep * self.shortcut(x, train=train, momentum=momentum)
        return activation("relu")(y)


class Supernet(nnx.Module):
    """All networks of one plan, sharing weights; ``alphas`` are the logits of its choices.

    Calling it takes the gene weights as an argument, so that one compiled program serves the relaxed network
    (``probabilities``) and every single network of the plan (``one_hot``).
    """

    def __init__(
        self, plan: RelaxedPlan, num_classes: int, seed: int = 0, *, channels: int = 3, form: Form | None = None
    ):
        init, form = Initializer(seed), form or default_form()
        self.plan = plan
        shape = Shape(plan.num_frames, plan.image_size, plan.image_size, channels)
        blocks = []
        for block in plan.blocks:
            units = []
            for repeat in range(block.fixed.repeats):
                units.append(MixedUnit(block, repeat, shape, init, form))
                shape = units[-1].out_shape
            blocks.append(nnx.List(units))
        self.blocks = nnx.List(blocks)
        self.head = HeadModule(network.Head(in_shape=shape, num_classes=num_classes), init)
        self.alphas = nnx.List(
            [
                nnx.Dict({gene: ArchParam(jnp.zeros(len(block.candidates(gene)))) for gene in block.active})
                for block in plan.blocks
            ]
        )

    def probabilities(self, temperature: float | Array = 1.0) -> GeneWeights:
        """Softmax of the logits; choices without logits put all weight on their first candidate."""
        return softmax_weights(self.plan, self.alphas, temperature)

    def __call__(
        self,
        clip: Array,
        weights: GeneWeights,
        *,
        train: bool = False,
        momentum: float | Array = BN_MOMENTUM,
        dropout_key: Array | None = None,
    ) -> Array:
        """Normalised clips ``[B, T, H, W, C]`` to logits ``[B, classes]``."""
        x = clip
        for units, p in zip(self.blocks, weights):
            for unit in units:
                x = unit(x, p, train=train, momentum=momentum)
        return self.head(x, dropout_key=dropout_key)


def softmax_weights(plan: RelaxedPlan, alphas: Sequence[Mapping[str, Any]], temperature: float | Array) -> GeneWeights:
    """Gene weights from the logits of every block's active choices."""
    return tuple(
        {
            gene: jax.nn.softmax(logits[gene][...] / temperature)
            if gene in block.active
            else jnp.eye(len(block.candidates(gene)))[0]
            for gene in GENES
        }
        for block, logits in zip(plan.blocks, alphas, strict=True)
    )


def one_hot(plan: RelaxedPlan, genotype: Genotype) -> GeneWeights:
    """Gene weights that pick one network of the plan.

    Raises:
        ValueError: the genotype is not of this plan.
    """
    return tuple(
        {gene: jnp.eye(len(block.candidates(gene)))[index] for gene, index in chosen.items()}
        for block, chosen in zip(plan.blocks, plan.encode(genotype))
    )
