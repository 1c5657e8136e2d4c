"""How the networks found were trained from scratch."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tvnjax.report.figures.canvas import WIDTH, new_figure, strategy_legend, strategy_looks
from tvnjax.report.record import RunRecord, number


def retraining(record: RunRecord) -> Figure | None:
    """Loss and validation top-1 of retraining by step, a line a network; ``None`` where the run has no history."""
    events = [event for event in record.select("retrained") if _points(event, "loss") or _points(event, "val_top1")]
    if not events:
        return None
    looks = strategy_looks([*record.strategies, *(str(event.get("strategy")) for event in events)])
    figure = new_figure(WIDTH, 270)
    loss, top1 = figure.subplots(1, 2, sharex=True)
    for event in events:
        name = str(event.get("strategy"))
        look = looks[name]
        _draw(loss, _points(event, "loss"), 1, color=look.colour, linestyle=look.dashes)
        _draw(top1, _points(event, "val_top1"), 100, color=look.colour, linestyle=look.dashes, marker=look.marker)
    loss.set(xlabel="training step", ylabel="training loss", title="Loss")
    top1.set(xlabel="training step", ylabel="validation top-1 (%)", title="Validation accuracy")
    strategy_legend(figure, looks, list(dict.fromkeys(str(event.get("strategy")) for event in events)))
    return figure


def _points(event: dict[str, Any], key: str) -> list[tuple[float, float]]:
    history = event.get("history")
    entries = [entry for entry in history if isinstance(entry, dict)] if isinstance(history, list) else []
    pairs = [(number(entry, "step"), number(entry, key)) for entry in entries]
    return [(step, value) for step, value in pairs if step is not None and value is not None]


def _draw(axes: Axes, points: list[tuple[float, float]], scale: float, **look: Any) -> None:
    steps, values = np.array(points, dtype=float).reshape(-1, 2).T
    axes.plot(steps, values * scale, markersize=3.5, linewidth=1.3, **look)
