"""``tvnjax zoo``."""

import dataclasses
from typing import Annotated, Any, Literal

import tyro
from rich.box import SIMPLE
from rich.table import Table

from tvnjax.cli.console import PlainConsole
from tvnjax.cli.machine import print_csv, print_json
from tvnjax.cli.options import parse_command
from tvnjax.cli.output import chosen_format
from tvnjax.cli.timing import TimingOptions, networks_ms, per_second
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.printable import say
from tvnjax.graph import COUNTING_RULE
from tvnjax.zoo.registry import NOT_PUBLISHED, ZOO, count_network, zoo_entry


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZooOptions(TimingOptions):
    """Lists the networks of the papers with exact counts: source, input, parameters, multiply-adds, and latency here.

    Parameters are the trainable ones, batch-norm affine included; multiply-adds those of convolutions and matrix
    products, one clip, padding taps counted.
    """

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Networks; default: all."""
    format: Literal["table", "json", "csv"] = "table"
    """json and csv go to standard output alone, with the counting rule on standard error."""
    repeats: int = 30
    """Timed calls of each."""


def zoo_command(argv: list[str]) -> int:
    options = parse_command(ZooOptions, argv, prog="tvnjax zoo", flags=True)
    form = chosen_format(options)
    if options.repeats < 2:
        raise InvalidInputError(f"repeats is at least 2; got {options.repeats}")
    rows = [count_network(name) for name in options.names or ZOO]
    if options.measure:
        for row in rows:
            if not options.quiet:
                say(f"measuring {row['name']}", error=True)
            (ms,) = networks_ms([zoo_entry(row["name"]).network()], options, options.repeats)
            row |= {"latency_ms": ms, "batch": options.latency_batch}
            row["clips_per_s"] = options.clips_per_s(ms)
    if form == "json":
        print_json(rows)
    elif form == "csv":
        print_csv(rows)
    else:
        _print_table(rows)
        for source in dict.fromkeys(row["source"] for row in rows):
            options.remark(f"{', '.join(row['name'] for row in rows if row['source'] == source)}: {source}")
    for rule in [] if options.quiet else _rules(options):
        say(rule, error=form != "table")
    return 0


def _rules(options: ZooOptions) -> list[str]:
    rules = [COUNTING_RULE, NOT_PUBLISHED]
    if options.measure:
        rules.append(f"latency: {options.runtime}; {options.call_rule}")
    return rules


def _print_table(rows: list[dict[str, Any]]) -> None:
    measured = "latency_ms" in rows[0]
    table = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    timed = ("ms", "clips/s") if measured else ()
    for column in ("name", "input", "classes", "parameters", "multiply-adds", *timed):
        table.add_column(column, justify="left" if column == "name" else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["name"],
            f"{row['num_frames']} × {row['image_size']}²",
            str(row["num_classes"]),
            f"{row['params']:,}",
            f"{row['macs']:,}",
            *([f"{row['latency_ms']:.3g}", per_second(row["clips_per_s"])] if measured else []),
        )
    PlainConsole().print(table)
