"""What the strategies found and when: accuracy against measured latency, best so far against seconds."""

import numpy as np
from matplotlib.figure import Figure

from tvnjax.report.figures.canvas import FAINT, WIDTH, budget_line, new_figure, strategy_legend, strategy_looks
from tvnjax.report.record import RunRecord, number


def accuracy_latency(record: RunRecord) -> Figure | None:
    """Top-1 against measured latency: candidates on the validation split, retrained networks on the test split.

    ``None`` where neither has an accuracy and a measured latency.
    """
    looks = strategy_looks(record.strategies)
    candidates = {name: _candidate_points(record, name) for name in record.strategies}
    finals = [r for r in record.results if r.top1 is not None and r.latency_ms is not None]
    if not finals and not any(map(len, candidates.values())):
        return None
    figure = new_figure(WIDTH, 300)
    left, right = figure.subplots(1, 2, sharex=True)
    for name, points in candidates.items():
        if len(points):
            left.scatter(
                *(points * [1, 100]).T,
                s=16,
                marker=looks[name].marker,
                color=looks[name].colour,
                alpha=0.55,
                linewidths=0,
            )
        # Candidates that were timed and refused untrained have no accuracy: ticks at the foot.
        refused = _refused(record, name)
        left.plot(
            refused,
            [0.0] * len(refused),
            "|",
            color=looks[name].colour,
            alpha=0.5,
            markersize=9,
            transform=left.get_xaxis_transform(),
            clip_on=True,
        )
    if not any(map(len, candidates.values())):
        left.text(0.5, 0.5, "no measured candidates", transform=left.transAxes, ha="center", color=FAINT)
        left.set_yticks([])
    for result in finals:
        look = looks[result.name]
        spread = None if result.latency_iqr_ms is None else result.latency_iqr_ms / 2
        right.errorbar(
            result.latency_ms or 0,
            100 * (result.top1 or 0),
            xerr=spread,
            marker=look.marker,
            markersize=7.5,
            color=look.colour,
            linestyle="none",
            elinewidth=1.2,
            capsize=3,
        )
    majority = number(record.mapping("data"), "majority_share")
    if majority is not None:
        right.axhline(100 * majority, color=FAINT, linewidth=1, linestyle=(0, (1, 2)))
        right.annotate(
            "most frequent class",
            (0.01, 100 * majority),
            xycoords=right.get_yaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            fontsize=8,
            color=FAINT,
        )
    for axes, title, split in (
        (left, "Candidates, while searching", "validation"),
        (right, "Retrained networks", "test"),
    ):
        axes.set(xlabel="measured latency (ms)", ylabel=f"{split} top-1 (%)", title=title)
        budget_line(axes, _budgets(record), vertical=True)
    # Room for the refused ones too, though not for the slowest of them.
    slow = (
        [min(ms, 1.5 * max(budgets)) for n in candidates for ms in _refused(record, n)]
        if (budgets := _budgets(record))
        else []
    )
    shown = [*(r.latency_ms or 0 for r in finals), *budgets, *slow]
    left.set_xlim(0, 1.08 * max([*shown, *(p[:, 0].max() for p in candidates.values() if len(p))]))
    strategy_legend(figure, looks, record.strategies, line=False)
    return figure


def best_so_far(record: RunRecord) -> Figure | None:
    """Best validation fitness (top-1 + top-5) so far against charged seconds; with several seeds mean and range.

    ``None`` where no candidate has a fitness.
    """
    looks = strategy_looks(record.strategies)
    curves: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for name, seed in record.runs("candidate"):
        curve = _best_curve(record, name, seed)
        if curve is not None and name in looks:
            curves.setdefault(name, []).append(curve)
    if not curves:
        return None
    figure = new_figure(WIDTH, 280)
    axes = figure.subplots()
    for name, seeds in curves.items():
        look = looks[name]
        times = np.unique(np.concatenate([seconds for seconds, _ in seeds]))
        times = times[times >= max(seconds[0] for seconds, _ in seeds)]
        values = np.stack([best[np.searchsorted(seconds, times, side="right") - 1] for seconds, best in seeds])
        axes.step(times, values.mean(axis=0), where="post", color=look.colour, linestyle=look.dashes)
        axes.plot(times[:1], values.mean(axis=0)[:1], marker=look.marker, color=look.colour, markersize=6)
        if len(seeds) > 1:
            axes.fill_between(
                times, values.min(0), values.max(0), step="post", color=look.colour, alpha=0.15, linewidth=0
            )
    axes.set(xlabel="charged seconds of search", ylabel="best fitness so far\n(validation top-1 + top-5, at most 2)")
    axes.set_xlim(left=0)
    strategy_legend(figure, looks, list(curves))
    return figure


def _candidate_points(record: RunRecord, name: str) -> np.ndarray:
    """[candidates, 2]: measured milliseconds and top-1 share of the candidates that have both."""
    points = [(number(c, "latency_ms"), number(c, "top1")) for c in record.candidates(strategy=name)]
    return np.array([point for point in points if None not in point], dtype=float).reshape(-1, 2)


def _refused(record: RunRecord, name: str) -> list[float]:
    """Measured milliseconds of the candidates without an accuracy."""
    entries = record.candidates(strategy=name)
    return [ms for c in entries if (ms := number(c, "latency_ms")) is not None and number(c, "top1") is None]


def _best_curve(record: RunRecord, name: str, seed: object) -> tuple[np.ndarray, np.ndarray] | None:
    """Seconds and the best fitness from each on, up to the last second charged; ``None`` without a fitness."""
    candidates = record.candidates(strategy=name, seed=seed)
    points: list[tuple[float, float]] = []
    for candidate in candidates:
        seconds, fitness = number(candidate, "charged_s"), number(candidate, "fitness")
        if seconds is not None and fitness is not None and candidate.get("feasible") is not False:
            points.append((seconds, fitness))
    if not points:
        return None
    points.sort()
    seconds, fitness = np.array(points).T
    charged = [*candidates, *record.select("search_step", strategy=name, seed=seed)]
    end = max([seconds[-1], *(number(entry, "charged_s") or 0 for entry in charged)])
    best = np.maximum.accumulate(fitness)
    return np.append(seconds, end), np.append(best, best[-1])


def _budgets(record: RunRecord) -> list[float]:
    return [result.budget_ms for result in record.results if result.budget_ms is not None]
