"""``tvnjax diff`` and ``tvnjax scale``."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.box import SIMPLE
from rich.table import Table

from tvnjax.cli.console import PlainConsole
from tvnjax.cli.machine import print_json
from tvnjax.cli.options import parse_command
from tvnjax.cli.output import OutputOptions
from tvnjax.cli.timing import TimingOptions, blocks_ms, networks_ms
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.outputs import write_output
from tvnjax.core.printable import NAME, printable, say
from tvnjax.core.to_json import json_file
from tvnjax.graph import COUNTING_RULE, Network
from tvnjax.spaces.tvn.canonical import genotype_id
from tvnjax.spaces.tvn.difference import differences
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.scaling import compound_scale, scale_genotype
from tvnjax.zoo.resolve import CUSTOM_CLASSES, find_network

Named = Annotated[str, tyro.conf.Positional]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiffOptions(OutputOptions):
    """Shows what two genotypes differ in, and what that does to their counts."""

    first: Named
    """A genotype's JSON file, or the name of a Tiny Video Network."""
    second: Named
    """The one to compare it with, likewise."""
    classes: int = CUSTOM_CLASSES
    """Of the counts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScaleOptions(TimingOptions):
    """Makes a larger or smaller relative of a genotype, and says what it costs.

    --compound PHI scales as EfficientNet does: depth by 1.2, width by 1.1 and pixels by 1.15, to the power of PHI.
    """

    genotype: Named
    """A genotype's JSON file, or the name of a Tiny Video Network."""
    width: float | None = None
    """Factor of the filters of every block, rounded to multiples of 8."""
    depth: float | None = None
    """Factor of the repeats of every block, rounded up."""
    image_size: int | None = None
    """Pixels of a frame's side."""
    frames: int | None = None
    """Frames of a clip."""
    compound: float | None = None
    """Instead of width, depth and image size."""
    out: Path | None = None
    """Where the new genotype goes. Default: NAME-scaled.json, here."""
    force: bool = False
    """Replace a file that is there."""
    classes: int = CUSTOM_CLASSES
    """Of the counts."""


def diff_command(argv: list[str]) -> int:
    options = parse_command(DiffOptions, argv, prog="tvnjax diff", flags=True)
    first, second = _genotype(options.first), _genotype(options.second)
    found = differences(first, second)
    same = genotype_id(first) == genotype_id(second)
    named = ((options.first, first), (options.second, second))
    networks = [
        {"name": name, "id": genotype_id(genotype), **_counts(lower(genotype, options.classes))}
        for name, genotype in named
    ]
    value = {
        "differences": [
            {"where": row.where, "gene": row.gene, "first": row.first, "second": row.second, "active": row.active}
            for row in found
        ],
        "same_network": same,
        "networks": networks,
    }
    options.result(value, lambda: _show_differences(options, found, networks, same=same))
    options.remark(COUNTING_RULE)
    return 0


def _show_differences(
    options: DiffOptions, found: Sequence[Any], networks: Sequence[dict[str, Any]], *, same: bool
) -> None:
    if not found:
        say("the same genes")
    elif same:
        say("different genes, the same network: what differs does nothing there")
    names = printable(options.first, NAME), printable(options.second, NAME)
    table = Table("where", "gene", *names, "", box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for row in found:
        table.add_row(row.where, row.gene, row.first, row.second, "" if row.active else "does nothing")
    if found:
        PlainConsole().print(table)
    for network in networks:
        say(f"{network['name']}: {network['id']}, {_counts_text(network)}")


def scale_command(argv: list[str]) -> int:
    options = parse_command(ScaleOptions, argv, prog="tvnjax scale", flags=True)
    genotype, scaled = _genotype(options.genotype), _scaled(options)
    out = options.out or Path(f"{Path(options.genotype).stem}-scaled.json")
    write_output({out: json_file(scaled.to_json())}, "a genotype", force=options.force)
    networks = {options.genotype: lower(genotype, options.classes), str(out): lower(scaled, options.classes)}
    rows = []
    for name, network in networks.items():
        row = {"name": name, **_counts(network), **(_timed(network, options) if options.measure else {})}
        rows.append(row)
        if not options.json:
            say(f"{name}: {_counts_text(row)}{_timed_text(row, options)}")
    if options.json:
        print_json({"out": str(out), "networks": rows})
    options.remark(COUNTING_RULE)
    return 0


def _scaled(options: ScaleOptions) -> Genotype:
    genotype = _genotype(options.genotype)
    if options.compound is None:
        if all(value is None for value in (options.width, options.depth, options.image_size, options.frames)):
            raise InvalidInputError(
                "a scaling changes something; give --width, --depth, --image-size, --frames or --compound"
            )
        factors = {"width": options.width or 1.0, "depth": options.depth or 1.0}
        if 0 in (options.width, options.depth):
            raise InvalidInputError("width and depth are factors above 0; got 0")
        return scale_genotype(genotype, **factors, image_size=options.image_size, num_frames=options.frames)
    if any(value is not None for value in (options.width, options.depth, options.image_size)):
        raise InvalidInputError("--compound sets width, depth and image size; leave those options out")
    compound = compound_scale(genotype, options.compound)
    return compound if options.frames is None else dataclasses.replace(compound, num_frames=options.frames)


def _genotype(name: str) -> Genotype:
    entry = find_network(name)
    if not isinstance(entry.genotype, Genotype):
        raise InvalidInputError(f"this takes genotypes of Tiny Video Networks; {name} is none: give a file, or tvn1")
    return entry.genotype


def _counts(network: Network) -> dict[str, Any]:
    from tvnjax.latency.memory import memory_mb

    return {"params": network.params, "macs": network.macs, "memory_mb": memory_mb(network)}


def _counts_text(row: dict[str, Any]) -> str:
    return f"{row['params']:,} parameters, {row['macs']:,} multiply-adds, {row['memory_mb']:.1f} MiB of memory"


def _timed(network: Network, options: ScaleOptions) -> dict[str, float]:
    predicted = sum(blocks_ms(network, options).values())
    (measured,) = networks_ms([network], options)
    return {"predicted_ms": predicted, "latency_ms": measured}


def _timed_text(row: dict[str, Any], options: ScaleOptions) -> str:
    if not options.measure:
        return ""
    from tvnjax.latency.measure import clips_a_call

    return (
        f", {row['predicted_ms']:.3g} ms predicted from its units, {row['latency_ms']:.3g} ms measured "
        f"({options.runtime}; {clips_a_call(options.latency_batch)})"
    )
