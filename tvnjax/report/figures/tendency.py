"""What the gradient search was tending to, step by step: entropies, mass on parameter-free operators, costs."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tvnjax.report.figures.canvas import FAINT, INK, WIDTH, new_figure
from tvnjax.report.figures.marginals import MOST_SHOWN, shown_run
from tvnjax.report.record import RunRecord, number

AXES = ("spatial", "temporal")
BUDGETS = {"ms": "latency", "params": "parameters", "memory_mb": "peak memory"}
"""Budgets by their name in the files, as a reader knows them."""

# Told apart by dashes too. None of these is a strategy's colour.
_LINES = (("#332288", "solid"), ("#882255", (0, (5, 2))), ("#117733", (0, (1.5, 1.5))))
_COLUMNS = 4
_STEP = "step (shaded: warm-up)"


def entropies(record: RunRecord) -> Figure | None:
    """Mean entropy of the operator genes and of the shape genes; ``None`` where the run has neither."""
    curves = entropy_curves(record)
    if not curves:
        return None
    figure = new_figure(WIDTH, 210)
    axes = figure.subplots()
    for (colour, dashes), (label, points) in zip(_LINES, curves.items()):
        axes.plot(*points.T, color=colour, linestyle=dashes, label=label)
    axes.set(xlabel=_STEP, ylabel="entropy (1: undecided)", ylim=(-0.03, 1.05))
    _shade_warmup([axes], shown_steps(record))
    figure.legend(loc="outside upper left", ncols=2, handlelength=3)
    return figure


def parameter_free(record: RunRecord) -> Figure | None:
    """Probability mass on pools and identities, a panel a block; ``None`` where the run does not say."""
    steps = shown_steps(record)
    blocks = max((len(_blocks(step)) for step in steps), default=0)
    if not any(_mass(step, index, axis) is not None for step in steps for index in range(blocks) for axis in AXES):
        return None
    columns = min(blocks, _COLUMNS)
    lines = -(-blocks // columns)
    figure = new_figure(WIDTH, 50 + 125 * lines)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for index, axes in enumerate(grid):
        if index >= blocks:
            axes.set_visible(False)
            continue
        for (colour, dashes), axis in zip(_LINES, AXES):
            points = series(steps, [_mass(step, index, axis) for step in steps])
            label = f"{axis} layer" if index == 0 else None
            axes.plot(*points.T, color=colour, linestyle=dashes, label=label)
        axes.set(title=f"block {index + 1}", ylim=(-0.03, 1.05))
    _shade_warmup(grid[:blocks], steps)
    figure.supxlabel(_STEP, fontsize=9)
    figure.supylabel("probability", fontsize=9)
    figure.legend(loc="outside upper left", ncols=2, handlelength=3)
    return figure


def costs(record: RunRecord) -> Figure | None:
    """Expected costs as parts of their budgets, and the budgets' multipliers; ``None`` below two budgets.

    With one budget the trace of the search shows both already.
    """
    steps = shown_steps(record)
    names = [name for name in BUDGETS if any(_cost(step, name, "part") is not None for step in steps)]
    if len(names) < 2:
        return None
    figure = new_figure(WIDTH, 240)
    left, right = figure.subplots(1, 2, sharex=True)
    for (colour, dashes), name in zip(_LINES, names):
        for axes, key, label in ((left, "part", BUDGETS[name]), (right, "multiplier", None)):
            points = series(steps, [_cost(step, name, key) for step in steps])
            axes.plot(*points.T, color=colour, linestyle=dashes, label=label)
    left.axhline(1, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1.5)
    left.set(title="Expected cost / budget", xlabel=_STEP)
    left.set_ylim(bottom=0)
    right.set(title="Multiplier", xlabel=_STEP)
    _shade_warmup([left, right], steps)
    figure.legend(loc="outside upper left", ncols=3, handlelength=3)
    return figure


def shown_steps(record: RunRecord) -> list[dict[str, Any]]:
    """The ``search_step`` events of the search that is shown."""
    run = shown_run(record, "search_step")
    return [] if run is None else record.select("search_step", strategy=run[0], seed=run[1])


def last_masses(record: RunRecord) -> list[dict[str, float | None]]:
    """The mass on parameter-free operators at the last step that says, by block and axis."""
    last = next((step for step in reversed(shown_steps(record)) if _blocks(step)), {})
    return [{axis: _mass(last, index, axis) for axis in AXES} for index in range(len(_blocks(last)))]


def entropy_curves(record: RunRecord) -> dict[str, np.ndarray]:
    """Mean entropies by what they are of, float [points, 2] of step and value; without what the run does not say."""
    steps = shown_steps(record)
    curves = {
        label: series(steps, [number(step, key) for step in steps])
        for label, key in (("operator genes", "entropy"), ("shape genes", "shape_entropy"))
    }
    # Without a shape gene to search, their entropy is logged as 0 throughout: no decision that was made.
    idle = not curves["shape genes"][:, 1].any()
    return {label: curve for label, curve in curves.items() if len(curve) and not (idle and label == "shape genes")}


def series(steps: Sequence[dict[str, Any]], values: Sequence[float | None]) -> np.ndarray:
    """[points, 2]: step and value of the events that have both."""
    points = [(number(step, "step"), value) for step, value in zip(steps, values)]
    return np.array([point for point in points if None not in point], dtype=float).reshape(-1, 2)


def _blocks(step: dict[str, Any]) -> list[Any]:
    blocks = step.get("parameter_free")
    return blocks[:MOST_SHOWN] if isinstance(blocks, list) else []


def _mass(step: dict[str, Any], index: int, axis: str) -> float | None:
    blocks = _blocks(step)
    found = blocks[index] if index < len(blocks) else None
    return number(found, axis) if isinstance(found, dict) else None


def _cost(step: dict[str, Any], name: str, key: str) -> float | None:
    found = step.get("costs")
    cost = found.get(name) if isinstance(found, dict) else None
    return number(cost, key) if isinstance(cost, dict) else None


def _shade_warmup(panels: Iterable[Axes], steps: Sequence[dict[str, Any]]) -> None:
    warmup = max((number(step, "step") or 0 for step in steps if step.get("phase") == "warmup"), default=0)
    for axes in panels if math.isfinite(warmup) and warmup else ():
        axes.axvspan(0, warmup, color=FAINT, alpha=0.1, linewidth=0)
