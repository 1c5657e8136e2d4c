"""Predicted against measured latency: units, random networks, and networks the searches proposed."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tvnjax.report.figures.canvas import FAINT, INK, WIDTH, new_figure, plain_log_axis
from tvnjax.report.record import RunRecord, number

KINDS = {"unit": "Units", "network": "Random networks", "selected": "Networks searches chose"}


def profile_points(record: RunRecord) -> dict[str, np.ndarray]:
    """For each of ``KINDS``, float [points, 2] of measured and predicted milliseconds, both above zero."""
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for event in [*record.select("profile"), *record.select("gate")]:
        points = event.get("points")
        for point in points if isinstance(points, list) else []:
            if not isinstance(point, dict) or not isinstance(point.get("kind"), str) or point["kind"] not in KINDS:
                continue
            measured, predicted = number(point, "measured_ms"), number(point, "predicted_ms")
            if measured and predicted and measured > 0 and predicted > 0:
                found[point["kind"]].append((measured, predicted))
    return {kind: np.array(points, dtype=float).reshape(-1, 2) for kind, points in found.items()}


def predicted_measured(record: RunRecord) -> Figure | None:
    """Scatter of predicted against measured milliseconds; ``None`` where the run has no such points."""
    points = profile_points(record)
    if not any(map(len, points.values())):
        return None
    figure = new_figure(WIDTH, 300)
    for axes, kind in zip(figure.subplots(1, len(KINDS)), KINDS):
        _draw_kind(axes, kind, points[kind])
    return figure


def _draw_kind(axes: Axes, kind: str, points: np.ndarray) -> None:
    axes.set(title=f"{KINDS[kind]} ({len(points)})", xlabel="measured (ms)", ylabel="predicted (ms)")
    if not len(points):
        axes.text(0.5, 0.5, "none in this run", transform=axes.transAxes, ha="center", color=FAINT)
        axes.set(xticks=[], yticks=[])
        return
    low, high = points.min() / 1.25, points.max() * 1.25
    ends = np.array([low, high])
    axes.fill_between(ends, ends * 0.9, ends * 1.1, color=FAINT, alpha=0.15, linewidth=0)
    axes.plot(ends, ends, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.scatter(*points.T, s=14, color="#5c4b8a", alpha=0.6, linewidths=0)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal")
    plain_log_axis(axes.xaxis)
    plain_log_axis(axes.yaxis)
    error = np.abs(points[:, 1] / points[:, 0] - 1)
    text = f"mean |error| {100 * error.mean():.1f} %\nwithin ±10 %: {100 * (error <= 0.1).mean():.0f} %"
    axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", fontsize=8)
