"""Genotypes of chains of plain values."""

from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.base import Reads
from tvnjax.spaces.chain.space import ChainGenotype, ChainSpace, made


def genotype_from_json(told: Any) -> ChainGenotype:
    """The genotype that ``ChainGenotype.to_json`` made this of.

    Raises:
        InvalidInputError: its space has not been made, or it is no network of it.
    """
    space, chosen = made(told.get("of")), told.get("chosen")
    if not isinstance(chosen, list) or not all(isinstance(i, int) and not isinstance(i, bool) for i in chosen):
        raise InvalidInputError(f"a network of a chain lists an index for every position; got {chosen!r:.80}")
    genotype = space.genotype(chosen)
    reads = told.get("reads")
    if reads is None:
        return genotype
    try:
        return genotype.reading(Reads(**{name: int(value) for name, value in reads.items()}))
    except (TypeError, ValueError, AttributeError, OverflowError):
        raise InvalidInputError(f"what a network reads is frames, stride and size; got {reads!r:.80}") from None


def space_from_json(told: Any, where: str) -> ChainSpace:
    """The space, where it has been made in this process.

    Raises:
        InvalidInputError: it has not.
    """
    try:
        return made(told.get("of"))
    except InvalidInputError as error:
        raise InvalidInputError(f"{where}: {error}") from None
