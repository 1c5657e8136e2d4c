"""Chances that units are idle: that an open unit holds no layer at all, behind a relu and ending with one."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.graph import Shape
from tvnjax.spaces.tvn.costs.factored.flow import TIME_STRIDES, Flow
from tvnjax.spaces.tvn.costs.factored.genes import BlockGenes
from tvnjax.spaces.tvn.costs.factored.sizes import Dimensions
from tvnjax.spaces.tvn.costs.unit_cost_tables import is_layer
from tvnjax.spaces.tvn.genotype import Block
from tvnjax.spaces.tvn.lowering import spatial_layers, temporal_layers
from tvnjax.spaces.tvn.operators import IDENTITY, Operator
from tvnjax.spaces.tvn.relaxed import RelaxedBlock


class Nulls:
    """Which operators compute nothing at which sizes.

    Args:
        relaxed: the candidates.
        dimensions: the space's sizes.
    """

    def __init__(self, relaxed: RelaxedBlock, dimensions: Dimensions):
        space, time = dimensions.space, dimensions.time
        self.space = np.array(
            [[[_nothing("spatial", o, s, x) for o in relaxed.spatial] for x in space.strides] for s in space.sizes],
            float,
        )
        """``[S, strides, operators]``."""
        self.time = np.array(
            [[[_nothing("temporal", o, t, y) for o in relaxed.temporal] for y in time.strides] for t in time.sizes],
            float,
        )
        """``[T, strides, operators]``; of a single frame all."""
        self.plain_space = np.array(
            [[_nothing("spatial", o, s, 1) for o in relaxed.spatial] for s in space.sizes], float
        )
        """``[S, operators]``: without a stride."""
        self.plain_time = np.array(
            [[_nothing("temporal", o, t, 1) for o in relaxed.temporal] for t in time.sizes], float
        )


def _nothing(axis: str, operator: Operator, size: int, stride: int) -> bool:
    if (axis == "temporal" and size == 1) or operator == IDENTITY:
        return True
    if is_layer(operator):
        return False
    genes: dict = {f"{axis}_type": operator[0], f"{axis}_kernel": operator[1]}
    if axis == "spatial":
        return not spatial_layers(Block(**genes), min(stride, size), Shape(1, size, size, 1))
    return not temporal_layers(Block(**genes), min(stride, size), Shape(size, 1, 1, 1))


class NullChances:
    """The same under the chances of operators. (Letters as in ``units``; ``x`` and ``y`` strides in space and time.)"""

    def __init__(self, nulls: Nulls, dimensions: Dimensions, genes: BlockGenes):
        space, time = dimensions.space, dimensions.time
        self.space = _chances(nulls.space, space.changes, genes.spatial)
        """``[b, S, x]``."""
        self.time = _chances(nulls.time, time.changes, genes.temporal)
        """``[b, T, y]``; of a single frame 1."""
        self.later_space = jnp.einsum("so,bgo->bgs", nulls.plain_space, genes.spatial)
        """``[b, g, S]``."""
        self.later_time = jnp.einsum("to,bco->bct", nulls.plain_time, genes.temporal[:, np.array(TIME_STRIDES)])
        """``[b, c, T]``; of a single frame 1."""


def _chances(nulls: np.ndarray, changes: np.ndarray, operators: Array) -> Array:
    still, strides = (jnp.einsum("sxo,bo->bsx", nulls, operators[:, g]) for g in (0, 1))
    return jnp.where(changes, strides, still)


class IdleUnits:
    """Chances that units of every block are idle, given that they are there.

    Args:
        dimensions: the space's sizes.
        flow: their chances.
        genes: chances of candidates.
        nulls: which operators compute nothing.
        space: ``[b, strides]``, chances of strides.
        time: the same along time.
    """

    def __init__(
        self, dimensions: Dimensions, flow: Flow, genes: BlockGenes, nulls: NullChances, space: Array, time: Array
    ):
        self._d, self._flow, self._genes, self._nulls = dimensions, flow, genes, nulls
        self._space, self._time = space, time
        uncrowded, crowded = (genes.off("non_local", at) for at in (False, True))
        others = genes.off("squeeze") * genes.off("context_gate") * genes.open * genes.relu
        legal = jnp.where(dimensions.crowded, crowded[:, None, None], uncrowded[:, None, None])
        self._off = others[:, None, None] * legal
        """``[b, T', S']``: that nothing else is there."""

    def first(self) -> Array:
        """``[b]``."""
        d, skip = self._d, self._genes.skip[:, None, None]
        onto = (np.eye(len(dimension.sizes))[dimension.behind] for dimension in (d.space, d.time))
        onto_space, onto_time = onto
        space = jnp.einsum("bx,bsx,sxu->bsu", self._space, self._nulls.space, onto_space)
        # A shortcut is there where frames are kept.
        keeps = ~d.time.changes
        without = (1 - skip * keeps) * self._nulls.time
        time = jnp.einsum("by,bty,tyv->btv", self._time, without, onto_time)
        after = jnp.concatenate([jnp.zeros(1, skip.dtype), self._genes.relu[:-1]])
        return after * jnp.einsum("bts,bsu,btv,bvu->b", self._flow.before.sum(1), space, time, self._off)

    def later(self, timed: bool) -> Array:
        """``[b]``: of odd repeats, or of even ones behind the first."""
        time = self._nulls.later_time if timed else jnp.ones_like(self._nulls.later_time)
        without = (1 - self._genes.skip)[:, None, None] * self._off
        return jnp.einsum("bgcvu,bgu,bcv,bvu->b", self._flow.behind, self._nulls.later_space, time, without)
