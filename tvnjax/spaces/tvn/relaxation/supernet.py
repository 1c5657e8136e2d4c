"""The supernet: every operator choice of one plan, softmax-weighted, in one program."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax import graph
from tvnjax.core.variables import ArchParam
from tvnjax.graph import HeadKind, Shape
from tvnjax.nn.child import HeadModule
from tvnjax.nn.convolution import Form, default_form
from tvnjax.nn.parts import BN_MOMENTUM, Initializer
from tvnjax.nn.rematerialised import rematerialised
from tvnjax.spaces.tvn.relaxation.masks import Widths
from tvnjax.spaces.tvn.relaxation.mixed_unit import MixedUnit
from tvnjax.spaces.tvn.relaxed import GENES, RelaxedPlan
from tvnjax.trainers.gene_weights import GeneWeights


class Supernet(nnx.Module):
    """All networks of one plan, sharing weights; ``alphas`` are the logits of its choices.

    Calling it takes the gene weights as an argument, so that one compiled program serves the relaxed network
    (``probabilities``) and every single network of the plan (``one_hot``).

    Parameters of a plan with fewer or narrower blocks, repeats or frames are leading corners of the same-named ones of
    a larger plan with the same candidates, and mean the same.

    Args:
        plan: the candidates.
        num_classes: width of the result.
        seed: of the initial weights; ``None``: none are drawn (see ``Initializer``).
        channels: of the clip.
        head: see ``graph.Head``.
        form: which form convolutions and pools take; ``None`` picks the fast one of the default device.
        room: widths that arrays have in other plans, whose weights are slices of this one's.
    """

    def __init__(
        self,
        plan: RelaxedPlan,
        num_classes: int,
        seed: int | None = 0,
        *,
        channels: int = 3,
        head: HeadKind = "mean",
        form: Form | None = None,
        room: tuple[int, ...] = (),
    ):
        init, form = Initializer(seed), form or default_form()
        self.plan, self.channels = plan, channels
        self.head_kind: HeadKind = head
        shape, widths = Shape(plan.num_frames, plan.image_size, plan.image_size, channels), (channels,)
        blocks, ends = [], []
        for block in plan.blocks:
            units = []
            for repeat in range(block.fixed.repeats):
                units.append(MixedUnit(block, repeat, shape, widths, init, form, room))
                shape, widths = units[-1].out_shape, units[-1].out_widths
            blocks.append(nnx.List(units))
            ends.append(shape)
        self.blocks = nnx.List(blocks)
        # One for every number of blocks: what a first block and a third say of a class has nothing in common.
        self.heads = nnx.List(
            [HeadModule(graph.Head(in_shape=end, num_classes=num_classes, pool=head), init) for end in ends]
        )
        # Choices that are inactive in this plan have logits too: plans share them.
        self.alphas = nnx.List(
            [
                nnx.Dict(
                    {
                        gene: ArchParam(jnp.zeros(len(block.candidates(gene))))
                        for gene in GENES
                        if len(block.candidates(gene)) > 1
                    }
                )
                for block in plan.blocks
            ]
        )

    def probabilities(self, temperature: float | Array = 1.0) -> GeneWeights:
        """Softmax of the logits over legal candidates; inactive choices put all weight on their default."""
        return softmax_weights(self.plan, self.alphas, temperature)

    def __call__(
        self,
        clip: Array,
        weights: GeneWeights,
        *,
        train: bool = False,
        momentum: float | Array = BN_MOMENTUM,
        dropout_key: Array | None = None,
        sampled: bool = False,
        remat: bool = False,
    ) -> Array:
        """Class scores of every clip.

        Args:
            clip: normalised clips ``[B, T, H, W, C]``.
            weights: of every candidate, for the first of the blocks or all of them; the scores are those of the
                network of these blocks alone.
            train: batch statistics, and the running ones move.
            momentum: of the running statistics.
            dropout_key: no key, no dropout.
            sampled: for weights that are mostly 0: paths of weight 0 are not computed and get zero gradients.
            remat: a gradient keeps what goes in and out of the units, and computes the rest again.

        Returns:
            Logits ``[B, classes]``.
        """
        options: Any = {"train": train, "momentum": momentum, "dropout_key": dropout_key}
        return self.of_lengths(clip, weights, (len(weights),), sampled=sampled, remat=remat, **options)[0]

    def of_lengths(
        self,
        clip: Array,
        weights: GeneWeights,
        lengths: Sequence[int],
        *,
        train: bool = False,
        momentum: float | Array = BN_MOMENTUM,
        dropout_key: Array | None = None,
        sampled: bool = False,
        remat: bool = False,
    ) -> list[Array]:
        """Class scores of the networks of the first ``n`` blocks, for every ``n`` of ``lengths``: the longest computes
        the shorter ones on its way. Arguments and scores as for ``__call__``."""
        x, widths = clip, Widths((self.channels,), jnp.ones(1))
        scores = {}
        for length, (units, p) in enumerate(zip(self.blocks, weights), 1):
            for unit in units:
                sizes, options = widths.sizes, {"train": train, "momentum": momentum, "sampled": sampled}

                def call(
                    unit: Any, x: Array, chances: Array, p: Any, sizes: Any = sizes, options: Any = options
                ) -> Any:
                    y, after = unit(x, Widths(sizes, chances), p, **options)
                    return y, after.probabilities

                arrays = (x, widths.probabilities, p)
                x, chances = rematerialised(unit, call, *arrays) if remat else call(unit, *arrays)
                widths = Widths(unit.out_widths, chances)
            if length in lengths:
                scores[length] = self.heads[length - 1](x, dropout_key=dropout_key)
        return [scores[length] for length in lengths]


def softmax_weights(plan: RelaxedPlan, alphas: Sequence[Mapping[str, Any]], temperature: float | Array) -> GeneWeights:
    """Gene weights from logits over all candidates.

    Args:
        plan: what is legal and active.
        alphas: logits of each gene for every block; those of further blocks, and of genes that are not active in this
            plan, are ignored and may be absent.
        temperature: the logits are divided by it.

    Returns:
        Weights that sum to one: 0 for illegal candidates, and an inactive choice's all on its default.
    """
    return tuple(
        {
            gene: _masked_softmax(logits[gene][...] / temperature, block.legal(gene))
            if gene in block.active
            else jnp.eye(len(block.candidates(gene)))[block.default(gene)]
            for gene in GENES
        }
        for block, logits in zip(plan.blocks, alphas)
    )


def _masked_softmax(logits: Array, legal: np.ndarray) -> Array:
    return jax.nn.softmax(logits if legal.all() else jnp.where(legal, logits, -jnp.inf))
