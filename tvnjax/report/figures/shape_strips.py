"""The columns of the shape genes' strips, and which values make the network found.

Several values can make the same network (a stride past the side it meets, a width that two buckets reach): all of them
are marked. A gene that does nothing there, such as a stride along a single frame, is not marked.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tvnjax.report.figures.strips import Column, Strips
from tvnjax.spaces.tvn.genotype import Block, Genotype

_OF_BLOCK = re.compile(r"(\w+) of block (\d{1,3})", re.ASCII)


def shape_columns(shapes: Strips, blocks: Sequence[Strips], chosen: Genotype | None) -> list[Column]:
    """One column for the genes of the input, then one for every block with searched genes.

    Args:
        shapes: probabilities of the shape genes.
        blocks: those of the operator genes by block, which name the widths inside a bucket.
        chosen: the network found.
    """
    groups: dict[int, dict[str, Mapping[str, Any]]] = {}
    for name, rows in shapes.items():
        match = _OF_BLOCK.fullmatch(name)
        index, gene = (-1, name) if match is None else (int(match[2]), match[1])
        groups.setdefault(index, {})[gene] = rows
    columns = []
    for index, strips in sorted(groups.items()):
        picked: dict[str, set[str]] = {}
        if chosen is not None and index < 0:
            picked = {gene: _input_marks(chosen, gene) for gene in strips}
        elif chosen is not None and index < len(chosen.blocks):
            widths = blocks[index].get("filters", {}) if index < len(blocks) else {}
            picked = {gene: _block_marks(chosen, index, gene, rows, widths) for gene, rows in strips.items()}
        title = "input" if index < 0 else block_title(index, chosen)
        columns.append(Column(title=title, strips=strips, picked=picked))
    return columns


def block_title(index: int, chosen: Genotype | None) -> str:
    """The block's number, and whether the network found lacks it."""
    missing = chosen is not None and index >= len(chosen.blocks)
    return f"block {index + 1}" + (" (not taken)" if missing else "")


def width_marks(filters: int, buckets: Iterable[str], widths: Iterable[str]) -> tuple[set[str], set[str]]:
    """The buckets that a width may have come from, and as which of ``widths`` (those inside the widest bucket).

    Widths are parts of a bucket, and the search keeps one probability a part, named by its width in the widest bucket.
    """
    tops, names = _numbers(buckets), _numbers(widths)
    if not names:
        narrowest = min((top for top in tops if top >= filters), default=None)
        return ({str(narrowest)} if narrowest else set()), set()
    # Rounding moved either width by half a channel at most.
    pairs = [(top, name) for top in tops for name in names if abs(top * name / max(tops) - filters) < 1]
    return {str(top) for top, _ in pairs}, {str(name) for _, name in pairs}


def _input_marks(chosen: Genotype, gene: str) -> set[str]:
    if gene == "num_blocks":
        return {str(len(chosen.blocks))}
    idle = gene == "frame_stride" and chosen.num_frames == 1
    return set() if idle else {str(getattr(chosen, gene, None))}


def _block_marks(
    chosen: Genotype, index: int, gene: str, rows: Mapping[str, Any], widths: Mapping[str, Any]
) -> set[str]:
    block = chosen.blocks[index]
    if gene == "filters":
        return width_marks(block.filters, rows, widths)[0]
    if gene not in ("spatial_stride", "temporal_stride"):
        return {str(getattr(block, gene, None))}
    axis = gene.removesuffix("_stride")
    met = chosen.image_size if axis == "spatial" else chosen.num_frames
    for before in chosen.blocks[:index]:
        met = -(-met // _stride(before, axis))
    taken = _stride(block, axis)
    return {str(value) for value in _numbers(rows) if min(value, met) == min(taken, met)} if met > 1 else set()


def _stride(block: Block, axis: str) -> int:
    """By how much a block strides: an identity does not, whatever the gene says."""
    return getattr(block, f"{axis}_stride") if getattr(block, f"{axis}_kernel") > 1 else 1


def _numbers(names: Iterable[str]) -> list[int]:
    return [int(name) for name in names if re.fullmatch(r"[0-9]{1,6}", name)]
