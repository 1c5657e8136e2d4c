"""The tables of a search over shapes: budgets, plans compiled, layers with parameters, values of the shape genes."""

from collections.abc import Mapping, Sequence
from typing import Any

from tvnjax.graph.outline import parametric_layers
from tvnjax.report.document import Cell, Table, cells
from tvnjax.report.figures.tendency import BUDGETS, shown_steps
from tvnjax.report.quantities import (
    MISSING,
    Style,
    count,
    decimal,
    milliseconds,
    optional,
    percent,
    seconds,
)
from tvnjax.report.record import RunRecord, StrategyResult, best_of, number

_SPACE = "\N{NO-BREAK SPACE}"
PLANS_SHOWN = 500
"""Plans listed; the rest is counted."""

_UNITS = {"ms": "ms, measured", "params": "counted", "memory_mb": "MiB, counted"}
_STYLES: dict[str, Style] = {"ms": milliseconds, "params": count, "memory_mb": milliseconds}


def budgets(record: RunRecord) -> Table | None:
    """Every budget with what the networks found take of it; ``None`` where the run does not list its budgets.

    Of a strategy with several seeds, the network that is drawn.
    """
    given = record.mapping("budget")
    if not given:
        return None
    shown = [best for name in record.strategies if (best := best_of(record.of(name))) is not None]
    last = [step for step in shown_steps(record) if isinstance(step.get("costs"), dict)][-1:]
    rows = []
    for name, label in BUDGETS.items():
        limit, style = number(given, name), _STYLES[name]
        row = [Cell(text=label, note=_UNITS[name]), Cell(text="none" if limit is None else style(limit))]
        for result in shown:
            cost = _cost(result, name)
            part = f"{percent(cost / limit)}{_SPACE}%" if cost is not None and limit else ""
            row.append(Cell(text=optional(cost, style), note=part, alert=name in result.broken))
        if last:
            found = last[0]["costs"]
            cost = found.get(name)
            part, multiplier = (number(cost, key) if isinstance(cost, dict) else None for key in ("part", "multiplier"))
            row += cells(optional(part, percent), optional(multiplier, decimal))
        rows.append(tuple(row))
    header = (
        "budget",
        "allowed",
        *(result.name for result in shown),
        *(("expected (%)", "multiplier") if last else ()),
    )
    caption = "What the networks found cost; below it, the part of the budget."
    if last:
        caption += " Expected: the part that the relaxed network's expected cost took at its last step."
    return Table(header=header, rows=tuple(rows), caption=caption)


def plans(entries: Sequence[Mapping[str, Any]]) -> Table:
    """Plans in the order in which they entered the working set."""
    rows = tuple(
        cells(
            str(index + 1),
            str(entry.get("plan") or MISSING),
            f"{entry.get('strategy') or MISSING}, seed {entry.get('seed', MISSING)}",
            optional(number(entry, "members"), count),
            optional(number(entry, "charged_s"), seconds),
        )
        for index, entry in enumerate(entries[:PLANS_SHOWN])
    )
    more = len(entries) - len(rows)
    caption = f"{more:,} more in events.jsonl." if more else ""
    return Table(
        header=("", "plan", "search", "with its variants", "charged seconds"), rows=rows, caption=caption, numeric=False
    )


def shape_values(shapes: Mapping[str, Any]) -> Table:
    """The values every shape gene could take, as ``results.json`` lists them."""
    rows = [(str(gene), values) for gene, values in shapes.items() if gene != "blocks" and values is not None]
    blocks = shapes.get("blocks")
    for index, block in enumerate(blocks if isinstance(blocks, list) else []):
        if isinstance(block, dict):
            rows += [(f"{gene} of block {index + 1}", values) for gene, values in block.items()]
    table = tuple(
        cells(gene.replace("_", " "), ", ".join(map(str, values)) if isinstance(values, list) else str(values))
        for gene, values in rows
    )
    return Table(header=("gene", "values"), rows=table, numeric=False)


def derived_layers(record: RunRecord) -> list[tuple[str, str, int]]:
    """Strategy, id and layers with parameters of every network that a gradient search derived, each once.

    A run whose log does not say is told from the genotypes of its results.
    """
    found: dict[tuple[str, str], int] = {}
    for entry in record.select("derived"):
        layers = number(entry, "parametric")
        if layers is not None:
            found[str(entry.get("strategy")), str(entry.get("id"))] = int(layers)
    searched = {name for event in ("search_step", "marginals", "derived") for name, _ in record.runs(event)}
    searched |= {name for name, _ in found}
    for result in record.results:
        key = (result.name, result.genotype_id)
        if result.name in searched and result.genotype is not None and key not in found:
            found[key] = parametric_layers(result.genotype.lower(2))
    return [(name, identity, layers) for (name, identity), layers in found.items()]


def _cost(result: StrategyResult, name: str) -> float | None:
    return {"ms": result.latency_ms, "params": result.params, "memory_mb": result.memory_mb}[name]
