"""Heat strips over time: a column a block, a strip a gene, a row a value, darker where it is more probable."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tvnjax.core.printable import printable
from tvnjax.report.figures.canvas import FAINT, INK, WIDTH, new_figure

Strips = Mapping[str, Mapping[str, np.ndarray]]
"""For each gene, the probability of every value by name, float [steps]."""

_COLUMNS = 4
_ROW, _TOP, _FOOT, _SCALE, _SIDE = 11.0, 16.0, 30.0, 30.0, 62.0
"""Points: a value's row, above and below a block, for the colour scale, for the values' names."""
_GAP = 1.7
"""Rows between genes, where the gene's name stands."""
_LONGEST = 30
"""Characters of a gene's name that are shown."""
_VALUE = 14
"""Characters of a value's name that are shown beside its row."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """The strips of one block, or of what is no block's."""

    title: str
    strips: Strips
    picked: Mapping[str, set[str]] = dataclasses.field(default_factory=dict)
    """For each gene, the names of the values that the network found has: set in bold with a triangle."""


def draw_columns(columns: Sequence[Column], steps: np.ndarray) -> Figure:
    """Draws the columns, four in a line."""
    across = min(len(columns), _COLUMNS)
    lines = [
        max(_units(column.strips) for column in columns[start : start + across])
        for start in range(0, len(columns), across)
    ]
    height = sum(units * _ROW + _TOP + _FOOT for units in lines) + _SCALE
    pitch = min(WIDTH / across, 260.0)
    figure = new_figure(WIDTH, height, constrained=False)
    for index, column in enumerate(columns):
        line, place = divmod(index, across)
        y = sum(units * _ROW + _TOP + _FOOT for units in lines[:line])
        figure.text((place * pitch + 8) / WIDTH, 1 - (y + 14) / height, column.title, weight="bold")
        if not column.strips:
            figure.text(
                (place * pitch + 8) / WIDTH, 1 - (y + 32) / height, "nothing to choose", fontsize=8, color=FAINT
            )
            continue
        strip = _units(column.strips) * _ROW
        left, bottom = place * pitch + _SIDE, height - y - _TOP - strip
        axes = figure.add_axes((left / WIDTH, bottom / height, (pitch - _SIDE - 14) / WIDTH, strip / height))
        _draw_column(axes, steps, column)
    _draw_scale(figure, height, any(picked for column in columns for picked in column.picked.values()))
    return figure


def word(name: str) -> str:
    """A value's name as people say it."""
    return printable({"true": "on", "false": "off"}.get(name.lower(), name))


def shown(name: str) -> str:
    """A value's name as it stands beside its row: a long one without its middle."""
    name = word(name)
    return name if len(name) <= _VALUE else f"{name[: _VALUE // 2]}…{name[1 - _VALUE // 2 :]}"


def _units(strips: Strips) -> float:
    """Height of a column in rows, the gaps for the genes' names among them."""
    return sum(len(rows) + _GAP for rows in strips.values())


def _draw_column(axes: Axes, steps: np.ndarray, column: Column) -> None:
    """Draws all strips of a column on one pair of axes; a row is one unit high."""
    first, last = float(steps[0]), float(max(steps[-1], steps[0] + 1))
    # An even grid of steps, each filled from the last entry before it, whatever the spacing of the log.
    grid = np.linspace(first, last, min(len(steps), 120))
    at = np.searchsorted(steps, grid, side="right") - 1
    ticks: list[float] = []
    labels: list[str] = []
    bold: list[bool] = []
    y = 0.0
    for gene, rows in column.strips.items():
        y += _GAP
        name = printable(gene.replace("num_", "number of ").replace("_", " ")[:_LONGEST])
        axes.text(first, y - 0.2, name, fontsize=8, color=FAINT, va="bottom")
        values = np.stack(list(rows.values()))[:, at]
        extent = (first, last, y + len(rows), y)
        axes.imshow(values, aspect="auto", cmap="Blues", vmin=0, vmax=1, extent=extent, interpolation="nearest")
        axes.hlines(y + np.arange(1, len(rows)), first, last, color="white", linewidth=0.6)
        for name in rows:
            bold.append(word(name) in column.picked.get(gene, ()))
            labels.append(f"▸ {shown(name)}" if bold[-1] else shown(name))
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


def _draw_scale(figure: Figure, height: float, marked: bool) -> None:
    axes = figure.add_axes((_SIDE / WIDTH, 15 / height, 110 / WIDTH, 7 / height))
    axes.imshow(np.linspace(0, 1, 64)[None], aspect="auto", cmap="Blues", extent=(0, 1, 0, 1))
    axes.set(xticks=[0, 0.5, 1], yticks=[])
    axes.tick_params(length=0, labelsize=7, pad=1)
    axes.grid(False)
    text = "probability" + ("; ▸ marks what the network found has" if marked else "")
    figure.text((_SIDE + 122) / WIDTH, 15 / height, text, fontsize=8, color=INK)
