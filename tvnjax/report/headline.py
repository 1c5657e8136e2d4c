"""What a run found, in sentences, and what weakens the finding."""

import math
import statistics
from collections.abc import Sequence

from tvnjax.report.document import Callout, Paragraph, Part
from tvnjax.report.quantities import listing, mean_sd, milliseconds, percent, standard_error
from tvnjax.report.record import RunRecord, StrategyResult, number
from tvnjax.report.search_tables import derived_layers
from tvnjax.search.registry import facts_of

FEW_EVALUATIONS = 100
"""Networks below which a search by evaluation is called short; the paper's evolution trained about 700."""
SEEDS_ASKED = 5
"""Search seeds a published comparison should have."""
_UNEVEN = 1.25
"""How many times the seconds of one strategy another may spend before the report says so."""


def headline(record: RunRecord) -> list[Part]:
    """The finding first, then every network over its budget, then what to keep in mind."""
    return [
        Paragraph(text=_finding(record), strong=True),
        *([Paragraph(text=others)] if (others := _others(record)) else []),
        *_budget_lines(record),
        *_latency_gate(record),
        *([Callout(level="alert", lines=tuple(lost))] if (lost := _collapsed(record)) else []),
        *([Callout(lines=tuple(cautions))] if (cautions := _cautions(record)) else []),
    ]


def winner(record: RunRecord) -> str | None:
    """The strategy with the highest mean top-1 over its networks within the budget; ``None`` without any."""
    means = _means(record)
    return max(means, key=lambda name: means[name]) if means else None


def _means(record: RunRecord) -> dict[str, float]:
    """Mean top-1 of each strategy over its networks within the budget."""
    return {
        name: statistics.fmean(r.top1 or 0 for r in kept)
        for name in record.strategies
        if (kept := _within(record, name))
    }


def _within(record: RunRecord, name: str) -> list[StrategyResult]:
    return [r for r in record.of(name) if r.top1 is not None and r.latency_ms is not None and not r.over_budget]


def _finding(record: RunRecord) -> str:
    best = winner(record)
    if best is None:
        return "No strategy found a network that was retrained, measured and within its budget."
    kept = _within(record, best)
    if len(record.strategies) == 1:
        return f"{_name(best)} found a network with {_summary(kept, len(record.of(best)))}."
    return f"{_name(best)} found the most accurate network within the budget: {_summary(kept, len(record.of(best)))}."


def _others(record: RunRecord) -> str:
    best = winner(record)
    parts = [
        f"{name}: {_summary(kept, len(record.of(name)))}"
        for name in record.strategies
        if name != best and (kept := _within(record, name))
    ]
    return "Beside it, " + "; ".join(parts) + "." if parts else ""


def _summary(results: Sequence[StrategyResult], runs: int) -> str:
    top1 = mean_sd([r.top1 for r in results], percent)
    latency = mean_sd([r.latency_ms for r in results], milliseconds)
    text = f"{top1} % top-1 on the test split, {latency} ms measured"
    budgets = {r.budget_ms for r in results if r.budget_ms is not None}
    if len(budgets) == 1 and all(r.budget_share is not None for r in results):
        share = statistics.fmean(r.budget_share or 0 for r in results)
        text += f" of {milliseconds(budgets.pop())} ms allowed ({100 * share:.0f} %)"
    if runs > 1:
        which = (
            f"mean ± sd of {runs} seeds" if len(results) == runs else f"{len(results)} of {runs} seeds kept the budget"
        )
        text += f", {which}"
    return text


def _budget_lines(record: RunRecord) -> list[Part]:
    alerts = [
        f"Over budget: the network of {r.name}, seed {r.seed} ({r.genotype_id or 'no id'}) takes "
        f"{milliseconds(r.latency_ms or 0)} ms measured, {milliseconds(r.budget_ms or 0)} ms allowed "
        f"({percent(r.budget_share or 0)} % of the budget)."
        for r in record.results
        if "ms" in r.broken
    ]
    alerts += [text for r in record.results for text in _counted(r)]
    unmeasured = [f"{r.name}, seed {r.seed}" for r in record.results if r.budget_share is None]
    if unmeasured:
        alerts.append(f"Not held against a budget by measurement: {'; '.join(unmeasured)}.")
    fine = [] if alerts else [Callout(level="fine", lines=("No network is over its budget, by measurement.",))]
    for r in record.results:
        if r.top1 is None:
            alerts.append(f"No accuracy for {r.name}, seed {r.seed}: {r.error or 'no reason is recorded'}")
    return [*fine, *([Callout(level="alert", lines=tuple(alerts))] if alerts else [])]


def _latency_gate(record: RunRecord) -> list[Part]:
    """Whether predicted latencies can be believed; nothing for a run that did not ask."""
    gate = record.mapping("latency_gate")
    failures, few = gate.get("failures"), gate.get("too_few")
    if not isinstance(failures, list) or not isinstance(few, list):
        return []
    missed = [str(failure) for failure in failures if failure not in few]
    short = f"; it rests on fewer networks than asked ({'; '.join(map(str, few))})" if few else ""
    if missed:
        text = f"Predicted latencies miss the gate: {'; '.join(missed)}{short}. Only measured ones count."
        return [Callout(level="alert", lines=(text,))]
    if few:
        return [Callout(lines=(f"Predicted latencies keep the gate{short}.",))]
    return [Callout(level="fine", lines=("Predicted latencies keep the gate, on random and on chosen networks.",))]


def _counted(result: StrategyResult) -> list[str]:
    """What a network takes over the budgets that are counted."""
    costs = {"params": ("{:,.0f} parameters", result.params), "memory_mb": ("{:.3g} MiB at its peak", result.memory_mb)}
    return [
        f"Over budget: the network of {result.name}, seed {result.seed} ({result.genotype_id or 'no id'}) has "
        f"{words.format(cost)}, {result.allowed[name]:,.6g} allowed."
        for name, (words, cost) in costs.items()
        if name in result.broken and cost is not None
    ]


def _collapsed(record: RunRecord) -> list[str]:
    """A sentence for every network found, and one for each strategy's finalists, that only pools and identities are
    left of."""
    what = "no spatial or temporal layer with parameters, only pools and identities"
    reported = {(r.name, r.genotype_id): r.seed for r in record.results}
    derived = derived_layers(record)
    texts = [
        f"Collapsed: the network of {name}, seed {reported[name, identity]} ({identity or 'no id'}) has {what}: it "
        "mixes channels, but learns nothing of space or time."
        for name, identity, layers in derived
        if layers <= 0 and (name, identity) in reported
    ]
    others: dict[str, list[int]] = {}
    for name, identity, layers in derived:
        if (name, identity) not in reported:
            others.setdefault(name, []).append(layers)
    texts += [
        f"Collapsed: of the {len(layers)} other finalists of {name}, {flat} with {what}."
        for name, layers in others.items()
        if (flat := sum(count <= 0 for count in layers))
    ]
    return texts


def _cautions(record: RunRecord) -> list[str]:
    texts = []
    single = [name for name in record.strategies if len(record.of(name)) == 1]
    if single:
        texts.append(
            f"One seed only for {listing(single)}: another seed may turn the order around. A comparison to be "
            f"published has at least {SEEDS_ASKED}."
        )
    short: dict[str, float] = {}
    for name in record.strategies:
        known = [r.evaluations for r in record.of(name) if r.evaluations is not None]
        # A gradient search evaluates only what it discretises: its effort is not counted in networks. Nor is that of
        # evolution that starts from what it found.
        if not facts_of(name).by_gradient and known and max(known) < FEW_EVALUATIONS:
            short[name] = max(known)
    if short:
        counts = listing([f"{name} trained {evaluations:.0f}" for name, evaluations in short.items()])
        texts.append(
            f"Few evaluations: {counts} networks a seed, where the paper's evolution trained about 700. What such a "
            f"search finds is a lower bound on what it can."
        )
    return texts + _noise(record) + _uneven(record)


def _noise(record: RunRecord) -> list[str]:
    texts = []
    splits = record.mapping("data").get("splits")
    cases = number(splits, "test") if isinstance(splits, dict) else None
    scored = [r for r in record.results if r.top1 is not None]
    if cases and scored:
        error = max(standard_error(r.top1 or 0, cases) for r in scored)
        texts.append(
            f"The test split has {cases:,.0f} clips: its size alone puts a standard error of up to "
            f"{100 * error:.1f} points on each accuracy."
        )
        texts += _close(record, cases)
    majority = number(record.mapping("data"), "majority_share")
    for r in scored:
        if majority is not None and (r.top1 or 0) <= majority:
            texts.append(
                f"The network of {r.name}, seed {r.seed} ({percent(r.top1 or 0)} %) is no better than always answering "
                f"the most frequent class ({percent(majority)} %)."
            )
    return texts


def _close(record: RunRecord, cases: float) -> list[str]:
    """Strategies whose distance to the best one the size of the test split does not resolve."""
    best = winner(record)
    means = _means(record)
    close = [
        f"{name} ({percent(means[best] - mean)} points)"
        for name, mean in means.items()
        if best is not None
        and name != best
        and means[best] - mean < 2 * math.hypot(standard_error(mean, cases), standard_error(means[best], cases))
    ]
    if not close:
        return []
    return [
        f"The lead over {listing(close)} is under two standard errors of a difference: it does not settle an order."
    ]


def _uneven(record: RunRecord) -> list[str]:
    spent = {
        name: statistics.fmean(known)
        for name in record.strategies
        if (known := [r.seconds for r in record.of(name) if r.seconds is not None])
    }
    if len(spent) < 2 or max(spent.values()) <= _UNEVEN * min(spent.values()):
        return []
    parts = listing([f"{name} {value:,.0f} s" for name, value in spent.items()])
    return [f"The strategies did not spend the same time: {parts}."]


def _name(strategy: str) -> str:
    return facts_of(strategy).title or strategy
