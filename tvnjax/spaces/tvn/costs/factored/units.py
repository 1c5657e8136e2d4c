"""Expected costs of the units of all blocks: families of layers under the chances of sizes, candidates and widths.

Letters as in ``genes``; besides ``n`` and ``m`` nodes of frames and sides, ``r`` rank, ``k`` candidates.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.spaces.tvn.costs.expected_unit_cost import SLOTS
from tvnjax.spaces.tvn.costs.factored.families import Family, LayerFamilies
from tvnjax.spaces.tvn.costs.factored.flow import STILL, TIMED_BEHIND, UNTIMED
from tvnjax.spaces.tvn.costs.factored.genes import BlockGenes
from tvnjax.spaces.tvn.costs.factored.sizes import FirstSizes, LaterSizes
from tvnjax.spaces.tvn.costs.unit_cost_tables import GATES


class UnitCosts:
    """Costs of one unit of every block: of the first, of an odd one, or of an even one behind the first.

    Args:
        families: the costs.
        genes: chances of candidates and widths.
        sizes: chances of sizes.
        later: nothing for the first unit; else whether it may have a temporal layer.
    """

    def __init__(
        self, families: LayerFamilies, genes: BlockGenes, sizes: FirstSizes | LaterSizes, later: bool | None = None
    ):
        self._of, self._genes, self._sizes, self._first, self._timed = families, genes, sizes, later is None, later
        self._inner = genes.inner

    def slots(self) -> Array:
        """``[b, slots]``."""
        parts = {
            "inverted": self._widening(),
            "point": self._point(),
            "spatial": self._spatial(),
            "temporal": self._temporal() if self._first or self._timed else None,
            "expand": self._expand(),
            **{gene: self._gate(gene) for gene in GATES},
            "project": self._project(),
            "shortcut": self._shortcut(),
        }
        nothing = jnp.zeros(len(self._genes.open), self._genes.open.dtype)
        return jnp.stack([nothing if parts[slot] is None else nothing + parts[slot] for slot in SLOTS], axis=1)

    # What a unit receives: a first one any width, by size; a later one what its cell gives, or the kept width.

    def _from_received(self, family: Family, u: Array, chance: Array) -> Array:
        """Layers from the width a plain cell received to its filters, its operators not both bypasses.

        Args:
            u: ``[b, w, q, r]``: chances of sizes under ``left``, by some condition ``q``.
            chance: ``[b, q, k]``: of candidates.
        """
        genes = self._genes
        if self._first:
            plain = (1 - genes.inverted)[:, None] * genes.narrow
            return _received(family, u, plain, chance)
        joint = genes.expanded_narrow + genes.open[:, None, None] * genes.narrow_narrow
        return _pairs(family, u.sum(1), joint, chance)

    def _bypassed(self, family: Family, u: Array, chance: Array, keeping: Array) -> Array:
        """Bypasses of the width a unit has received.

        Args:
            keeping: ``[b, q]``: chance that the block's other operator is a bypass too.
        """
        genes = self._genes
        whole = chance * (1 - genes.inverted)[:, None, None]
        if self._first:
            return _kept(family, u, whole)
        kept = chance * (genes.open[:, None] * keeping)[:, :, None]
        lost = chance * (genes.open[:, None] * (1 - keeping))[:, :, None]
        return (
            _kept(family, u, kept)
            + _widths(family, u.sum(1), genes.expanded, chance)
            + _widths(family, u.sum(1), genes.narrow, lost)
        )

    def _widening(self) -> Array:
        u = self._sizes.of(self._of.point)
        ones = jnp.ones((*u.shape[:1], u.shape[2], 1)) * np.eye(len(self._of.point_acts))[self._relu_at]
        if self._first:
            return _received(self._of.point, u, self._inner, ones)
        return _pairs(self._of.point, u.sum(1), self._genes.narrow_inner, ones)

    @property
    def _relu_at(self) -> int:
        return self._of.point_acts.index("relu") if "relu" in self._of.point_acts else 0

    def _point(self) -> Array | None:
        genes, narrow = self._genes, self._of.kernels["std"] + self._of.kernels["depth"]
        if not narrow:
            return None
        u = self._sizes.of(self._of.point)
        operators = genes.spatial[:, :, sorted({o for o, _ in narrow})].sum(2)
        acts = genes.gene("spatial_act") @ _places(genes.relaxed.spatial_act, self._of.point_acts)
        chance = self._sizes.by_stride(operators)[:, :, None] * acts[:, None]
        return self._from_received(self._of.point, u, chance) + _pairs(
            self._of.point, u.sum(1), genes.inner_inner, chance
        )

    def _spatial(self) -> Array:
        genes, of = self._genes, self._of
        acts = genes.gene("spatial_act")
        plain = (1 - genes.inverted)[:, None, None]
        total: Array | float = 0.0

        def candidates(kind: str) -> Array:
            """``[b, q, kernels and acts]`` of the dense family."""
            kernels = np.zeros((len(genes.relaxed.spatial), len(of.dense)))
            for o, _ in of.kernels[kind]:
                kernels[o, of.dense.index(genes.relaxed.spatial[o][1])] = 1
            chance = self._sizes.by_stride(genes.spatial @ kernels)
            return (chance[..., None] * acts[:, None, None]).reshape(*chance.shape[:2], -1)

        if of.dense:
            u = self._sizes.of(of.dense_spatial)
            inside = plain * genes.narrow_narrow + genes.inner_inner
            if of.kernels["std"]:
                total += _pairs(of.dense_spatial, u.sum(1), inside, candidates("std"))
            if of.kernels["1std"]:
                chance = candidates("1std")
                total += self._from_received(of.dense_spatial, u, chance)
                total += _pairs(of.dense_spatial, u.sum(1), genes.inner_inner, chance)
        if of.kernels["depth"]:
            u = self._sizes.of(of.depthwise)
            chance = self._sizes.by_stride(_convolutions(genes.spatial, acts, of.kernels["depth"]))
            total += _widths(of.depthwise, u.sum(1), plain[:, 0] * genes.narrow + self._inner, chance)
        if of.bypasses["spatial"]:
            u = self._sizes.of(of.spatial_bypass)
            chance = self._sizes.by_stride(genes.spatial[:, :, np.array(of.bypasses["spatial"])])
            total += self._bypassed(of.spatial_bypass, u, chance, self._sizes.temporal_bypass)
            total += _widths(of.spatial_bypass, u.sum(1), self._inner, chance)
        return jnp.asarray(total)

    def _temporal(self) -> Array:
        genes, of = self._genes, self._of
        plain = (1 - genes.inverted)[:, None, None]
        total: Array | float = 0.0
        if of.kernels["1d"] and of.temporal.right.any():
            u = self._sizes.timed(of.temporal)
            # By whether the block strides in space, then along time.
            chance = _convolutions(genes.temporal, genes.gene("temporal_act"), of.kernels["1d"])
            s, inside = genes.s, plain * genes.narrow_narrow
            for h in (0, 1):
                both = jnp.broadcast_to(chance[:, None, h], (*s.shape, chance.shape[-1]))
                summed = u[:, :, :, h].sum(1)
                total += _pairs(of.temporal, summed, inside, (1 - s)[:, :, None] * both)
                total += self._from_received(of.temporal, u[:, :, :, h], s[:, :, None] * both)
                total += _pairs(of.temporal, summed, genes.inner_inner, both)
        if of.bypasses["temporal"] and of.temporal_bypass.right.any():
            u = self._sizes.timed(of.temporal_bypass)
            for h in (0, 1):
                chance = genes.temporal[:, None, h, np.array(of.bypasses["temporal"])]
                both = jnp.broadcast_to(chance, (*genes.s.shape, chance.shape[-1]))
                behind, summed = genes.s[:, :, None] * both, u[:, :, :, h].sum(1)
                narrow = plain[:, 0] * genes.narrow
                total += _widths(of.temporal_bypass, summed, narrow, (1 - genes.s)[:, :, None] * both)
                total += self._bypassed(of.temporal_bypass, u[:, :, :, h], behind, jnp.ones_like(genes.s))
                total += _widths(of.temporal_bypass, summed, self._inner, both)
        return jnp.asarray(total)

    def _expand(self) -> Array:
        genes, u = self._genes, self._sizes.behind(self._of.linear)
        passes = self._passes().reshape(u.shape[0], -1)[..., None]
        u = u.reshape(*u.shape[:2], -1, u.shape[-1])
        convolved = _pairs(self._of.linear, u.sum(1), genes.narrow_expanded, 1 - passes)
        if self._first:
            return convolved + _received(self._of.linear, u, genes.expanded, passes)
        return convolved + _pairs(self._of.linear, u.sum(1), genes.expanded_expanded, passes)

    def _passes(self) -> Array:
        """``[b, g, c]``: that nothing in front of the expanding layer is a convolution."""
        genes = self._genes
        if self._first:
            return genes.keeps
        if not self._timed:
            return jnp.broadcast_to(genes.s[:, :, None], genes.keeps.shape)
        return genes.s[:, :, None] * jnp.where(np.array(TIMED_BEHIND, bool), genes.t[:, None], 1.0)

    def _gate(self, gene: str) -> Array | None:
        genes, family = self._genes, self._of.gate(gene)
        if not any(genes.relaxed.candidates(gene)):
            return None
        p = genes.non_local(False) if gene == "non_local" else genes.gene(gene)
        u = self._sizes.uncrowded(family) if gene == "non_local" else self._sizes.behind(family)
        u = u.reshape(*u.shape[:2], -1, u.shape[-1])
        keeps = genes.keeps.reshape(len(genes.open), -1)
        every = jnp.broadcast_to(p[:, None], (len(p), keeps.shape[1], p.shape[1]))
        opened = genes.open[:, None, None] * every
        return (
            _widths(family, u.sum(1), genes.expanded + self._inner, every)
            + _kept(family, u, keeps[..., None] * opened)
            + _widths(family, u.sum(1), genes.narrow, (1 - keeps)[..., None] * opened)
        )

    def _project(self) -> Array:
        u = self._sizes.behind(self._of.linear).sum((1, 2, 3))[:, None]
        return _pairs(self._of.linear, u, self._genes.inner_narrow, jnp.ones((*u.shape[:2], 1)))

    def _shortcut(self) -> Array | None:
        genes, family = self._genes, self._of.shortcut
        if not any(genes.relaxed.skip):
            return None
        u = self._sizes.keeping_time(family)  # [b, w, g, c, r], of the two kinds that keep time or of all
        keeps = genes.keeps[:, :, np.array((UNTIMED, STILL))] if self._first else genes.keeps
        keeps = keeps.reshape(len(keeps), -1)[..., None]
        u = u.reshape(*u.shape[:2], -1, u.shape[-1])
        opened = genes.open[:, None, None] * (1 - keeps)
        ones = jnp.ones_like(keeps)
        diagonal = _diagonal(family, u, genes.open[:, None, None] * keeps)
        if self._first:
            total = _received(family, u, genes.expanded + genes.inverted[:, None] * genes.narrow, ones)
            return genes.skip * (total + _received(family, u, genes.narrow, opened) + diagonal)
        summed = u.sum(1)
        joint = genes.expanded_expanded + genes.inverted[:, None, None] * genes.narrow_narrow
        total = _pairs(family, summed, joint, ones) + _pairs(family, summed, genes.narrow_narrow, opened)
        return genes.skip * (total + diagonal)


def _pairs(family: Family, u: Array, joint: Array, chance: Array) -> Array:
    """``[b]``: layers between two widths of a cell.

    Args:
        u: ``[b, q, r]``.
        joint: ``[b, w, w']``.
        chance: ``[b, q, k]``.
    """
    right = jnp.asarray(family.right, u.dtype)
    v = jnp.einsum("rkwx,bwx->brk", right, joint[:, family.before[:, None], family.behind])
    return jnp.einsum("bqr,brk,bqk->b", u, v, chance)


def _received(family: Family, u: Array, behind: Array, chance: Array) -> Array:
    """Layers from what is received, ``u`` ``[b, w, q, r]``, to a width of the cell, ``[b, w']``."""
    right = jnp.asarray(family.right, u.dtype)
    v = jnp.einsum("rkwx,bx->brkw", right, behind[:, family.behind])
    return jnp.einsum("bwqr,brkw,bqk->b", u, v, chance)


def _widths(family: Family, u: Array, width: Array, chance: Array) -> Array:
    """Layers that have one width of the cell, ``[b, w]``; ``u`` ``[b, q, r]``."""
    right = jnp.asarray(family.right, u.dtype)
    v = jnp.einsum("rkw,bw->brk", right, width[:, family.before])
    return jnp.einsum("bqr,brk,bqk->b", u, v, chance)


def _kept(family: Family, u: Array, chance: Array) -> Array:
    """Layers of the width that is received; ``u`` ``[b, w, q, r]``."""
    right = jnp.asarray(family.right, u.dtype)
    return jnp.einsum("bwqr,rkw,bqk->b", u, right, chance)


def _diagonal(family: Family, u: Array, chance: Array) -> Array:
    """Layers from the width that is received to the same."""
    right = jnp.asarray(np.diagonal(family.right, axis1=2, axis2=3), u.dtype)
    return jnp.einsum("bwqr,rkw,bqk->b", u, right, chance)


def _convolutions(operators: Array, acts: Array, pairs: Sequence[tuple[int, int]]) -> Array:
    """``[b, strides, pairs]``: chances of convolutions with their activations."""
    first, second = np.array(pairs, int).reshape(-1, 2).T
    return operators[:, :, first] * acts[:, None, second]


def _places(values: Sequence[str], among: Sequence[str]) -> np.ndarray:
    """``[values, among]``: 1 where they are the same."""
    return np.array([[value == other for other in among] for value in values], float)
