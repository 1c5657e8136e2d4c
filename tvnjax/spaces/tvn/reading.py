"""Genotypes and spaces of plain values, every value checked."""

from collections.abc import Sequence
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.tvn.genotype import Block, Genotype, genotype_from_json
from tvnjax.spaces.tvn.search_space import INPUT_GENES, BlockChoices, SearchSpace

__all__ = ["genotype_from_json", "space_from_json"]


def space_from_json(data: Any, where: str) -> SearchSpace:
    """The space that ``SearchSpace.to_json`` made this of.

    Args:
        where: it was found, for errors.

    Raises:
        InvalidInputError: it made nothing of the kind, or a gene has a value out of its range.
    """
    try:
        fields: dict[str, Any] = {key: _tuples(value) for key, value in data.items() if key not in ("blocks", "type")}
        blocks = [{k: _tuples(v) for k, v in block.items() if k != "type"} for block in data["blocks"]]
        for name in INPUT_GENES:
            for value in fields[name]:
                genes = {"image_size": 1, "num_frames": 1, "frame_stride": 1, name: value}
                Genotype(**genes, blocks=(Block(),))  # refuses values outside the gene's range
        for value in fields["num_blocks"]:
            _whole("num_blocks", value, 8)
        _whole("clip_frames", fields.get("clip_frames", 1), 10**9)
        if fields.get("non_local_tokens") is not None:
            _whole("non_local_tokens", fields["non_local_tokens"], 10**9)
        return SearchSpace(**fields, blocks=tuple(BlockChoices(**block) for block in blocks))
    except InvalidInputError as error:
        raise InvalidInputError(f"a table's space is one to search in; {where}: {error!s:.300}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInputError(f"a table's space lists values of every gene; {where}: {error!r:.100}") from None


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _whole(name: str, value: Any, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
        raise InvalidInputError(f"{name} is a whole number from 1 to {high}; got {value!r:.60}")
