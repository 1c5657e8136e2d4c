"""The gradient search step by step: loss, expected latency against the budget, multiplier, temperature."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tvnjax.report.figures.canvas import FAINT, WIDTH, budget_line, new_figure, strategy_looks
from tvnjax.report.record import RunRecord, number


def search_trace(record: RunRecord) -> Figure | None:
    """Loss, expected latency, multiplier and temperature of the gradient search by step; warm-up is shaded.

    ``None`` where the run has no search steps with numbers.
    """
    runs = record.runs("search_step")
    looks = strategy_looks([*record.strategies, *(name for name, _ in runs)])
    figure = new_figure(WIDTH, 400)
    (loss, expected), (multiplier, temperature) = figure.subplots(2, 2, sharex=True)
    warmup = 0.0
    budgets: list[float] = []
    for name, seed in runs:
        steps = record.select("search_step", strategy=name, seed=seed)
        colour = looks[name].colour
        alpha = 1.0 if len(runs) == 1 else 0.75
        _trace(loss, steps, "loss", color=colour, alpha=alpha)
        _trace(loss, steps, "val_loss", color=colour, alpha=alpha, linestyle=(0, (4, 2)))
        for axes, key in ((expected, "expected_ms"), (multiplier, "multiplier"), (temperature, "temperature")):
            _trace(axes, steps, key, color=colour, alpha=alpha)
        warmup = max([warmup, *(number(s, "step") or 0 for s in steps if s.get("phase") == "warmup")])
        budgets += [budget for s in steps[-1:] if (budget := number(s, "budget_ms")) is not None]
    if not any(axes.lines for axes in figure.axes):
        return None
    budget_line(expected, budgets, vertical=False)
    expected.set_ylim(bottom=0)
    for axes, title in (
        (loss, "Loss (solid: training, dashed: validation)"),
        (expected, "Expected latency (ms)"),
        (multiplier, "Multiplier of the latency term"),
        (temperature, "Temperature"),
    ):
        axes.set_title(title)
        if warmup:
            axes.axvspan(0, warmup, color=FAINT, alpha=0.1, linewidth=0)
    for axes in (multiplier, temperature):
        axes.set_xlabel("step (shaded: warm-up, weights alone)" if warmup else "step")
    return figure


def _trace(axes: Axes, steps: Sequence[dict[str, Any]], key: str, **look: Any) -> None:
    points = [(number(step, "step"), number(step, key)) for step in steps]
    points = [point for point in points if None not in point]
    if points:
        axes.plot(*np.array(points, dtype=float).T, **look)
