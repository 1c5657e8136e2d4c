"""One form and one id for all genotypes that are the same network.

A gene is inactive where changing it leaves the lowered network as it is. The lowering itself is asked, so that this can
never disagree with what is built, counted and timed.
"""

import dataclasses
import hashlib
import json
import math
from functools import lru_cache

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Shape
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.lowering import lower_block, squeeze_hidden

_DEFAULTS = Block()
_TRY_SMALLER = ("repeats", "spatial_kernel", "temporal_kernel", "spatial_stride", "temporal_stride", "expand")
_TRY_DEFAULT = (
    "skip",
    "context_gate",
    "non_local",
    "inverted_bottleneck",
    "spatial_type",
    "temporal_type",
    "spatial_act",
    "temporal_act",
    "filters",
)


@lru_cache(maxsize=65536)
def canonicalize(genotype: Genotype) -> Genotype:
    """The canonical genotype of the same network: inactive genes at their defaults, idle blocks gone.

    Idempotent; ``lower`` gives the same network for both.
    """
    shape = Shape(genotype.num_frames, genotype.image_size, genotype.image_size, 3)
    act: str | None = None
    blocks: list[Block] = []
    for block in genotype.blocks:
        units = lower_block(block, 0, shape, after=act)
        if units:
            blocks.append(_canonical_block(block, shape, act))
            shape, act = units[-1].out_shape, units[-1].act
    return Genotype(
        image_size=genotype.image_size,
        num_frames=genotype.num_frames,
        frame_stride=genotype.frame_stride if genotype.num_frames > 1 else 1,
        blocks=tuple(blocks),
    )


def genotype_id(genotype: Genotype) -> str:
    """A stable id of 12 hexadecimal digits, equal for genotypes that are the same network."""
    text = json.dumps(canonicalize(genotype).to_json(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _canonical_block(block: Block, shape: Shape, after: str | None) -> Block:
    target = lower_block(block, 0, shape, after=after)

    def same(candidate: Block) -> bool:
        try:
            return lower_block(candidate, 0, shape, after=after) == target
        except InvalidInputError:  # an own operator that cannot have such a kernel
            return False

    def reset(block: Block) -> Block:
        for gene in _TRY_SMALLER:
            for value in range(0 if gene == "expand" else 1, getattr(block, gene)):
                if same(smaller := dataclasses.replace(block, **{gene: value})):
                    block = smaller
                    break
        for gene in _TRY_DEFAULT:
            if same(default := dataclasses.replace(block, **{gene: getattr(_DEFAULTS, gene)})):
                block = default
        return block

    while (simpler := reset(block)) != block:
        block = simpler
    if block.squeeze > 0:
        width = block.expanded if block.inverted_bottleneck else target[-1].out_shape.c
        block = dataclasses.replace(block, squeeze=_canonical_ratio(width, block.squeeze))
    return block


def _canonical_ratio(width: int, ratio: float) -> float:
    """The shortest decimal ratio with the same hidden width."""
    hidden = squeeze_hidden(width, ratio)
    for digits in range(1, 8):
        unit = 10**digits
        tick = max(math.ceil(hidden / width * unit) if hidden < width else 1, 1)
        for candidate in (tick / unit, 1 / unit):
            if 0 < candidate < 1 and squeeze_hidden(width, candidate) == hidden:
                return candidate
    return ratio
