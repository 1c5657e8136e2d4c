"""What a drawing of a network is put together from: boxes, rows of layers, arrows. One data unit is one point."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, PathPatch
from matplotlib.path import Path as Outline

from tvnjax.graph import Layer, Shape
from tvnjax.graph.shape import lengths
from tvnjax.report.figures.canvas import FAINT, INK, RULE

WIDTH = 372.0
LEFT, RIGHT = 26.0, 288.0
"""Edges of the unit boxes; the margin on the left holds ``×N``, the one on the right the shortcut."""
MIDDLE = (LEFT + RIGHT) / 2
ARC = 303.0
ROW = 17.0
EDGE = 30.0
RULE_HEIGHT = 22.0
KIND, KERNEL, STRIDE, OUT, ACT = 42.0, 106.0, 147.0, 246.0, 250.0
"""Columns of a layer's row; the width is aligned to its right edge."""

_FRAME, _INSET = 4.0, 2.0
"""Space around the rows of a branch, and how much narrower its frame is than what it lies in."""


def rows_height(layers: Sequence[Layer]) -> float:
    """Height of the rows of layers, with those inside of them."""
    return sum(ROW + sum(map(_branch_height, layer.inside)) for layer in layers)


def draw_rows(axes: Axes, y: float, layers: Sequence[Layer], inset: float = _INSET) -> float:
    """Draws a row for each layer, and a frame for each branch of one; returns where they end."""
    for layer in layers:
        _draw_layer(axes, y + ROW / 2, layer)
        y += ROW
        for branch in layer.inside:
            height = _branch_height(branch)
            box(axes, LEFT + inset, y, RIGHT - LEFT - 2 * inset, height - 2, face="none", edge=RULE)
            if branch:
                draw_rows(axes, y + _FRAME - 1, branch, inset + _INSET)
            else:
                axes.text(KIND, y + height / 2, "its input", va="center", fontsize=9, color=FAINT)
            y += height
    return y


def _branch_height(branch: Sequence[Layer]) -> float:
    return max(rows_height(branch), ROW) + 2 * _FRAME


def draw_shortcut(axes: Axes, start: tuple[float, float], join: float, layers: Sequence[Layer]) -> None:
    """A line from ``start`` around the unit to where it is added, with the layers along it in words."""
    bend = 12.0
    x, branch = start
    points = [
        (x, branch),
        (ARC - bend, branch),
        (ARC, branch),
        (ARC, branch + bend),
        (ARC, join - bend),
        (ARC, join),
        (ARC - bend, join),
        (MIDDLE + 7, join),
    ]
    codes = [Outline.MOVETO, Outline.LINETO, Outline.CURVE3, Outline.CURVE3]
    codes += [Outline.LINETO, Outline.CURVE3, Outline.CURVE3, Outline.LINETO]
    axes.add_patch(PathPatch(Outline(points, codes), fill=False, edgecolor=INK, linewidth=1.1))
    words = ["skip"]
    for layer in layers:
        told = layer.words
        words += filter(None, (f"{told.kind} {told.kernel}", told.stride, f"→ {layer.out_shape.c}"))
    axes.text(ARC + 5, (branch + join) / 2, "\n".join(words), va="center", fontsize=8, color=INK)


def _draw_layer(axes: Axes, y: float, layer: Layer) -> None:
    kind, kernel, stride, act = layer.words
    _mark(axes, y, layer)
    axes.text(KIND, y, kind, va="center_baseline", fontsize=9.5)
    axes.text(KERNEL, y, kernel, va="center_baseline", fontsize=9.5)
    axes.text(STRIDE, y, stride, va="center_baseline", fontsize=8, color=FAINT)
    axes.text(OUT, y, f"→ {layer.out_shape.c}", va="center_baseline", ha="right", fontsize=9.5)
    axes.text(ACT, y, act, va="center_baseline", fontsize=9, color=FAINT)


def _mark(axes: Axes, y: float, layer: Layer) -> None:
    """A small sign for the kind of layer: filled for convolutions, hollow for pools, crossed for gates."""
    sign = layer.sign
    options = {"markersize": sign.size, "markerfacecolor": sign.face or INK, "markeredgecolor": INK}
    axes.plot([LEFT + 8], [y], marker=sign.marker, **options)
    if sign.crossed:
        axes.plot([LEFT + 8], [y], marker="x", markersize=4.5, markeredgecolor=INK, markeredgewidth=1.1)


def draw_edge(axes: Axes, y: float, shape: Shape) -> float:
    """An arrow down, labelled with the size of what flows along it; returns where it ends."""
    arrow = FancyArrowPatch(
        (MIDDLE, y),
        (MIDDLE, y + EDGE),
        arrowstyle="-|>",
        mutation_scale=8,
        color=INK,
        linewidth=1.1,
        shrinkA=0,
        shrinkB=0,
    )
    axes.add_patch(arrow)
    axes.text(MIDDLE + 8, y + 18, lengths(shape), va="center", fontsize=9, color=INK)
    return y + EDGE


def end_box(axes: Axes, y: float, title: str, text: str, accent: str) -> float:
    """What a network reads or gives; returns where the box ends."""
    box(axes, LEFT, y, RIGHT - LEFT, 24, face="#f4f6f8", edge=accent, linewidth=1.8)
    axes.text(LEFT + 8, y + 12.5, title, va="center", weight="bold", fontsize=9.5)
    axes.text(LEFT + (40 if len(title) < 6 else 52), y + 12.5, text, va="center", fontsize=9.5)
    return y + 24


def box(
    axes: Axes, x: float, y: float, width: float, height: float, *, face: str, edge: str, linewidth: float = 1.0
) -> None:
    """A box with round corners."""
    shape = FancyBboxPatch(
        (x, y),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=5",
        facecolor=face,
        edgecolor=edge,
        linewidth=linewidth,
    )
    axes.add_patch(shape)
