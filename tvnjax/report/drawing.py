"""A network drawn from top to bottom: what it reads, its units with their layers, shortcuts and gates, its head.

The drawing reads the lowered network, so it shows what is built, counted and timed. One data unit is one point, which
lets text and boxes share a scale; the narrow column stays legible on a phone and beside other networks.
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, PathPatch
from matplotlib.path import Path as Outline

from tvnjax.graph import Layer, Network, Shape, Unit
from tvnjax.graph.outline import Stretch, collapse, frames_text, head_text
from tvnjax.graph.shape import lengths
from tvnjax.report.figures.canvas import FAINT, INK, RULE, new_figure

AXES_NOTE = "Kernels, strides and sizes are time × height × width, sizes with × channels behind."

_WIDTH = 372.0
_LEFT, _RIGHT = 26.0, 288.0
"""Edges of the unit boxes; the margin on the left holds ``×N``, the one on the right the shortcut."""
_MIDDLE = (_LEFT + _RIGHT) / 2
_ARC = 303.0
_ROW = 17.0
_EDGE = 30.0
_RULE = 22.0
_KIND, _KERNEL, _STRIDE, _OUT, _ACT = 42.0, 106.0, 147.0, 246.0, 250.0
"""Columns of a layer's row; the width is aligned to its right edge."""


def draw_network(network: Network, *, accent: str = FAINT) -> Figure:
    """Draws a network; ``accent`` colours what it reads and gives."""
    stretches = collapse(network)
    blocks = {unit.block for unit in network.units}
    height = 96 + sum(map(_stretch_height, stretches)) + _RULE * len(blocks)
    figure = new_figure(_WIDTH, height, constrained=False)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, _WIDTH), ylim=(height, 0))
    axes.axis("off")
    _, h, w, _ = network.input_shape
    reads = f"{h} × {w} px × {frames_text(network)}"
    y = _end_box(axes, 4, "clip", reads, accent)
    block = -1
    for stretch in stretches:
        if stretch.units[0].block != block:
            block = stretch.units[0].block
            y = _block_rule(axes, y, block)
        y = _draw_stretch(axes, y, stretch)
    y = _edge(axes, y, network.head.in_shape)
    _end_box(axes, y, "head", head_text(network), accent)
    return figure


def describe_network(network: Network) -> str:
    """The drawing in words: input, every unit with its layers, classes."""
    _, h, w, _ = network.input_shape
    parts = [f"{h} by {w} pixels, {frames_text(network)}"]
    for stretch in collapse(network):
        for unit in stretch.units:
            layers = ", ".join(" ".join(filter(None, _told(layer))) for layer in unit.layers) or "identity"
            skip = "" if unit.shortcut is None else ", with a skip connection"
            times = f", {stretch.times} times" if stretch.times > 1 else ""
            parts.append(f"block {unit.block + 1}: {layers}{skip}{times}")
    return "; ".join([*parts, f"{network.head.num_classes} classes"]) + "."


def _unit_height(unit: Unit) -> float:
    return _EDGE + 8 + _ROW * max(len(unit.layers), 1) + (16 if unit.shortcut is not None else 0)


def _stretch_height(stretch: Stretch) -> float:
    return sum(map(_unit_height, stretch.units))


def _draw_stretch(axes: Axes, y: float, stretch: Stretch) -> float:
    top = y
    for unit in stretch.units:
        y = _draw_unit(axes, y, unit)
    if stretch.times > 1:
        first, last = top + _EDGE, y
        axes.plot([21, 17, 17, 21], [first, first, last, last], color=INK, linewidth=1)
        axes.text(9, (first + last) / 2, f"×{stretch.times}", ha="center", va="center", weight="bold", rotation=90)
    return y


def _draw_unit(axes: Axes, y: float, unit: Unit) -> float:
    """Draws the edge into a unit, the unit and its shortcut; returns where the unit ends."""
    branch = y + 9
    y = _edge(axes, y, unit.in_shape)
    height = 8 + _ROW * max(len(unit.layers), 1)
    _box(axes, _LEFT, y, _RIGHT - _LEFT, height, face="white", edge=FAINT)
    for index, layer in enumerate(unit.layers):
        _draw_layer(axes, y + 4 + _ROW * (index + 0.5), layer)
    if not unit.layers:
        axes.text(_MIDDLE, y + height / 2, "identity", ha="center", va="center", color=FAINT, fontsize=9)
    y += height
    if unit.shortcut is None:
        if unit.act and not _ends_with(unit):
            axes.text(_MIDDLE - 8, y + 11, unit.act, ha="right", va="center", fontsize=9, color=FAINT)
        return y
    join = y + 10
    axes.plot([_MIDDLE, _MIDDLE], [y, join - 6], color=INK, linewidth=1.1)
    axes.plot([_MIDDLE], [join], marker="o", markersize=12, markerfacecolor="white", markeredgecolor=INK)
    axes.text(_MIDDLE, join, "+", ha="center", va="center_baseline", weight="bold")
    if unit.act:
        axes.text(_MIDDLE - 11, join + 5, unit.act, ha="right", va="center", fontsize=9, color=FAINT)
    _draw_shortcut(axes, branch, join, unit.shortcut)
    return y + 16


def _draw_shortcut(axes: Axes, branch: float, join: float, layers: tuple[Layer, ...]) -> None:
    bend = 12.0
    points = [
        (_MIDDLE, branch),
        (_ARC - bend, branch),
        (_ARC, branch),
        (_ARC, branch + bend),
        (_ARC, join - bend),
        (_ARC, join),
        (_ARC - bend, join),
        (_MIDDLE + 7, join),
    ]
    codes = [Outline.MOVETO, Outline.LINETO, Outline.CURVE3, Outline.CURVE3]
    codes += [Outline.LINETO, Outline.CURVE3, Outline.CURVE3, Outline.LINETO]
    axes.add_patch(PathPatch(Outline(points, codes), fill=False, edgecolor=INK, linewidth=1.1))
    words = ["skip"]
    for layer in layers:
        told = layer.words
        words += filter(None, (f"{told.kind} {told.kernel}", told.stride, f"→ {layer.out_shape.c}"))
    axes.text(_ARC + 5, (branch + join) / 2, "\n".join(words), va="center", fontsize=8, color=INK)


def _draw_layer(axes: Axes, y: float, layer: Layer) -> None:
    kind, kernel, stride, act = layer.words
    _mark(axes, y, layer)
    axes.text(_KIND, y, kind, va="center_baseline", fontsize=9.5)
    axes.text(_KERNEL, y, kernel, va="center_baseline", fontsize=9.5)
    axes.text(_STRIDE, y, stride, va="center_baseline", fontsize=8, color=FAINT)
    axes.text(_OUT, y, f"→ {layer.out_shape.c}", va="center_baseline", ha="right", fontsize=9.5)
    axes.text(_ACT, y, act, va="center_baseline", fontsize=9, color=FAINT)


def _mark(axes: Axes, y: float, layer: Layer) -> None:
    """A small sign for the kind of layer: filled for convolutions, hollow for pools, crossed for gates."""
    sign = layer.sign
    options = {"markersize": sign.size, "markerfacecolor": sign.face or INK, "markeredgecolor": INK}
    axes.plot([_LEFT + 8], [y], marker=sign.marker, **options)
    if sign.crossed:
        axes.plot([_LEFT + 8], [y], marker="x", markersize=4.5, markeredgecolor=INK, markeredgewidth=1.1)


def _edge(axes: Axes, y: float, shape: Shape) -> float:
    """An arrow down, labelled with the size of what flows along it."""
    arrow = FancyArrowPatch(
        (_MIDDLE, y),
        (_MIDDLE, y + _EDGE),
        arrowstyle="-|>",
        mutation_scale=8,
        color=INK,
        linewidth=1.1,
        shrinkA=0,
        shrinkB=0,
    )
    axes.add_patch(arrow)
    axes.text(_MIDDLE + 8, y + 18, lengths(shape), va="center", fontsize=9, color=INK)
    return y + _EDGE


def _block_rule(axes: Axes, y: float, block: int) -> float:
    """Sets a block apart from what stands above it."""
    axes.plot([_MIDDLE, _MIDDLE], [y, y + _RULE], color=INK, linewidth=1.1)
    axes.plot([4, _WIDTH - 4], [y + _RULE - 3, y + _RULE - 3], color=RULE, linewidth=0.9, zorder=0)
    axes.text(4, y + _RULE + 1, f"block {block + 1}", va="top", fontsize=9.5, weight="bold")
    return y + _RULE


def _end_box(axes: Axes, y: float, title: str, text: str, accent: str) -> float:
    _box(axes, _LEFT, y, _RIGHT - _LEFT, 24, face="#f4f6f8", edge=accent, linewidth=1.8)
    axes.text(_LEFT + 8, y + 12.5, title, va="center", weight="bold", fontsize=9.5)
    axes.text(_LEFT + 40, y + 12.5, text, va="center", fontsize=9.5)
    return y + 24


def _box(
    axes: Axes, x: float, y: float, width: float, height: float, *, face: str, edge: str, linewidth: float = 1.0
) -> None:
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


def _ends_with(unit: Unit) -> bool:
    """Whether the unit's last layer already says its activation."""
    return bool(unit.layers) and unit.layers[-1].words.act == unit.act


def _told(layer: Layer) -> tuple[str, ...]:
    told = layer.words
    return told.kind, told.kernel, told.stride, str(layer.out_shape.c), told.act
