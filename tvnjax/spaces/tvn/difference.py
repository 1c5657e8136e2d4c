"""What two genotypes differ in, gene by gene."""

import dataclasses
from typing import NamedTuple

from tvnjax.spaces.tvn.canonical import canonicalize
from tvnjax.spaces.tvn.genotype import Block, Genotype


class GeneDifference(NamedTuple):
    """One gene that differs."""

    where: str
    gene: str
    first: str
    second: str
    active: bool
    """Whether it does anything in one of the two: a stride beside a kernel of 1 does not."""


def differences(first: Genotype, second: Genotype) -> list[GeneDifference]:
    """Genes that differ, in the order of the networks; a block one of them lacks is a difference of its own."""
    found = [
        GeneDifference("input", gene, str(a), str(b), True)
        for gene in ("image_size", "num_frames", "frame_stride")
        if (a := getattr(first, gene)) != (b := getattr(second, gene))
    ]
    for index in range(max(len(first.blocks), len(second.blocks))):
        where = f"block {index + 1}"
        if index >= min(len(first.blocks), len(second.blocks)):
            a, b = ("there" if index < len(genotype.blocks) else "none" for genotype in (first, second))
            found.append(GeneDifference(where, "block", a, b, True))
            continue
        for field in dataclasses.fields(Block):
            a, b = (getattr(genotype.blocks[index], field.name) for genotype in (first, second))
            if a != b:
                active = any(
                    canonicalize(genotype) != canonicalize(genotype.replace_block(index, **{field.name: other}))
                    for genotype, other in ((first, b), (second, a))
                )
                found.append(GeneDifference(where, field.name, _value(a), _value(b), active))
    return found


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
