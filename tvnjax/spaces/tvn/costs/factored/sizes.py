"""Chances of the sizes that a unit's layers meet, summed under what each size does to a family's costs.

Sizes are taken to the nodes of their axes once, for all families. (Letters as in ``units``.) What a block received
matters to its first unit, and later to what is kept; the rest goes by sizes alone.
"""

from functools import cached_property
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.spaces.tvn.costs.factored.axes import Axis, Strided
from tvnjax.spaces.tvn.costs.factored.families import Family
from tvnjax.spaces.tvn.costs.factored.flow import STILL, TIME_STRIDES, TIMED_BEHIND, Flow, Steps


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

    @property
    def several(self) -> np.ndarray:
        """``[T]``: several frames."""
        return np.array([t > 1 for t in self.time.sizes])


class Sizes:
    """Chances of sizes, under families.

    Args:
        dimensions: the space's.
        flow: what blocks receive, and what is behind them.
        space: ``[b, strides]``, chances of strides.
        time: the same along time.
        s: ``[b, g]``, that the spatial operator is a bypass.
        t: ``[b, c]``, that the temporal one is, or means nothing.
    """

    def __init__(self, dimensions: Dimensions, flow: Flow, space: Array, time: Array, s: Array, t: Array):
        self._d, self._flow, self._space, self._time, self._s, self._t = dimensions, flow, space, time, s, t
        self._dtype = flow.before.dtype
        frames, sides = dimensions.time.plain.onto, dimensions.space.plain.onto
        self._frames, self._sides = jnp.asarray(frames, self._dtype), jnp.asarray(sides, self._dtype)
        self._several_frames = jnp.asarray(dimensions.timed.plain.onto, self._dtype)

    # What a layer meets in a first unit; conditions are whether the block strides in space.

    def unstrided(self, family: Family) -> Array:
        """``[b, w, g, r]``: of layers in front of what strides."""
        return _under(self._unstrided, family.left)

    def strided(self, family: Family) -> Array:
        """``[b, w, g, r]``: of layers that stride in space."""
        flat = len(self._d.space.plain.nodes)
        parts = (slice(None, flat), slice(flat, None))
        return jnp.stack([_under(self._strided[..., part], family.left[:, part]) for part in parts], axis=2)

    def keeping_time(self, family: Family) -> tuple[Array, Array]:
        """``[b, w, g, r]`` each: of shortcuts, and of those whose block has a bypass along time."""
        d, every = self._d, self.strided(family)
        # Several frames are kept by a stride of 1; a single frame is whatever the stride.
        still = (self._time @ np.equal(d.time.strides, 1).astype(float))[:, None, None, None]
        if d.time.sizes[0] > 1:
            return still * every, still * self._t[:, STILL, None, None, None] * every
        flat = len(d.space.plain.nodes)
        single = jnp.einsum("bws,bsm->bwm", self._flow.before[:, :, 0], self._onto_strided)
        left = jnp.asarray(family.left[d.time.plain.nodes.index(1)], self._dtype)
        one = jnp.stack([single[..., :flat] @ left[:flat], single[..., flat:] @ left[flat:]], axis=2)
        several, bypass = every - one, self._t[:, STILL, None, None, None]
        return one + still * several, one + still * bypass * several

    def timed(self, family: Family) -> Array:
        """``[b, w, g h, r]``: of temporal layers; conditions also are whether the block strides along time."""
        still = len(self._d.timed.plain.nodes)
        parts = (slice(None, still), slice(still, None))
        found = jnp.stack([_under(self._timed[..., part, :], family.left[part]) for part in parts], axis=3)
        return found.reshape(*found.shape[:2], -1, found.shape[-1])

    # Behind both operators, by what the block does in space and along time; and in all of a later unit.

    def behind(self, family: Family) -> Array:
        """``[b, g c, r]``."""
        return _flat(_under(self._behind, family.left))

    def uncrowded(self, family: Family) -> Array:
        """``[b, g c, r]``: where a non-local layer is legal."""
        return _flat(_under(self._few(self._flow.behind), family.left))

    def timed_behind(self, family: Family) -> Array:
        """``[b, g h, r]``: of temporal layers in later units."""
        return _flat(_under(self._timed_behind, family.left))

    # The same by received width, where bypasses pass it on.

    def bypassed(self, family: Family) -> Array:
        """``[b, w, g, r]``: behind a bypass along time."""
        return _under(self._bypassed, family.left)

    def timed_bypassed(self, family: Family) -> Array:
        """``[b, w, h, r]``: of temporal layers in later units, behind a bypass in space."""
        return _under(self._timed_bypassed, family.left)

    def kept(self, family: Family) -> Array:
        """``[b, w, 1, r]``: of open blocks of bypasses."""
        return _under(self._kept, family.left)[:, :, None]

    def kept_uncrowded(self, family: Family) -> Array:
        """``[b, w, 1, r]``: of these, where a non-local layer is legal."""
        return _under(self._few(self._flow.kept), family.left)[:, :, None]

    def head(self, family: Family, ends: Array) -> Array:
        """A scalar: of the head behind a block that gives ``ends``, ``[W, T', S']``."""
        nodes = _onto(ends, self._frames, self._sides)
        return jnp.einsum("wr,rw->", _under(nodes, family.left), jnp.asarray(family.right[:, 0], self._dtype))

    # Chances at nodes.

    @cached_property
    def _onto_strided(self) -> Array:
        """``[b, S, nodes]``: sides with the block's strides."""
        return jnp.einsum("bx,sxm->bsm", self._space, jnp.asarray(self._d.space.onto, self._dtype))

    @cached_property
    def _framed(self) -> Array:
        """``[b, w, n, S]``."""
        return jnp.einsum("bwts,tn->bwns", self._flow.before, self._frames)

    @cached_property
    def _unstrided(self) -> Array:
        strides = self._space @ jnp.asarray(self._d.space.changes.T, self._dtype)
        split = jnp.einsum("bgs,sm->bgsm", jnp.stack([1 - strides, strides], axis=1), self._sides)
        return jnp.einsum("bwns,bgsm->bwgnm", self._framed, split)

    @cached_property
    def _strided(self) -> Array:
        return jnp.einsum("bwns,bsm->bwnm", self._framed, self._onto_strided)

    @cached_property
    def _between(self) -> Array:
        """``[b, w, g, T, m]``: frames received, side behind."""
        steps = jnp.einsum("bgsu,um->bgsm", self._flow.space, self._sides)
        return jnp.einsum("bwts,bgsm->bwgtm", self._flow.before, steps)

    @cached_property
    def _timed(self) -> Array:
        onto = jnp.einsum("by,tyn->btn", self._time, jnp.asarray(self._d.timed.onto, self._dtype))
        return jnp.einsum("bwgtm,btn->bwgnm", self._between[..., self._d.several, :], onto)

    @cached_property
    def _behind(self) -> Array:
        return _onto(self._flow.behind, self._frames, self._sides)

    @cached_property
    def _timed_behind(self) -> Array:
        kinds = [
            sum(self._flow.behind[:, :, c] for c in range(4) if TIMED_BEHIND[c] and TIME_STRIDES[c] == h)
            for h in (0, 1)
        ]
        return _onto(jnp.stack(kinds, axis=2)[..., self._d.several, :], self._several_frames, self._sides)

    @cached_property
    def _bypassed(self) -> Array:
        steps = jnp.einsum("bc,bctv,vn->btn", self._t, self._flow.time, self._frames)
        return jnp.einsum("bwgtm,btn->bwgnm", self._between, steps)

    @cached_property
    def _timed_bypassed(self) -> Array:
        time = self._flow.time[..., self._d.several]
        kinds = [sum(time[:, c] for c in range(4) if TIMED_BEHIND[c] and TIME_STRIDES[c] == h) for h in (0, 1)]
        steps = jnp.einsum("bhtv,vn->bhtn", jnp.stack(kinds, axis=1), self._several_frames)
        passed = jnp.einsum("bwgtm,bg->bwtm", self._between, self._s)
        return jnp.einsum("bwtm,bhtn->bwhnm", passed, steps)

    @cached_property
    def _kept(self) -> Array:
        return _onto(self._flow.kept, self._frames, self._sides)

    def _few(self, mass: Array) -> Array:
        d = self._d
        frames, sides = (
            np.array([size in axis.values for size in whole.sizes])
            for axis, whole in ((d.few_frames, d.time), (d.few_sides, d.space))
        )
        legal = (mass * ~d.crowded)[..., frames, :][..., sides]
        return _onto(legal, jnp.asarray(d.few_frames.onto, mass.dtype), jnp.asarray(d.few_sides.onto, mass.dtype))


def _onto(mass: Array, frames: Array, sides: Array) -> Array:
    """Sizes ``[..., T, S]`` at nodes, ``[..., n, m]``."""
    return jnp.einsum("...tm,tn->...nm", mass @ sides, frames)


def _under(nodes: Array, left: np.ndarray) -> Array:
    """Nodes ``[..., n, m]`` under a family's costs at them, ``[..., r]``."""
    left = left[: nodes.shape[-2], : nodes.shape[-1]]
    flat = nodes.reshape(*nodes.shape[:-2], -1)
    return flat @ jnp.asarray(left.reshape(flat.shape[-1], left.shape[-1]), nodes.dtype)


def _flat(found: Array) -> Array:
    """Two conditions as one."""
    return found.reshape(len(found), -1, found.shape[-1])
