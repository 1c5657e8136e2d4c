"""What the report shows of a search over shapes: strips, entropies, parameter-free operators, costs, plans."""

from tvnjax.report import search_tables
from tvnjax.report.document import Details, Paragraph, Part, Subtitle
from tvnjax.report.figure_parts import chosen_network, drawn
from tvnjax.report.figures import tendency
from tvnjax.report.figures.marginals import draw_shapes, read_marginals, shown_run
from tvnjax.report.quantities import listing, percent
from tvnjax.report.record import RunRecord


def shape_figures(record: RunRecord) -> list[Part]:
    """The shape genes' probabilities over time."""
    title = Subtitle(text="Shape genes: probability of every value over time")
    marginals = read_marginals(record)
    if marginals is None or not marginals.shapes:
        return [title, Paragraph(text="Left out: this run has no 'marginals' events with shape genes.")]
    chosen = chosen_network(record, marginals)
    where = f"{marginals.strategy}, seed {marginals.seed}"
    marked = " A value is marked if the network found has it, each of several that make the same network."
    return [
        title,
        *drawn(
            "shapes",
            draw_shapes(marginals, chosen),
            "Probability of every image size, number of frames, stride, width and depth over the search "
            f"({where}); darker is more probable.{marked if chosen else ''}",
            lambda: f"Heat strips of the shape genes' values over time, {len(marginals.shapes)} genes ({where}).",
            "",
            "Probability of every shape gene's values over time",
        ),
    ]


def tendency_figures(record: RunRecord) -> list[Part]:
    """Entropies, probability of parameter-free operators, expected costs."""
    run = shown_run(record, "search_step")
    where = f" ({run[0]}, seed {run[1]})" if run else ""
    return [
        Subtitle(text="How decided the search was"),
        *drawn(
            "mean-entropy",
            tendency.entropies(record),
            "Mean entropy of the genes' probabilities as a part of the most it can be: 1 undecided, 0 decided"
            f"{where}.{_final_entropies(record)}",
            lambda: f"Mean entropy of operator genes and shape genes by step.{_final_entropies(record)}",
            "this run has no 'search_step' events with 'entropy'",
        ),
        Subtitle(text="Probability of parameter-free operators"),
        *drawn(
            "parameter-free",
            tendency.parameter_free(record),
            f"Probability of pools and the identity, together, by block{where}. Near 1 in every block, the search "
            f"collapses onto layers that learn nothing.{_final_masses(record)}",
            lambda: f"Probability mass on pools and the identity by step and block.{_final_masses(record)}",
            "this run has no 'search_step' events with 'parameter_free'",
        ),
        *_layers(record),
        *_costs(record, where),
    ]


def plan_list(record: RunRecord) -> list[Part]:
    """The plans that were compiled."""
    title, entries = Subtitle(text="Plans compiled"), record.select("plan")
    if not entries:
        return [title, Paragraph(text="Left out: this run has no 'plan' events: one plan, or an older run.")]
    different = len({str(entry.get("plan")) for entry in entries})
    again = f", {different:,} of them different" if different < len(entries) else ""
    plans = f"{len(entries):,} plans" if len(entries) > 1 else "1 plan"
    text = f"{plans} entered the working set, to be compiled{again}."
    key = (
        "Blocks are written width/stride, t2 for a stride in time, x2 for repeats. A compiled plan also serves its "
        "variants: other distances between its frames, and its first blocks alone."
    )
    return [
        title,
        Paragraph(text=f"{text} {key}"),
        Details(summary="Plans in the order they entered", blocks=(search_tables.plans(entries),)),
    ]


def _layers(record: RunRecord) -> list[Part]:
    reported = {(result.name, result.genotype_id) for result in record.results}
    texts: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for name, identity, layers in search_tables.derived_layers(record):
        if (name, identity) in reported:
            texts.setdefault(name, []).append(f"{layers} in the network found ({identity or 'no id'})")
        else:
            others.setdefault(name, []).append(str(layers))
    for name, layers in others.items():
        texts.setdefault(name, []).append(f"{listing(layers)} in the other finalists")
    parts = [f"{name}, {'; '.join(lines)}" for name, lines in texts.items()]
    head = "Spatial and temporal layers with parameters in the networks derived: "
    return [Paragraph(text=f"{head}{'. '.join(parts)}.")] if parts else []


def _costs(record: RunRecord, where: str) -> list[Part]:
    figure = tendency.costs(record)
    if figure is None:
        return []
    return [
        Subtitle(text="Expected costs against their budgets"),
        *drawn(
            "costs",
            figure,
            f"What the relaxed network is expected to cost as a part of each budget, and the multipliers that press "
            f"it down{where}.",
            lambda: "Two panels by step: expected costs over their budgets, and the budgets' multipliers.",
            "",
        ),
    ]


def _final_entropies(record: RunRecord) -> str:
    last = [f"{label} {curve[-1, 1]:.2f}" for label, curve in tendency.entropy_curves(record).items()]
    return f" At the last step: {', '.join(last)}." if last else ""


def _final_masses(record: RunRecord) -> str:
    parts = []
    for index, masses in enumerate(tendency.last_masses(record)):
        known = [f"{axis} {percent(mass)} %" for axis, mass in masses.items() if mass is not None]
        parts += [f"block {index + 1} {', '.join(known)}"] if known else []
    return f" At the last step: {'; '.join(parts)}." if parts else ""
