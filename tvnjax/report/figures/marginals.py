"""How the gradient search made up its mind: probabilities of every gene's candidates over time, and their entropy."""

import dataclasses
import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tvnjax.report.figures.canvas import FAINT, INK, WIDTH, new_figure, strategy_looks
from tvnjax.report.record import RunRecord, best_of, number
from tvnjax.space.genotype import Block
from tvnjax.space.relaxed import GENES, IDENTITY

_COLUMNS = 4
_ROW, _TOP, _FOOT, _SCALE, _SIDE = 11.0, 16.0, 30.0, 30.0, 62.0
"""Points: a candidate's row, above and below a block, for the colour scale, for the candidates' names."""
_GAP = 1.7
"""Rows between genes, where the gene's name stands."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Marginals:
    """Probabilities of one search by step."""

    strategy: str
    seed: Any
    steps: np.ndarray
    blocks: tuple[dict[str, dict[str, np.ndarray]], ...]
    """For each block and gene, the probability of every candidate, float [steps]."""


def read_marginals(record: RunRecord) -> Marginals | None:
    """The marginals of one search: of the seed shown for its strategy, or the first that has any."""
    runs = record.runs("marginals")
    if not runs:
        return None
    best = best_of(record.of(runs[0][0]))
    strategy, seed = next((run for run in runs if best and run == (best.name, best.seed)), runs[0])
    by_step: dict[float, list[Any]] = {}
    for entry in record.select("marginals", strategy=strategy, seed=seed):
        step, blocks = number(entry, "step"), entry.get("blocks")
        if step is None or not isinstance(blocks, list) or not blocks:
            continue
        if all(isinstance(block, dict) for block in blocks):
            by_step[step] = blocks
    steps = sorted(by_step)
    entries = [by_step[step] for step in steps]
    if not entries:
        return None
    series = tuple(
        {gene: rows for gene in _genes(block) if (rows := _series(entries, index, gene))}
        for index, block in enumerate(entries[-1])
    )
    return Marginals(strategy=strategy, seed=seed, steps=np.array(steps), blocks=series)


def draw_marginals(marginals: Marginals, chosen: tuple[Block, ...] = ()) -> Figure:
    """One column a block, one strip a gene, one row a candidate, darker where more probable.

    Rows of the candidates in ``chosen`` (the network found) are set in bold with a triangle.
    """
    count = len(marginals.blocks)
    columns = min(count, _COLUMNS)
    rows = [max(map(_units, marginals.blocks[start : start + columns])) for start in range(0, count, columns)]
    height = sum(units * _ROW + _TOP + _FOOT for units in rows) + _SCALE
    pitch = min(WIDTH / columns, 260.0)
    figure = new_figure(WIDTH, height, constrained=False)
    y = 0.0
    for index, block in enumerate(marginals.blocks):
        line, column = divmod(index, columns)
        y = sum(units * _ROW + _TOP + _FOOT for units in rows[:line])
        figure.text((column * pitch + 8) / WIDTH, 1 - (y + 14) / height, f"block {index + 1}", weight="bold")
        if not block:
            figure.text(
                (column * pitch + 8) / WIDTH, 1 - (y + 32) / height, "nothing to choose", fontsize=8, color=FAINT
            )
            continue
        strip = _units(block) * _ROW
        left, bottom = column * pitch + _SIDE, height - y - _TOP - strip
        axes = figure.add_axes((left / WIDTH, bottom / height, (pitch - _SIDE - 14) / WIDTH, strip / height))
        _draw_block(axes, marginals.steps, block, chosen[index] if index < len(chosen) else None)
    _draw_scale(figure, height)
    return figure


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


def _genes(present: Any) -> list[str]:
    known = [gene for gene in GENES if gene in present]
    return known + [gene for gene in present if gene not in GENES and isinstance(gene, str)]


def _series(entries: list[Any], index: int, gene: str) -> dict[str, np.ndarray]:
    def at(blocks: Any) -> dict[str, Any]:
        found = blocks[index].get(gene) if index < len(blocks) else None
        return found if isinstance(found, dict) else {}

    names = dict.fromkeys(name for blocks in entries for name in at(blocks))
    missing = math.nan
    return {
        name: np.array([missing if (p := number(at(blocks), name)) is None else p for blocks in entries])
        for name in names
    }


def _units(block: dict[str, dict[str, np.ndarray]]) -> float:
    """Height of a block's strips in candidate rows, the gaps for the genes' names among them."""
    return sum(len(rows) + _GAP for rows in block.values())


def _draw_block(axes: Axes, steps: np.ndarray, block: dict[str, dict[str, np.ndarray]], chosen: Block | None) -> None:
    """Draws all strips of a block on one pair of axes; a row is one unit high."""
    first, last = float(steps[0]), float(max(steps[-1], steps[0] + 1))
    # An even grid of steps, each filled from the last entry before it, whatever the spacing of the log.
    grid = np.linspace(first, last, min(len(steps), 120))
    at = np.searchsorted(steps, grid, side="right") - 1
    ticks: list[float] = []
    labels: list[str] = []
    bold: list[bool] = []
    y = 0.0
    for gene, rows in block.items():
        y += _GAP
        axes.text(first, y - 0.2, gene.replace("_", " "), fontsize=8, color=FAINT, va="bottom")
        values = np.stack(list(rows.values()))[:, at]
        extent = (first, last, y + len(rows), y)
        axes.imshow(values, aspect="auto", cmap="Blues", vmin=0, vmax=1, extent=extent, interpolation="nearest")
        axes.hlines(y + np.arange(1, len(rows)), first, last, color="white", linewidth=0.6)
        picked = _labels_of(chosen, gene) if chosen else set()
        for name in rows:
            bold.append(_shown(name) in picked)
            labels.append(f"▸ {_shown(name)}" if bold[-1] else _shown(name))
            ticks.append(y + 0.5)
            y += 1
    axes.set(xlim=(first, last), ylim=(y, 0), xticks=[first, last])
    axes.set_yticks(ticks, labels, fontsize=7)
    for text, strong in zip(axes.get_yticklabels(), bold):
        text.set_fontweight("bold" if strong else "normal")
    ends = axes.set_xticklabels([f"step {first:g}", f"{last:g}"], fontsize=7)
    ends[0].set_horizontalalignment("left")
    ends[-1].set_horizontalalignment("right")
    axes.tick_params(length=0, pad=3)
    axes.spines[:].set_visible(False)
    axes.grid(False)


def _draw_scale(figure: Figure, height: float) -> None:
    axes = figure.add_axes((_SIDE / WIDTH, 15 / height, 110 / WIDTH, 7 / height))
    axes.imshow(np.linspace(0, 1, 64)[None], aspect="auto", cmap="Blues", extent=(0, 1, 0, 1))
    axes.set(xticks=[0, 0.5, 1], yticks=[])
    axes.tick_params(length=0, labelsize=7, pad=1)
    axes.grid(False)
    text = "probability; ▸ marks the candidates of the network found"
    figure.text((_SIDE + 122) / WIDTH, 15 / height, text, fontsize=8, color=INK)


def _labels_of(block: Block, gene: str) -> set[str]:
    """How a marginal may name the candidate the block has."""
    if gene in ("spatial", "temporal"):
        kind, kernel = getattr(block, f"{gene}_type"), getattr(block, f"{gene}_kernel")
        return {IDENTITY[0]} if kernel == 1 else {f"{kind} {kernel}", f"{kind}{kernel}"}
    value = getattr(block, gene, None)
    if isinstance(value, float):
        return {str(value), f"{value:g}", *(["off"] if value == 0 else [])}
    return {_shown(str(value))}


def _shown(name: str) -> str:
    return {"true": "on", "false": "off"}.get(name.lower(), name)[:12]


def _entropies(marginals: Marginals) -> dict[str, np.ndarray]:
    """For each gene, float [blocks with at least two candidates, steps] of entropy over the largest possible."""
    found: dict[str, list[np.ndarray]] = {}
    for gene in _genes(dict.fromkeys(gene for block in marginals.blocks for gene in block)):
        for rows in (block[gene] for block in marginals.blocks if len(block.get(gene, ())) > 1):
            p = np.clip(np.nan_to_num(np.stack(list(rows.values()))), 1e-12, 1.0)
            found.setdefault(gene, []).append(-(p * np.log(p)).sum(axis=0) / math.log(len(rows)))
    return {gene: np.stack(curves) for gene, curves in found.items()}
