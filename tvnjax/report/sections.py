"""The sections of a report in their order."""

import shlex
from collections.abc import Mapping
from typing import Any

from tvnjax.core.printable import json_text
from tvnjax.report import figure_parts, search_parts, search_tables, tables
from tvnjax.report.document import Callout, Code, Details, Document, Paragraph, Part, Section, Subtitle
from tvnjax.report.drawing import AXES_NOTE
from tvnjax.report.evidence_parts import evidence
from tvnjax.report.headline import headline
from tvnjax.report.quantities import count, milliseconds
from tvnjax.report.record import RunRecord, best_of, number
from tvnjax.report.trace_parts import costliest_operations


def build_document(record: RunRecord) -> Document:
    """Everything the report of a run says; draws its figures."""
    sections = (
        ("result", "Result", [*headline(record), *_budget_origin(record)]),
        ("strategies", "Strategies side by side", _strategies(record)),
        ("networks", "The networks", _networks(record)),
        ("figures", "Figures", _figures(record)),
        ("ledger", "Supernet-to-network gap", _ledger(record)),
        ("data", "Data", _data(record)),
        ("environment", "Environment and rerun", _environment(record)),
        ("notes", "Notes", _notes(record)),
    )
    return Document(
        title=f"Search report: {record.name}",
        sections=tuple(Section(anchor=anchor, title=title, blocks=tuple(blocks)) for anchor, title, blocks in sections),
    )


def _budget_origin(record: RunRecord) -> list[Part]:
    reference = record.mapping("reference")
    largest, smallest = number(reference, "largest_ms"), number(reference, "smallest_ms")
    rule = reference.get("budget_rule")
    texts = [f"The budget: {rule}."] if rule else []
    if largest is not None and smallest is not None:
        texts.append(
            f"The space's smallest network takes {milliseconds(smallest)} ms, its largest {milliseconds(largest)} ms."
        )
    return [Paragraph(text=" ".join(texts))] if texts else []


def _strategies(record: RunRecord) -> list[Part]:
    parts: list[Part] = [tables.comparison(record)]
    if len(record.results) > len(record.strategies):
        parts.append(Details(summary="Every seed", blocks=(tables.every_seed(record),)))
    budgets = search_tables.budgets(record)
    missing = Paragraph(text="Left out: results.json does not list the budgets; that of the latency is in the table.")
    return [*parts, Subtitle(text="Budgets"), missing if budgets is None else budgets]


def _networks(record: RunRecord) -> list[Part]:
    drawn = [best for name in record.strategies if (best := best_of(record.of(name))) and best.genotype is not None]
    others = [r for r in record.results if r not in drawn and r.genotype is not None]
    parts: list[Part] = []
    if others:
        parts.append(
            Paragraph(text="Of a strategy with several seeds, the one with the highest top-1 within the budget.")
        )
    parts += figure_parts.network_gallery(record)
    if drawn:
        parts += [Paragraph(text=_DRAWING_KEY), Subtitle(text="Genes"), *map(tables.genes, drawn)]
    if others:
        parts.append(Details(summary="Genes of the other seeds", blocks=tuple(map(tables.genes, others))))
    return parts


def _figures(record: RunRecord) -> list[Part]:
    return [
        *figure_parts.search_figures(record),
        *search_parts.tendency_figures(record),
        *costliest_operations(record),
        *search_parts.shape_figures(record),
        *search_parts.plan_list(record),
        *figure_parts.marginal_figures(record),
        *figure_parts.latency_figures(record),
        *figure_parts.retraining_figures(record),
    ]


def _ledger(record: RunRecord) -> list[Part]:
    parts: list[Part] = []
    for name, seed in record.runs("ledger"):
        table = tables.ledger(record.select("ledger", strategy=name, seed=seed)[-1].get("rows"))
        if table.rows:
            parts += [Subtitle(text=f"{name}, seed {seed}"), table, *evidence(record, name, seed)]
    if not parts:
        return [Paragraph(text="Left out: this run has no 'ledger' events.")]
    text = "What accuracy and latency become on the way from the mixture to one network trained on its own."
    return [Paragraph(text=text), *parts]


def _data(record: RunRecord) -> list[Part]:
    data = record.mapping("data")
    if not data:
        return [Paragraph(text="Left out: results.json says nothing of the data.")]
    names = record.class_names
    parts: list[Part] = [Paragraph(text=f"{data.get('name') or 'unnamed'}, {len(names)} classes: {', '.join(names)}.")]
    if data.get("splits"):
        parts.append(tables.splits(data))
    said = data.get("said")
    if isinstance(said, list):
        lines = tuple(f"{line!s:.2000}." for line in said)
        parts.append(Callout(lines=lines) if lines else Paragraph(text="Every clip that was named is there, as named."))
    else:
        parts += _counted(data)  # of a run of before
    skipped = data.get("skipped")
    if isinstance(skipped, list) and skipped:
        parts.append(Details(summary="What was skipped, and why", blocks=(tables.skipped_files(skipped),)))
    return parts


def _counted(data: Mapping[str, Any]) -> list[Part]:
    short, skipped = [], data.get("skipped")
    if (widened := number(data, "widened")) is not None:
        short.append(f"{count(widened)} labelled spans were shorter than a clip and took in frames around them")
    if (held := number(data, "held")) is not None:
        short.append(f"{count(held)} were filled up by holding their last frame")
    parts: list[Part] = [Paragraph(text="; ".join(short) + ".")] if short else []
    if isinstance(skipped, list) and skipped:
        return [*parts, Callout(lines=(f"{len(skipped):,} clip{'s' * (len(skipped) > 1)} skipped.",))]
    return [*parts, Paragraph(text="No clip was skipped.")]


def _environment(record: RunRecord) -> list[Part]:
    environment = record.mapping("environment")
    missing = Paragraph(text="Left out: results.json says nothing of the environment.")
    parts: list[Part] = [tables.facts(environment) if environment else missing]
    if record.config is None:
        return [*parts, Paragraph(text="Left out: the run directory has no config.json.")]
    command = record.config.get("command")
    if command:
        text = shlex.join(map(str, command)) if isinstance(command, list) else str(command)
        parts += [Subtitle(text="Run it again"), Code(text=text)]
    return [*parts, Details(summary="All options", blocks=(Code(text=_json(record.config)),))]


def _notes(record: RunRecord) -> list[Part]:
    parts: list[Part] = []
    if rule := record.details.get("counting_rule"):
        parts.append(Paragraph(text=f"Counts. {_sentence(rule)}"))
    if rule := record.details.get("latency_rule"):
        parts.append(Paragraph(text=f"Latency. {_sentence(rule)}"))
    space = record.mapping("space")
    if (size := number(space, "log10_size")) is not None:
        text = f"Search space. About 10^{size:.1f} assignments of genes; several can be the same network."
        parts.append(Paragraph(text=text))
    if space.get("plan"):
        parts.append(
            Details(summary="The plan: sizes that every network shares", blocks=(Code(text=_json(space["plan"])),))
        )
    if isinstance(own := space.get("own"), dict):
        parts.append(Details(summary="The space, made in Python", blocks=(Code(text=_json(own)),)))
    if isinstance(shapes := space.get("shapes"), dict):
        table = search_tables.shape_values(shapes)
        parts.append(Details(summary="Shape genes and the values they could take", blocks=(table,)))
    parts.append(
        Paragraph(
            text="Accuracies of candidates are on the validation split, those of the networks found on the test split."
        )
    )
    if record.unread_lines:
        lines = f"{record.unread_lines} line{'s' * (record.unread_lines > 1)} of events.jsonl could not be read"
        parts.append(Callout(lines=(f"{lines}: the run was stopped while writing, or the file was changed.",)))
    if not record.events:
        parts.append(Callout(lines=("events.jsonl is missing or empty: figures over time are left out.",)))
    return parts


_DRAWING_KEY = (
    f"{AXES_NOTE} Filled squares are convolutions, grey ones depthwise, hollow triangles pools, crossed circles gates "
    "(one factor a channel and clip); ×N stands for equal repeats, each with its own weights."
)


def _sentence(rule: Any) -> str:
    text = str(rule).strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _json(value: Any) -> str:
    return json_text(value, indent=2)
