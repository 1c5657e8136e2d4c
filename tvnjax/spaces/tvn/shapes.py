"""Shape genes: the ones that decide tensor sizes, and the plans they make.

A *plan* is one assignment of all of them, and what gets compiled. Several assignments may be the same plan: a stride
past the side it meets acts like one as long as the side, a stride along a single frame does nothing, and a single frame
has no distance to the next. ``ShapeSpace`` keeps one canonical plan for all of them and knows which values are
equivalent, so that a gene that does nothing in a plan gets no log-probability there.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.tvn.genotype import Block, Genotype

INPUT_SHAPE_GENES = ("image_size", "num_frames", "frame_stride", "num_blocks")
BLOCK_SHAPE_GENES = ("spatial_stride", "temporal_stride", "repeats", "filters")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockPlan:
    """The shape genes of one block."""

    spatial_stride: int = 2
    temporal_stride: int = 1
    repeats: int = 1
    filters: int = 32
    """Top of the width's bucket; the operator gene ``filters`` takes values up to it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """One assignment of all shape genes: the tensor sizes of a supernet."""

    image_size: int = 32
    """Height and width of a frame in pixels."""
    num_frames: int = 8
    frame_stride: int = 1
    """Frames of the video from one frame read to the next."""
    blocks: tuple[BlockPlan, ...] = (BlockPlan(),)

    @property
    def window(self) -> int:
        """Frames of the video from the first one read to the last."""
        return (self.num_frames - 1) * self.frame_stride + 1

    def sizes(self) -> list[tuple[int, int]]:
        """Frames and side in front of every block, and behind the last."""
        t, side = self.num_frames, self.image_size
        sizes = [(t, side)]
        for block in self.blocks:
            t, side = -(-t // block.temporal_stride), -(-side // block.spatial_stride)
            sizes.append((t, side))
        return sizes

    def __str__(self) -> str:
        frames = f"{self.num_frames} frame" + ("s" if self.num_frames > 1 else "")
        apart = f" {self.frame_stride} apart" if self.num_frames > 1 else ""
        blocks = " ".join(
            f"{b.filters}/{b.spatial_stride}"
            + (f"t{b.temporal_stride}" if b.temporal_stride > 1 else "")
            + (f"x{b.repeats}" if b.repeats > 1 else "")
            for b in self.blocks
        )
        return f"{self.image_size} px, {frames}{apart}, blocks {blocks}"


def plan_from_json(told: Mapping[str, Any]) -> Plan:
    """A plan written as JSON, its class's name among the values or not."""
    fields = {name: value for name, value in told.items() if name != "type"}
    blocks = ({name: value for name, value in block.items() if name != "type"} for block in fields["blocks"])
    return Plan(**{**fields, "blocks": tuple(BlockPlan(**block) for block in blocks)})


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockShapes:
    """Values of one block's shape genes; one value each fixes the block."""

    spatial_stride: tuple[int, ...] = (2,)
    temporal_stride: tuple[int, ...] = (1,)
    repeats: tuple[int, ...] = (1,)
    filters: tuple[int, ...] = (32,)
    """Tops of the buckets of widths; the widths inside a bucket are an operator gene."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShapeChoices:
    """Values of the shape genes; one value each fixes the plan."""

    image_size: tuple[int, ...] = (32,)
    """Height and width of a frame in pixels."""
    num_frames: tuple[int, ...] = (8,)
    frame_stride: tuple[int, ...] = (1,)
    """Frames of the video from one frame read to the next."""
    num_blocks: tuple[int, ...] | None = None
    """Default: as many as ``blocks`` lists."""
    blocks: tuple[BlockShapes, ...] = (BlockShapes(),)
    """Values by position; a network of n blocks has the first n."""

    @staticmethod
    def fixed(plan: Plan) -> "ShapeChoices":
        """The choices that hold one plan alone."""
        return ShapeChoices(
            image_size=(plan.image_size,),
            num_frames=(plan.num_frames,),
            frame_stride=(plan.frame_stride,),
            blocks=tuple(
                BlockShapes(**{gene: (getattr(block, gene),) for gene in BLOCK_SHAPE_GENES}) for block in plan.blocks
            ),
        )

    @property
    def lengths(self) -> tuple[int, ...]:
        """Numbers of blocks."""
        return (len(self.blocks),) if self.num_blocks is None else self.num_blocks


class ShapeKey(NamedTuple):
    """One shape gene: its name, and its block (``None`` for the genes of the input)."""

    gene: str
    block: int | None = None

    def __str__(self) -> str:
        return self.gene if self.block is None else f"{self.gene} of block {self.block}"


ShapeTable = Mapping[ShapeKey, Any]
"""Something for every shape gene, e.g. a vector of probabilities over its values."""


class ShapeSpace:
    """All plans of some choices.

    Args:
        choices: values of every shape gene.
        clip_frames: frames a clip has: ``(num_frames - 1) * frame_stride + 1`` may not exceed them.

    Raises:
        InvalidInputError: a gene has no value, one twice, one outside its range, or one that no plan can have; the
            message names the gene and the nearest legal value.
    """

    def __init__(self, choices: ShapeChoices, clip_frames: int = 10**6):
        self.choices, self.clip_frames = choices, clip_frames
        self.keys = (
            *(ShapeKey(gene) for gene in INPUT_SHAPE_GENES),
            *(ShapeKey(gene, index) for index in range(len(choices.blocks)) for gene in BLOCK_SHAPE_GENES),
        )
        for key in self.keys:
            values = self.values(key)
            if not values or len(set(values)) != len(values):
                raise InvalidInputError(f"{key} lists at least one value, each once; got {values!r}")
        self._check_ranges()
        self._check_reachable()

    def values(self, key: ShapeKey) -> tuple[int, ...]:
        """The values of one gene, in the order of its probabilities."""
        if key.block is not None:
            return getattr(self.choices.blocks[key.block], key.gene)
        return self.choices.lengths if key.gene == "num_blocks" else getattr(self.choices, key.gene)

    @property
    def searched(self) -> tuple[ShapeKey, ...]:
        """Genes with several values."""
        return tuple(key for key in self.keys if len(self.values(key)) > 1)

    @property
    def assignments(self) -> int:
        """Number of legal assignments; several may be one plan."""
        pairs = sum(int(self.legal_strides(frames).sum()) for frames in self.choices.num_frames)
        blocks = sum(
            math.prod(len(self.values(ShapeKey(gene, i))) for i in range(length) for gene in BLOCK_SHAPE_GENES)
            for length in self.choices.lengths
        )
        return len(self.choices.image_size) * pairs * blocks

    def legal_strides(self, num_frames: int) -> np.ndarray:
        """Which frame strides a network of ``num_frames`` frames can have; all of them, without effect, for one
        frame."""
        return np.array([(num_frames - 1) * stride < self.clip_frames for stride in self.choices.frame_stride])

    def canonical(self, plan: Plan) -> Plan:
        """The same plan with strides no longer than what they meet and no stride between single frames."""
        blocks, t, side = [], plan.num_frames, plan.image_size
        for block in plan.blocks:
            spatial, temporal = min(block.spatial_stride, side), min(block.temporal_stride, t)
            blocks.append(dataclasses.replace(block, spatial_stride=spatial, temporal_stride=temporal))
            t, side = -(-t // temporal), -(-side // spatial)
        frame_stride = plan.frame_stride if plan.num_frames > 1 else 1
        return dataclasses.replace(plan, frame_stride=frame_stride, blocks=tuple(blocks))

    def equivalent(self, plan: Plan) -> dict[ShapeKey, np.ndarray]:
        """For every gene, which of its values make this plan, the other genes being what they are.

        All of them where the gene does nothing: the genes of absent blocks, strides along a single frame or pixel, the
        frame stride of a single frame.

        Raises:
            ValueError: the plan is not of this space.
        """
        plan = self.canonical(plan)
        masks: dict[ShapeKey, np.ndarray] = {}
        for key in self.keys:
            values = np.array(self.values(key))
            masks[key] = np.ones(len(values), bool)
            if key.block is None:
                met = len(plan.blocks) if key.gene == "num_blocks" else getattr(plan, key.gene)
                if key.gene != "frame_stride" or plan.num_frames > 1:
                    masks[key] = values == met
        for index, ((t, side), block) in enumerate(zip(plan.sizes(), plan.blocks)):
            for gene, limit in (("spatial_stride", side), ("temporal_stride", t), ("repeats", 8), ("filters", 2048)):
                values = np.array(self.values(ShapeKey(gene, index)))
                masks[ShapeKey(gene, index)] = np.minimum(values, limit) == getattr(block, gene)
        lost = [str(key) for key, mask in masks.items() if not mask.any()]
        if lost or plan.window > self.clip_frames:
            raise ValueError(f"a plan of this space takes its values; {plan} does not in {', '.join(lost) or 'window'}")
        return masks

    def probability(self, plan: Plan, weights: ShapeTable) -> float:
        """Probability of a plan under independent genes (``log_probability`` of the policy is its JAX form)."""
        total = 1.0
        for key, mask in self.equivalent(plan).items():
            p = np.asarray(weights[key], float)
            if key.gene == "frame_stride":
                p = p * self.legal_strides(plan.num_frames)
            total *= float(p[mask].sum() / p.sum()) if p.sum() > 0 else 0.0
        return total

    def sample(self, weights: ShapeTable, rng: np.random.Generator) -> Plan:
        """Draws every gene from its probabilities (frame strides from those the frames allow); canonical."""

        draw = functools.partial(self._draw, weights=weights, rng=rng)
        frames = draw(ShapeKey("num_frames"))
        plan = Plan(
            image_size=draw(ShapeKey("image_size")),
            num_frames=frames,
            frame_stride=draw(ShapeKey("frame_stride"), legal=self.legal_strides(frames)),
            blocks=tuple(self._draw_block(index, weights, rng) for index in range(draw(ShapeKey("num_blocks")))),
        )
        return self.canonical(plan)

    def _draw(
        self, key: ShapeKey, *, weights: ShapeTable, rng: np.random.Generator, legal: np.ndarray | None = None
    ) -> int:
        p = np.asarray(weights[key], float) * (1 if legal is None else legal)
        return self.values(key)[int(rng.choice(len(p), p=p / p.sum()))]

    def _draw_block(self, index: int, weights: ShapeTable, rng: np.random.Generator) -> BlockPlan:
        draw = functools.partial(self._draw, weights=weights, rng=rng)
        return BlockPlan(**{gene: draw(ShapeKey(gene, index)) for gene in BLOCK_SHAPE_GENES})

    def prefixes(self, plan: Plan) -> list[Plan]:
        """The plans of a plan's first blocks, as many as a network may have; from the shortest to the plan itself."""
        lengths = sorted({length for length in self.choices.lengths if length < len(plan.blocks)} | {len(plan.blocks)})
        return [dataclasses.replace(plan, blocks=plan.blocks[:length]) for length in lengths]

    def lengthened(self, plan: Plan, weights: ShapeTable, rng: np.random.Generator) -> Plan:
        """A longest plan that begins with this one; what is missing is drawn from the probabilities."""
        missing = range(len(plan.blocks), len(self.choices.blocks))
        blocks = tuple(self._draw_block(index, weights, rng) for index in missing)
        return self.canonical(dataclasses.replace(plan, blocks=plan.blocks + blocks))

    def mode(self, weights: ShapeTable) -> Plan:
        """The plan of every gene's likeliest value."""
        one_hot = {}
        for key in self.keys:
            p = np.asarray(weights[key], float)
            if key.gene == "frame_stride":
                frames = self.values(ShapeKey("num_frames"))[int(np.argmax(weights[ShapeKey("num_frames")]))]
                p = p * self.legal_strides(frames)
            one_hot[key] = np.arange(len(p)) == p.argmax()
        return self.sample(one_hot, np.random.default_rng(0))

    def uniform(self) -> dict[ShapeKey, np.ndarray]:
        """Equal probabilities for the values of every gene."""
        return {key: np.full(len(self.values(key)), 1 / len(self.values(key))) for key in self.keys}

    def given(self, weights: ShapeTable | None) -> ShapeTable:
        """Weights, which may be left out where every gene has one value.

        Raises:
            InvalidInputError: they are, and some gene has several.
        """
        if weights is None and self.searched:
            raise InvalidInputError(
                f"expected costs take probabilities for every shape gene with several values; none were given for "
                f"{', '.join(map(str, self.searched))}: give them too"
            )
        return self.uniform() if weights is None else weights

    def largest(self) -> Plan:
        """The plan whose supernet holds the weights of every other: widest, longest, and striding least."""
        choices = self.choices
        return Plan(
            image_size=max(choices.image_size),
            num_frames=max(choices.num_frames),
            blocks=tuple(
                BlockPlan(spatial_stride=1, temporal_stride=1, repeats=max(block.repeats), filters=max(block.filters))
                for block in choices.blocks
            ),
        )

    def roomiest(self) -> Plan:
        """The plan whose blocks meet the most frames and pixels."""
        choices = self.choices
        return self.canonical(
            Plan(
                image_size=max(choices.image_size),
                num_frames=max(choices.num_frames),
                blocks=tuple(
                    BlockPlan(
                        spatial_stride=min(block.spatial_stride),
                        temporal_stride=min(block.temporal_stride),
                        repeats=max(block.repeats),
                        filters=max(block.filters),
                    )
                    for block in choices.blocks
                ),
            )
        )

    def _check_ranges(self) -> None:
        for key in self.keys:
            for value in self.values(key):
                gene: dict[str, Any] = {key.gene: value}
                if key.block is not None:
                    Block(**gene)
                elif key.gene != "num_blocks":
                    Genotype(**{"image_size": 32, "num_frames": 1, "blocks": (Block(),), **gene})
        if max(self.choices.lengths) != len(self.choices.blocks) or not min(self.choices.lengths) >= 1:
            raise InvalidInputError(
                f"blocks lists values for as many blocks as num_blocks has at most, and at least one; got "
                f"{len(self.choices.blocks)} blocks for num_blocks {self.choices.lengths}"
            )
        if len(self.choices.blocks) > 8:
            raise InvalidInputError(f"a network has 1 to 8 blocks; got {len(self.choices.blocks)}")

    def _check_reachable(self) -> None:
        """Refuses a value no plan can have, however lenient the other genes are."""
        choices = self.choices
        for frames in choices.num_frames:
            if (frames - 1) * min(choices.frame_stride) >= self.clip_frames:
                fits = (self.clip_frames - 1) // min(choices.frame_stride) + 1
                raise InvalidInputError(
                    f"num_frames times frame_stride stays within the clip's {self.clip_frames} frames; num_frames "
                    f"{frames} does not, even {min(choices.frame_stride)} apart: the nearest legal value is {fits}"
                )
        longer = [frames for frames in choices.num_frames if frames > 1]
        for stride in choices.frame_stride if longer else ():
            if (min(longer) - 1) * stride >= self.clip_frames:
                fits = (self.clip_frames - 1) // (min(longer) - 1)
                raise InvalidInputError(
                    f"frame_stride keeps {min(longer)} frames within the clip's {self.clip_frames}; {stride} does not: "
                    f"the nearest legal value is {fits}"
                )
        t, side = max(choices.num_frames), max(choices.image_size)
        for index, block in enumerate(choices.blocks):
            for gene, size, what in (("spatial_stride", side, "pixels"), ("temporal_stride", t, "frames")):
                for stride in getattr(block, gene):
                    if stride > size:
                        raise InvalidInputError(
                            f"{gene} of block {index} stays within what the blocks before leave, at most {size} {what} "
                            f"here; {stride} shrinks them to nothing: the nearest legal value is {size}"
                        )
            t, side = -(-t // min(block.temporal_stride)), -(-side // min(block.spatial_stride))

    def plans(self) -> Iterator[Plan]:
        """Every plan once; only for spaces of few assignments."""
        seen = set()
        for length in self.choices.lengths:
            keys = [key for key in self.keys if key.block is None or key.block < length]
            keys = [key for key in keys if key.gene != "num_blocks"]
            for values in itertools.product(*(self.values(key) for key in keys)):
                genes = dict(zip(keys, values))
                blocks = tuple(
                    BlockPlan(**{gene: genes[ShapeKey(gene, i)] for gene in BLOCK_SHAPE_GENES}) for i in range(length)
                )
                inputs = {gene: genes[ShapeKey(gene)] for gene in ("image_size", "num_frames", "frame_stride")}
                plan = self.canonical(Plan(**inputs, blocks=blocks))
                if plan not in seen and plan.window <= self.clip_frames:
                    seen.add(plan)
                    yield plan
