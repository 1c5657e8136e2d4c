"""Chances of everything a block can be, by what it does in space and along time; axes are those of ``flow``.

Letters: ``b`` blocks, ``g`` whether the block strides in space, ``h`` whether along time, ``c`` what it does along
time, ``w`` widths.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.spaces.tvn.costs.factored.axes import Axis
from tvnjax.spaces.tvn.costs.factored.flow import TIME_STRIDES, TIMED, Widths
from tvnjax.spaces.tvn.costs.probabilities import GeneProbabilities
from tvnjax.spaces.tvn.operators import Operator, bypasses
from tvnjax.spaces.tvn.relaxed import OperatorChoices, RelaxedBlock


class WidthPairs:
    """Every assignment of filters and expansion, as widths at nodes.

    Args:
        filters: every number of filters.
        operators: gives the expansions.
        widths: the axis of all widths.
    """

    def __init__(self, filters: Sequence[int], operators: OperatorChoices, widths: Axis):
        self.filters, self.expand = tuple(filters), operators.expand
        expanded = [[max(f * e, f) for e in operators.expand] for f in filters]
        self.narrow = widths.rows(filters)
        """``[F, W]``."""
        self.wide = np.stack([widths.rows(row) for row in expanded])
        """``[F, E, W]``: expanded."""
        self.on = np.array([e > 0 for e in operators.expand], float)


class BlockGenes:
    """Probabilities of the genes of all blocks, put to use.

    Args:
        by_gene: ``[blocks, candidates]`` of every gene.
        filters: ``[blocks, F]``, of every number of filters.
        draws: the same genes where candidates are illegal.
        pairs: widths.
    """

    def __init__(self, by_gene: Mapping[str, Array], filters: Array, draws: GeneProbabilities, pairs: WidthPairs):
        self._by_gene, self._draws, self._pairs, self.relaxed = by_gene, draws, pairs, draws.relaxed
        self.spatial, self.temporal = draws.spatial, draws.temporal
        """``[b, g, operators]`` and ``[b, h, operators]``."""
        self.filters = filters
        relaxed: RelaxedBlock = draws.relaxed
        self.inverted = by_gene["inverted_bottleneck"] @ np.array(relaxed.inverted_bottleneck, float)
        """``[b]``: chance of an inverted cell."""
        self.skip = by_gene["skip"] @ np.array(relaxed.skip, float)
        """``[b]``."""
        self.relu = by_gene["act"] @ np.array([act == "relu" for act in relaxed.act], float)
        """``[b]``: that the block ends with one."""
        plain = by_gene["expand"] * (1 - self.inverted)[:, None]
        self._plain = filters[:, :, None] * (plain * pairs.on)[:, None]
        self._joint = filters[:, :, None] * by_gene["expand"][:, None]
        self.open = (plain * (1 - pairs.on)).sum(1)
        """``[b]``: chance of an open cell."""
        self.plain = (plain * pairs.on).sum(1)
        """``[b]``: of one that is expanded at its end."""
        self.s = self.spatial @ _class(bypasses, relaxed.spatial)
        """``[b, g]``: that the spatial operator is a bypass."""
        t = self.temporal @ _class(bypasses, relaxed.temporal)
        self.t = jnp.where(np.array(TIMED, bool), t[:, np.array(TIME_STRIDES)], 1.0)
        """``[b, c]``: that the temporal operator is, or means nothing."""
        self.keeps = self.s[:, :, None] * self.t[:, None]
        """``[b, g, c]``: that both are."""

    def gene(self, name: str) -> Array:
        return self._by_gene[name]

    @property
    def non_local(self) -> Array:
        """``[b, candidates]``, where a layer is legal."""
        return self._draws.non_local[:, 0]

    def off(self, gate: str, crowded: bool = False) -> Array:
        """``[b]``: that a gate is off, as it always is where there are too many positions for it."""
        p = self._draws.non_local[:, int(crowded)] if gate == "non_local" else self._by_gene[gate]
        return p @ np.array([not value for value in self.relaxed.candidates(gate)], float)

    @property
    def inverts(self) -> bool:
        """Whether some cell is inverted."""
        return True in self.relaxed.inverted_bottleneck

    @property
    def skips(self) -> bool:
        """Whether some unit has a shortcut."""
        return True in self.relaxed.skip

    @property
    def opens(self) -> bool:
        """Whether some cell is open."""
        return 0 in self.relaxed.expand and False in self.relaxed.inverted_bottleneck

    @cached_property
    def narrow(self) -> Array:
        """``[b, w]``: filters at nodes."""
        return self.filters @ self._pairs.narrow

    @cached_property
    def expanded(self) -> Array:
        """``[b, w]``: what expanded cells end with; sums to ``plain``."""
        return jnp.einsum("bfe,few->bw", self._plain, self._pairs.wide)

    @cached_property
    def inner(self) -> Array:
        """``[b, w]``: width inside of inverted cells; sums to ``inverted``."""
        return self.inverted[:, None] * jnp.einsum("bfe,few->bw", self._joint, self._pairs.wide)

    @property
    def widths(self) -> Widths:
        closed = self.expanded + self.inverted[:, None] * self.narrow
        return Widths(closed, self.narrow, self.open, self.s, self.t)

    # Joint widths before and behind a layer, ``[b, w, w']``, each with the chance of its cells.

    @cached_property
    def narrow_narrow(self) -> Array:
        """Filters twice; sums to 1."""
        return jnp.einsum("bf,fw,fx->bwx", self.filters, self._pairs.narrow, self._pairs.narrow)

    @cached_property
    def narrow_expanded(self) -> Array:
        """From the filters of an expanded cell to its end; sums to ``plain``."""
        return jnp.einsum("bfe,fw,fex->bwx", self._plain, self._pairs.narrow, self._pairs.wide)

    @cached_property
    def expanded_narrow(self) -> Array:
        return self.narrow_expanded.swapaxes(1, 2)

    @cached_property
    def expanded_expanded(self) -> Array:
        return jnp.einsum("bfe,few,fex->bwx", self._plain, self._pairs.wide, self._pairs.wide)

    @cached_property
    def narrow_inner(self) -> Array:
        """From the filters of an inverted cell to its inside; sums to ``inverted``."""
        return jnp.einsum("b,bfe,fw,fex->bwx", self.inverted, self._joint, self._pairs.narrow, self._pairs.wide)

    @cached_property
    def inner_narrow(self) -> Array:
        return self.narrow_inner.swapaxes(1, 2)

    @cached_property
    def inner_inner(self) -> Array:
        return jnp.einsum("b,bfe,few,fex->bwx", self.inverted, self._joint, self._pairs.wide, self._pairs.wide)


def _class(kind: object, operators: Sequence[Operator]) -> np.ndarray:
    assert callable(kind)
    return np.array([kind(operator) for operator in operators], float)
