"""What the report says of how one network was taken out of a relaxed one: who was proposed, who went on, and why."""

from collections.abc import Mapping, Sequence
from typing import Any

from tvnjax.core.printable import printable
from tvnjax.report.document import Details, Paragraph, Part, Table, cells
from tvnjax.report.quantities import MISSING, count, listing, milliseconds, optional, percent
from tvnjax.report.record import RunRecord, number

_ORIGINS = {
    "likeliest": "likeliest of a plan",
    "drawn": "drawn from the relaxed space",
    "near": "mutations of those of best rank",
}
_SHOWN = 40
"""Networks listed one by one."""


def evidence(record: RunRecord, name: str, seed: int) -> list[Part]:
    """How many networks of each origin were proposed, ranked, raced and trained to the end, in one search."""
    ranked = [
        network
        for event in record.select("ranked", strategy=name, seed=seed)
        for network in _list(event.get("networks"))
        if isinstance(network, dict)
    ]
    if not ranked:
        return []
    heard = [event for event in record.select("candidate", strategy=name, seed=seed) if _trained(event)]
    whole = {str(event.get("id")): event for event in heard if (number(event, "part") or 0) >= 1}
    raced = {str(event.get("id")) for event in heard}
    rows = [_of_origin(origin, words, ranked, raced, whole) for origin, words in _ORIGINS.items()]
    head = (
        "where from",
        "ranked",
        "best rank: top-1 (%)",
        "measured and raced",
        "trained to the end",
        "best top-1 (%)",
    )
    table = Table(header=head, rows=tuple(filter(None, rows)))
    text = (
        f"{count(len(ranked))} networks were ranked by validation top-1 with inherited weights behind a few steps of "
        "their own; the best of them within the budget were trained from scratch, the better ones to the end."
    )
    passed = _passed_over(record, name, seed)
    return [Paragraph(text=text), table, *passed, _list_of(ranked, raced, whole), *_changed(record, name, seed)]


def _of_origin(
    origin: str, words: str, ranked: Sequence[Mapping[str, Any]], raced: set[str], whole: Mapping[str, Any]
) -> Any:
    own = [network for network in ranked if network.get("origin") == origin]
    ids = {str(network.get("id")) for network in own}
    known = [top1 for network in own if (top1 := number(network, "top1")) is not None]
    ends = [top1 for name in ids & set(whole) if (top1 := number(whole[name], "top1")) is not None]
    return cells(
        words,
        count(len(own)),
        optional(max(known, default=None), percent),
        count(len(ids & raced)),
        count(len(ids & set(whole))),
        optional(max(ends, default=None), percent),
    )


def _list_of(ranked: Sequence[Mapping[str, Any]], raced: set[str], whole: Mapping[str, Any]) -> Part:
    rows = []
    for network in sorted(ranked, key=lambda network: -(number(network, "top1") or 0.0))[:_SHOWN]:
        name = str(network.get("id"))
        end = number(whole[name], "top1") if name in whole else None
        went = "trained to the end" if name in whole else "raced" if name in raced else MISSING
        cell = optional(number(network, "predicted_ms"), milliseconds)
        top1 = optional(number(network, "top1"), percent)
        where = _ORIGINS.get(str(network.get("origin")), MISSING)
        rows.append(cells(printable(name, 40), where, top1, cell, went, optional(end, percent)))
    header = ("network", "where from", "inherited top-1 (%)", "predicted (ms)", "went", "top-1 from scratch (%)")
    listed = f"The {count(len(rows))} of best rank" if len(rows) < len(ranked) else "Every one of them"
    return Details(summary=listed, blocks=(Table(header=header, rows=tuple(rows), numeric=False),))


def _passed_over(record: RunRecord, name: str, seed: int) -> list[Part]:
    """Why networks of high rank were not raced, and by how much measurements moved."""
    parts: list[Part] = []
    for event in record.select("passed_over", strategy=name, seed=seed)[-1:]:
        found = event.get("networks")
        networks = found if isinstance(found, dict) else {}
        told = [f"{count(number(networks, reason) or 0)} {printable(reason, 80)}" for reason in networks]
        text = f"Passed over before the race: {listing(told) or 'none'}."
        spread = number(event, "spread")
        text += "" if not spread else f" Measured again, latencies moved by {100 * spread:.1f} % (standard deviation)."
        parts.append(Paragraph(text=text))
    return parts


def _changed(record: RunRecord, name: str, seed: int) -> list[Part]:
    """Genes of the likeliest network that the one found does not have."""
    parts: list[Part] = []
    for event in record.select("changed_genes", strategy=name, seed=seed)[-1:]:
        genes = event.get("genes")
        if not isinstance(genes, dict):
            continue
        if not genes:
            parts.append(Paragraph(text="The network found is the one the relaxed space tends to, gene by gene."))
            continue
        told = [
            f"{printable(gene, 60)} {printable(str(pair[0]), 30)} → {printable(str(pair[1]), 30)}"
            for gene, pair in genes.items()
            if isinstance(pair, list) and len(pair) == 2
        ]
        least = milliseconds(predicted) if (predicted := number(event, "predicted_ms")) is not None else MISSING
        parts.append(
            Paragraph(
                text=f"Genes of the likeliest network (predicted {least} ms) that the one found does not have, because "
                f"it is over the budget, or another one was better when trained from scratch: {listing(told)}."
            )
        )
    return parts


def _trained(event: Mapping[str, Any]) -> bool:
    return event.get("scoring") == "trained" and number(event, "top1") is not None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
