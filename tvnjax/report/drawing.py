"""A network drawn from top to bottom: what it reads, its units with their layers, shortcuts and gates, its head.

The drawing reads the lowered network, so it shows what is built, counted and timed. One data unit is one point, which
lets text and boxes share a scale; the narrow column stays legible on a phone and beside other networks.
"""

from matplotlib.figure import Figure

from tvnjax.graph import Layer, Network, Unit, input_names
from tvnjax.graph.outline import Stretch, collapse, frames_text, head_text, reads_text
from tvnjax.graph.shape import lengths
from tvnjax.report.drawing_parts import (
    EDGE,
    LEFT,
    MIDDLE,
    RIGHT,
    ROW,
    RULE_HEIGHT,
    WIDTH,
    box,
    draw_edge,
    draw_rows,
    draw_shortcut,
    end_box,
    rows_height,
)
from tvnjax.report.drawing_wires import PORT, TAP, Wires
from tvnjax.report.figures.canvas import FAINT, INK, RULE, new_figure

AXES_NOTE = "Kernels, strides and sizes are time × height × width, sizes with × channels behind."

_GAP = 20.0
"""Above a box that is not entered from above."""


def draw_network(network: Network, *, accent: str = FAINT) -> Figure:
    """Draws a network; ``accent`` colours what it reads and gives. Of a graph units are numbered, and lines beside the
    boxes lead to those that read something else than what stands above them."""
    return _Drawing(network, accent).figure


def describe_network(network: Network) -> str:
    """The drawing in words: input, every unit with its layers, classes."""
    _, h, w, _ = network.input_shape
    parts = [f"{h} by {w} pixels, {frames_text(network)}"]
    parts += [f"another stream of {lengths(shape)}" for shape in network.further_inputs]
    for stretch in collapse(network):
        for number, unit in enumerate(stretch.units, stretch.first):
            layers = ", ".join(map(_told, _rows(unit))) or "identity"
            skip = "" if unit.shortcut is None else ", with a skip connection"
            times = f", {stretch.times} times" if stretch.times > 1 else ""
            source = reads_text(network, number)
            numbered = "" if network.is_chain else f"unit {number + 1}{source and f' ({source})'}, "
            parts.append(f"{numbered}block {unit.block + 1}: {layers}{skip}{times}")
    return "; ".join([*parts, f"{network.head.num_classes} classes"]) + "."


class _Drawing:
    """Draws from top to bottom."""

    def __init__(self, network: Network, accent: str):
        self._network, self._wires = network, Wires(network)
        stretches = collapse(network)
        starts = [
            index == 0 or stretch.units[0].block != stretches[index - 1].units[0].block
            for index, stretch in enumerate(stretches)
        ]
        more = 24 + 2 * TAP if network.further_inputs else 0.0
        height = 96 + more * len(network.further_inputs) + RULE_HEIGHT * sum(starts)
        height += sum(self._unit_height(unit, n) for s in stretches for n, unit in enumerate(s.units, s.first))
        margin = self._wires.margin
        self.figure = new_figure(WIDTH + margin, height, constrained=False)
        self._axes = axes = self.figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(-margin, WIDTH), ylim=(height, 0))
        axes.axis("off")
        y = self._draw_streams(4, accent)
        for stretch, starts_block in zip(stretches, starts):
            if starts_block:
                y = self._block_rule(y, stretch)
            y = self._draw_stretch(y, stretch)
        y = draw_edge(axes, y, network.head.in_shape)
        end_box(axes, y, "head", head_text(network), accent)

    def _draw_streams(self, y: float, accent: str) -> float:
        network = self._network
        for at, (name, shape) in enumerate(zip(input_names(network.wiring.streams), network.input_shapes)):
            told = f"{shape.h} × {shape.w} px × {frames_text(network)}" if at == 0 else lengths(shape)
            y = end_box(self._axes, y, name, told, accent)
            self._wires.leave(self._axes, at, y)
            if at + 1 < network.wiring.streams:
                y += 2 * TAP
        return y

    def _unit_height(self, unit: Unit, number: int) -> float:
        ports = self._wires.ports(number)
        return (_GAP if ports else EDGE) + self._box_height(unit, number) + (16 if unit.shortcut is not None else 0)

    def _box_height(self, unit: Unit, number: int) -> float:
        return 8 + max(rows_height(_rows(unit)), ROW) + PORT * len(self._wires.ports(number))

    def _draw_stretch(self, y: float, stretch: Stretch) -> float:
        top = y
        for number, unit in enumerate(stretch.units, stretch.first):
            y = self._draw_unit(y, unit, number)
        if stretch.times > 1:
            first, last = top + EDGE, y
            self._axes.plot([21, 17, 17, 21], [first, first, last, last], color=INK, linewidth=1)
            times = f"×{stretch.times}"
            self._axes.text(9, (first + last) / 2, times, ha="center", va="center", weight="bold", rotation=90)
        self._wires.leave(self._axes, self._network.wiring.streams + stretch.last, y)
        return y

    def _draw_unit(self, y: float, unit: Unit, number: int) -> float:
        """Draws the edge into a unit, the unit and its shortcut; returns where the unit ends."""
        axes, entered = self._axes, self._wires.ports(number)
        split = (MIDDLE, y + 9)
        y = y + _GAP if entered else draw_edge(axes, y, unit.in_shape)
        height = self._box_height(unit, number)
        box(axes, LEFT, y, RIGHT - LEFT, height, face="white", edge=FAINT)
        if not self._network.is_chain:
            axes.text(RIGHT + 3, y + 6, f"{number + 1}", va="center", fontsize=8.5, weight="bold")
        rows = self._wires.enter(axes, number, y + 4)
        if entered:
            joined = rows + (ROW if unit.join is not None else 0)
            split = (RIGHT, joined - 3)
        draw_rows(axes, rows, _rows(unit))
        if not _rows(unit):
            axes.text(MIDDLE, rows + ROW / 2, "identity", ha="center", va="center", color=FAINT, fontsize=9)
        y += height
        if unit.shortcut is None:
            if unit.act and not _ends_with(unit):
                axes.text(MIDDLE - 8, y + 11, unit.act, ha="right", va="center", fontsize=9, color=FAINT)
            return y
        join = y + 10
        axes.plot([MIDDLE, MIDDLE], [y, join - 6], color=INK, linewidth=1.1)
        axes.plot([MIDDLE], [join], marker="o", markersize=12, markerfacecolor="white", markeredgecolor=INK)
        axes.text(MIDDLE, join, "+", ha="center", va="center_baseline", weight="bold")
        if unit.act:
            axes.text(MIDDLE - 11, join + 5, unit.act, ha="right", va="center", fontsize=9, color=FAINT)
        draw_shortcut(axes, split, join, unit.shortcut)
        return y + 16

    def _block_rule(self, y: float, stretch: Stretch) -> float:
        """Sets a block apart from what stands above it."""
        axes = self._axes
        if not self._wires.ports(stretch.first):
            axes.plot([MIDDLE, MIDDLE], [y, y + RULE_HEIGHT], color=INK, linewidth=1.1)
        line = y + RULE_HEIGHT - 3
        axes.plot([4 - self._wires.margin, WIDTH - 4], [line, line], color=RULE, linewidth=0.9, zorder=0)
        block = stretch.units[0].block + 1
        axes.text(4, y + RULE_HEIGHT + 1, f"block {block}", va="top", fontsize=9.5, weight="bold")
        return y + RULE_HEIGHT


def _rows(unit: Unit) -> tuple[Layer, ...]:
    return unit.layers if unit.join is None else (unit.join, *unit.layers)


def _ends_with(unit: Unit) -> bool:
    """Whether the unit's last layer already says its activation."""
    return bool(unit.layers) and unit.layers[-1].words.act == unit.act


def _told(layer: Layer) -> str:
    kind, kernel, stride, act = layer.words
    inside = " | ".join(", ".join(map(_told, branch)) or "its input" for branch in layer.inside)
    told = (kind, kernel, stride, str(layer.out_shape.c), act, inside and f"[{inside}]")
    return " ".join(filter(None, told))
