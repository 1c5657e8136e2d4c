"""Expected cost of a relaxed network, exactly, for any cost that is a sum over its layers.

What a layer costs depends on the channels it receives, hence on earlier choices. In one plan these are the width behind
the block before and, inside a unit, whether a convolution or a bypass (pool, identity) came first. The distribution
over them is propagated, so the result is the mean over networks drawn from the gene weights, not a sum of probabilities
times costs at some nominal width. Differentiable in every weight; at one-hot weights it is that network's own cost.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.nn.supernet import GeneWeights
from tvnjax.space.genotype import POOLS, Block
from tvnjax.space.lowering import (
    expand_layers,
    gate_layers,
    shortcut_layers,
    spatial_layers,
    strided,
    temporal_layers,
)
from tvnjax.space.network import Head, Layer, Shape
from tvnjax.space.relaxed import IDENTITY, Operator, RelaxedBlock, RelaxedPlan

LayerCost = Callable[[Layer | Head], float]


def _bypasses(operator: Operator) -> bool:
    return operator == IDENTITY or operator[0] in POOLS


class UnitCost:
    """Cost tables of one unit. Letters of their axes: c input width, o spatial and t temporal operator, f filters,
    e expand, r squeeze."""

    def __init__(self, block: RelaxedBlock, repeat: int, shape: Shape, widths: Sequence[int], cost: LayerCost):
        self.block, self.repeat, self.widths = block, repeat, tuple(widths)
        fixed = block.fixed
        spatial_stride = fixed.spatial_stride if repeat == 0 else 1
        temporal_stride = fixed.temporal_stride if repeat == 0 else 1
        timed = repeat % 2 == 0 and shape.t > 1

        def total(layers: Sequence[Layer]) -> float:
            return float(sum(cost(layer) for layer in layers))

        def genes(**values: object) -> Block:
            return replace(fixed, **values)

        between = strided(shape, (1, spatial_stride, spatial_stride), shape.c)
        behind = strided(between, (temporal_stride, 1, 1), shape.c) if timed else between
        self.out_shape = behind

        def spatial(operator: Operator, c: int, f: int) -> float:
            kind, k = operator
            block = genes(spatial_kernel=k, filters=f, **({} if operator == IDENTITY else {"spatial_type": kind}))
            return total(spatial_layers(block, spatial_stride, shape._replace(c=c)))

        def temporal(operator: Operator, c: int, f: int) -> float:
            if not timed:
                return 0.0
            kind, k = operator
            block = genes(temporal_kernel=k, filters=f, **({} if operator == IDENTITY else {"temporal_type": kind}))
            return total(temporal_layers(block, temporal_stride, between._replace(c=c)))

        def expand(c: int, f: int, e: int) -> float:
            return total(expand_layers(genes(filters=f, expand=e), behind._replace(c=c)))

        cs, fs, es = self.widths, block.filters, block.expand
        self.spatial_bypass = np.array([_bypasses(operator) for operator in block.spatial], np.float32)
        self.temporal_bypass = np.array([_bypasses(operator) or not timed for operator in block.temporal], np.float32)
        self.spatial = np.array([[[spatial(o, c, f) for f in fs] for c in cs] for o in block.spatial])
        self.temporal_narrow = np.array([[temporal(t, f, f) for f in fs] for t in block.temporal])
        self.temporal_wide = np.array([[[temporal(t, c, f) for f in fs] for c in cs] for t in block.temporal])
        self.expand_narrow = np.array([[expand(f, f, e) for e in es] for f in fs])
        self.expand_wide = np.array([[[expand(c, f, e) for e in es] for f in fs] for c in cs])
        self.squeeze = np.array(
            [
                [[total(gate_layers(Block(squeeze=r), behind._replace(c=f * e))) for r in block.squeeze] for e in es]
                for f in fs
            ]
        )
        self.gate = np.array(
            [[total(gate_layers(Block(context_gate=True), behind._replace(c=f * e))) for e in es] for f in fs]
        )
        skips = behind.t == shape.t
        self.skip = np.array(
            [
                [
                    [
                        total(shortcut_layers(spatial_stride, shape._replace(c=c), behind._replace(c=f * e)))
                        if skips
                        else 0.0
                        for e in es
                    ]
                    for f in fs
                ]
                for c in cs
            ]
        )

    def expected(self, p: dict[str, Array], width: Array) -> Array:
        """Mean cost under gene weights ``p`` and input-width weights ``width [c]``."""
        sizes = np.outer(self.block.filters, self.block.expand)
        joint = jnp.outer(p["filters"], p["expand"])
        if self.repeat == 0:
            mass = width[:, None, None] * joint
        else:  # the input is what the same genes gave in the repeat before
            mass = joint * (np.asarray(self.widths)[:, None, None] == sizes).astype(np.float32)
        bypass_s = p["spatial"] @ self.spatial_bypass
        bypass_t = p["temporal"] @ self.temporal_bypass
        wide = bypass_s * bypass_t
        gates = jnp.array(self.block.context_gate, jnp.float32) @ p["context_gate"]
        skip = jnp.array(self.block.skip, jnp.float32) @ p["skip"]
        by_cf = jnp.einsum("o,ocf->cf", p["spatial"], self.spatial)
        by_cf += (1 - bypass_s) * (p["temporal"] @ self.temporal_narrow)
        by_cf += bypass_s * jnp.einsum("t,tcf->cf", p["temporal"], self.temporal_wide)
        by_fe = (1 - wide) * self.expand_narrow + self.squeeze @ p["squeeze"] + gates * self.gate
        return (mass * (by_cf[:, :, None] + by_fe + wide * self.expand_wide + skip * self.skip)).sum()

    def options(self, c: int) -> np.ndarray:
        """Cost of every assignment of the block's genes, axes in the order of ``GENES``, for input width ``c``.

        In later repeats the input width is the block's own, whatever ``c``.
        """
        sizes = np.outer(self.block.filters, self.block.expand)
        pick = np.full(sizes.shape, self.widths.index(c)) if self.repeat == 0 else np.searchsorted(self.widths, sizes)
        f, e = np.indices(sizes.shape)
        by_s = self.spatial_bypass[:, None, None, None]
        by_t = self.temporal_bypass[None, :, None, None]
        cost = self.spatial[:, pick, f][:, None]  # o t f e
        cost = cost + (1 - by_s) * self.temporal_narrow[None, :, :, None] + by_s * self.temporal_wide[:, pick, f][None]
        wide = by_s * by_t
        cost = cost + (1 - wide) * self.expand_narrow + wide * self.expand_wide[pick, f, e]
        gates = np.array(self.block.context_gate, float)
        skips = np.array(self.block.skip, float)
        cost = cost[..., None, None, None] + self.squeeze[:, :, :, None, None]
        cost = cost + self.gate[:, :, None, None, None] * gates[:, None]
        return cost + self.skip[pick, f, e][:, :, None, None, None] * skips


class ExpectedCost:
    """Expected cost of all networks of a plan; see the module's docstring.

    Args:
        plan: the relaxed plan.
        cost: cost of one layer or of the head, in any unit.
        unit_cost: added for every unit.
        constant: added once.
    """

    def __init__(
        self,
        plan: RelaxedPlan,
        num_classes: int,
        cost: LayerCost,
        *,
        unit_cost: float = 0.0,
        constant: float = 0.0,
        channels: int = 3,
    ):
        shape = Shape(plan.num_frames, plan.image_size, plan.image_size, channels)
        widths: tuple[int, ...] = (channels,)
        self.plan = plan
        self.units: list[list[UnitCost]] = []
        for block in plan.blocks:
            units: list[UnitCost] = []
            for repeat in range(block.fixed.repeats):
                units.append(UnitCost(block, repeat, shape, widths, cost))
                shape, widths = units[-1].out_shape, block.widths
            self.units.append(units)
        count = sum(map(len, self.units))
        self.constant = constant + unit_cost * count
        self.head = np.array([cost(Head(in_shape=shape._replace(c=c), num_classes=num_classes)) for c in widths])

    def __call__(self, weights: GeneWeights) -> Array:
        """The mean cost, a scalar."""
        total = jnp.asarray(self.constant, jnp.float32)
        width = jnp.ones(1)
        for block, units, p in zip(self.plan.blocks, self.units, weights):
            for unit in units:
                total += unit.expected(p, width)
            width = _width_weights(block, p)
        return total + width @ self.head.astype(np.float32)

    def block_options(self, index: int, c: int) -> np.ndarray:
        """Cost of every assignment of one block's genes, axes in the order of ``GENES``, for input width ``c``."""
        return np.sum([unit.options(c) for unit in self.units[index]], axis=0)


def _width_weights(block: RelaxedBlock, p: dict[str, Array]) -> Array:
    sizes = np.outer(block.filters, block.expand).ravel()
    onto = (sizes[:, None] == np.asarray(block.widths)).astype(np.float32)
    return jnp.outer(p["filters"], p["expand"]).ravel() @ onto
