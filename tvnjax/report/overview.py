"""A network at a glance, in the manner of Figure 2 of the Tiny Video Networks paper: a row for every kind of unit, its
layers as tiles coloured by kind, how often it repeats, sizes on the arrows between blocks, and each block's share.

One data unit is one point, so that text and tiles share a scale.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from tvnjax.graph import FAMILY_COLOURS, Layer, Network, Unit
from tvnjax.graph.outline import Stretch, blocks, clips_text, head_text, reads_text
from tvnjax.graph.shape import lengths
from tvnjax.report.figures.canvas import FAINT, INK, RULE, new_figure

_LEFT = 92.0
"""Where tiles begin; names of blocks and repeats stand before."""
_TILE, _GAP, _ROW, _SEPARATOR = 20.0, 5.0, 27.0, 8.0
_ARROW = 26.0
_BAR, _SHARE = 110.0, 46.0
"""Width of a share of 100 %, and of the number before it."""
_LETTER = 5.1
"""Width of a letter in a tile."""
_BRACKET = 7.0
"""Width of the bracket on either side of branches."""


def draw_overview(network: Network, title: str, shares: Mapping[int, float], share_name: str) -> Figure:
    """Draws a network from top to bottom.

    Args:
        network: lowered.
        title: its name, with its counts.
        shares: of each block in what ``share_name`` says, parts of 1; what is missing to 1 is the head's.
        share_name: ``latency`` or ``multiply-adds``.
    """
    outline = blocks(network)
    tiles = max((_row_width(network, stretch) for _, rows in outline for stretch in rows), default=0.0)
    bars = _LEFT + max(tiles, 300.0) + 16
    width = bars + _SHARE + _BAR + 8
    tiled = {layer.family for unit in network.units for layer in _tiled((*_chain(unit), *(unit.shortcut or ())))}
    kinds = [kind for kind in FAMILY_COLOURS if kind in tiled]
    legend = _legend_rows(kinds, width)
    lines = sum(_height(rows) + _ARROW for _, rows in outline)
    height = 30 + 15 * len(legend) + 30 + lines + _ARROW + 30
    figure = new_figure(width, height, constrained=False)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    axes.text(8, 14, title, weight="bold", fontsize=11, va="center")
    y = _draw_legend(axes, 30, legend)
    axes.text(bars + _SHARE, y + 12, f"share of {share_name}", fontsize=8, color=FAINT, va="center")
    y = _end(axes, y, clips_text(network))
    for block, rows in outline:
        # Into a block of a graph no single array may flow; its units say what they read.
        entered = network.wiring.follows(rows[0].first)
        y = _arrow(axes, y, lengths(rows[0].units[0].in_shape)) if entered else y + _ARROW
        y = _draw_block(axes, y, block, rows, width, network)
        _draw_share(axes, bars, y - _height(rows) / 2, shares.get(block, 0.0))
    y = _arrow(axes, y, lengths(network.head.in_shape))
    _end(axes, y, head_text(network))
    if share_name != "latency":  # a head is not timed apart
        _draw_share(axes, bars, y + 12, max(1 - sum(shares.values()), 0.0))
    return figure


def _chain(unit: Unit) -> tuple[Layer, ...]:
    return unit.layers if unit.join is None else (unit.join, *unit.layers)


def _tiled(layers: Iterable[Layer]) -> Iterator[Layer]:
    """The layers that have a tile: those inside, where one holds others."""
    for layer in layers:
        if not layer.inside:
            yield layer
        for branch in layer.inside:
            yield from _tiled(branch)


def _tile_width(layer: Layer) -> float:
    if layer.inside:
        return max(map(_tiles_width, layer.inside)) + 2 * _BRACKET + 12 + _LETTER * len(_how(layer))
    return 12 + _LETTER * len(layer.label)


def _how(layer: Layer) -> str:
    """How what lies side by side in a layer comes together: the first word of its label."""
    return layer.label.split(" ", 1)[0] if len(layer.inside) > 1 else ""


def _tiles_width(layers: Sequence[Layer]) -> float:
    return sum(_tile_width(layer) + _GAP for layer in layers) or 30.0


def _lines(layers: Sequence[Layer]) -> int:
    """Lines of tiles that some layers take: more than one where one holds branches."""
    return max((sum(map(_lines, layer.inside)) for layer in layers if layer.inside), default=1)


def _row_width(network: Network, stretch: Stretch) -> float:
    widths: list[float] = []
    for unit in stretch.units:
        widths += [*([_SEPARATOR] if widths else []), *map(_tile_width, _chain(unit))]
    skips = sum(_skip_width(unit.shortcut) for unit in stretch.units)
    return sum(width + _GAP for width in widths) + skips + _reads_width(network, stretch)


def _reads_width(network: Network, stretch: Stretch) -> float:
    text = _reads(network, stretch)
    return _LETTER * len(text) + 6 if text else 0.0


def _reads(network: Network, stretch: Stretch) -> str:
    """In a graph, which unit it is and what it reads: what its row begins with."""
    return "" if network.is_chain else f"{stretch.number} {reads_text(network, stretch.first)}".rstrip()


def _skip_width(shortcut: tuple[Layer, ...] | None) -> float:
    return 0.0 if shortcut is None else 16 + sum(_tile_width(layer) + _GAP for layer in shortcut) + 30 * (not shortcut)


def _row_height(stretch: Stretch) -> float:
    return _ROW * max(_lines((*_chain(unit), *(unit.shortcut or ()))) for unit in stretch.units)


def _height(rows: list[Stretch]) -> float:
    return sum(map(_row_height, rows)) + 8


def _draw_block(axes: Axes, y: float, block: int, rows: list[Stretch], width: float, network: Network) -> float:
    height = _height(rows)
    _box(axes, 4, y, width - 8, height, face="#fbfcfd", edge=RULE)
    axes.text(12, y + height / 2, f"block {block + 1}", fontsize=9, weight="bold", va="center")
    below = y + 4
    for stretch in rows:
        middle = below + _row_height(stretch) / 2
        below += _row_height(stretch)
        if stretch.times > 1:
            axes.text(_LEFT - 8, middle, f"×{stretch.times}", weight="bold", fontsize=10, ha="right", va="center")
        x = _LEFT
        if text := _reads(network, stretch):
            axes.text(x, middle, text, fontsize=8, va="center_baseline", color=FAINT)
            x += _reads_width(network, stretch)
        for number, unit in enumerate(stretch.units):
            if number:
                axes.text(x + 1, middle, "|", va="center", color=FAINT)
                x += _SEPARATOR + _GAP
            x = _draw_tiles(axes, x, middle, _chain(unit))
            if not _chain(unit):
                axes.text(x, middle, "identity", fontsize=8, va="center", color=FAINT)
            x = _draw_skip(axes, x, middle, unit.shortcut)
    return y + height


def _draw_tiles(axes: Axes, x: float, middle: float, layers: Sequence[Layer]) -> float:
    for layer in layers:
        x = (_draw_branches if layer.inside else _draw_tile)(axes, x, middle, layer)
    return x


def _draw_branches(axes: Axes, x: float, middle: float, layer: Layer) -> float:
    """Branches one above the other in brackets, and how they come together."""
    height, inner = _ROW * _lines((layer,)), max(map(_tiles_width, layer.inside))
    top, left, right = middle - height / 2, x + 2, x + 2 * _BRACKET + inner - 4
    for edge, bend in ((left, 3), (right, -3)):
        ends = [top + 3, top + 3, top + height - 3, top + height - 3]
        axes.plot([edge + bend, edge, edge, edge + bend], ends, color=FAINT, linewidth=1)
    for branch in layer.inside:
        part = _ROW * _lines(branch)
        _draw_tiles(axes, x + _BRACKET, top + part / 2, branch)
        if not branch:
            axes.text(x + _BRACKET, top + part / 2, "input", va="center_baseline", fontsize=8, color=FAINT)
        top += part
    axes.text(right + 4, middle, _how(layer), va="center_baseline", fontsize=8)
    return x + _tile_width(layer) + _GAP


def _draw_skip(axes: Axes, x: float, middle: float, shortcut: tuple[Layer, ...] | None) -> float:
    if shortcut is None:
        return x
    axes.text(x + 4, middle, "+", va="center_baseline", weight="bold", fontsize=10)
    x += 16
    if not shortcut:
        axes.text(x, middle, "input", va="center_baseline", fontsize=8, color=FAINT)
        return x + 30
    for layer in shortcut:
        x = _draw_branches(axes, x, middle, layer) if layer.inside else _draw_tile(axes, x, middle, layer, dashed=True)
    return x


def _draw_tile(axes: Axes, x: float, middle: float, layer: Layer, *, dashed: bool = False) -> float:
    width = _tile_width(layer)
    _box(axes, x, middle - _TILE / 2, width, _TILE, face=FAMILY_COLOURS[layer.family], edge=FAINT, dashed=dashed)
    axes.text(x + width / 2, middle, layer.label, ha="center", va="center_baseline", fontsize=8)
    return x + width + _GAP


def _draw_share(axes: Axes, x: float, middle: float, share: float) -> None:
    axes.text(x + _SHARE - 6, middle, f"{share:.1%}", ha="right", va="center", fontsize=9)
    _box(axes, x + _SHARE, middle - 5, max(_BAR * share, 0.8), 10, face=INK, edge=INK, rounding=0.0)


def _arrow(axes: Axes, y: float, label: str) -> float:
    middle = _LEFT + 40
    style = {"arrowstyle": "-|>", "mutation_scale": 9, "color": INK, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0}
    axes.add_patch(FancyArrowPatch((middle, y), (middle, y + _ARROW), **style))
    axes.text(middle + 8, y + _ARROW / 2 - 1, label, fontsize=8.5, va="center")
    return y + _ARROW


def _end(axes: Axes, y: float, text: str) -> float:
    _box(axes, _LEFT - 10, y, 30 + _LETTER * 1.1 * len(text), 24, face="#f4f6f8", edge=FAINT)
    axes.text(_LEFT, y + 12, text, fontsize=9, va="center_baseline")
    return y + 24


def _legend_rows(kinds: list[str], width: float) -> list[list[str]]:
    rows: list[list[str]] = [[]]
    used = 0.0
    for kind in kinds:
        needed = 26 + _LETTER * len(kind)
        if rows[-1] and used + needed > width - 16:
            rows.append([])
            used = 0.0
        rows[-1].append(kind)
        used += needed
    return rows


def _draw_legend(axes: Axes, y: float, rows: list[list[str]]) -> float:
    for row in rows:
        x = 8.0
        for kind in row:
            _box(axes, x, y - 5, 10, 10, face=FAMILY_COLOURS[kind], edge=FAINT, rounding=1.0)
            axes.text(x + 14, y, kind, fontsize=8, va="center")
            x += 26 + _LETTER * len(kind)
        y += 15
    return y


def _box(
    axes: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    face: str,
    edge: str,
    dashed: bool = False,
    rounding: float = 3.0,
) -> None:
    style = f"round,pad=0,rounding_size={rounding}" if rounding else "square,pad=0"
    line = (0, (3, 2)) if dashed else "solid"
    axes.add_patch(
        FancyBboxPatch(
            (x, y), width, height, boxstyle=style, facecolor=face, edgecolor=edge, linewidth=0.8, linestyle=line
        )
    )
