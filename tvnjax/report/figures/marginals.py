"""How the gradient search made up its mind: probabilities of every gene's values over time, and their entropy."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tvnjax.report.figures.canvas import WIDTH, new_figure, strategy_looks
from tvnjax.report.figures.shape_strips import block_title, shape_columns, width_marks
from tvnjax.report.figures.strips import Column, Strips, draw_columns, word
from tvnjax.report.record import RunRecord, best_of, number
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.operators import named, operator_of
from tvnjax.spaces.tvn.relaxed import GENES

MOST_SHOWN = 48
"""Blocks, genes of one, and values of a gene that are drawn; no search has as many, and a log may say anything."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Marginals:
    """Probabilities of one search by step."""

    strategy: str
    seed: Any
    steps: np.ndarray
    blocks: tuple[Strips, ...]
    """The operator genes of each block."""
    shapes: Strips
    """The shape genes searched; empty where the plan was fixed."""

    @property
    def searches_width(self) -> bool:
        """Whether some block has several buckets of widths."""
        return any(gene.startswith("filters of ") for gene in self.shapes)


def shown_run(record: RunRecord, event: str) -> tuple[str, Any] | None:
    """The search whose events of one kind are drawn: the seed shown for its strategy, or the first that has any."""
    runs = record.runs(event)
    if not runs:
        return None
    best = best_of(record.of(runs[0][0]))
    return next((run for run in runs if best and run == (best.name, best.seed)), runs[0])


def read_marginals(record: RunRecord) -> Marginals | None:
    """The marginals of the search that is shown."""
    run = shown_run(record, "marginals")
    if run is None:
        return None
    by_step: dict[float, tuple[list[Any], Any]] = {}
    for entry in record.select("marginals", strategy=run[0], seed=run[1]):
        step, blocks = number(entry, "step"), entry.get("blocks")
        if step is None or not isinstance(blocks, list) or not blocks:
            continue
        if all(isinstance(block, dict) for block in blocks):
            by_step[step] = blocks, entry.get("shapes")
    steps = sorted(by_step)
    if not steps:
        return None
    entries = [by_step[step][0] for step in steps]
    return Marginals(
        strategy=run[0],
        seed=run[1],
        steps=np.array(steps),
        blocks=tuple(
            _strips([blocks[index] if index < len(blocks) else None for blocks in entries])
            for index in range(min(len(entries[-1]), MOST_SHOWN))
        ),
        shapes=_strips([by_step[step][1] for step in steps]),
    )


def draw_marginals(marginals: Marginals, chosen: Genotype | None = None) -> Figure:
    """One column a block, one strip an operator gene; marks what ``chosen`` (the network found) has."""
    columns = []
    for index, strips in enumerate(marginals.blocks):
        picked: dict[str, set[str]] = {}
        if chosen is not None and index < len(chosen.blocks):
            buckets = marginals.shapes.get(f"filters of block {index}", {})
            picked = {gene: _picked(chosen.blocks[index], gene, rows, buckets) for gene, rows in strips.items()}
        columns.append(Column(title=block_title(index, chosen), strips=strips, picked=picked))
    return draw_columns(columns, marginals.steps)


def draw_shapes(marginals: Marginals, chosen: Genotype | None = None) -> Figure | None:
    """One column for the input's genes and one a block, one strip a shape gene; ``None`` where none was searched."""
    columns = shape_columns(marginals.shapes, marginals.blocks, chosen)
    return draw_columns(columns, marginals.steps) if columns else None


def draw_entropy(marginals: Marginals) -> Figure | None:
    """Entropy of every gene by step, as a part of the most it can be: a thin line a block, a thick one their mean.

    ``None`` where no gene has two candidates.
    """
    curves = _entropies(marginals)
    if not curves:
        return None
    columns = min(len(curves), 4)
    lines = -(-len(curves) // columns)
    figure = new_figure(WIDTH, 40 + 115 * lines)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    colour = strategy_looks([marginals.strategy])[marginals.strategy].colour
    for axes, (gene, blocks) in zip(grid, curves.items()):
        axes.plot(marginals.steps, blocks.T, color=colour, alpha=0.35, linewidth=0.9)
        axes.plot(marginals.steps, blocks.mean(axis=0), color=colour, linewidth=2.2)
        axes.set_title(gene.replace("_", " "))
        axes.set_ylim(-0.03, 1.05)
    for axes in grid[len(curves) :]:
        axes.set_visible(False)
    figure.supxlabel("step", fontsize=9)
    figure.supylabel("entropy (1: undecided)", fontsize=9)
    return figure


def final_entropy(marginals: Marginals) -> float | None:
    """Mean over blocks and genes of the last step's entropy, as a part of the most it can be."""
    last = [blocks[:, -1] for blocks in _entropies(marginals).values()]
    return float(np.concatenate(last).mean()) if last else None


def _genes(present: Iterable[Any]) -> list[str]:
    names = list(present)
    known = [gene for gene in GENES if gene in names]
    return (known + [gene for gene in names if gene not in GENES and isinstance(gene, str)])[:MOST_SHOWN]


def _strips(entries: list[Any]) -> Strips:
    """Probabilities of every gene's values over time, from one object of genes a step; what is no number is missing."""
    last = entries[-1] if isinstance(entries[-1], dict) else {}
    found: dict[str, dict[str, np.ndarray]] = {}
    for gene in _genes(last):
        rows = [
            row if isinstance(entry, dict) and isinstance(row := entry.get(gene), dict) else {} for entry in entries
        ]
        names = list(dict.fromkeys(name for row in rows for name in row))[:MOST_SHOWN]
        if names:
            found[gene] = {
                name: np.array([math.nan if (p := number(row, name)) is None else p for row in rows]) for name in names
            }
    return found


def _picked(block: Block, gene: str, rows: Mapping[str, Any], buckets: Mapping[str, Any]) -> set[str]:
    """How a marginal may name the value the block has."""
    if gene in ("spatial", "temporal"):
        kind, kernel = getattr(block, f"{gene}_type"), getattr(block, f"{gene}_kernel")
        # A run of before 0.1 wrote kind and kernel as one word.
        return {named(operator_of(kind, kernel)), *([] if kernel == 1 else [f"{kind}{kernel}"])}
    if gene == "filters" and buckets:
        return width_marks(block.filters, buckets, rows)[1]
    value = getattr(block, gene, None)
    if isinstance(value, float):
        return {str(value), f"{value:g}", *(["off"] if value == 0 else [])}
    return {word(str(value))}


def _entropies(marginals: Marginals) -> dict[str, np.ndarray]:
    """For each gene, float [blocks with at least two candidates, steps] of entropy over the largest possible."""
    found: dict[str, list[np.ndarray]] = {}
    for gene in _genes(dict.fromkeys(gene for block in marginals.blocks for gene in block)):
        for rows in (block[gene] for block in marginals.blocks if len(block.get(gene, ())) > 1):
            p = np.clip(np.nan_to_num(np.stack(list(rows.values()))), 1e-12, 1.0)
            found.setdefault(gene, []).append(-(p * np.log(p)).sum(axis=0) / math.log(len(rows)))
    return {gene: np.stack(curves) for gene, curves in found.items()}
