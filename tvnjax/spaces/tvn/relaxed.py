"""The operator genes as lists of candidates, one list for each choice a supernet makes.

Spatial kind and kernel are one choice, and so are temporal kind and kernel: a kernel of 1 is the identity whatever the
kind, so it stands once. Candidates are the same, in the same order, for every plan of a search, so that all plans share
their logits; a candidate a plan cannot have (the identity where a block strides, attention over too many positions) is
illegal there and gets no weight.
"""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.tvn.genotype import (
    OPERATOR_GENES,
    Activation,
    Block,
    Genotype,
    SpatialType,
    TemporalType,
    also,
    kinds,
)
from tvnjax.spaces.tvn.operators import IDENTITY, Operator, among, bypasses, can_stride, listed, named, operator_of
from tvnjax.spaces.tvn.own_operators import OwnOperator
from tvnjax.spaces.tvn.shapes import BlockPlan, Plan

GENES = (
    "spatial",
    "temporal",
    "filters",
    "expand",
    "squeeze",
    "context_gate",
    "skip",
    "non_local",
    "spatial_act",
    "temporal_act",
    "act",
    "inverted_bottleneck",
)
"""The choices of one block, in the order reports list them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OperatorChoices:
    """Values of the operator genes, the same for every block of a plan."""

    spatial_type: tuple[SpatialType, ...] = dataclasses.field(
        default=("std", "depth", "maxpool", "avgpool"), metadata={"also": partial(also, "spatial_type")}
    )
    """``1std`` (a convolution without the 1x1 in front) also exists, and from Python own layers do."""
    spatial_kernel: tuple[int, ...] = (1, 3, 5)
    """1, the identity, is left out of a block whose plan strides in space."""
    temporal_type: tuple[TemporalType, ...] = dataclasses.field(
        default=("1d", "maxpool", "avgpool"), metadata={"also": partial(also, "temporal_type")}
    )
    """From Python also own layers."""
    temporal_kernel: tuple[int, ...] = (1, 3)
    """1, the identity, is left out of a block whose plan strides in time."""
    width: tuple[float, ...] = (0.5, 0.75, 1.0)
    """Parts of the block's bucket of filters."""
    expand: tuple[int, ...] = (1, 2)
    squeeze: tuple[float, ...] = (0.0, 0.25, 0.5)
    context_gate: tuple[bool, ...] = (False, True)
    skip: tuple[bool, ...] = (False, True)
    non_local: tuple[int, ...] = (0,)
    """Bottleneck channels of a non-local layer, 4 to 1024; 0 is off."""
    non_local_tokens: int = 1024
    """Most positions (frames times height times width) a non-local layer may see, in plans and in networks that are
    drawn or mutated: its cost grows with their square."""
    spatial_act: tuple[Activation, ...] = ("relu",)
    temporal_act: tuple[Activation, ...] = ("relu",)
    act: tuple[Activation, ...] = ("relu",)
    inverted_bottleneck: tuple[bool, ...] = (False,)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            values: Any = getattr(self, field.name)
            if field.name == "non_local_tokens":
                if values < 1:
                    raise InvalidInputError(f"non_local_tokens is at least 1; got {values}")
                continue
            if field.name in OPERATOR_GENES:
                values = kinds(field.name, values)
                object.__setattr__(self, field.name, values)
            if not values or len(set(values)) != len(values):
                raise InvalidInputError(f"{field.name} lists at least one value, each once; got {values!r}")
            for value in values:
                if field.name != "width":
                    Block(**{field.name: value})  # refuses values outside the gene's range
                elif not 0 < value <= 1:
                    raise InvalidInputError(f"width lists parts of a bucket in (0, 1]; got {value!r}")
        for axis in ("spatial", "temporal"):
            own = [kind for kind in getattr(self, f"{axis}_type") if isinstance(kind, OwnOperator)]
            kernels = getattr(self, f"{axis}_kernel")
            if own and max(kernels) == 1:
                raise InvalidInputError(
                    f"a kernel of 1 is the identity whatever the kind; {axis}_kernel {kernels} leaves {own[0]} out: "
                    "list a kernel above 1 (an operator without a kernel stands there once)"
                )

    def filters(self, top: int) -> tuple[int, ...]:
        """The widths inside a bucket, one for each of ``width``.

        Raises:
            InvalidInputError: two of them are the same.
        """
        widths = tuple(max(1, round(top * part)) for part in self.width)
        if len(set(widths)) != len(widths):
            raise InvalidInputError(
                f"the widths inside a bucket differ; parts {self.width} of {top} filters give {widths}: take fewer "
                f"parts or more filters"
            )
        return widths


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelaxedBlock:
    """Candidates of every choice of one block, and the block's genes that a plan fixes."""

    fixed: Block
    """Its strides and repeats count; its other genes are placeholders."""
    spatial: tuple[Operator, ...]
    temporal: tuple[Operator, ...]
    filters: tuple[int, ...]
    expand: tuple[int, ...]
    squeeze: tuple[float, ...]
    context_gate: tuple[bool, ...]
    skip: tuple[bool, ...]
    non_local: tuple[int, ...] = (0,)
    spatial_act: tuple[Activation, ...] = ("relu",)
    temporal_act: tuple[Activation, ...] = ("relu",)
    act: tuple[Activation, ...] = ("relu",)
    inverted_bottleneck: tuple[bool, ...] = (False,)
    illegal: tuple[tuple[str, int], ...] = ()
    """Gene and index of every candidate this plan cannot have."""
    active: tuple[str, ...] = ()
    """Choices with several legal candidates that change the network; the others get no gradient."""

    @property
    def genes(self) -> tuple[str, ...]:
        return GENES

    def candidates(self, gene: str) -> tuple[Any, ...]:
        return getattr(self, gene)

    def legal(self, gene: str) -> np.ndarray:
        """``[candidates]``: whether this plan can have each candidate."""
        mask = np.ones(len(self.candidates(gene)), bool)
        for other, index in self.illegal:
            if other == gene:
                mask[index] = False
        return mask

    def default(self, gene: str) -> int:
        """Index of the first legal candidate: what an inactive choice takes."""
        return int(self.legal(gene).argmax())

    @property
    def widths(self) -> tuple[int, ...]:
        """Every width the block's own layers can end with, ascending. (With ``expand`` 0 a block of pools keeps the
        width it receives.)"""
        plain = {max(f * e, f) for f in self.filters for e in self.expand} if False in self.inverted_bottleneck else ()
        return tuple(sorted({*plain, *(self.filters if True in self.inverted_bottleneck else ())}))

    def encode(self, block: Block) -> dict[str, int]:
        """Index of each choice's candidate.

        Raises:
            ValueError: a gene of the block is not among the legal candidates.
        """
        indices = {
            "spatial": among(operator_of(block.spatial_type, block.spatial_kernel), self.spatial),
            "temporal": among(operator_of(block.temporal_type, block.temporal_kernel), self.temporal),
        }
        indices |= {gene: self.candidates(gene).index(getattr(block, gene)) for gene in GENES if gene not in indices}
        for gene, index in indices.items():
            if (gene, index) in self.illegal:
                raise ValueError(f"{gene} {self.candidates(gene)[index]} is illegal in this plan")
        return indices

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
    """The networks of one plan, as candidates: what a supernet is built from."""

    image_size: int
    num_frames: int
    frame_stride: int
    blocks: tuple[RelaxedBlock, ...]

    def encode(self, genotype: Genotype) -> tuple[dict[str, int], ...]:
        """Candidate indices of every block; raises ``ValueError`` for a genotype of another plan."""
        return tuple(relaxed.encode(block) for relaxed, block in zip(self.blocks, genotype.blocks, strict=True))

    def decode(self, indices: tuple[Mapping[str, int], ...]) -> Genotype:
        return Genotype(
            image_size=self.image_size,
            num_frames=self.num_frames,
            frame_stride=self.frame_stride,
            blocks=tuple(block.decode(chosen) for block, chosen in zip(self.blocks, indices, strict=True)),
        )


def relax_plan(plan: Plan, operators: OperatorChoices) -> RelaxedPlan:
    """The candidates of one (canonical) plan.

    Raises:
        InvalidInputError: a block of the plan is left without a candidate for some choice.
    """
    return RelaxedPlan(
        image_size=plan.image_size,
        num_frames=plan.num_frames,
        frame_stride=plan.frame_stride,
        blocks=tuple(
            _relax_block(block, operators, index, before, behind)
            for index, (block, before, behind) in enumerate(zip(plan.blocks, plan.sizes(), plan.sizes()[1:]))
        ),
    )


def _relax_block(
    block: BlockPlan, operators: OperatorChoices, index: int, before: tuple[int, int], behind: tuple[int, int]
) -> RelaxedBlock:
    frames, frames_behind = before[0], behind[0]
    spatial = listed(operators.spatial_type, operators.spatial_kernel)
    temporal = listed(operators.temporal_type, operators.temporal_kernel)
    illegal: list[tuple[str, int]] = []
    for axis, candidates, changes in (
        ("spatial", spatial, before[1] != behind[1]),
        ("temporal", temporal, frames != frames_behind),
    ):
        keeping = [(axis, number) for number, operator in enumerate(candidates) if not can_stride(operator)]
        if changes and keeping:
            illegal += keeping
            if len(candidates) == len(keeping):
                raise InvalidInputError(
                    f"a block that strides needs an operator that strides; block {index} has {axis}_stride "
                    f"{getattr(block, f'{axis}_stride')} and {axis} operators {', '.join(map(named, candidates))}: "
                    "list a kernel of 2 or more and a kind that strides"
                )
    tokens = frames_behind * behind[1] ** 2
    if tokens > operators.non_local_tokens:
        illegal += [("non_local", i) for i, bottleneck in enumerate(operators.non_local) if bottleneck > 0]
        if 0 not in operators.non_local:
            raise InvalidInputError(
                f"a non-local layer sees at most {operators.non_local_tokens} positions (--operators.non-local-tokens);"
                f" block {index} has {tokens} and non_local {operators.non_local}: the nearest legal value is 0"
            )
    idle = set()
    if frames == 1:
        idle |= {"temporal", "temporal_act"}
    elif block.repeats == 1 and frames_behind != frames:
        idle.add("skip")
    if all(map(bypasses, spatial)):
        idle.add("spatial_act")
    if all(map(bypasses, temporal)):
        idle.add("temporal_act")
    relaxed = RelaxedBlock(
        fixed=Block(
            spatial_stride=block.spatial_stride,
            temporal_stride=block.temporal_stride,
            repeats=block.repeats,
            spatial_type=operators.spatial_type[0],
            temporal_type=operators.temporal_type[0],
        ),
        spatial=spatial,
        temporal=temporal,
        filters=operators.filters(block.filters),
        expand=operators.expand,
        squeeze=operators.squeeze,
        context_gate=operators.context_gate,
        skip=operators.skip,
        non_local=operators.non_local,
        spatial_act=operators.spatial_act,
        temporal_act=operators.temporal_act,
        act=operators.act,
        inverted_bottleneck=operators.inverted_bottleneck,
        illegal=tuple(illegal),
    )
    active = tuple(gene for gene in GENES if relaxed.legal(gene).sum() > 1 and gene not in idle)
    return dataclasses.replace(relaxed, active=active)
