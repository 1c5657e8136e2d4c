"""Expected costs of the units of all blocks: families of layers under the chances of sizes, candidates and widths.

Letters: ``b`` blocks, ``w`` widths, ``n`` and ``m`` nodes of frames and sides, ``r`` rank, ``k`` candidates, ``q``
conditions: what the block does in space (``g``) and along time (``c``, or ``h`` where only striding matters).
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.spaces.tvn.costs.factored.families import Family, LayerFamilies
from tvnjax.spaces.tvn.costs.factored.flow import TIMED_BEHIND
from tvnjax.spaces.tvn.costs.factored.genes import BlockGenes
from tvnjax.spaces.tvn.costs.factored.sizes import Sizes
from tvnjax.spaces.tvn.costs.unit_cost_tables import GATES

Slots = dict[str, Array]
"""``[b]`` of every kind of layer that a unit has."""


class _Units:
    """What first and later units have in common.

    Args:
        families: the costs.
        genes: chances of candidates and widths.
        sizes: chances of sizes.
    """

    def __init__(self, families: LayerFamilies, genes: BlockGenes, sizes: Sizes):
        self._of, self._genes, self._sizes = families, genes, sizes
        self._plain = 1 - genes.inverted
        # Inside of all cells behind a convolution: its own width, twice.
        self._inside = self._plain[:, None, None] * genes.narrow_narrow + genes.inner_inner
        self._convolved = self._plain[:, None] * genes.narrow + genes.inner

    def _gates(self) -> Slots:
        """Gates see the kept width, or one of the cell."""
        genes, slots = self._genes, {}
        keeps = _flat(genes.keeps)
        for gene in GATES:
            if not any(genes.relaxed.candidates(gene)):
                continue
            family, non_local = getattr(self._of, gene), gene == "non_local"
            p = genes.non_local if non_local else genes.gene(gene)
            u = self._sizes.uncrowded(family) if non_local else self._sizes.behind(family)
            every = jnp.broadcast_to(p[:, None], (len(p), keeps.shape[1], p.shape[1]))
            slots[gene] = _width(family, u, genes.expanded + genes.inner, every)
            if genes.opens:
                convolved = genes.open[:, None, None] * (1 - keeps)[..., None] * every
                slots[gene] += _width(family, u, genes.narrow, convolved)
                kept = self._sizes.kept_uncrowded(family) if non_local else self._sizes.kept(family)
                slots[gene] += _kept(family, kept, p[:, None])
        return slots

    def _project(self) -> Slots:
        if not self._genes.inverts:
            return {}
        u = self._sizes.behind(self._of.linear)
        return {"project": _pairs(self._of.linear, u, self._genes.inner_narrow, _ones(u))}

    def _point_chance(self, operators: Array) -> Array | None:
        """``[b, q, acts]``: of a 1x1 in front of a convolution, ``operators`` ``[b, q, operators]``."""
        narrow = sorted({o for o, _ in self._of.kernels["std"] + self._of.kernels["depth"]})
        if not narrow:
            return None
        acts = np.array([[act == other for other in self._of.point_acts] for act in self._genes.relaxed.spatial_act])
        chances = self._genes.gene("spatial_act") @ acts.astype(float)
        return operators[:, :, np.array(narrow)].sum(2, keepdims=True) * chances[:, None]

    def _dense_chance(self, operators: Array, kind: str) -> Array:
        """``[b, q, kernels acts]``: of dense convolutions."""
        of, relaxed = self._of, self._genes.relaxed
        kernels = np.zeros((len(relaxed.spatial), len(of.dense)))
        for o, _ in of.kernels[kind]:
            kernels[o, of.dense.index(relaxed.spatial[o][1])] = 1
        chance = (operators @ kernels)[..., None] * self._genes.gene("spatial_act")[:, None, None]
        return chance.reshape(*chance.shape[:2], -1)

    def _convolutions(self, operators: Array, acts: str, kind: str) -> Array:
        """``[b, q, candidates]``: of other convolutions, each with its activation."""
        first, second = np.array(self._of.kernels[kind], int).reshape(-1, 2).T
        return operators[:, :, first] * self._genes.gene(acts)[:, None, second]

    def _relu(self, u: Array) -> Array:
        """``[b, q, acts]``: of the widening 1x1, which ends with a relu."""
        return _ones(u) * np.array([act == "relu" for act in self._of.point_acts], float)


class FirstUnits(_Units):
    """The first unit of every block; it receives any width, by size."""

    def slots(self) -> Slots:
        return {
            **self._front(),
            "spatial": self._spatial(),
            **self._temporal(),
            **self._expand(),
            **self._gates(),
            **self._project(),
            **self._shortcut(),
        }

    def _front(self) -> Slots:
        genes, family, slots = self._genes, self._of.point, {}
        u = self._sizes.unstrided(family)
        if genes.inverts:
            slots["inverted"] = _received(family, u, genes.inner, self._relu(u))
        if (chance := self._point_chance(genes.spatial)) is not None:
            slots["point"] = _received(family, u, self._plain[:, None] * genes.narrow, chance)
            if genes.inverts:
                slots["point"] += _pairs(family, u.sum(1), genes.inner_inner, chance)
        return slots

    def _spatial(self) -> Array:
        genes, of = self._genes, self._of
        total = jnp.zeros_like(genes.open)
        if of.dense:
            u = self._sizes.strided(of.dense_spatial)
            if of.kernels["std"]:
                total += _pairs(of.dense_spatial, u.sum(1), self._inside, self._dense_chance(genes.spatial, "std"))
            if of.kernels["1std"]:
                chance = self._dense_chance(genes.spatial, "1std")
                total += _received(of.dense_spatial, u, self._plain[:, None] * genes.narrow, chance)
                if genes.inverts:
                    total += _pairs(of.dense_spatial, u.sum(1), genes.inner_inner, chance)
        if of.kernels["depth"]:
            u = self._sizes.strided(of.depthwise)
            chance = self._convolutions(genes.spatial, "spatial_act", "depth")
            total += _width(of.depthwise, u.sum(1), self._convolved, chance)
        if of.bypasses["spatial"]:
            u = self._sizes.strided(of.spatial_bypass)
            chance = genes.spatial[:, :, np.array(of.bypasses["spatial"])]
            total += _kept(of.spatial_bypass, u, chance * self._plain[:, None, None])
            if genes.inverts:
                total += _width(of.spatial_bypass, u.sum(1), genes.inner, chance)
        return total

    def _temporal(self) -> Slots:
        genes, of = self._genes, self._of
        total = jnp.zeros_like(genes.open)
        s, operators = _flat(jnp.stack([genes.s, genes.s], axis=2))[..., None], jnp.tile(genes.temporal, (1, 2, 1))
        if of.kernels["1d"] and of.temporal.left.any():
            u = self._sizes.timed(of.temporal)
            chance = self._convolutions(operators, "temporal_act", "1d")
            narrow = self._plain[:, None, None] * genes.narrow_narrow
            total += _pairs(of.temporal, u.sum(1), narrow, (1 - s) * chance)
            total += _received(of.temporal, u, self._plain[:, None] * genes.narrow, s * chance)
            if genes.inverts:
                total += _pairs(of.temporal, u.sum(1), genes.inner_inner, chance)
        if of.bypasses["temporal"] and of.temporal_bypass.left.any():
            u = self._sizes.timed(of.temporal_bypass)
            chance = operators[:, :, np.array(of.bypasses["temporal"])]
            total += _width(of.temporal_bypass, u.sum(1), self._plain[:, None] * genes.narrow, (1 - s) * chance)
            total += _kept(of.temporal_bypass, u, self._plain[:, None, None] * s * chance)
            if genes.inverts:
                total += _width(of.temporal_bypass, u.sum(1), genes.inner, chance)
        return {"temporal": total}

    def _expand(self) -> Slots:
        genes, family = self._genes, self._of.linear
        convolved = 1 - _flat(genes.keeps)[..., None]
        total = _pairs(family, self._sizes.behind(family), genes.narrow_expanded, convolved)
        kept = self._sizes.bypassed(family)
        return {"expand": total + _received(family, kept, genes.expanded, genes.s[..., None])}

    def _shortcut(self) -> Slots:
        genes, family = self._genes, self._of.shortcut
        if not any(genes.relaxed.skip):
            return {}
        u, bypassed = self._sizes.keeping_time(family)
        closed = genes.expanded + genes.inverted[:, None] * genes.narrow
        total = _received(family, u, closed + genes.open[:, None] * genes.narrow, _ones(u))
        if genes.opens:
            # What is kept does not end with the cell's own width.
            kept = genes.open[:, None, None] * genes.s[..., None]
            total += _unchanged(family, bypassed, kept) - _received(family, bypassed, genes.narrow, kept)
        return {"shortcut": genes.skip * total}


class LaterUnits(_Units):
    """Later units, which do not stride, and receive what their own cell gives, or the kept width."""

    def slots(self, timed: bool) -> Slots:
        """Of odd repeats, or of even ones behind the first, which have a temporal layer."""
        common = self._common
        return {**common, **self._expand(timed), **(self._temporal() if timed else {})}

    def prepared(self) -> "LaterUnits":
        """With what both kinds of later units have in common."""
        self._common = {
            **self._front(),
            "spatial": self._spatial(),
            **self._gates(),
            **self._project(),
            **self._shortcut(),
        }
        return self

    def _received(self, family: Family, u: Array, chance: Array) -> Array:
        """Layers from what a plain cell has received to its filters; ``u`` ``[b, q, r]``."""
        genes = self._genes
        joint = genes.expanded_narrow + genes.open[:, None, None] * genes.narrow_narrow
        return _pairs(family, u, joint, chance)

    def _front(self) -> Slots:
        genes, family, slots = self._genes, self._of.point, {}
        u = self._sizes.behind(family)
        if genes.inverts:
            slots["inverted"] = _pairs(family, u, genes.narrow_inner, self._relu(u))
        if (chance := self._point_chance(_along(genes.spatial))) is not None:
            slots["point"] = self._received(family, u, chance)
            if genes.inverts:
                slots["point"] += _pairs(family, u, genes.inner_inner, chance)
        return slots

    def _spatial(self) -> Array:
        genes, of = self._genes, self._of
        total, operators = jnp.zeros_like(genes.open), _along(genes.spatial)
        if of.dense:
            u = self._sizes.behind(of.dense_spatial)
            if of.kernels["std"]:
                total += _pairs(of.dense_spatial, u, self._inside, self._dense_chance(operators, "std"))
            if of.kernels["1std"]:
                chance = self._dense_chance(operators, "1std")
                total += self._received(of.dense_spatial, u, chance)
                if genes.inverts:
                    total += _pairs(of.dense_spatial, u, genes.inner_inner, chance)
        if of.kernels["depth"]:
            chance = self._convolutions(operators, "spatial_act", "depth")
            total += _width(of.depthwise, self._sizes.behind(of.depthwise), self._convolved, chance)
        if of.bypasses["spatial"]:
            family, chance = of.spatial_bypass, operators[:, :, np.array(of.bypasses["spatial"])]
            other = jnp.tile(genes.t, (1, 2))[..., None]
            u = self._sizes.behind(family)
            total += _width(family, u, genes.expanded + genes.inner, chance)
            if genes.opens:
                total += _width(family, u, genes.narrow, genes.open[:, None, None] * (1 - other) * chance)
                each = genes.spatial[:, :, np.array(of.bypasses["spatial"])]
                total += _kept(family, self._sizes.bypassed(family), genes.open[:, None, None] * each)
        return total

    def _temporal(self) -> Slots:
        genes, of = self._genes, self._of
        total = jnp.zeros_like(genes.open)
        s, operators = _flat(jnp.stack([genes.s, genes.s], axis=2))[..., None], jnp.tile(genes.temporal, (1, 2, 1))
        if of.kernels["1d"] and of.temporal.left.any():
            u = self._sizes.timed_behind(of.temporal)
            chance = self._convolutions(operators, "temporal_act", "1d")
            narrow = self._plain[:, None, None] * genes.narrow_narrow
            total += _pairs(of.temporal, u, narrow, (1 - s) * chance)
            total += self._received(of.temporal, u, s * chance)
            if genes.inverts:
                total += _pairs(of.temporal, u, genes.inner_inner, chance)
        if of.bypasses["temporal"] and of.temporal_bypass.left.any():
            family, chance = of.temporal_bypass, operators[:, :, np.array(of.bypasses["temporal"])]
            u = self._sizes.timed_behind(family)
            total += _width(family, u, self._plain[:, None] * genes.narrow, (1 - s) * chance)
            total += _width(family, u, genes.expanded, s * chance)
            if genes.opens:
                # Behind a bypass in space an open block of a bypass along time has kept its width.
                each = genes.temporal[:, :, np.array(of.bypasses["temporal"])]
                total += _kept(family, self._sizes.timed_bypassed(family), genes.open[:, None, None] * each)
            if genes.inverts:
                total += _width(family, u, genes.inner, chance)
        return {"temporal": total}

    def _expand(self, timed: bool) -> Slots:
        genes, u = self._genes, self._sizes.behind(self._of.linear)
        t = jnp.where(np.array(TIMED_BEHIND, bool), genes.t, 1.0) if timed else jnp.ones_like(genes.t)
        passes = _flat(genes.s[:, :, None] * t[:, None])[..., None]
        convolved = _pairs(self._of.linear, u, genes.narrow_expanded, 1 - passes)
        return {"expand": convolved + _pairs(self._of.linear, u, genes.expanded_expanded, passes)}

    def _shortcut(self) -> Slots:
        genes, family = self._genes, self._of.shortcut
        if not any(genes.relaxed.skip):
            return {}
        u, keeps = self._sizes.behind(family), _flat(genes.keeps)[..., None]
        joint = genes.expanded_expanded + genes.inverted[:, None, None] * genes.narrow_narrow
        total = _pairs(family, u, joint, _ones(u))
        if genes.opens:
            total += _pairs(family, u, genes.narrow_narrow, genes.open[:, None, None] * (1 - keeps))
            total += _unchanged(family, self._sizes.kept(family), jnp.ones((len(u), 1, 1), u.dtype))
        return {"shortcut": genes.skip * total}


def _pairs(family: Family, u: Array, joint: Array, chance: Array) -> Array:
    """``[b]``: layers between two widths of a cell.

    Args:
        u: ``[b, q, r]``: chances of sizes under the family's costs.
        joint: ``[b, w, w']``: of the widths.
        chance: ``[b, q, k]``: of the candidates.
    """
    right = jnp.asarray(family.right, u.dtype)
    v = jnp.einsum("rkwx,bwx->brk", right, joint[:, family.before[:, None], family.behind])
    return jnp.einsum("bqr,brk,bqk->b", u, v, chance)


def _received(family: Family, u: Array, behind: Array, chance: Array) -> Array:
    """Layers from what is received, ``u`` ``[b, w, q, r]``, to a width of the cell, ``[b, w']``."""
    right = jnp.asarray(family.right, u.dtype)
    v = jnp.einsum("rkwx,bx->brkw", right, behind[:, family.behind])
    return jnp.einsum("bwqr,brkw,bqk->b", u, v, chance)


def _width(family: Family, u: Array, width: Array, chance: Array) -> Array:
    """Layers that keep a width of the cell, ``[b, w]``; ``u`` ``[b, q, r]``."""
    v = jnp.einsum("rkw,bw->brk", jnp.asarray(family.right, u.dtype), width[:, family.before])
    return jnp.einsum("bqr,brk,bqk->b", u, v, chance)


def _kept(family: Family, u: Array, chance: Array) -> Array:
    """Layers that keep the width that is received; ``u`` ``[b, w, q, r]``."""
    return jnp.einsum("bwqr,rkw,bqk->b", u, jnp.asarray(family.right, u.dtype), chance)


def _unchanged(family: Family, u: Array, chance: Array) -> Array:
    """Layers from the width that is received to the same."""
    right = jnp.asarray(np.diagonal(family.right, axis1=2, axis2=3), u.dtype)
    return jnp.einsum("bwqr,rkw,bqk->b", u, right, chance)


def _ones(u: Array) -> Array:
    """``[b, q, 1]``: of a family of one candidate; ``q`` is the last axis but one of ``u``."""
    return jnp.ones((u.shape[0], u.shape[-2], 1), u.dtype)


def _flat(table: Array) -> Array:
    """``[b, g, c]`` as conditions ``[b, q]``."""
    return table.reshape(len(table), -1)


def _along(table: Array) -> Array:
    """``[b, g, ...]`` for all that a block does along time, ``[b, q, ...]``."""
    return jnp.repeat(table, len(TIMED_BEHIND), axis=1)


def stacked(units: Sequence[Slots], names: Sequence[str]) -> Array:
    """``[units, b, slots]``."""
    some = next(iter(units[0].values()))
    return jnp.stack([jnp.stack([slots.get(name, jnp.zeros_like(some)) for name in names], axis=1) for slots in units])
