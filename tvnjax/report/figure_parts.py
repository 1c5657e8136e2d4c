"""The figures of a report with their captions, and a line in place of each that the run has nothing for."""

from collections.abc import Callable

from matplotlib.figure import Figure

from tvnjax.report import tables
from tvnjax.report.document import Gallery, Paragraph, Part, Picture, Subtitle
from tvnjax.report.drawing import describe_network, draw_network
from tvnjax.report.figures.canvas import strategy_looks, to_png, to_svg
from tvnjax.report.figures.latency import predicted_measured, profile_points
from tvnjax.report.figures.marginals import (
    Marginals,
    draw_entropy,
    draw_marginals,
    final_entropy,
    read_marginals,
)
from tvnjax.report.figures.search import accuracy_latency, best_so_far
from tvnjax.report.figures.trace import search_trace
from tvnjax.report.figures.training import retraining
from tvnjax.report.quantities import count, milliseconds, optional, percent
from tvnjax.report.record import RunRecord, best_of, number
from tvnjax.spaces.tvn.genotype import Genotype


def network_gallery(record: RunRecord) -> list[Part]:
    """One network a strategy, drawn; a line for each strategy without one."""
    looks = strategy_looks(record.strategies)
    pictures: list[Picture] = []
    missing: list[Part] = []
    for index, name in enumerate(record.strategies):
        best = best_of(result for result in record.of(name) if result.genotype is not None)
        if best is None or best.genotype is None:
            why = "has no genotype that can be read here; what was made in Python is drawn where it has been made"
            missing.append(Paragraph(text=f"Left out: a drawing for {name}, which {why}."))
            continue
        network = best.genotype.lower(max(len(record.class_names), 1), head=record.head)
        caption = (
            f"{name}, seed {best.seed}: {optional(best.top1, percent)} % top-1, "
            f"{optional(best.latency_ms, milliseconds)} ms, {optional(best.params, count)} parameters. "
            f"{best.genotype_id}"
        )
        figure = draw_network(network, accent=looks[name].colour)
        title = f"Network found by {name}"
        pictures.append(picture(f"network-{index + 1}", figure, caption.strip(), describe_network(network), title))
    return [*([Gallery(pictures=tuple(pictures))] if pictures else []), *missing]


def search_figures(record: RunRecord) -> list[Part]:
    """Accuracy against latency, best so far, trace of the gradient search."""
    refused = sum(number(c, "latency_ms") is not None and number(c, "top1") is None for c in record.candidates())
    untimed = sum(number(c, "latency_ms") is None for c in record.candidates())
    notes = (
        f" Ticks at the foot: candidates timed and not trained ({refused:,}; the slowest may lie beyond the axis)."
        if refused
        else ""
    )
    notes += f" Candidates never timed are not shown ({untimed:,})." if untimed else ""
    several = any(len(record.of(name)) > 1 for name in record.strategies)
    return [
        Subtitle(text="Accuracy against measured latency"),
        *drawn(
            "accuracy-latency",
            accuracy_latency(record),
            "Left, candidates on the validation split during the search; right, the networks found on the test split "
            f"after retraining, with half the interquartile range of the latency to each side.{notes}",
            lambda: (
                "Accuracy against measured latency: "
                + "; ".join(
                    f"{r.name}, seed {r.seed}: {percent(r.top1)} % at {milliseconds(r.latency_ms)} ms"
                    for r in record.results
                    if r.top1 is not None and r.latency_ms is not None
                )
            ),
            "no network of this run has both an accuracy and a measured latency",
        ),
        Subtitle(text="Best so far"),
        *drawn(
            "best-so-far",
            best_so_far(record),
            "Best fitness among the feasible candidates against the seconds charged to the strategy, compilation "
            "included. A gradient search has no candidate before it discretises."
            + (" Line: mean over seeds; band: their range." if several else ""),
            lambda: "Step curves of the best validation fitness so far against charged seconds, a curve a strategy.",
            "this run has no 'candidate' events with a fitness",
        ),
        Subtitle(text="Trace of the gradient search"),
        *drawn(
            "search-trace",
            search_trace(record),
            "Loss, expected latency against the budget, the multiplier that presses it down, and the temperature of "
            "the choices, by step.",
            lambda: "Four panels by search step: loss, expected latency with the budget, multiplier, temperature.",
            "this run has no 'search_step' events",
        ),
    ]


def marginal_figures(record: RunRecord) -> list[Part]:
    """Marginals over time and their entropy."""
    marginals = read_marginals(record)
    title = Subtitle(text="Operator genes: probability of every candidate over time")
    if marginals is None or not any(marginals.blocks):
        return [title, Paragraph(text="Left out: this run has no 'marginals' events.")]
    chosen = chosen_network(record, marginals)
    where = f"{marginals.strategy}, seed {marginals.seed}"
    undecided = final_entropy(marginals)
    inside = " Widths are named as they are in the widest bucket." if marginals.searches_width else ""
    at_end = "" if undecided is None else f" At the last step the mean over all genes is {undecided:.2f}."
    return [
        title,
        *drawn(
            "marginals",
            draw_marginals(marginals, chosen),
            f"Probability of every candidate of every operator gene over the search ({where}); darker is more "
            f"probable.{inside}",
            lambda: (
                f"Heat strips of the candidates' probabilities over time, {len(marginals.blocks)} blocks ({where})."
            ),
            "",
        ),
        Subtitle(text="Entropy of every gene"),
        *drawn(
            "entropy",
            draw_entropy(marginals),
            "Entropy of a gene's probabilities over the most it can be: 1 undecided, 0 decided. Thin: blocks; thick: "
            f"their mean.{at_end}",
            lambda: f"Entropy of every gene by step.{at_end}",
            "no gene of this run has two candidates",
        ),
    ]


def chosen_network(record: RunRecord, marginals: Marginals) -> Genotype | None:
    """The network that the search of these marginals found."""
    found = next((r for r in record.of(marginals.strategy) if r.seed == marginals.seed), None)
    return found.genotype if found and isinstance(found.genotype, Genotype) else None


def latency_figures(record: RunRecord) -> list[Part]:
    """Predicted against measured latency with the numbers of the fit."""
    points = profile_points(record)
    parts: list[Part] = [
        Subtitle(text="Predicted against measured latency"),
        *drawn(
            "predicted-measured",
            predicted_measured(record),
            "The dashed line is a perfect prediction, the band ±10 %.",
            lambda: (
                f"Predicted against measured latency of {len(points['unit'])} units, {len(points['network'])} random "
                f"networks and {len(points['selected'])} that searches chose, logarithmic axes."
            ),
            "this run has no 'profile' event with points",
        ),
    ]
    profiles = record.select("profile")
    gate = record.mapping("latency_gate") or (profiles[-1].get("fit") if profiles else None)
    if isinstance(gate, dict) and gate:
        words = (
            "What is asked of predicted latencies, and how far they keep it. Random networks were each predicted by a "
            "model that had not seen it; to networks the searches chose no model was fitted. Where the gate is missed "
            "only measured latencies count; of the networks in the result they are measured in any case."
        )
        parts += [Paragraph(text=words), tables.latency_gate(gate)]
    if profiles:
        measured, reused, took = (number(profiles[-1], key) for key in ("measured", "reused", "took_s"))
        if measured is not None:
            again = f", {reused:,.0f} were known already" if reused else ""
            time = f" in {took:,.0f} s" if took is not None else ""
            parts.append(Paragraph(text=f"{measured:,.0f} units and networks were measured{time}{again}."))
        unsure = number(profiles[-1], "uncertainty")
        if unsure is not None:
            parts.append(Paragraph(text=f"A unit that was not measured is known to ±{100 * unsure:.1f} % (median)."))
    return parts


def retraining_figures(record: RunRecord) -> list[Part]:
    """Curves of retraining."""
    return [
        Subtitle(text="Retraining"),
        *drawn(
            "retraining",
            retraining(record),
            "The networks found, trained from scratch.",
            lambda: "Training loss and validation top-1 of the retrained networks by step.",
            "this run has no 'retrained' events with a history",
        ),
    ]


def picture(name: str, figure: Figure, caption: str, alt: str, title: str = "") -> Picture:
    """Renders a figure both ways; ``name`` is its file's, the title is ``name`` in words where none is given."""
    svg = to_svg(figure, name, title or name.replace("-", " "), alt)
    return Picture(name=name, caption=caption, alt=alt, svg=svg, png=to_png(figure))


def drawn(
    name: str, figure: Figure | None, caption: str, alt: Callable[[], str], missing: str, title: str = ""
) -> list[Part]:
    """A figure as a picture, or a line that says what the run lacks."""
    if figure is None:
        return [Paragraph(text=f"Left out: {missing}.")]
    return [picture(name, figure, caption, alt(), title)]
