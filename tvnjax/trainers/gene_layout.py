"""All choices of a space in one array: a step then handles one array of logits, not one for each choice."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax.spaces.relaxing import RelaxedPart
from tvnjax.trainers.gene_weights import GeneWeights


class GeneLayout:
    """Where every choice's candidates stand in an array ``[blocks, choices, candidates]``; what is left over is 0.

    Args:
        blocks: of the largest plan.
        alphas: the logits of its supernet; a choice without any takes what a plan's mask says.
    """

    def __init__(self, blocks: Sequence[RelaxedPart], alphas: nnx.State):
        self.genes = tuple(block.genes for block in blocks)
        sizes = [[len(block.candidates(gene)) for gene in block.genes] for block in blocks]
        self.shape = (len(blocks), max(map(len, sizes), default=0), max(map(max, filter(None, sizes)), default=0))
        self._sizes = sizes
        self.exists = np.zeros(self.shape, bool)
        """Whether there is such a candidate."""
        self.learned = np.zeros(self.shape[:2], bool)
        """Whether a choice has logits."""
        self.start = np.zeros(self.shape, np.float32)
        """The logits at the beginning."""
        logits: Any = alphas.get("alphas", {})
        for b, names in enumerate(self.genes):
            own = logits.get(b, {})
            for g, gene in enumerate(names):
                self.exists[b, g, : sizes[b][g]] = True
                if gene in own:
                    self.learned[b, g] = True
                    self.start[b, g, : sizes[b][g]] = own[gene][...]

    def pack(self, rows: Sequence[Mapping[str, Any]], dtype: Any = np.float32) -> np.ndarray:
        """Values of the first blocks' choices in one array."""
        packed = np.zeros(self.shape, dtype)
        for b, row in enumerate(rows):
            for g, gene in enumerate(self.genes[b]):
                packed[b, g, : self._sizes[b][g]] = row[gene]
        return packed

    def unpack(self, packed: Any, blocks: int | None = None) -> GeneWeights:
        """Values by block and choice, of the first so many blocks; default: of all."""

        def unpacked(packed: Any) -> GeneWeights:
            return tuple(
                {gene: packed[b, g, : self._sizes[b][g]] for g, gene in enumerate(names)}
                for b, names in enumerate(self.genes[:blocks])
            )

        if not isinstance(packed, jax.Array):
            return unpacked(packed)
        # Left to itself the gradient is a sum of as many arrays as there are choices, each zeros but for one row.
        function = jax.custom_vjp(unpacked)
        function.defvjp(lambda packed: (unpacked(packed), None), lambda _, rows: (self._repacked(rows),))
        return function(packed)

    def _repacked(self, rows: GeneWeights) -> Array:
        choices, candidates = self.shape[1:]
        packed = []
        for row, names in zip(rows, self.genes):
            padded = [jnp.pad(row[gene], (0, candidates - row[gene].shape[0])) for gene in names]
            packed.append(jnp.stack(padded + [jnp.zeros(candidates)] * (choices - len(names))))
        return jnp.stack(packed + [jnp.zeros((choices, candidates))] * (self.shape[0] - len(packed)))
