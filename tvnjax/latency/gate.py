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

    def words(self, value: float) -> str:
        """A value as it is written."""
        if self.key == "kendall_tau":
            return f"{value:.2f}"
        return f"{value:+.1%}" if self.key == "bias" else f"{value:.1%}"

    @property
    def asked(self) -> str:
        if self.least is not None:
            return f"at least {self.least:.2f}" if self.key == "kendall_tau" else f"at least {self.least:.0%}"
        return f"within ±{self.most:.0%}" if self.key == "bias" else f"at most {self.most:.0%}"

    def missed(self, value: float) -> str:
        """A failure in words."""
        return f"{self.label} {self.words(value)}, {self.asked} asked"


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
    def too_few(self) -> list[str]:
        """Which counts are below what a gate rests on, in words."""
        counts = [("random", self.random["count"], RANDOM_NETWORKS)]
        if self.selected is not None:
            counts.append(("selected", self.selected["count"], SELECTED_NETWORKS))
        return [f"{count:.0f} {kind} networks, {asked} asked" for kind, count, asked in counts if count < asked]

    @property
    def failures(self) -> list[str]:
        """The lines that are not kept, in words; too few networks is one of them."""
        random = self.random
        failed = [limit.missed(random[limit.key]) for limit in LIMITS if not limit.holds(random[limit.key])]
        if self.selected is not None and not BIAS.holds(self.selected["bias"]):
            failed.append(BIAS.missed(self.selected["bias"]))
        return failed + self.too_few

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
            "too_few": self.too_few,
        }
