"""Figures over several runs: the best so far, fronts over the random cloud."""

import numpy as np
from matplotlib.figure import Figure

from tvnjax.report.comparing.evidence import Evidence
from tvnjax.report.comparing.statistics import pareto_front
from tvnjax.report.figures.canvas import FAINT, WIDTH, budget_line, new_figure, strategy_legend, strategy_looks
from tvnjax.search.registry import RANDOM


def anytime(evidence: Evidence) -> Figure | None:
    """Mean best validation fitness so far against charged seconds, with a standard error each side; ``None`` where no
    candidate has a fitness."""
    looks = strategy_looks(evidence.strategies)
    figure = new_figure(WIDTH, 290)
    axes, drawn = figure.subplots(), []
    for name in evidence.strategies:
        curves = [curve for search in evidence.of(name) if (curve := search.curve()) is not None]
        if not curves:
            continue
        times, values = on_common_times(curves)
        look, mean = looks[name], values.mean(axis=0)
        axes.step(times, mean, where="post", color=look.colour, linestyle=look.dashes)
        axes.plot(times[-1:], mean[-1:], marker=look.marker, color=look.colour, markersize=6)
        if len(curves) > 1:
            error = values.std(axis=0, ddof=1) / np.sqrt(len(curves))
            axes.fill_between(
                times, mean - error, mean + error, step="post", color=look.colour, alpha=0.15, linewidth=0
            )
        drawn.append(name)
    if not drawn:
        return None
    axes.set(
        xlabel="device seconds charged, compilation included",
        ylabel="best fitness so far\n(validation top-1 + top-5, at most 2)",
    )
    axes.set_xlim(left=0)
    strategy_legend(figure, looks, drawn, columns=4)
    return figure


def on_common_times(curves: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Step curves at the times when all of them have a value: times, and values ``[curves, times]``. A search that
    ended before the others keeps its last value."""
    times = np.unique(np.concatenate([seconds for seconds, _ in curves]))
    times = times[times >= max(seconds[0] for seconds, _ in curves)]
    return times, np.stack([best[np.searchsorted(seconds, times, side="right") - 1] for seconds, best in curves])


def fronts(evidence: Evidence) -> Figure | None:
    """Every strategy's front of measured milliseconds and validation top-1, all its seeds together, over the networks
    random search trained; ``None`` where nothing was measured and trained."""
    looks = strategy_looks(evidence.strategies)
    clouds = {name: [p for search in evidence.of(name) for p in search.points] for name in evidence.strategies}
    clouds = {name: points for name, points in clouds.items() if points}
    if not clouds:
        return None
    figure = new_figure(WIDTH, 320)
    axes = figure.subplots()
    cloud = clouds.get(RANDOM) or [point for points in clouds.values() for point in points]
    axes.scatter(*(np.array(cloud) * [1, 100]).T, s=9, color=FAINT, alpha=0.45, linewidths=0, label="random")
    for name, points in clouds.items():
        front = np.array(pareto_front(points)) * [1, 100]
        look = looks[name]
        axes.step(*front.T, where="post", color=look.colour, linestyle=look.dashes)
        axes.plot(*front.T, look.marker, color=look.colour, markersize=5)
    axes.set(xlabel="measured latency (ms)", ylabel="validation top-1 (%)")
    budget_line(axes, [s.result.budget_ms for s in evidence.searches if s.result.budget_ms][:1], vertical=True)
    strategy_legend(figure, looks, list(clouds), columns=4)
    return figure
