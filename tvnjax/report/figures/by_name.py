"""The figures of a report, each by its name."""

from collections.abc import Callable

from matplotlib.figure import Figure

from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.report.figures import tendency
from tvnjax.report.figures.canvas import report_style
from tvnjax.report.figures.latency import predicted_measured
from tvnjax.report.figures.marginals import draw_entropy, draw_marginals, draw_shapes, read_marginals
from tvnjax.report.figures.search import accuracy_latency, best_so_far
from tvnjax.report.figures.trace import search_trace
from tvnjax.report.figures.training import retraining
from tvnjax.report.record import RunRecord
from tvnjax.spaces.tvn.genotype import Genotype


def _marginals(record: RunRecord) -> Figure | None:
    found = read_marginals(record)
    if found is None or not any(found.blocks):
        return None
    return draw_marginals(found, _chosen(record, found.strategy, found.seed))


def _entropy(record: RunRecord) -> Figure | None:
    found = read_marginals(record)
    return None if found is None or not any(found.blocks) else draw_entropy(found)


def _shapes(record: RunRecord) -> Figure | None:
    found = read_marginals(record)
    if found is None or not found.shapes:
        return None
    return draw_shapes(found, _chosen(record, found.strategy, found.seed))


def _chosen(record: RunRecord, strategy: str, seed: int) -> Genotype | None:
    found = next((result.genotype for result in record.of(strategy) if result.seed == seed), None)
    return found if isinstance(found, Genotype) else None


FIGURES: dict[str, Callable[[RunRecord], Figure | None]] = {
    "accuracy_latency": accuracy_latency,
    "best_so_far": best_so_far,
    "search_trace": search_trace,
    "mean_entropy": tendency.entropies,
    "parameter_free": tendency.parameter_free,
    "costs": tendency.costs,
    "shapes": _shapes,
    "marginals": _marginals,
    "entropy": _entropy,
    "predicted_measured": predicted_measured,
    "retraining": retraining,
}
"""In the order of the report; each gives ``None`` where the run has nothing for it."""


def draw_figure(record: RunRecord, name: str) -> Figure:
    """Draws one figure of a report as it is drawn there.

    Args:
        name: of ``FIGURES``; as in a report's files, ``-`` may stand for ``_``.

    Raises:
        InvalidInputError: there is no figure of that name, or the run has nothing for it.
    """
    known = name.replace("-", "_")
    if known not in FIGURES:
        raise InvalidInputError(
            f"a figure is one of {', '.join(FIGURES)}; got {name!r:.100}{did_you_mean(known, FIGURES)}"
        )
    with report_style():
        figure = FIGURES[known](record)
    if figure is None:
        raise InvalidInputError(
            f"a figure is drawn of what a run has logged; {record.name} has nothing for {known}: draw another, or wait "
            "until the run has come that far"
        )
    return figure
