"""Larger and smaller relatives of a genotype."""

import dataclasses
import math

from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.tvn.genotype import Genotype

COMPOUND_DEPTH, COMPOUND_WIDTH, COMPOUND_SIDE = 1.2, 1.1, 1.15
"""Bases of compound scaling (Tan and Le, "EfficientNet" 2019, section 4), as for "TVN-1 EN" of the Tiny
Video Networks paper; frames are not scaled."""

_GRID = 32
_MOST_PHI = 40
"""Step of the paper's image sizes."""


def scale_genotype(
    genotype: Genotype,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    image_size: int | None = None,
    num_frames: int | None = None,
) -> Genotype:
    """A genotype with other widths, repeats, pixels and frames.

    Args:
        genotype: what to scale.
        width: factor of every block's filters; scaled filters are rounded to multiples of 8.
        depth: factor of every block's repeats, rounded up.
        image_size: height and width of a frame in pixels.
        num_frames: of a clip.

    Raises:
        InvalidInputError: a factor is not above 0, or a block leaves the range of its genes.
    """
    for name, factor in (("width", width), ("depth", depth)):
        if not factor > 0 or not math.isfinite(factor):
            raise InvalidInputError(f"{name} is a factor above 0; got {factor}")
    scaled = genotype
    for index, block in enumerate(genotype.blocks):
        filters = block.filters if width == 1 else max(8 * round(block.filters * width / 8), 8)
        # A hair below, so that 2 times 1.5 is 3 also where the product is 3.0000000000000004.
        repeats = max(math.ceil(block.repeats * depth - 1e-9), 1)
        _check(index, "filters", filters, 2048, "width", width)
        _check(index, "repeats", repeats, 8, "depth", depth)
        scaled = scaled.replace_block(index, filters=filters, repeats=repeats)
    return dataclasses.replace(
        scaled,
        image_size=genotype.image_size if image_size is None else image_size,
        num_frames=genotype.num_frames if num_frames is None else num_frames,
    )


def compound_scale(genotype: Genotype, phi: float) -> Genotype:
    """EfficientNet's compound scaling: depth by 1.2, width by 1.1 and pixels by 1.15, each to the power of ``phi``.

    Pixels stay on the paper's grid of 32 where the genotype is on it.

    Raises:
        InvalidInputError: a block or the image leaves the range of its genes, or ``phi`` is out of reason.
    """
    if not abs(phi) <= _MOST_PHI:
        raise InvalidInputError(f"a compound factor is from -{_MOST_PHI} to {_MOST_PHI}; got {phi:g}")
    side = genotype.image_size * COMPOUND_SIDE**phi
    size = _GRID * max(round(side / _GRID), 1) if genotype.image_size % _GRID == 0 else max(round(side), 1)
    return scale_genotype(genotype, width=COMPOUND_WIDTH**phi, depth=COMPOUND_DEPTH**phi, image_size=size)


def _check(block: int, gene: str, value: int, most: int, factor_name: str, factor: float) -> None:
    if value > most:
        raise InvalidInputError(
            f"{gene} of a block is at most {most}; {factor_name} {factor:g} makes it {value} in block {block}: "
            "scale less"
        )
