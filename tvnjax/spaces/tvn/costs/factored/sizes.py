"""Chances of the sizes that a unit's layers meet, summed under what each size does to a family's costs."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.spaces.tvn.costs.factored.axes import Axis, Strided
from tvnjax.spaces.tvn.costs.factored.families import Family
from tvnjax.spaces.tvn.costs.factored.flow import TIME_STRIDES, TIMED_BEHIND, Flow, Steps


class Dimensions(NamedTuple):
    """Sizes of a space."""

    time: Strided
    timed: Strided
    """Of several frames alone."""
    space: Strided
    few_frames: Axis
    few_sides: Axis
    """Those at which a non-local layer can be legal."""
    crowded: np.ndarray
    """``[T, S]``: where it is not."""
    steps: Steps


class _Sizes:
    def __init__(self, dimensions: Dimensions, flow: Flow, genes_t: Array):
        self._d, self._flow, self._t = dimensions, flow, genes_t
        self._several = np.array([t > 1 for t in dimensions.time.sizes])

    def _contract(self, mass: Array, family: Family, frames: np.ndarray | Array, sides: np.ndarray | Array) -> Array:
        """``[..., r]``: a mass over fine sizes ``[..., T, S]`` under a family's costs.

        Args:
            frames: ``[T, n]``, weights of the family's nodes.
            sides: ``[S, m]``.
        """
        left = jnp.asarray(family.left[: frames.shape[-1], : sides.shape[-1]], mass.dtype)
        onto = jnp.einsum("tn,nmr->tmr", jnp.asarray(frames, mass.dtype), left)
        nodes = jnp.einsum("...ts,sm->...tm", mass, jnp.asarray(sides, mass.dtype))
        return jnp.einsum("...tm,tmr->...r", nodes, onto)

    def _behind(self, family: Family, mass: Array) -> Array:
        return self._contract(mass, family, self._d.time.plain.onto, self._d.space.plain.onto)

    def behind(self, family: Family) -> Array:
        """``[b, w, g, c, r]``: of layers behind both operators."""
        return self._behind(family, self._flow.behind)

    def head(self, family: Family, ends: Array) -> Array:
        """A scalar: of the head behind a block that gives ``ends``, ``[W, T', S']``."""
        return jnp.einsum("wr,rw->", self._behind(family, ends), jnp.asarray(family.right[:, 0], ends.dtype))

    def uncrowded(self, family: Family) -> Array:
        """``[b, w, g, c, r]``: the same where a non-local layer is legal."""
        d = self._d
        frames, sides = (
            np.array([size in axis.values for size in whole.sizes])
            for axis, whole in ((d.few_frames, d.time), (d.few_sides, d.space))
        )
        mass = (self._flow.behind * ~d.crowded)[..., frames, :][..., sides]
        return self._contract(mass, family, d.few_frames.onto, d.few_sides.onto)


class FirstSizes(_Sizes):
    """Of first units.

    Args:
        dimensions: the space's.
        flow: chances of sizes.
        genes_t: ``[b, c]``, that the temporal operator is a bypass.
        space: ``[b, strides]``, chances of strides.
        time: the same along time.
    """

    def __init__(self, dimensions: Dimensions, flow: Flow, genes_t: Array, space: Array, time: Array):
        super().__init__(dimensions, flow, genes_t)
        d, dtype = dimensions, space.dtype
        self._space = jnp.einsum("bx,sxm->bsm", space, jnp.asarray(d.space.onto, dtype))
        # Of a stride that does nothing the part is 0 in the first row of these.
        strides = jnp.einsum("bx,sx->bs", space, jnp.asarray(d.space.changes, dtype))
        self._by_stride = jnp.stack([1 - strides, strides], axis=1)
        self._time = jnp.einsum("by,tyn->btn", time, jnp.asarray(d.timed.onto, dtype))
        still = 1 - jnp.einsum("by,ty->bt", time, jnp.asarray(d.time.changes, dtype))
        self._still = jnp.stack([~self._several * still, self._several * still], axis=1)

    def of(self, family: Family) -> Array:
        """``[b, w, g, r]``: of layers that may stride in space, before anything does along time."""
        d, mass = self._d, self._flow.before
        frames = jnp.asarray(d.time.plain.onto, mass.dtype)
        if family.left.shape[1] == len(d.space.plain.nodes) < len(d.space.nodes):
            split = mass[:, :, None] * self._by_stride[:, None, :, None]
            return self._contract(split, family, frames, d.space.plain.onto)
        nodes = jnp.einsum("bwts,tn,bsm->bwnm", mass, frames, self._space)
        changes = d.space.node_changes
        left = family.left[:, :, None] * np.stack([~changes, changes])[None].swapaxes(1, 2)[..., None]
        return jnp.einsum("bwnm,nmgr->bwgr", nodes, jnp.asarray(left, mass.dtype))

    def by_stride(self, chance: Array) -> Array:
        """``[b, g, ...]`` as conditions of ``of`` want it."""
        return chance

    @property
    def temporal_bypass(self) -> Array:
        """Unused: a first unit receives what a keeping block keeps."""
        return self._t[:, :2]

    def timed(self, family: Family) -> Array:
        """``[b, w, g, h, r]``: of temporal layers."""
        mass = self._flow.between[..., self._several, :]
        nodes = jnp.einsum("bwgts,sm->bwgtm", mass, jnp.asarray(self._d.space.plain.onto, mass.dtype))
        nodes = jnp.einsum("bwgtm,btn->bwgnm", nodes, self._time)
        changes = self._d.timed.node_changes
        left = family.left[:, :, None] * np.stack([~changes, changes], axis=1)[:, None, :, None]
        return jnp.einsum("bwgnm,nmhr->bwghr", nodes, jnp.asarray(left, mass.dtype))

    def keeping_time(self, family: Family) -> Array:
        """``[b, w, g, c, r]``: of shortcuts, ``c`` over ``UNTIMED`` and ``STILL``."""
        d, mass = self._d, self._flow.before
        nodes = jnp.einsum(
            "bwts,bct,tn,bsm->bwcnm", mass, self._still, jnp.asarray(d.time.plain.onto, mass.dtype), self._space
        )
        changes = d.space.node_changes
        left = family.left[:, :, None] * np.stack([~changes, changes])[None].swapaxes(1, 2)[..., None]
        return jnp.einsum("bwcnm,nmgr->bwgcr", nodes, jnp.asarray(left, mass.dtype))


class LaterSizes(_Sizes):
    """Of later units, which do not stride; conditions are both what the block does in space and along time."""

    def of(self, family: Family) -> Array:
        """``[b, w, g c, r]``."""
        found = self.behind(family)
        return found.reshape(*found.shape[:2], -1, found.shape[-1])

    def by_stride(self, chance: Array) -> Array:
        """``[b, g, ...]`` repeated along time."""
        return jnp.repeat(chance, len(TIME_STRIDES), axis=1)

    @property
    def temporal_bypass(self) -> Array:
        """``[b, g c]``."""
        return jnp.tile(self._t, (1, 2))

    def timed(self, family: Family) -> Array:
        """``[b, w, g, h, r]``: of temporal layers."""
        d, kinds = self._d, np.array(TIMED_BEHIND, bool)
        strides = np.array(TIME_STRIDES)[kinds]
        mass = self._flow.behind[:, :, :, kinds][..., self._several, :]
        found = self._contract(mass, family, d.timed.plain.onto, d.space.plain.onto)
        return jnp.stack([found[:, :, :, strides == h].sum(3) for h in (0, 1)], axis=3)

    def keeping_time(self, family: Family) -> Array:
        """``[b, w, g, c, r]``: of shortcuts."""
        return self.behind(family)
