"""The operator genes of one plan as lists of candidates, one list for each choice a supernet makes.

Spatial kind and kernel are one choice, and so are temporal kind and kernel: a kernel of 1 is the identity whatever the
kind, so it stands once.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.space.genotype import Block, Genotype
from tvnjax.space.search_space import BlockChoices, SearchSpace

IDENTITY = ("identity", 1)
GENES = ("spatial", "temporal", "filters", "expand", "squeeze", "context_gate", "skip")
"""The choices of one block, in the order reports list them."""

_PLAN_GENES = ("spatial_stride", "temporal_stride", "repeats")
_FIXED_GENES = ("spatial_act", "temporal_act", "act", "non_local", "inverted_bottleneck")

Operator = tuple[str, int]
"""A kind (``std``, ``depth``, ``1d``, ``maxpool``, ``avgpool``, ``identity``) and its kernel."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelaxedBlock:
    """Candidates of every choice of one block, and the block's genes that a plan fixes."""

    fixed: Block
    spatial: tuple[Operator, ...]
    temporal: tuple[Operator, ...]
    filters: tuple[int, ...]
    expand: tuple[int, ...]
    squeeze: tuple[float, ...]
    context_gate: tuple[bool, ...]
    skip: tuple[bool, ...]
    active: tuple[str, ...]
    """Choices with several candidates that change the network; the others get no logits and no gradient."""

    def candidates(self, gene: str) -> tuple[Any, ...]:
        return getattr(self, gene)

    @property
    def widths(self) -> tuple[int, ...]:
        """Every width the block can end with, ascending."""
        return tuple(sorted({f * e for f in self.filters for e in self.expand}))

    def encode(self, block: Block) -> dict[str, int]:
        """Index of each choice's candidate.

        Raises:
            ValueError: a gene of the block is not among the candidates.
        """
        spatial = IDENTITY if block.spatial_kernel == 1 else (block.spatial_type, block.spatial_kernel)
        temporal = IDENTITY if block.temporal_kernel == 1 else (block.temporal_type, block.temporal_kernel)
        values = {"spatial": spatial, "temporal": temporal}
        return {gene: self.candidates(gene).index(values.get(gene, getattr(block, gene, None))) for gene in GENES}

    def decode(self, indices: Mapping[str, int]) -> Block:
        """The block that takes candidate ``indices[gene]`` of every choice."""
        genes = {gene: self.candidates(gene)[indices[gene]] for gene in GENES}
        for axis in ("spatial", "temporal"):
            kind, kernel = genes.pop(axis)
            genes[f"{axis}_kernel"] = kernel
            if (kind, kernel) != IDENTITY:
                genes[f"{axis}_type"] = kind
        return dataclasses.replace(self.fixed, **genes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelaxedPlan:
    """A search space of one plan, as candidates: what a supernet is built from."""

    image_size: int
    num_frames: int
    frame_stride: int
    blocks: tuple[RelaxedBlock, ...]

    def encode(self, genotype: Genotype) -> tuple[dict[str, int], ...]:
        """Candidate indices of every block; raises ``ValueError`` for a genotype of another space."""
        return tuple(relaxed.encode(block) for relaxed, block in zip(self.blocks, genotype.blocks, strict=True))

    def decode(self, indices: tuple[Mapping[str, int], ...]) -> Genotype:
        return Genotype(
            image_size=self.image_size,
            num_frames=self.num_frames,
            frame_stride=self.frame_stride,
            blocks=tuple(block.decode(chosen) for block, chosen in zip(self.blocks, indices, strict=True)),
        )


def relax(space: SearchSpace) -> RelaxedPlan:
    """The candidates of a space that fixes every shape gene.

    Raises:
        InvalidInputError: a shape gene has several values, or a gene that is not relaxed yet is free.
    """
    for gene in ("image_size", "num_frames", "frame_stride", "num_blocks"):
        _single(gene, getattr(space, gene))
    frames = space.num_frames[0]
    blocks = []
    for index, choices in enumerate(space.blocks):
        blocks.append(_relax_block(choices, index, frames))
        if frames > 1:
            frames = -(-frames // blocks[-1].fixed.temporal_stride)
    return RelaxedPlan(
        image_size=space.image_size[0],
        num_frames=space.num_frames[0],
        frame_stride=space.frame_stride[0],
        blocks=tuple(blocks),
    )


def _relax_block(choices: BlockChoices, index: int, frames: int) -> RelaxedBlock:
    fixed = {
        gene: _single(f"{gene} of block {index}", getattr(choices, gene)) for gene in (*_PLAN_GENES, *_FIXED_GENES)
    }
    if fixed["non_local"] or fixed["inverted_bottleneck"] or 0 in choices.expand:
        raise InvalidInputError(
            "a supernet relaxes plain units that expand; non_local, inverted_bottleneck and expand 0 are searched by "
            f"evolution alone: take them out of block {index}"
        )
    if "1std" in choices.spatial_type:
        raise InvalidInputError(
            f"a supernet relaxes std, depth, maxpool and avgpool; block {index} lists 1std: take it out"
        )
    spatial = _operators(choices.spatial_type, choices.spatial_kernel)
    temporal = _operators(choices.temporal_type, choices.temporal_kernel)
    for axis, operators, stride in (
        ("spatial", spatial, fixed["spatial_stride"]),
        ("temporal", temporal, fixed["temporal_stride"]),
    ):
        if stride > 1 and IDENTITY in operators:
            raise InvalidInputError(
                f"one plan has one size behind every block; block {index} has {axis}_stride {stride} and kernel 1, "
                f"which does not stride: leave kernel 1 out"
            )
    idle = set()
    if frames == 1:
        idle.add("temporal")
    elif fixed["repeats"] == 1 and -(-frames // fixed["temporal_stride"]) != frames:
        idle.add("skip")
    relaxed = RelaxedBlock(
        fixed=Block(**fixed, spatial_type=choices.spatial_type[0], temporal_type=choices.temporal_type[0]),
        active=(),
        spatial=spatial,
        temporal=temporal,
        filters=choices.filters,
        expand=choices.expand,
        squeeze=choices.squeeze,
        context_gate=choices.context_gate,
        skip=choices.skip,
    )
    active = tuple(gene for gene in GENES if len(relaxed.candidates(gene)) > 1 and gene not in idle)
    return dataclasses.replace(relaxed, active=active)


def _operators(kinds: tuple[str, ...], kernels: tuple[int, ...]) -> tuple[Operator, ...]:
    identity = (IDENTITY,) if 1 in kernels else ()
    return identity + tuple((kind, k) for kind in kinds for k in sorted(kernels) if k > 1)


def _single(name: str, values: tuple[Any, ...]) -> Any:
    if len(values) != 1:
        raise InvalidInputError(
            f"a supernet of one plan fixes its shape genes; {name} has {len(values)} values {values}: keep one"
        )
    return values[0]
