"""The comparison over several runs: one HTML page, one Markdown file, their figures."""

import itertools
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.outputs import write_output
from tvnjax.report.comparing import figures
from tvnjax.report.comparing.evidence import Evidence, Pair, Search
from tvnjax.report.comparing.statistics import RankCorrelation
from tvnjax.report.document import Callout, Cell, Details, Document, Paragraph, Part, Section, Table, cells
from tvnjax.report.figure_parts import drawn
from tvnjax.report.figures.canvas import report_style
from tvnjax.report.headline import SEEDS_ASKED
from tvnjax.report.page import document_files
from tvnjax.report.quantities import MISSING, count, decimal, mean_sd, milliseconds, optional, percent, seconds, signed
from tvnjax.report.record import number, read_run
from tvnjax.search.registry import REFERENCE

_MARGIN = 0.05
"""How far budgets of runs may differ before the comparison says so."""


def write_comparison(
    folders: Sequence[Path], out: Path, reference: str | None = None, *, force: bool = False
) -> Document:
    """Writes ``compare.html``, ``compare.md`` and ``figures/*.png`` from run directories alone; returns what they say.

    Args:
        folders: finished runs, each of one seed or of several.
        out: where to; made if it is not there.
        reference: the strategy the others are held against; default: evolution, or the first.
        force: replace the files of an earlier comparison; other files there stay in any case.

    Raises:
        InvalidInputError: a directory holds no finished run, two are the same, no run has the reference, or a file
            would be replaced or cannot be written.
    """
    document = compare_runs(folders, reference)
    write_output(document_files(document, out, "compare"), "a comparison", force=force)
    return document


def compare_runs(folders: Sequence[Path], reference: str | None = None) -> Document:
    """The comparison of some run directories, its figures drawn; nothing is written.

    Raises:
        InvalidInputError: a directory holds no finished run, two are the same, or no run has the reference.
    """
    if not folders:
        raise InvalidInputError("a comparison is of at least one run; got none")
    paths = [folder.resolve() for folder in folders]
    if len(set(paths)) < len(paths):
        raise InvalidInputError(f"a run counts once; {', '.join(map(str, folders))} names one twice: leave it out")
    evidence = Evidence([read_run(folder) for folder in folders])
    names = evidence.strategies
    if reference is not None and reference not in names:
        raise InvalidInputError(f"--reference is a strategy of the runs, {', '.join(names)}; got {reference!r}")
    reference = reference or (REFERENCE if REFERENCE in names else names[0])
    with report_style():
        return build_comparison(evidence, reference)


def build_comparison(evidence: Evidence, reference: str) -> Document:
    """Everything the comparison says; draws its figures."""
    sections = (
        ("result", "Result", _result(evidence, reference)),
        ("strategies", "Strategies", [_strategies(evidence), _volume_note(evidence)]),
        ("pairs", "Strategies against each other", _pairs(evidence, reference)),
        ("figures", "Figures", _figures(evidence)),
        ("ranks", "Scores with inherited weights", _ranks(evidence)),
        ("runs", "Runs", _runs(evidence)),
    )
    made = tuple(Section(anchor=anchor, title=title, blocks=tuple(parts)) for anchor, title, parts in sections)
    return Document(
        title=f"Comparison of {len(evidence.records)} run{'s' * (len(evidence.records) != 1)}", sections=made
    )


def _result(evidence: Evidence, reference: str) -> list[Part]:
    parts: list[Part] = []
    for name in evidence.strategies:
        pair = None if name == reference else evidence.pair(name, reference)
        if pair is not None:
            parts.append(Paragraph(text=_sentence(pair), strong=not parts))
    if not parts:
        parts.append(Paragraph(text="No two strategies have an accuracy for the same seed.", strong=True))
    cautions = _cautions(evidence)
    return [*parts, *([Callout(lines=tuple(cautions))] if cautions else [])]


def _sentence(pair: Pair) -> str:
    difference = pair.difference
    head = f"{pair.ours} against {pair.theirs}: {signed(100 * difference.mean)} points of top-1"
    if difference.low is None or difference.high is None:
        return f"{head} with one seed, which settles nothing."
    bounds = (
        f"95 % interval {signed(100 * difference.low)} to {signed(100 * difference.high)}, {difference.count} seeds"
    )
    verdict = "" if difference.excludes_zero else ": not told apart"
    time = "" if pair.seconds is None else f", with {decimal(pair.seconds)} times the seconds"
    return f"{head} ({bounds}){verdict}{time}."


def _cautions(evidence: Evidence) -> list[str]:
    lines = []
    fewest = min(len(evidence.of(name)) for name in evidence.strategies)
    if fewest < SEEDS_ASKED:
        lines.append(f"A strategy has {_seeds(fewest)}; a published comparison has at least {SEEDS_ASKED}.")
    data = {str(record.mapping("data").get("name")) for record in evidence.records}
    if len(data) > 1:
        lines.append(f"The runs are of different data: {', '.join(sorted(data))}.")
    budgets = [s.result.budget_ms for s in evidence.searches if s.result.budget_ms]
    if budgets and max(budgets) > (1 + _MARGIN) * min(budgets):
        lines.append(f"Budgets differ: {milliseconds(min(budgets))} to {milliseconds(max(budgets))} ms.")
    machines = {str(record.mapping("environment").get("processor")) for record in evidence.records}
    if len(machines) > 1:
        lines.append(f"The runs are of different processors: {', '.join(sorted(machines))}.")
    return lines


def _strategies(evidence: Evidence) -> Table:
    """A row for each strategy."""

    def row(name: str) -> tuple[Cell, ...]:
        searches = evidence.of(name)

        def over(value: Callable[[Search], float | None], style: object) -> str:
            return mean_sd([value(search) for search in searches], style)  # type: ignore[arg-type]

        top1 = [s.result.top1 for s in searches if s.result.top1 is not None]
        broken = sum(s.result.over_budget for s in searches)
        volumes = evidence.hypervolumes(name)
        quartiles = statistics.quantiles(top1, n=4, method="inclusive") if len(top1) > 1 else []
        spread = f"{percent(quartiles[1])} [{percent(quartiles[0])}, {percent(quartiles[2])}]" if quartiles else MISSING
        return (
            Cell(text=name, note=_seeds(len(searches))),
            Cell(text=over(lambda s: s.result.top1, percent)),
            Cell(text=spread),
            Cell(text=over(lambda s: s.result.latency_ms, milliseconds)),
            Cell(text=percent(broken / len(searches)), alert=broken > 0),
            Cell(text=mean_sd(volumes, decimal) if any(v is not None for v in volumes) else MISSING),
            Cell(text=over(lambda s: s.result.seconds, seconds)),
            Cell(text=over(lambda s: s.result.compile_seconds, seconds)),
            Cell(text=over(lambda s: s.result.evaluations, count)),
            Cell(text=over(lambda s: float(s.distinct) if s.candidates else None, count)),
            Cell(text=over(lambda s: s.result.infeasible, count)),
        )

    header = (
        *("strategy", "top-1, test (%)", "median [quartiles]", "measured ms", "over budget (%)", "hypervolume"),
        *("search (s)", "of which compilation (s)", "evaluations", "distinct networks", "refused"),
    )
    return Table(header=header, rows=tuple(row(name) for name in evidence.strategies), caption="Mean ± sd over seeds.")


def _volume_note(evidence: Evidence) -> Paragraph:
    reference = evidence.reference_ms
    if reference is None:
        return Paragraph(text="No hypervolume: no candidate was measured and trained.")
    return Paragraph(
        text=f"Hypervolume: part of the rectangle between 0 and {milliseconds(reference)} ms (the reference point, "
        "with accuracy 0) that the networks a search trained dominate, by measured latency and validation top-1."
    )


def _pairs(evidence: Evidence, reference: str) -> list[Part]:
    against = [pair for name in evidence.strategies if name != reference and (pair := evidence.pair(name, reference))]
    every = [pair for a, b in itertools.combinations(evidence.strategies, 2) if (pair := evidence.pair(a, b))]
    if not every:
        return [Paragraph(text="Left out: no two strategies have an accuracy for the same seed.")]
    text = (
        "Difference of top-1 paired by seed, with the 95 % interval of a bootstrap over seeds; probability that a run "
        "of the first has the higher top-1, a tie counting half; seconds of the first as a part of the second's."
    )
    parts: list[Part] = [Paragraph(text=text), _pair_table(against or every)]
    if len(every) > len(against):
        parts.append(Details(summary="Every pair", blocks=(_pair_table(every),)))
    return parts


def _pair_table(pairs: Sequence[Pair]) -> Table:
    def bounds(pair: Pair) -> str:
        low, high = pair.difference.low, pair.difference.high
        return MISSING if low is None or high is None else f"{signed(100 * low)} to {signed(100 * high)}"

    rows = [
        cells(
            f"{pair.ours} − {pair.theirs}",
            signed(100 * pair.difference.mean),
            bounds(pair),
            str(pair.difference.count),
            decimal(pair.improvement),
            optional(pair.seconds, decimal),
        )
        for pair in pairs
    ]
    header = ("pair", "top-1 (points)", "95 % interval", "seeds", "probability of improvement", "seconds, as a part")
    return Table(header=header, rows=tuple(rows))


def _figures(evidence: Evidence) -> list[Part]:
    return [
        *drawn(
            "anytime",
            figures.anytime(evidence),
            "Best fitness of a network trained to the end, so far: mean over seeds and a standard error each side.",
            lambda: f"Best fitness so far against charged seconds of {', '.join(evidence.strategies)}.",
            "no candidate of these runs has a fitness",
        ),
        *drawn(
            "fronts",
            figures.fronts(evidence),
            "Networks that none of a strategy's others beats in both, all seeds together; grey: those of random search "
            "(of all, where there was none).",
            lambda: f"Pareto fronts of latency and accuracy of {', '.join(evidence.strategies)}.",
            "no candidate of these runs was measured and trained",
        ),
    ]


def _ranks(evidence: Evidence) -> list[Part]:
    inherited = evidence.inherited()
    if inherited.supernet is None:
        text = "Left out: no network of these runs was scored with inherited weights and trained from scratch as well."
        ceiling = inherited.ceiling
        return [Paragraph(text=text), *([_rank_table([("two trainings", ceiling)])] if ceiling else [])]
    rows = [("inherited against trained", inherited.supernet)]
    note = (
        "The ceiling is how two trainings from scratch with different seeds agree: no score can order better than that."
    )
    if inherited.ceiling is None:
        note = "No ceiling: no network of these runs was trained with two seeds."
    else:
        rows.append(("two trainings: the ceiling", inherited.ceiling))
    parts: list[Part] = [Paragraph(text=note), _rank_table(rows)]
    if inherited.genes:
        ordered = sorted(inherited.genes.items(), key=lambda item: -item[1][1])
        table = Table(
            header=("gene", "agreement", "what its values are worth (points)", "values"),
            rows=tuple(
                cells(gene, decimal(agreement), percent(spread), str(values))
                for gene, (agreement, spread, values) in ordered
            ),
            caption="Correlation over a gene's values of mean inherited and mean trained top-1, and the spread of the "
            "latter.",
        )
        parts.append(Details(summary="Gene by gene", blocks=(table,)))
    return parts


def _rank_table(rows: Sequence[tuple[str, RankCorrelation]]) -> Table:
    made = [cells(name, optional(r.tau, decimal), optional(r.top_tau, decimal), str(r.count)) for name, r in rows]
    return Table(header=("", "Kendall's τ", "τ of the best 20 %", "networks"), rows=tuple(made))


def _runs(evidence: Evidence) -> list[Part]:
    rows = []
    for record in evidence.records:
        seeds = sorted({result.seed for result in record.results})
        total = number(record.details, "seconds")
        command = (record.config or {}).get("command")
        budget = next((r.budget_ms for r in record.results if r.budget_ms), None)
        rows.append(
            cells(
                record.name,
                ", ".join(map(str, seeds)),
                ", ".join(record.strategies),
                optional(budget, milliseconds),
                optional(total, seconds),
                str(command or MISSING),
            )
        )
    header = ("run", "seeds", "strategies", "budget (ms)", "whole run (s)", "command")
    return [Table(header=header, rows=tuple(rows), numeric=False)]


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"
