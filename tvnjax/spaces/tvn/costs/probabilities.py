"""Probabilities of the genes at the contexts of units, without the candidates that are illegal there."""

import dataclasses
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.spaces.tvn.costs.contexts import UnitContext
from tvnjax.spaces.tvn.operators import Operator, bypasses, can_stride
from tvnjax.spaces.tvn.relaxed import RelaxedBlock

_LEAST = 1e-12
"""Legal candidates of less probability than this together count alike."""

_WRITTEN_OUT = 2**14
"""Products of a small array and a one-hot."""


def striding(operators: Sequence[Operator]) -> np.ndarray:
    """Which operators are legal where a block strides."""
    return np.array([can_stride(operator) for operator in operators])


def masked(p: Array, legal: np.ndarray) -> Array:
    """``p`` ``[..., candidates]`` restricted to the legal ones."""
    if legal.all() or not legal.any():
        return p
    part = p * legal
    total = part.sum(-1, keepdims=True)
    return jnp.where(total > _LEAST, part / jnp.where(total > _LEAST, total, 1.0), legal / legal.sum())


def taken(p: Array, *indices: np.ndarray) -> Array:
    """``p[indices]``, its leading axes indexed. Where it is small it is a sum over a one-hot: the gradient is then no
    scatter, which is slow to compile and two kernels of a GPU."""
    rows = np.ravel_multi_index(indices, p.shape[: len(indices)])
    flat = p.reshape(-1, *p.shape[len(indices) :])
    if np.array_equal(rows, np.arange(len(flat))):
        return flat
    if len(rows) * flat.size > _WRITTEN_OUT:
        return flat[rows]
    one_hot = (rows[:, None] == np.arange(len(flat))).astype(p.dtype)
    return (one_hot[..., None] * flat).sum(1)


@dataclasses.dataclass(frozen=True)
class GeneProbabilities:
    """Probabilities of the genes of all blocks, with illegal candidates masked where they are illegal."""

    by_gene: Mapping[str, Array]
    """``[blocks, candidates]``."""
    spatial: Array
    """``[blocks, 2, operators]``: where the block does not stride, and where it does."""
    temporal: Array
    non_local: Array
    """``[blocks, 2, candidates]``: where a layer may see the positions, and where they are too many."""
    relaxed: RelaxedBlock
    tokens: int

    @staticmethod
    def of(by_gene: Mapping[str, Array], relaxed: RelaxedBlock, tokens: int) -> "GeneProbabilities":
        none = np.array([bottleneck == 0 for bottleneck in relaxed.non_local])

        def both(gene: str, legal: np.ndarray) -> Array:
            rows = by_gene[gene]
            return jnp.stack([rows, masked(rows, legal)], axis=1)

        return GeneProbabilities(
            by_gene,
            both("spatial", striding(relaxed.spatial)),
            both("temporal", striding(relaxed.temporal)),
            both("non_local", none),
            relaxed,
            tokens,
        )

    def operators(self, contexts: Sequence[UnitContext], blocks: np.ndarray) -> tuple[Array, Array]:
        """``[contexts, operators]`` each: of the spatial and the temporal axis."""
        strides = [[context.strides_space for context in contexts], [context.strides_time for context in contexts]]
        space, time = (np.array(row, int) for row in strides)
        return taken(self.spatial, blocks, space), taken(self.temporal, blocks, time)

    def bypass(self, contexts: Sequence[UnitContext], blocks: np.ndarray) -> tuple[Array, Array]:
        """``[contexts]`` each: that the block's spatial and its temporal operator are bypasses."""
        space, time = self.operators(contexts, blocks)
        s = space @ np.array([bypasses(operator) for operator in self.relaxed.spatial], float)
        t = time @ np.array([bypasses(operator) for operator in self.relaxed.temporal], float)
        return s, jnp.where(np.array([context.block_timed for context in contexts]), t, 1.0)

    def gate(self, gene: str, contexts: Sequence[UnitContext], blocks: np.ndarray) -> Array:
        """``[contexts, candidates]``."""
        if gene != "non_local":
            return taken(self.by_gene[gene], blocks)
        many = np.array([s.behind.frames * s.behind.side**2 > self.tokens for s in contexts], int)
        return taken(self.non_local, blocks, many)

    def keeping(self, contexts: Sequence[UnitContext], block: int) -> Array:
        """``[contexts]``: that both operators of one block are bypasses."""
        s, t = self.bypass(contexts, np.full(len(contexts), block))
        return s * t
