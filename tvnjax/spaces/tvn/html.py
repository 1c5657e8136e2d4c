"""A genotype in a notebook: its network as coloured tiles, in HTML alone, so that nothing has to be imported."""

from html import escape

from tvnjax.graph import COUNTING_RULE, FAMILY_COLOURS, Layer, Unit
from tvnjax.graph.outline import blocks, frames_text
from tvnjax.graph.shape import lengths
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.lowering import lower

NOTEBOOK_CLASSES = 339
"""Classes that are counted: those of the paper's main set."""

_TILE = "display:inline-block;margin:1px 2px;padding:1px 6px;border-radius:4px;color:#1f2933;white-space:nowrap;"
_CELL = "text-align:left;vertical-align:middle;padding:3px 8px;"


def genotype_html(genotype: Genotype) -> str:
    """A table: a row for every kind of unit, with what flows in and what share of the multiply-adds its block has."""
    network = lower(genotype, NOTEBOOK_CLASSES)
    _, h, w, _ = network.input_shape
    rows = []
    for block, stretches in blocks(network):
        macs = sum(unit.macs for unit in network.units if unit.block == block)
        for index, stretch in enumerate(stretches):
            first = index == 0
            cells = (
                f"<b>block {block + 1}</b>" if first else "",
                lengths(stretch.units[0].in_shape),
                f"×{stretch.times}" if stretch.times > 1 else "",
                " | ".join(map(_unit, stretch.units)),
                f"{macs / max(network.macs, 1):.1%}" if first else "",
            )
            rows.append("<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells) + "</tr>")
    head = "".join(f'<th style="{_CELL}">{name}</th>' for name in ("", "receives", "", "layers", "multiply-adds"))
    counts = f"{network.params:,} parameters, {network.macs:,} multiply-adds with {NOTEBOOK_CLASSES} classes"
    return (
        f"<div><b>{h} × {w} px × {escape(frames_text(network))}</b>: "
        f'<span title="{escape(COUNTING_RULE)}">{counts}</span>'
        f'<table style="font-size:90%"><tr>{head}</tr>{"".join(rows)}</table></div>'
    )


def _unit(unit: Unit) -> str:
    tiles = "".join(map(_tile, unit.layers)) or "identity"
    if unit.shortcut is None:
        return tiles
    return f"{tiles} + {''.join(map(_tile, unit.shortcut)) or 'input'}"


def _tile(layer: Layer) -> str:
    return f'<span style="{_TILE}background:{FAMILY_COLOURS[layer.family]}">{escape(layer.label)}</span>'
