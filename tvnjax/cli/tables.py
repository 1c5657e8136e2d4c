"""``tvnjax tables``."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.box import SIMPLE
from rich.table import Table

from tvnjax.cli.console import PlainConsole
from tvnjax.cli.machine import print_csv, print_json
from tvnjax.cli.options import parse_command
from tvnjax.cli.output import chosen_format
from tvnjax.cli.timing import TimingOptions, networks_ms, per_second
from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.printable import NAME, printable, say, standard_output
from tvnjax.graph import COUNTING_RULE
from tvnjax.report.markdown import escape
from tvnjax.zoo.paper_tables import FIGURES, PaperRow, PaperTable, paper_tables, read_published


@dataclasses.dataclass(frozen=True, kw_only=True)
class TablesOptions(TimingOptions):
    """Prints the comparisons of the Tiny Video Networks paper again: its figures beside exact counts and latency here.

    Of the paper's figures it knows those of its abstract and text; --published adds others from a CSV file.
    """

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Tables: found, mobile, frames, pixels, scaling, parts. Default: all."""
    format: Literal["table", "markdown", "json", "csv"] = "table"
    """json and csv go to standard output alone, with the remarks on standard error."""
    published: Path | None = None
    """A CSV file of further figures of the paper, or of another: table,network and any of cpu_ms, gpu_ms, params_m
    (millions), gflops (10^9), top1 (per cent), data (the set top1 is of)."""
    trained: tuple[Path, ...] = ()
    """Runs of 'tvnjax train', whose test top-1 is shown beside the networks they trained."""
    repeats: int = 30
    """Timed calls of each network."""


def tables_command(argv: list[str]) -> int:
    options = parse_command(TablesOptions, argv, prog="tvnjax tables", flags=True)
    form = chosen_format(options)
    if options.repeats < 2:
        raise InvalidInputError(f"repeats is at least 2; got {options.repeats}")
    tables = _chosen(options)
    trained = [_trained(run) for run in options.trained]
    rows = {table.key: [_row(table, row, trained) for row in table.rows] for table in tables}
    unused = [
        where for where, key, _ in trained if not any(key == row["key"] for part in rows.values() for row in part)
    ]
    if unused:
        raise InvalidInputError(
            f"a trained network is one of the tables'; {', '.join(unused)} is in none of those shown"
        )
    if options.measure:
        _measure(tables, rows, options)
    for part in rows.values():
        for row in part:
            del row["key"]
    if form in ("json", "csv"):
        (print_json if form == "json" else print_csv)([row for part in rows.values() for row in part])
    shown = form in ("table", "markdown")
    for table in tables:
        if shown:
            _print(table, rows[table.key], options)
        for remark in [] if options.quiet else table.remarks:
            say(remark, error=not shown)
    for rule in [] if options.quiet else _rules(options):
        say(rule, error=not shown)
    return 0


def _chosen(options: TablesOptions) -> tuple[PaperTable, ...]:
    tables = paper_tables()
    if options.published is not None:
        tables = read_published(options.published, tables)
    by_key = {table.key: table for table in tables}
    for name in options.names:
        if name not in by_key:
            raise InvalidInputError(f"a table is one of {', '.join(by_key)}; got {name!r}{did_you_mean(name, by_key)}")
    return tuple(by_key[name] for name in dict.fromkeys(options.names)) or tables


def _row(table: PaperTable, row: PaperRow, trained: list[tuple[str, Any, dict[str, Any]]]) -> dict[str, Any]:
    network, published = row.entry.network(), dataclasses.asdict(row.published)
    ours = next((score for _, key, score in trained if key == _key(row.entry)), {})
    return {
        "key": _key(row.entry),
        "table": table.key,
        "network": row.name,
        "num_frames": row.entry.num_frames,
        "image_size": row.entry.image_size,
        "num_classes": row.entry.num_classes,
        "params": network.params,
        "macs": network.macs,
        "latency_ms": None,
        "batch": None,
        "clips_per_s": None,
        "top1": ours.get("top1"),
        "data": ours.get("data", ""),
        **{f"published_{name}": published[name] for name in (*FIGURES, "data")},
    }


def _key(entry: Any) -> Any:
    """What is the same for two descriptions of one network, its classes apart."""

    if entry.genotype is not None:
        return entry.genotype.id
    return entry.name, entry.num_frames, entry.image_size


def _trained(run: Path) -> tuple[str, Any, dict[str, Any]]:
    from tvnjax.training.saved import open_saved
    from tvnjax.zoo.run_facts import read_object

    saved = open_saved(run)
    results = read_object(run / "results.json") if (run / "results.json").is_file() else {}
    try:
        score = {"top1": 100 * float(results["scores"]["test"]["top1"]), "data": str(results["data"]["name"])}
    except (KeyError, TypeError, ValueError):
        raise InvalidInputError(
            f"a finished run of 'tvnjax train' tells its top-1 on the test split in results.json; {run} does not"
        ) from None
    return str(run), _key(saved.entry), score


def _measure(tables: tuple[PaperTable, ...], rows: dict[str, list[dict[str, Any]]], options: TablesOptions) -> None:
    known: dict[Any, float] = {}
    for table in tables:
        for row, told in zip(table.rows, rows[table.key], strict=True):
            if told["key"] not in known:
                if not options.quiet:
                    say(f"measuring {row.name}", error=True)
                (known[told["key"]],) = networks_ms([row.entry.network()], options, options.repeats)
            told["latency_ms"] = known[told["key"]]
            told |= {"batch": options.latency_batch, "clips_per_s": options.clips_per_s(known[told["key"]])}


def _print(table: PaperTable, rows: list[dict[str, Any]], options: TablesOptions) -> None:
    head, body = _cells(rows, options.measure)
    if options.format == "markdown":
        lines = [f"| {' | '.join(map(escape, line))} |" for line in body]
        with standard_output():
            print(f"\n## {table.title} (`{table.key}`)\n")
            print("\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines]), end="\n\n")
        return
    shown = Table(title=f"{table.title} ({table.key})", title_justify="left", box=SIMPLE, pad_edge=False)
    shown.padding = (0, 1, 0, 0)
    for column in head:
        shown.add_column(column, justify="left" if column == "network" else "right", no_wrap=True)
    for line in body:
        shown.add_row(*line)
    console = PlainConsole()
    # As wide as it needs to be: a shortened number is none.
    console.width = max(console.width, console.measure(shown, options=console.options.update(width=1000)).maximum)
    console.print(shown)


def _cells(rows: list[dict[str, Any]], measured: bool) -> tuple[list[str], list[list[str]]]:
    """Header and cells; a column that no row has anything in is left out."""

    def figure(row: dict[str, Any], name: str, form: str, suffix: str = "") -> str:
        return "" if row[name] is None else f"{row[name]:{form}}{suffix}"

    columns: dict[str, list[str]] = {
        "network": [printable(row["network"], NAME) for row in rows],
        "input": [f"{row['num_frames']} × {row['image_size']}²" for row in rows],
        "classes": [str(row["num_classes"]) for row in rows],
        "parameters": [f"{row['params']:,}" for row in rows],
        "paper's": [figure(row, "published_params_m", "g", " M") for row in rows],
        "multiply-adds": [f"{row['macs']:,}" for row in rows],
        "paper's GFLOPs": [figure(row, "published_gflops", "g") for row in rows],
        "ms here": [figure(row, "latency_ms", ".3g") for row in rows] if measured else [],
        "clips/s here": [per_second(row["clips_per_s"]) for row in rows] if measured else [],
        "paper's CPU ms": [figure(row, "published_cpu_ms", "g") for row in rows],
        "paper's GPU ms": [figure(row, "published_gpu_ms", "g") for row in rows],
        "top-1 here": [f"{figure(row, 'top1', '.1f', ' %')} {row['data']}".strip() for row in rows],
        "paper's top-1": [
            f"{figure(row, 'published_top1', 'g', ' %')} {row['published_data']}".strip() for row in rows
        ],
    }
    kept = {name: cells for name, cells in columns.items() if any(cells)}
    return list(kept), [list(line) for line in zip(*kept.values(), strict=True)]


def _rules(options: TablesOptions) -> list[str]:
    rules = [COUNTING_RULE, "An empty cell of the paper's: it gives none, or it is not at hand (--published adds it)."]
    if options.measure:
        rules.append(f"ms here: {options.runtime}; {options.call_rule}")
    return rules
