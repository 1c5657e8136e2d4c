"""The edges of a network that is no chain: lines beside its boxes, one for every array that does not simply flow down.

A line leaves below the box that gives the array, runs down in a lane of its own, and has an arrow into every box that
reads it. Colours and dots tell lines that join from lines that cross.
"""

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch

from tvnjax.graph import Network
from tvnjax.graph.outline import array_names
from tvnjax.graph.shape import lengths
from tvnjax.report.drawing_parts import KERNEL, LEFT, MIDDLE

PORT, TAP = 15.0, 6.0
"""Height of the row of an input in a box; how far below a box its line leaves."""

_LANE, _FIRST = 9.0, -4.0
# Okabe and Ito's palette without its yellow, which is too light for a line.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#5c4b8a", "#7a7a7a")


class _Lane(NamedTuple):
    x: float
    colour: str


class Wires:
    """Lanes of a network, and what of them is drawn as boxes are."""

    def __init__(self, network: Network):
        self._wiring, self._names = network.wiring, array_names(network)
        self._shapes = [*network.input_shapes, *(unit.out_shape for unit in network.units)]
        last: dict[int, int] = {}
        for number, reads in enumerate(self._wiring.reads):
            if not self._wiring.follows(number):
                last |= dict.fromkeys(reads, number)
        taken: list[int] = []  # for every lane the last unit its line enters
        self._lanes: dict[int, _Lane] = {}
        for index, at in enumerate(sorted(last)):
            # A lane is free again below the last box its line enters.
            free = [lane for lane, number in enumerate(taken) if number <= at - self._wiring.streams]
            lane = free[0] if free else len(taken)
            taken[lane : lane + 1] = [last[at]]
            self._lanes[at] = _Lane(_FIRST - _LANE * lane, _COLOURS[index % len(_COLOURS)])
        self.margin = _LANE * len(taken) + 8 if taken else 0.0
        """Width of the lanes, left of 0."""
        self._left: dict[int, float] = {}
        self._last = last

    def ports(self, number: int) -> tuple[int, ...]:
        """The arrays that enter a unit by lines."""
        return () if self._wiring.follows(number) else self._wiring.reads[number]

    def has_line(self, at: int) -> bool:
        """Whether an array flows along a line."""
        return at in self._lanes

    def leave(self, axes: Axes, at: int, y: float) -> None:
        """Begins the line of an array below the box that ends at ``y``."""
        if at not in self._lanes:
            return
        x, colour = self._lanes[at]
        axes.plot([MIDDLE, MIDDLE], [y, y + TAP], color=colour, linewidth=1.3, solid_capstyle="butt")
        axes.plot([MIDDLE, x], [y + TAP, y + TAP], color=colour, linewidth=1.3)
        self._left[at] = y + TAP

    def enter(self, axes: Axes, number: int, y: float) -> float:
        """Draws the inputs of a unit into its box from ``y`` on; returns where they end."""
        for at in self.ports(number):
            x, colour = self._lanes[at]
            middle = y + PORT / 2
            arrow = {"arrowstyle": "-|>", "mutation_scale": 7, "color": colour, "linewidth": 1.3}
            axes.add_patch(FancyArrowPatch((x, middle), (LEFT + 2, middle), shrinkA=0, shrinkB=0, **arrow))
            axes.plot([x, x], [self._left[at], middle], color=colour, linewidth=1.3, solid_capstyle="butt")
            if number != self._last[at]:
                axes.plot([x], [middle], marker="o", markersize=3.2, color=colour)
            self._left[at] = middle
            axes.text(LEFT + 6, middle, f"from {self._names[at]}", va="center_baseline", fontsize=8.5, color=colour)
            axes.text(KERNEL, middle, lengths(self._shapes[at]), va="center_baseline", fontsize=8.5, color=colour)
            y += PORT
        return y
