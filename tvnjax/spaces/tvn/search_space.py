"""Which values every gene may take, and how to draw and mutate within them.

A genotype splits in two. *Shape genes* (``tvnjax.spaces.tvn.shapes``) decide tensor sizes; one assignment of them is a
``Plan``, and a plan is what gets compiled. *Operator genes* (``tvnjax.spaces.tvn.relaxed``) decide what happens inside
those sizes and are relaxed inside one program. This is their union, as evolution and random search see it.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.to_json import jsonable
from tvnjax.spaces.base import Choose, Draw, Reads
from tvnjax.spaces.relaxing import Relaxation
from tvnjax.spaces.tvn.attention import keeps, without_large
from tvnjax.spaces.tvn.genotype import (
    OPERATOR_GENES,
    Activation,
    Block,
    Genotype,
    SpatialType,
    TemporalType,
    kinds,
)
from tvnjax.spaces.tvn.operators import can_stride
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.shapes import BlockShapes, Plan, ShapeChoices, ShapeSpace

INPUT_GENES = ("image_size", "num_frames", "frame_stride")
_RANGES = ("spatial_kernel", "spatial_stride", "temporal_kernel", "temporal_stride", "expand", "repeats")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockChoices:
    """Values each gene of one block may take; the fields are those of ``Block``."""

    spatial_type: tuple[SpatialType, ...] = ("std",)
    spatial_kernel: tuple[int, ...] = (3,)
    spatial_stride: tuple[int, ...] = (1,)
    spatial_act: tuple[Activation, ...] = ("relu",)
    temporal_type: tuple[TemporalType, ...] = ("1d",)
    temporal_kernel: tuple[int, ...] = (1,)
    temporal_stride: tuple[int, ...] = (1,)
    temporal_act: tuple[Activation, ...] = ("relu",)
    filters: tuple[int, ...] = (32,)
    expand: tuple[int, ...] = (1,)
    repeats: tuple[int, ...] = (1,)
    squeeze: tuple[float, ...] = (0.0,)
    context_gate: tuple[bool, ...] = (False,)
    skip: tuple[bool, ...] = (False,)
    non_local: tuple[int, ...] = (0,)
    act: tuple[Activation, ...] = ("relu",)
    inverted_bottleneck: tuple[bool, ...] = (False,)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.name in OPERATOR_GENES:
                object.__setattr__(self, field.name, kinds(field.name, getattr(self, field.name)))
            _check_choices(field.name, getattr(self, field.name))
            for value in getattr(self, field.name):
                Block(**{field.name: value})  # refuses values outside the gene's range

    def items(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        for field in dataclasses.fields(self):
            yield field.name, getattr(self, field.name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """All networks a search may propose.

    Raises:
        InvalidInputError: a gene has no value, one twice, or one outside its range.
    """

    image_size: tuple[int, ...]
    num_frames: tuple[int, ...]
    frame_stride: tuple[int, ...]
    num_blocks: tuple[int, ...]
    blocks: tuple[BlockChoices, ...]
    """Choices by position; as many as the largest ``num_blocks``."""
    clip_frames: int = 10**6
    """Frames a clip has: ``(num_frames - 1) * frame_stride + 1`` may not exceed them."""
    non_local_tokens: int | None = None
    """Most positions a non-local layer may see (see ``OperatorChoices``); default: any number. A network that is drawn
    has none where it would see more, as no plan has; a mutation that leads to one is passed over."""
    origin: tuple[ShapeSpace, OperatorChoices] | None = dataclasses.field(default=None, repr=False, compare=False)
    """What it is the union of, where it is one: the plans, and what is relaxed inside each."""

    def __post_init__(self) -> None:
        for name in (*INPUT_GENES, "num_blocks"):
            _check_choices(name, getattr(self, name))
        if max(self.num_blocks) != len(self.blocks):
            raise InvalidInputError(
                f"blocks lists choices for the most blocks there can be ({max(self.num_blocks)}); "
                f"got {len(self.blocks)}"
            )
        if not self._frame_pairs():
            raise InvalidInputError(
                f"some number of frames and stride must fit the clip's {self.clip_frames} frames; num_frames "
                f"{self.num_frames} with frame_stride {self.frame_stride} never does: ask for fewer frames"
            )

    def sample(self, rng: np.random.Generator) -> Genotype:
        """Draws every gene independently and uniformly; non-local layers that would see too much are left out."""
        return self.assembled(lambda name, values: _pick(rng, values))

    def assembled(self, choose: Choose) -> Genotype:
        """A genotype of choices that are asked for by name; non-local layers that would see too much are left out."""
        num_frames, frame_stride = choose("num_frames, frame_stride", self._frame_pairs())
        image_size = choose("image_size", self.image_size)
        blocks = [
            Block(**{gene: choose(f"blocks.{index}.{gene}", values) for gene, values in choices.items()})
            for index, choices in enumerate(self.blocks[: choose("num_blocks", self.num_blocks)])
        ]
        made = Genotype(image_size=image_size, num_frames=num_frames, frame_stride=frame_stride, blocks=tuple(blocks))
        return without_large(made, self.non_local_tokens)

    def mutate(self, genotype: Genotype, rng: np.random.Generator, *, draw: Draw = "gene") -> Genotype:
        """Changes exactly one gene, drawn from those with another value, so that the network changes.

        Source: the paper's evolution (section 3.3) changes the input size, frames, stride or number of blocks, or
        one gene of one layer of one block; it does not say how these are weighted. A gene whose change would leave
        the network as it is (an inactive one) is passed over. So is one behind which a non-local layer sees too much,
        as long as there is another; where there is none, the layer goes too.

        Raises:
            InvalidInputError: the space holds this network alone.
        """
        before = genotype.id
        mutants = list(self._mutations(genotype, rng))
        order = rng.permutation(len(mutants))
        if draw == "kind":
            kinds = list(dict.fromkeys(kind for kind, _ in mutants))
            place = {kinds[kind]: turn for turn, kind in enumerate(rng.permutation(len(kinds)))}
            order = sorted(order, key=lambda index: place[mutants[index][0]])
        others = [mutants[index][1] for index in order]
        kept = [mutant for mutant in others if keeps(mutant, self.non_local_tokens)]
        for mutant in [*kept, *(without_large(mutant, self.non_local_tokens) for mutant in others)]:
            if mutant.id != before:
                return mutant
        raise InvalidInputError("a mutation needs a second network; the search space holds one: widen it")

    def refined(self) -> "SearchSpace":
        """The same ranges with the values a grid leaves out: every kernel, stride, repeat and expansion between the
        least and the greatest, widths in eighths of the greatest, squeeze ratios in eighths, every frame count between.
        """

        def between(values: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(range(min(values), max(values) + 1))

        def widths(values: tuple[int, ...]) -> tuple[int, ...]:
            step = max(1, max(values) // 8)
            return tuple(sorted({*values, *range(step * -(-min(values) // step), max(values) + 1, step)}))

        def ratios(values: tuple[float, ...]) -> tuple[float, ...]:
            on = [ratio for ratio in values if ratio > 0]
            if not on:
                return values
            ticks = (tick / 8 for tick in range(1, 8))
            return tuple(sorted({*values, *(tick for tick in ticks if min(on) <= tick <= max(on))}))

        blocks = tuple(
            dataclasses.replace(
                choices,
                **{gene: between(getattr(choices, gene)) for gene in _RANGES},
                filters=widths(choices.filters),
                squeeze=ratios(choices.squeeze),
            )
            for choices in self.blocks
        )
        return dataclasses.replace(
            self,
            num_frames=between(self.num_frames),
            frame_stride=between(self.frame_stride),
            num_blocks=between(self.num_blocks),
            blocks=blocks,
            origin=None,
        )

    def to_json(self) -> Any:
        """Plain values, which ``reading.space_from_json`` reads back."""
        told = {name: value for name, value in jsonable(self).items() if name != "origin"}
        return told if self.non_local_tokens is not None else {k: v for k, v in told.items() if k != "non_local_tokens"}

    def relax(self) -> Relaxation | None:
        """The space as weights; nothing where its values are no grid of plans and operators."""
        from tvnjax.spaces.tvn.relaxation.relaxation import TvnRelaxation  # which needs JAX

        return None if self.origin is None else TvnRelaxation(*self.origin)

    def contains(self, genotype: Genotype) -> bool:
        """Whether every gene takes one of the space's values, and no non-local layer sees too much."""
        if len(genotype.blocks) not in self.num_blocks:
            return False
        if (genotype.num_frames, genotype.frame_stride) not in self._frame_pairs():
            return False
        if not keeps(genotype, self.non_local_tokens):
            return False
        return genotype.image_size in self.image_size and all(
            getattr(block, gene) in values
            for block, choices in zip(genotype.blocks, self.blocks)
            for gene, values in choices.items()
        )

    @property
    def reads(self) -> Reads:
        """The most frames, the largest distance between them, the largest image."""
        return Reads(max(self.num_frames), max(self.frame_stride), max(self.image_size))

    @property
    def log10_size(self) -> float:
        """Decimal logarithm of the number of assignments (several may be one network)."""
        by_length = 0
        for length in self.num_blocks:
            by_length += math.prod(len(values) for choices in self.blocks[:length] for _, values in choices.items())
        return math.log10(by_length * len(self.image_size) * len(self._frame_pairs()))

    def _mutations(self, genotype: Genotype, rng: np.random.Generator) -> Iterator[tuple[str | int, Genotype]]:
        """One mutant for each gene that has another value, with its kind: the gene of the input, or the block."""
        for gene in INPUT_GENES:
            others = [value for value in getattr(self, gene) if value != getattr(genotype, gene)]
            mutants = [dataclasses.replace(genotype, **{gene: value}) for value in others]
            mutants = [m for m in mutants if (m.num_frames, m.frame_stride) in self._frame_pairs()]
            if mutants:
                yield gene, _pick(rng, mutants)
        lengths = [length for length in self.num_blocks if length != len(genotype.blocks)]
        if lengths:
            length = _pick(rng, lengths)
            more = tuple(_draw_block(rng, choices) for choices in self.blocks[len(genotype.blocks) : length])
            yield "num_blocks", dataclasses.replace(genotype, blocks=(genotype.blocks + more)[:length])
        for index, block in enumerate(genotype.blocks):
            for gene, values in self.blocks[index].items():
                others = [value for value in values if value != getattr(block, gene)]
                if others:
                    yield index, genotype.replace_block(index, **{gene: _pick(rng, others)})

    def _frame_pairs(self) -> list[tuple[int, int]]:
        return [
            (frames, stride)
            for frames in self.num_frames
            for stride in self.frame_stride
            if (frames - 1) * stride < self.clip_frames
        ]


def search_space(shapes: ShapeSpace, operators: OperatorChoices) -> SearchSpace:
    """The networks of all plans, as every strategy searches them; widths are those of all of a block's buckets.

    Raises:
        InvalidInputError: a block that always strides has no operator that strides.
    """
    blocks = []
    for index, block in enumerate(shapes.choices.blocks):
        kernels = {
            axis: _striding(f"{axis}_kernel", getattr(operators, f"{axis}_kernel"), strides, index)
            for axis, strides in (("spatial", block.spatial_stride), ("temporal", block.temporal_stride))
        }
        types = {
            axis: _kept(f"{axis}_type", getattr(operators, f"{axis}_type"), strides, index)
            for axis, strides in (("spatial", block.spatial_stride), ("temporal", block.temporal_stride))
        }
        blocks.append(
            BlockChoices(
                spatial_type=types["spatial"],
                spatial_kernel=kernels["spatial"],
                spatial_stride=block.spatial_stride,
                spatial_act=operators.spatial_act,
                temporal_type=types["temporal"],
                temporal_kernel=kernels["temporal"],
                temporal_stride=block.temporal_stride,
                temporal_act=operators.temporal_act,
                filters=tuple(sorted({width for top in block.filters for width in operators.filters(top)})),
                expand=operators.expand,
                repeats=block.repeats,
                squeeze=operators.squeeze,
                context_gate=operators.context_gate,
                skip=operators.skip,
                non_local=operators.non_local,
                act=operators.act,
                inverted_bottleneck=operators.inverted_bottleneck,
            )
        )
    return SearchSpace(
        image_size=shapes.choices.image_size,
        num_frames=shapes.choices.num_frames,
        frame_stride=shapes.choices.frame_stride,
        num_blocks=shapes.choices.lengths,
        blocks=tuple(blocks),
        clip_frames=shapes.clip_frames,
        non_local_tokens=operators.non_local_tokens if any(operators.non_local) else None,
        origin=(shapes, operators),
    )


def space_at_plan(plan: Plan, operators: OperatorChoices) -> SearchSpace:
    """The search space of one plan: shape genes fixed, operator genes free."""
    return search_space(ShapeSpace(ShapeChoices.fixed(plan)), operators)


def paper_space(*, clip_frames: int = 10**6, mobile: bool = False) -> SearchSpace:
    """The paper's whole space; ``mobile`` adds the hard-swish and inverted-bottleneck genes.

    Source: the paper, section 3.1, with the ranges of the released definitions where the paper is silent. Widths are
    multiples of 32 here, though the released networks hold one that is not (348).
    """
    shapes, operators = paper_ranges(clip_frames=clip_frames, mobile=mobile)
    space = search_space(shapes, operators)
    # What a short clip rules out, or makes the same as another value, plans leave out; the ranges stay the paper's.
    blocks = tuple(dataclasses.replace(block, temporal_stride=_TO_EIGHT) for block in space.blocks)
    return dataclasses.replace(space, num_frames=_PAPER_FRAMES, frame_stride=_PAPER_STRIDES, blocks=blocks)


_TO_EIGHT, _PAPER_FRAMES, _PAPER_STRIDES = tuple(range(1, 9)), tuple(range(1, 33)), tuple(range(1, 26))


def paper_ranges(*, clip_frames: int = 10**6, mobile: bool = False) -> tuple[ShapeSpace, OperatorChoices]:
    """The paper's whole space as plans, and what is relaxed inside each.

    Every width is a plan of its own: a supernet is then no wider than its networks, where one that mixed all widths
    would be 2048 wide throughout. A non-local layer sees at most 1024 positions.
    """
    acts: tuple[Activation, ...] = ("relu", "hswish") if mobile else ("relu",)
    block = BlockShapes(
        spatial_stride=_TO_EIGHT,
        temporal_stride=tuple(stride for stride in _TO_EIGHT if stride <= clip_frames),
        repeats=_TO_EIGHT,
        filters=tuple(range(32, 2049, 32)),
    )
    shapes = ShapeChoices(
        image_size=tuple(range(32, 321, 32)),
        num_frames=tuple(t for t in _PAPER_FRAMES if t <= clip_frames),
        frame_stride=tuple(stride for stride in _PAPER_STRIDES if stride < clip_frames) or (1,),
        num_blocks=_TO_EIGHT,
        blocks=(block,) * 8,
    )
    operators = OperatorChoices(
        spatial_type=("std", "1std", "depth", "maxpool", "avgpool"),
        spatial_kernel=_TO_EIGHT,
        temporal_type=("1d", "maxpool", "avgpool"),
        temporal_kernel=_TO_EIGHT,
        width=(1.0,),
        expand=tuple(range(9)),
        squeeze=(0.0, *(tick / 8 for tick in range(1, 8))),
        context_gate=(False, True),
        skip=(False, True),
        non_local=(0, *(2**power for power in range(2, 11))),
        spatial_act=acts,
        temporal_act=acts,
        act=acts,
        inverted_bottleneck=(False, True) if mobile else (False,),
    )
    return ShapeSpace(shapes, clip_frames=clip_frames), operators


def _striding(gene: str, kernels: tuple[int, ...], strides: tuple[int, ...], index: int) -> tuple[int, ...]:
    # Where every plan strides, the identity is in no plan; where one does not, it is a network of that plan.
    kept = tuple(k for k in kernels if 1 in strides or k > 1)
    if not kept:
        raise InvalidInputError(
            f"a block that strides needs an operator that strides; block {index} has stride {strides} and {gene} "
            f"{kernels}: the nearest legal kernel is 2"
        )
    return kept


def _kept(gene: str, types: tuple[Any, ...], strides: tuple[int, ...], index: int) -> tuple[Any, ...]:
    # As for the identity: an own operator that cannot stride is in no plan of a block that always does.
    kept = tuple(kind for kind in types if 1 in strides or can_stride((kind, 2)))
    if not kept:
        raise InvalidInputError(
            f"a block that strides needs an operator that strides; block {index} has stride {strides} and {gene} "
            f"{types}: list one that strides, or give the layer a field stride"
        )
    return kept


def _check_choices(name: str, values: tuple[Any, ...]) -> None:
    if not values or len(set(values)) != len(values):
        raise InvalidInputError(f"{name} lists at least one value, each once; got {values!r}")


def _draw_block(rng: np.random.Generator, choices: BlockChoices) -> Block:
    return Block(**{gene: _pick(rng, values) for gene, values in choices.items()})


def _pick(rng: np.random.Generator, values: Any) -> Any:
    return values[int(rng.integers(len(values)))]
