"""What shortcuts hold: mean values of a unit's input that wait beside a layer that is not the first.

The same events as in ``ExpectedUnitCost.held``. Each is a product of what happens in space, along time, and to the
gates, and so is its mean.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.spaces.tvn.costs.expected_unit_cost import SLOTS
from tvnjax.spaces.tvn.costs.factored.flow import TIMED, TIMED_BEHIND, Flow
from tvnjax.spaces.tvn.costs.factored.genes import BlockGenes
from tvnjax.spaces.tvn.costs.factored.idle import NullChances
from tvnjax.spaces.tvn.costs.factored.sizes import Dimensions
from tvnjax.spaces.tvn.costs.unit_cost_tables import GATES


class _Chances(NamedTuple):
    """Chances at every size that a kind of units meets; shapes that go together with ``volume``."""

    volume: Array
    """Chance of the sizes, times values of one channel of the unit's input, where time is kept."""
    null_s: Array
    null_t: Array
    """That there is no spatial, no temporal layer; 1 for the latter where the unit has none."""
    s: Array
    t: Array
    """That the block's spatial, temporal operator is a bypass."""
    own_t: Array
    """That there is no temporal layer, or, where the unit has none, that the block's operator is a bypass."""
    timed: Array
    """Whether the unit has a temporal layer."""
    second: Array
    """That a 1x1 comes before the spatial convolution."""
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
        # Axes [b, t, y, s, x]: frames and their stride, side and its stride.
        sizes = np.outer(d.time.sizes, np.square(d.space.sizes))
        strides = self._time[:, None, :, None, None] * self._space[:, None, None, None, :]
        keeps = ~d.time.changes[:, :, None, None]
        volume = (self._received * sizes)[:, :, None, :, None] * strides * keeps
        several = np.array(d.time.sizes)[:, None] > 1
        t = jnp.where(several, self._genes.t[:, None, None, 1], 1.0) + jnp.zeros_like(self._nulls.time)
        crowded = d.crowded[:, None][:, :, d.space.behind]

        def spatial(by_stride: Array) -> Array:
            return jnp.where(d.space.changes, by_stride[:, 1, None, None], by_stride[:, 0, None, None])[:, None, None]

        null_t = self._nulls.time[..., None, None]
        chances = _Chances(
            volume=volume,
            null_s=self._nulls.space[:, None, None],
            null_t=null_t,
            s=spatial(genes.s),
            t=t[..., None, None],
            own_t=null_t,
            timed=jnp.asarray(several[..., None, None] + np.zeros(d.time.changes.shape + (1, 1)), volume.dtype),
            second=spatial(self._second),
            crowded=crowded,
        )
        # Whatever cell it is, what comes in is the same.
        return self._held(chances, (genes.inverted, genes.plain, genes.open, genes.open), (None,) * 4)

    def later(self, timed: bool) -> Array:
        """``[b, slots]``: of odd repeats, or of even ones behind the first."""
        d, genes = self._d, self._genes
        # Axes [b, g, c, t, s].
        sizes = np.outer(d.time.sizes, np.square(d.space.sizes))
        kinds = np.array(TIMED_BEHIND if timed else (0, 0, 0, 0), float)[:, None, None]
        one = np.ones((len(TIMED), 1, 1))
        t = genes.t[:, None, :, None, None]
        null_t = jnp.where(kinds > 0, self._nulls.later_time[:, None, :, :, None], 1.0)
        kept = jnp.einsum("bts,bgsu,bctv->bgcvu", self._received, self._flow.space, self._flow.time) * sizes
        chances = _Chances(
            volume=self._flow.behind * sizes,
            null_s=self._nulls.later_space[:, :, None, None],
            null_t=null_t,
            s=genes.s[:, :, None, None, None],
            t=t,
            own_t=jnp.where(kinds > 0, null_t, t),
            timed=jnp.asarray(kinds * one),
            second=self._second[:, :, None, None, None],
            crowded=d.crowded,
        )
        narrow, expanded = genes.narrow @ self._widths, genes.expanded @ self._widths
        amounts = (genes.inverted * narrow, expanded, genes.open * narrow, genes.open)
        return self._held(chances, amounts, (None, None, None, kept))

    def _held(self, at: _Chances, amounts: tuple[Array, ...], volumes: tuple[Array | None, ...]) -> Array:
        """Of inverted cells, expanded ones, open ones, and what is kept (and missing from the open ones)."""

        def mean(events: tuple[Array | float, ...]) -> Array:
            total = jnp.zeros_like(self._genes.skip)
            for amount, volume, event in zip(amounts, volumes, events):
                values = (at.volume if volume is None else volume) * event
                total += amount * values.sum(tuple(range(1, values.ndim)))
            return self._genes.skip * total

        return jnp.stack([mean(self._events(slot, at)) for slot in SLOTS], axis=1)

    def _events(self, slot: str, at: _Chances) -> tuple[Array | float, ...]:
        """That a layer is there and not the first, by cell."""
        null_s, null_t = at.null_s, at.null_t
        if slot == "point":
            return at.second, 0.0, 0.0, 0.0
        if slot == "spatial":
            return 1 - null_s, at.second, at.second, 0.0
        if slot == "temporal":
            kept = at.timed * (at.s - null_s) * (at.t - null_t)
            behind = (1 - null_s) * (1 - null_t)
            return 1 - null_t, behind, behind - kept, kept
        if slot == "expand":
            return 0.0, 1 - null_s * null_t, 0.0, 0.0
        if slot in (*GATES, "shortcut"):
            before = GATES[: GATES.index(slot)] if slot in GATES else GATES
            there = 1 - self._off(at, slot) if slot in GATES else 1.0
            off = self._off(at, *before)
            kept = at.s * at.t - off * null_s * at.own_t
            return there, there, there * (1 - off * null_s * null_t - kept), there * kept
        return float(slot == "project"), 0.0, 0.0, 0.0

    def _off(self, at: _Chances, *gates: str) -> Array | float:
        """That all these gates are off."""
        off: Array | float = 1.0
        for gate in gates:
            legal, crowded = (
                self._genes.off(gate, over).reshape(-1, *(1,) * (at.volume.ndim - 1)) for over in (False, True)
            )
            off = off * (jnp.where(at.crowded, crowded, legal) if gate == "non_local" else legal)
        return off
