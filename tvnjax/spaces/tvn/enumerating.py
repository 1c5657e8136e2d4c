"""All networks of a small space."""

import itertools

from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.search_space import SearchSpace


def enumerate_space(space: SearchSpace) -> list[Genotype]:
    """Every distinct network of a small space, once."""
    found: dict[str, Genotype] = {}
    for length in space.num_blocks:
        blocks = [
            [
                Block(**dict(zip(dict(choices.items()), values)))
                for values in itertools.product(*dict(choices.items()).values())
            ]
            for choices in space.blocks[:length]
        ]
        for size, frames, stride in itertools.product(space.image_size, space.num_frames, space.frame_stride):
            for chosen in itertools.product(*blocks):
                genotype = Genotype(image_size=size, num_frames=frames, frame_stride=stride, blocks=chosen)
                if space.contains(genotype):
                    found.setdefault(genotype.id, genotype)
    return list(found.values())
