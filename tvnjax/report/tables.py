"""The tables of a report: strategies side by side, every seed, genes, supernet-to-network gap, latency gate, data."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvnjax.core.printable import printable
from tvnjax.graph.outline import placed_label
from tvnjax.graph.shape import lengths
from tvnjax.latency.gate import BIAS, LIMITS, RANDOM_NETWORKS, SELECTED_NETWORKS
from tvnjax.report.document import Cell, Table, cells
from tvnjax.report.quantities import (
    MISSING,
    Style,
    count,
    decimal,
    mean_sd,
    millions,
    milliseconds,
    optional,
    percent,
    seconds,
    signed,
)
from tvnjax.report.record import RunRecord, StrategyResult, number
from tvnjax.spaces.base import Genotype as AnyGenotype
from tvnjax.spaces.tvn.genotype import Block, Genotype

_SHORT_CLASSES = 5
_SPACE = "\N{NO-BREAK SPACE}"
SKIPPED_SHOWN = 200
"""Skipped files listed by name; the rest is counted."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measure:
    """One quantity of a strategy's result: a row of the comparison, a column of the table of seeds."""

    label: str
    value: Callable[[StrategyResult], float | None]
    style: Style
    note: str = ""
    budget: str = ""
    """The budget that the quantity is held against: over it, the cell is marked."""


def measures(record: RunRecord) -> list[Measure]:
    """The quantities of the comparison in their order, each with its unit and its rule."""
    rule = str(record.details.get("counting_rule") or "")
    by_word = dict(part.split(":", 1) for part in rule.split(";") if ":" in part)
    counted = {word.strip(): text.strip() for word, text in by_word.items()}
    classes = len(record.class_names)
    easy = f"of {classes} classes: always 100 %" if 0 < classes <= _SHORT_CLASSES else ""
    majority = number(record.mapping("data"), "majority_share")
    memory = Measure(
        label="peak memory (MiB)",
        value=lambda r: r.memory_mb,
        style=milliseconds,
        note="counted: parameters and the largest layer's tensors",
        budget="memory_mb",
    )
    several = Measure(
        label="sd between its trainings (points)",
        value=lambda r: r.top1_sd,
        style=percent,
        note="one network, other seeds",
    )
    return [
        Measure(label="top-1, test (%)", value=lambda r: r.top1, style=percent),
        *([several] if any(r.top1_sd is not None for r in record.results) else []),
        Measure(label="top-5, test (%)", value=lambda r: r.top5, style=percent, note=easy),
        Measure(
            label="most frequent class (%)", value=lambda _: majority, style=percent, note="what a constant answer gets"
        ),
        Measure(
            label="measured latency (ms)",
            value=lambda r: r.latency_ms,
            style=milliseconds,
            note="fastest call",
            budget="ms",
        ),
        Measure(
            label="spread of the calls (ms)",
            value=lambda r: r.latency_iqr_ms,
            style=milliseconds,
            note="interquartile range",
        ),
        Measure(label="budget (ms)", value=lambda r: r.budget_ms, style=milliseconds),
        Measure(
            label="measured / budget (%)",
            value=lambda r: r.budget_share,
            style=percent,
            note="above 100 is over",
            budget="ms",
        ),
        Measure(label="predicted latency (ms)", value=lambda r: r.predicted_ms, style=milliseconds),
        Measure(
            label="parameters",
            value=lambda r: r.params,
            style=count,
            note=counted.get("parameters", ""),
            budget="params",
        ),
        Measure(
            label="multiply-adds (millions)",
            value=lambda r: r.macs,
            style=millions,
            note=counted.get("multiply-adds", rule),
        ),
        *([memory] if any(r.memory_mb is not None for r in record.results) else []),
        Measure(label="search (s)", value=lambda r: r.seconds, style=seconds, note="compilation included"),
        Measure(label="of which compilation (s)", value=lambda r: r.compile_seconds, style=seconds),
        *(_spent_measures() if any(r.seconds_by_kind for r in record.results) else []),
        Measure(label="retraining (s)", value=lambda r: r.retrain_seconds, style=seconds),
        Measure(label="networks evaluated", value=lambda r: r.evaluations, style=count),
        Measure(label="infeasible candidates", value=lambda r: r.infeasible, style=count),
        Measure(label="infeasible of all proposed (%)", value=_infeasible_share, style=percent),
    ]


def _infeasible_share(result: StrategyResult) -> float | None:
    """Proposals the filter refused, of all that were refused or trained."""
    refused, trained = result.infeasible, result.evaluations
    if refused is None or trained is None or not refused + trained:
        return None
    return refused / (refused + trained)


def _spent_measures() -> list[Measure]:
    """What the seconds went into besides compilation, for runs that say so."""

    def kinds(*names: str) -> Callable[[StrategyResult], float | None]:
        return lambda r: sum(r.seconds_by_kind.get(name, 0.0) for name in names) if r.seconds_by_kind else None

    return [
        Measure(label="of it the latency table (s)", value=kinds("table"), style=seconds, note="charged to each"),
        Measure(label="of it a supernet (s)", value=kinds("supernet"), style=seconds),
        Measure(label="of it measuring (s)", value=kinds("checking"), style=seconds),
        Measure(label="of it refused or failed (s)", value=kinds("infeasible", "failed"), style=seconds),
    ]


def comparison(record: RunRecord) -> Table:
    """Strategies side by side: a column each, mean ± sd over its seeds where it has several."""
    groups = [record.of(name) for name in record.strategies]
    rows = []
    for measure in measures(record):
        row = [Cell(text=measure.label, note=measure.note)]
        for group in groups:
            over = sum(measure.budget in result.broken for result in group)
            note = f"{over} of {len(group)} over" if over and len(group) > 1 else ""
            row.append(Cell(text=mean_sd([measure.value(r) for r in group], measure.style), note=note, alert=over > 0))
        rows.append(tuple(row))
    several = max(map(len, groups)) > 1
    if several:
        rows.append((Cell(text="seeds"), *(Cell(text=str(len(group))) for group in groups)))
    else:
        rows.append((Cell(text="network"), *(Cell(text=_identity(group[0])) for group in groups)))
    header = ("", *record.strategies)
    caption = "Mean ± sample standard deviation over seeds." if several else ""
    return Table(header=header, rows=tuple(rows), caption=caption)


def every_seed(record: RunRecord) -> Table:
    """One row a strategy and seed."""
    columns = [measure for measure in measures(record) if not measure.label.startswith("most frequent")]
    rows = tuple(
        (
            Cell(text=f"{result.name}, seed {result.seed}", note=result.error),
            Cell(text=_identity(result)),
            *(
                Cell(
                    text=optional(measure.value(result), measure.style),
                    alert=measure.budget in result.broken,
                )
                for measure in columns
            ),
        )
        for result in record.results
    )
    return Table(header=("", "network", *(measure.label for measure in columns)), rows=rows)


def genes(result: StrategyResult) -> Table:
    """The genes of a network, a row a block."""
    genotype = result.genotype
    header = ("block", "spatial", "temporal", "filters", "expand", "repeats", "squeeze", "gates", "skip", "activation")
    if genotype is None:
        return Table(header=header, rows=())
    if not isinstance(genotype, Genotype):
        return _layers(result, genotype)
    several = genotype.num_frames > 1
    apart = f", stride {genotype.frame_stride}" if several else ""
    reads = f"{genotype.image_size} px × {genotype.num_frames} frame{'s' * several}{apart}"
    names = f"{result.name}, seed {result.seed}", result.genotype_id, reads
    rows, frames = [], genotype.num_frames
    for index, block in enumerate(genotype.blocks):
        rows.append(cells(str(index + 1), *_block_words(block, frames)))
        frames = -(-frames // block.temporal_stride) if block.temporal_kernel > 1 else frames
    return Table(header=header, rows=tuple(rows), caption=" · ".join(filter(None, names)), numeric=False)


def _layers(result: StrategyResult, genotype: AnyGenotype) -> Table:
    """The layers of a network whose space has no genes of blocks, a row a position."""
    read = genotype.reads.settled()
    reads = f"{read.image_size} px × {read.num_frames} frame{'s' * (read.num_frames > 1)}"
    names = f"{result.name}, seed {result.seed}", result.genotype_id, reads
    network = genotype.lower(2)
    rows = [
        cells(str(unit.block + 1), placed_label(network, number), lengths(unit.out_shape))
        for number, unit in enumerate(network.units)
    ]
    caption = " · ".join(filter(None, names))
    return Table(header=("position", "layers", "gives"), rows=tuple(rows), caption=caption, numeric=False)


def ledger(rows: Any) -> Table:
    """What is lost from the supernet to the network, step by step, until it is trained from scratch."""
    lines = []
    before: float | None = None
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            continue
        top1 = number(row, "top1")
        change = MISSING if top1 is None or before is None else signed(100 * (top1 - before))
        before = before if top1 is None else top1
        lines.append(
            (
                Cell(text=_stage(row.get("stage")), note=str(row.get("note") or "")),
                *cells(optional(top1, percent), change, optional(number(row, "latency_ms"), milliseconds)),
            )
        )
    header = ("stage", "validation top-1 (%)", "change (points)", "latency (ms)")
    return Table(header=header, rows=tuple(lines))


_STAGES = {"soft": "supernet (relaxed)", "one-hot": "discretised, inherited weights"}
"""Names of the steps that a log has by shorter ones."""


def _stage(name: Any) -> str:
    return _STAGES.get(str(name), str(name or MISSING))


def latency_gate(gate: Mapping[str, Any]) -> Table:
    """How well latencies were predicted, beside what is asked: of random networks, and of those searches chose."""
    chosen = gate.get("selected")
    columns: list[Mapping[str, Any]] = [gate, chosen if isinstance(chosen, dict) else {}]
    rows = []
    for column_of_limit, limit in [*((0, limit) for limit in LIMITS), (1, BIAS)]:
        texts = []
        for column, values in enumerate(columns):
            value = number(values, limit.key)
            missed = value is not None and column == column_of_limit and not limit.holds(value)
            texts.append(Cell(text=MISSING if value is None else limit.words(value), alert=missed))
        where = "random" if column_of_limit == 0 else "chosen"
        rows.append((Cell(text=limit.label), *texts, Cell(text=f"{limit.asked} ({where})")))
    counts = [number(values, "count") for values in columns]
    asked = f"at least {RANDOM_NETWORKS} and {SELECTED_NETWORKS}"
    rows.append((Cell(text="networks"), *(Cell(text=optional(n, count)) for n in counts), Cell(text=asked)))
    alone = optional(number(gate, "flops_kendall_tau"), decimal)
    beside = "for comparison"
    rows.append((Cell(text="Kendall's tau of multiply-adds alone"), *cells(alone, MISSING, beside)))
    return Table(header=("", "random networks", "networks searches chose", "asked"), rows=tuple(rows))


def splits(data: Mapping[str, Any]) -> Table:
    """Clips of every split."""
    sizes = data.get("splits")
    items = sizes.items() if isinstance(sizes, dict) else ()
    return Table(header=("split", "clips"), rows=tuple(cells(str(name), _plain(size)) for name, size in items))


def skipped_files(skipped: Sequence[Any]) -> Table:
    """Files that were left out, each with its reason."""
    entries = [entry for entry in skipped if isinstance(entry, dict)]
    rows = tuple(cells(str(e.get("path", MISSING)), str(e.get("reason", MISSING))) for e in entries[:SKIPPED_SHOWN])
    more = len(entries) - len(rows)
    caption = f"{more:,} more in results.json." if more else ""
    return Table(header=("file", "reason"), rows=rows, caption=caption, numeric=False)


def facts(values: Mapping[str, Any]) -> Table:
    """Names and values as they are."""
    rows = tuple(cells(str(name), _plain(value)) for name, value in values.items())
    return Table(header=("", ""), rows=rows, numeric=False)


def _block_words(block: Block, frames: int) -> tuple[str, ...]:
    """The genes of a block that ``frames`` frames reach."""

    def operator(axis: str) -> str:
        kind, kernel, stride = (getattr(block, f"{axis}_{gene}") for gene in ("type", "kernel", "stride"))
        strides = f", stride{_SPACE}{stride}" if stride > 1 else ""
        return "identity" if kernel == 1 else f"{kind}{_SPACE}{kernel}{strides}"

    gates = [f"non-local {block.non_local}"] if block.non_local else []
    gates += ["context gate"] if block.context_gate else []
    acts = {"spatial": block.spatial_act, "temporal": block.temporal_act, "unit": block.act}
    unlike = [f"{part} {act}" for part, act in acts.items() if act != "relu"]
    return (
        operator("spatial"),
        # A gene of time has nothing to act on where one frame is left.
        operator("temporal") if frames > 1 else "none: one frame",
        str(block.filters) + (" (inverted)" if block.inverted_bottleneck else ""),
        str(block.expand) + (" (no layer)" if block.expand == 0 and not block.inverted_bottleneck else ""),
        str(block.repeats),
        f"{block.squeeze:g}" if block.squeeze else MISSING,
        ", ".join(gates) or MISSING,
        "yes" if block.skip else MISSING,
        "hswish" if set(acts.values()) == {"hswish"} else ", ".join(unlike) or "relu",
    )


def _identity(result: StrategyResult) -> str:
    return printable(result.genotype_id, 60) or MISSING


def _plain(value: Any) -> str:
    if value is None:
        return MISSING
    return count(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)
