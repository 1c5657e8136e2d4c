"""How many positions a network's non-local layers see: their cost grows with the square."""

from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.operators import can_stride, operator_of


def positions(genotype: Genotype) -> list[int]:
    """For every block, frames times height times width where its non-local layers stand, behind its strides."""
    frames, side, found = genotype.num_frames, genotype.image_size, []
    for block in genotype.blocks:
        if can_stride(operator_of(block.spatial_type, block.spatial_kernel)):
            side = -(-side // block.spatial_stride)
        if can_stride(operator_of(block.temporal_type, block.temporal_kernel)):
            frames = -(-frames // block.temporal_stride)
        found.append(frames * side**2)
    return found


def keeps(genotype: Genotype, most: int | None) -> bool:
    """Whether no non-local layer sees more positions than a limit."""
    return most is None or not any(_over(genotype, most))


def without_large(genotype: Genotype, most: int | None) -> Genotype:
    """The network without the non-local layers that see more positions than a limit."""
    if keeps(genotype, most) or most is None:
        return genotype
    for index, over in enumerate(_over(genotype, most)):
        if over:
            genotype = genotype.replace_block(index, non_local=0)
    return genotype


def _over(genotype: Genotype, most: int) -> list[bool]:
    return [block.non_local > 0 and count > most for block, count in zip(genotype.blocks, positions(genotype))]
