"""What shortcuts hold: mean values of a unit's input that wait beside a layer that is not the first.

The same events as in ``ExpectedUnitCost.held``. Each is a product of what happens in space, along time, and to the
gates, and so is its mean.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.spaces.tvn.costs.expected_unit_cost import SLOTS
from tvnjax.spaces.tvn.costs.factored.flow import STILL, TIMED_BEHIND, Flow
from tvnjax.spaces.tvn.costs.factored.genes import BlockGenes
from tvnjax.spaces.tvn.costs.factored.idle import NullChances
from tvnjax.spaces.tvn.costs.factored.sizes import Dimensions
from tvnjax.spaces.tvn.costs.unit_cost_tables import GATES


class _InSpace(NamedTuple):
    """Values of one channel of a unit's input, where it keeps time, times a chance in space; shapes go together with
    those of ``_AlongTime``."""

    one: Array
    """Times nothing."""
    null: Array
    """That there is no spatial layer."""
    bypass: Array
    """That the block's spatial operator is a bypass."""
    second: Array
    """That a 1x1 comes before the spatial convolution."""


class _AlongTime(NamedTuple):
    """Chances along time, and to the gates."""

    null: Array
    """That there is no temporal layer; 1 where the unit has none."""
    bypass: Array
    """That the block's temporal operator is a bypass, or means nothing."""
    own: Array
    """``null`` where the unit has a temporal layer, else ``bypass``."""
    timed: Array
    """Whether it has one."""
    crowded: np.ndarray
    """Whether there are too many positions for a non-local layer."""


class HeldValues:
    """Mean values held, by kind of layer.

    Args:
        dimensions: the space's sizes.
        flow: their chances.
        genes: chances of candidates.
        nulls: which operators compute nothing.
        space: ``[b, strides]``, chances of strides.
        time: the same along time.
        widths: ``[W]``, widths at nodes.
        narrow: operators behind a 1x1.
    """

    def __init__(
        self,
        dimensions: Dimensions,
        flow: Flow,
        genes: BlockGenes,
        nulls: NullChances,
        space: Array,
        time: Array,
        widths: np.ndarray,
        narrow: list[int],
    ):
        self._d, self._flow, self._genes, self._nulls = dimensions, flow, genes, nulls
        self._space, self._time, self._widths = space, time, widths
        self._second = genes.spatial[:, :, np.array(narrow, int)].sum(2)
        self._received = jnp.einsum("bwts,w->bts", flow.before, widths)
        """``[b, T, S]``: chance of a size times the mean width received there."""

    def first(self) -> Array:
        """``[b, slots]``."""
        d, genes = self._d, self._genes
        values = self._received * np.outer(d.time.sizes, np.square(d.space.sizes))
        # Where time is kept there is no stride along it; axes [b, t, s'] behind the strides in space.
        still = jnp.einsum("by,ty->bt", self._time, ~d.time.changes)
        onto = np.eye(len(d.space.sizes))[d.space.behind]
        by_stride = np.stack([~d.space.changes, d.space.changes]).astype(float)

        def spatial(chance: Array) -> Array:
            """Of chances ``[b, s, x]``."""
            steps = jnp.einsum("bx,bsx,sxu->bsu", self._space, chance, onto)
            return still[:, :, None] * jnp.einsum("bts,bsu->btu", values, steps)

        def strided(chance: Array) -> Array:
            return jnp.einsum("bg,gsx->bsx", chance, by_stride)

        null = self._nulls.later_time[:, STILL, :, None]
        several = (np.array(d.time.sizes) > 1)[:, None]
        bypass = jnp.where(several, genes.t[:, STILL, None, None], 1.0)
        space = _InSpace(
            one=spatial(jnp.ones_like(self._nulls.space)),
            null=spatial(self._nulls.space),
            bypass=spatial(strided(genes.s)),
            second=spatial(strided(self._second)),
        )
        time = _AlongTime(null, bypass, null, jnp.asarray(several, null.dtype), d.crowded)
        # Whatever cell it is, what comes in is the same.
        amounts = (genes.inverted, genes.plain, genes.open, genes.open)
        return self._held(amounts, (space,) * 4, time)

    def later(self, timed: bool) -> Array:
        """``[b, slots]``: of odd repeats, or of even ones behind the first."""
        d, genes = self._d, self._genes
        # Axes [b, g, c, t, s].
        sizes = np.outer(d.time.sizes, np.square(d.space.sizes))
        kinds = np.array(TIMED_BEHIND if timed else (0, 0, 0, 0), float)[:, None, None]

        def space(volume: Array) -> _InSpace:
            null = self._nulls.later_space[:, :, None, None]
            chances = (genes.s[:, :, None, None, None], self._second[:, :, None, None, None])
            return _InSpace(volume, volume * null, volume * chances[0], volume * chances[1])

        bypass = genes.t[:, None, :, None, None]
        null = jnp.where(kinds > 0, self._nulls.later_time[:, None, :, :, None], 1.0)
        time = _AlongTime(null, bypass, jnp.where(kinds > 0, null, bypass), jnp.asarray(kinds), d.crowded)
        kept = jnp.einsum("bts,bgsu,bctv->bgcvu", self._received, self._flow.space, self._flow.time)
        common = space(self._flow.behind * sizes)
        narrow, expanded = genes.narrow @ self._widths, genes.expanded @ self._widths
        amounts = (genes.inverted * narrow, expanded, genes.open * narrow, genes.open)
        return self._held(amounts, (common, common, common, space(kept * sizes)), time)

    def _held(self, amounts: tuple[Array, ...], spaces: tuple[_InSpace, ...], time: _AlongTime) -> Array:
        """Of inverted cells, expanded ones, open ones, and what is kept (and missing from the open ones)."""
        total = jnp.zeros((len(amounts[0]), len(SLOTS)), amounts[0].dtype)
        for cell, (amount, space) in enumerate(zip(amounts, spaces)):
            values = [self._event(slot, cell, space, time) for slot in SLOTS]
            sums = [value.sum(tuple(range(1, value.ndim))) for value in values]
            total += amount[:, None] * jnp.stack(sums, axis=1)
        return self._genes.skip[:, None] * total

    def _event(self, slot: str, cell: int, space: _InSpace, time: _AlongTime) -> Array:
        """That a layer is there and not the first of its unit, times what waits; ``cell`` 0 is inverted, 1 expanded, 2
        open, 3 kept."""
        none = jnp.zeros_like(space.one)
        if slot == "point":
            return space.second if cell == 0 else none
        if slot == "spatial":
            return (space.one - space.null, space.second, space.second, none)[cell]
        if slot == "temporal":
            kept = time.timed * (space.bypass - space.null) * (time.bypass - time.null)
            behind = (space.one - space.null) * (1 - time.null)
            return (space.one * (1 - time.null), behind, behind - kept, kept)[cell]
        if slot == "expand":
            return space.one - space.null * time.null if cell == 1 else none
        if slot in (*GATES, "shortcut"):
            before = GATES[: GATES.index(slot)] if slot in GATES else GATES
            there = 1 - self._off(space, time, slot) if slot in GATES else 1.0
            off = self._off(space, time, *before)
            kept = space.bypass * time.bypass - off * space.null * time.own
            behind = space.one - off * space.null * time.null
            return there * (space.one, space.one, behind - kept, kept)[cell]
        return space.one if slot == "project" and cell == 0 else none

    def _off(self, space: _InSpace, time: _AlongTime, *gates: str) -> Array | float:
        """That all these gates are off."""
        off: Array | float = 1.0
        for gate in gates:
            legal, crowded = (
                self._genes.off(gate, over).reshape(-1, *(1,) * (space.one.ndim - 1)) for over in (False, True)
            )
            off = off * (jnp.where(time.crowded, crowded, legal) if gate == "non_local" else legal)
        return off
