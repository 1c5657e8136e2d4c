"""``tvnjax show``."""

import dataclasses
import io
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.box import SIMPLE
from rich.table import Table

from tvnjax.cli.console import PlainConsole
from tvnjax.cli.options import parse_command
from tvnjax.cli.timing import TimingOptions, blocks_ms
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.outputs import write_output
from tvnjax.core.printable import say
from tvnjax.graph import COUNTING_RULE, Network
from tvnjax.graph.outline import Stretch, array_names, blocks, clips_text, head_text, reads_text, unit_label
from tvnjax.graph.shape import lengths
from tvnjax.zoo.resolve import find_network


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShowOptions(TimingOptions):
    """Shows a network block by block: as a table here, or as a drawing in a file.

    Shares are those of the multiply-adds, or with --measure those of the latency of each block's units, timed by
    themselves.
    """

    network: Annotated[str, tyro.conf.Positional]
    """A name ('tvnjax zoo' lists them) or a genotype's JSON file."""
    out: Path | None = None
    """Draw into this file: .svg or .png."""
    force: bool = False
    """Replace a file that is there."""
    classes: int | None = None
    """Default: the network's own number."""
    frames: int | None = None
    """Default: the network's own."""
    image_size: int | None = None
    """Default: the network's own."""


def show_command(argv: list[str]) -> int:
    options = parse_command(ShowOptions, argv, prog="tvnjax show", flags=True)
    if options.out is not None and options.out.suffix not in (".svg", ".png"):
        raise InvalidInputError(f"a drawing is a file that ends in .svg or .png; got {options.out}")
    entry = find_network(options.network, num_frames=options.frames, image_size=options.image_size)
    network = entry.network(options.classes)
    shares, what = _shares(network, options)
    if options.out is not None:
        _draw(entry.name, network, shares, what, options.out, force=options.force)
        options.result(
            _value(entry.name, network, shares, what) | {"drawing": str(options.out)}, lambda: say(options.out)
        )
        return 0
    options.result(_value(entry.name, network, shares, what), lambda: _print(entry.name, network, shares, what))
    options.remark(f"{network.params:,} parameters, {network.macs:,} multiply-adds ({COUNTING_RULE})")
    return 0


def _value(name: str, network: Network, shares: dict[int, float], what: str) -> dict[str, Any]:
    rows = [
        {
            "block": block + 1,
            **_wired(network, stretch),
            "in_shape": list(stretch.units[0].in_shape),
            "times": stretch.times,
            "layers": [unit_label(unit) for unit in stretch.units],
            "params": stretch.times * sum(unit.params for unit in stretch.units),
        }
        for block, stretches in blocks(network)
        for stretch in stretches
    ]
    return {
        "name": name,
        "input_shape": list(network.input_shape),
        **({"further_inputs": [list(shape) for shape in network.further_inputs]} if network.further_inputs else {}),
        "blocks": rows,
        "shares": {"of": what, "by_block": {str(block + 1): share for block, share in shares.items()}},
        "head": {"text": head_text(network), "params": network.head.params},
        "params": network.params,
        "macs": network.macs,
        "counting_rule": COUNTING_RULE,
    }


def _wired(network: Network, stretch: Stretch) -> dict[str, Any]:
    """Of a row of a graph: its units, counted from 1, and what the first of them reads."""
    if network.is_chain:
        return {}
    names, reads = array_names(network), network.wiring.reads[stretch.first]
    shapes = [list(shape) for shape in stretch.units[0].in_shapes]
    return {"units": stretch.number, "reads": [names[at] for at in reads], "in_shapes": shapes}


def _shares(network: Network, options: ShowOptions) -> tuple[dict[int, float], str]:
    """Parts of 1 of each block, and of what; a head is nothing to time beside blocks."""
    if options.measure:
        spent: dict[int, float] = blocks_ms(network, options)
        total, what = sum(spent.values()), "latency"
    else:
        spent, total, what = {}, network.macs, "multiply-adds"
        for unit in network.units:
            spent[unit.block] = spent.get(unit.block, 0) + unit.macs
    return {block: value / max(total, 1e-12) for block, value in spent.items()}, what


def _print(name: str, network: Network, shares: dict[int, float], what: str) -> None:
    say(f"{name}: {clips_text(network)}")
    table = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    columns = (("block", "right"), ("receives", "left"), ("", "right"), ("layers", "left"))
    if not network.is_chain:
        columns = (columns[0], ("unit", "right"), *columns[1:])
    for column, side in columns:
        table.add_column(column, justify=side, no_wrap=column == "receives")  # type: ignore[arg-type]
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("latency" if what == "latency" else "madds", justify="right", no_wrap=True)
    for block, stretches in blocks(network):
        for index, stretch in enumerate(stretches):
            params = stretch.times * sum(unit.params for unit in stretch.units)
            table.add_row(
                str(block + 1) if not index else "",
                *([] if network.is_chain else [stretch.number]),
                _receives(network, stretch),
                f"×{stretch.times}" if stretch.times > 1 else "",
                " | ".join(map(unit_label, stretch.units)),
                f"{params:,}",
                f"{shares[block]:.1%}" if not index else "",
            )
    number = [] if network.is_chain else [""]
    table.add_row(
        "head", *number, lengths(network.head.in_shape), "", head_text(network), f"{network.head.params:,}", ""
    )
    PlainConsole().print(table)


def _receives(network: Network, stretch: Stretch) -> str:
    """The sizes that come in, in a graph with what they come from where it is not the unit before."""
    shapes = [lengths(shape) for shape in stretch.units[0].in_shapes]
    if not reads_text(network, stretch.first):
        return shapes[0]
    names = array_names(network)
    return "\n".join(f"{names[at]}: {shape}" for at, shape in zip(network.wiring.reads[stretch.first], shapes))


def _draw(name: str, network: Network, shares: dict[int, float], what: str, out: Path, *, force: bool) -> None:
    import matplotlib

    from tvnjax.report.figures.canvas import report_style, save
    from tvnjax.report.overview import draw_overview

    title = f"{name}   {network.params / 1e6:,.2f} M parameters, {network.macs / 1e9:,.2f} G multiply-adds"
    with report_style():
        figure = draw_overview(network, title, shares, what)
        picture, form = io.BytesIO(), out.suffix[1:]
        with matplotlib.rc_context({"svg.hashsalt": name}):
            # Without the date, so that the same drawing is the same file.
            save(figure, picture, format=form, dpi=120, metadata={"Date": None} if form == "svg" else None)
    write_output({out: picture.getvalue()}, "a drawing", force=force)
