"""Whether predicted latencies can be believed: what is asked of them, and by how much they keep it."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import kendalltau

RANDOM_NETWORKS, SELECTED_NETWORKS = 100, 30
"""How many networks a gate is asked to rest on."""


def fit_quality(predicted: Sequence[float], measured: Sequence[float]) -> dict[str, float]:
    """How well predictions rank and hit: MAPE, share within 10 %, Kendall's tau, mean signed error (parts of 1)."""
    p, m = np.asarray(predicted, float), np.asarray(measured, float)
    error = (p - m) / m
    return {
        "mape": float(np.abs(error).mean()),
        "within_10pct": float((np.abs(error) <= 0.1).mean()),
        "kendall_tau": rank_correlation(p, m),
        "bias": float(error.mean()),
        "count": len(p),
    }


def rank_correlation(a: Any, b: Any) -> float:
    """Kendall's tau; 1 for fewer than two pairs, 0 where one side does not vary."""
    if len(a) < 2:
        return 1.0
    tau = float(kendalltau(a, b).statistic)  # type: ignore[attr-defined]
    return 0.0 if np.isnan(tau) else tau


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limit:
    """One line of the gate."""

    key: str
    label: str
    most: float | None = None
    """Of the magnitude."""
    least: float | None = None

    def holds(self, value: float) -> bool:
        return (self.most is None or abs(value) <= self.most) and (self.least is None or value >= self.least)


LIMITS = (
    Limit(key="mape", label="mean absolute error", most=0.08),
    Limit(key="within_10pct", label="share within ±10 %", least=0.85),
    Limit(key="kendall_tau", label="Kendall's tau", least=0.90),
)
BIAS = Limit(key="bias", label="mean signed error of selected networks", most=0.03)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gate:
    """Predictions of networks against their measured latencies.

    Every random network was predicted by a model that had not seen it (cross-validation); selected ones are those a
    search proposed, which no model was fitted to.
    """

    random: dict[str, float]
    """See ``fit_quality``."""
    flops_kendall_tau: float
    """Rank correlation that counting multiply-adds reaches on the random networks."""
    selected: dict[str, float] | None = None

    @staticmethod
    def of(
        predicted: Sequence[float],
        measured: Sequence[float],
        macs: Sequence[float],
        selected: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> "Gate":
        """A gate from milliseconds of random networks, their multiply-adds, and ``(predicted, measured)`` of selected
        ones."""
        return Gate(
            random=fit_quality(predicted, measured),
            flops_kendall_tau=rank_correlation(np.asarray(macs, float), np.asarray(measured, float)),
            selected=fit_quality(*selected) if selected and len(selected[0]) else None,
        )

    @property
    def failures(self) -> list[str]:
        """The lines that are not kept, in words; too few networks is one of them."""
        failed = [
            _failure(limit, self.random[limit.key]) for limit in LIMITS if not limit.holds(self.random[limit.key])
        ]
        if self.random["count"] < RANDOM_NETWORKS:
            failed.append(f"{self.random['count']:.0f} random networks, {RANDOM_NETWORKS} asked")
        if self.selected is not None:
            if not BIAS.holds(self.selected["bias"]):
                failed.append(_failure(BIAS, self.selected["bias"]))
            if self.selected["count"] < SELECTED_NETWORKS:
                failed.append(f"{self.selected['count']:.0f} selected networks, {SELECTED_NETWORKS} asked")
        return failed

    @property
    def passes(self) -> bool:
        return not self.failures

    def as_json(self) -> dict[str, Any]:
        """Flat keys of the random networks, ``selected`` beside them, and what failed."""
        return {
            **self.random,
            "flops_kendall_tau": self.flops_kendall_tau,
            "selected": self.selected,
            "passes": self.passes,
            "failures": self.failures,
        }


def _failure(limit: Limit, value: float) -> str:
    if limit.most is not None:
        sign = "±" if limit.key == "bias" else "at most "
        return f"{limit.label} {value:.1%}, {sign}{limit.most:.0%} asked"
    if limit.key == "kendall_tau":
        return f"{limit.label} {value:.2f}, at least {limit.least:.2f} asked"
    return f"{limit.label} {value:.0%}, at least {limit.least:.0%} asked"
