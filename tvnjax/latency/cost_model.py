"""Milliseconds of any layer, fitted to measured units and networks.

A layer's cost is a sum of non-negative terms with a physical meaning (a fixed cost, multiply-adds, values moved, values
gathered under a window), with coefficients of their own for each kind of layer, fitted by non-negative least squares
on the relative errors of units. A network costs a fixed amount more than its units, and in a network units run
slower by a factor than in a loop of their own; both are fitted to whole networks. Being a sum over layers the cost
can be taken in expectation exactly (``tvnjax.latency.expected``).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import nnls
from scipy.stats import kendalltau

from tvnjax.space.network import Conv, Head, Layer, Network, Pool, Unit

_TERMS = ("fixed", "macs", "moved", "gathered")
_KINDS = ("pointwise", "dense", "depthwise", "temporal", "pool", "gate")
FEATURE_NAMES = [f"{kind}.{term}" for kind in _KINDS for term in _TERMS] + ["unit"]
"""Columns: for every kind of layer its terms, and the cost of a unit apart from its layers."""

UNIT = len(FEATURE_NAMES) - 1

LANES = 16
"""Channels count in whole multiples of this: with 8 channels a wide vector unit works as long as with 16. (Counting
them so took the cross-validated error of 24 networks on a two-core CPU with AVX-512 from 10.2 % to 8.9 %.)"""


def layer_features(layer: Layer | Head) -> np.ndarray:
    """``[features]``: a layer's count (1), and in millions its multiply-adds, values in and out, values under windows.

    Multiply-adds and values moved are those of channels rounded up to ``LANES``. The head's are 0: it is part of the
    fixed cost of a network.
    """
    row = np.zeros(len(FEATURE_NAMES))
    if isinstance(layer, Head):
        return row
    gathered, macs = 0.0, layer.macs
    if isinstance(layer, Conv):
        kind = "pointwise" if layer.kernel == (1, 1, 1) else "dense"
        if layer.depthwise:
            kind = "depthwise"
        elif layer.kernel[0] > 1:
            kind = "temporal"
        gathered = macs / layer.out_shape.c
        macs = gathered * _whole_lanes(layer.out_shape.c)
    elif isinstance(layer, Pool):
        kind, gathered = "pool", sum(layer.window) * layer.out_shape.size
    else:
        kind = "gate"
    moved = sum(shape.size / shape.c * _whole_lanes(shape.c) for shape in (layer.in_shape, layer.out_shape))
    first = _KINDS.index(kind) * len(_TERMS)
    row[first : first + len(_TERMS)] = (1, macs / 1e6, moved / 1e6, gathered / 1e6)
    return row


def _whole_lanes(channels: int) -> int:
    return -(-channels // LANES) * LANES


def unit_features(unit: Unit) -> np.ndarray:
    row = np.sum([layer_features(layer) for layer in unit.all_layers], axis=0)
    row[UNIT] = 1
    return row


def network_features(network: Network) -> np.ndarray:
    return np.sum([unit_features(unit) for unit in network.units], axis=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CostModel:
    """Predicts milliseconds: ``coefficients`` times features, plus ``network_ms`` for a whole network."""

    coefficients: np.ndarray
    network_ms: float
    """Cost of a call apart from the units."""

    def layer_ms(self, layer: Layer | Head) -> float:
        return float(layer_features(layer) @ self.coefficients)

    @property
    def unit_ms(self) -> float:
        """Cost of a unit apart from its layers."""
        return float(self.coefficients[UNIT])

    def predict(self, network: Network) -> float:
        """Milliseconds of one clip."""
        return float(network_features(network) @ self.coefficients) + self.network_ms


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """What a model is fitted to, one row a unit or network."""

    features: np.ndarray
    ms: np.ndarray
    spread_ms: np.ndarray
    """Distance between the quartiles."""
    is_network: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Measured":
        return Measured(
            features=self.features[rows],
            ms=self.ms[rows],
            spread_ms=self.spread_ms[rows],
            is_network=self.is_network[rows],
        )


def fit(measured: Measured) -> CostModel:
    """Fits units, then what a network adds to the sum of its units; a row counts the less the wider its spread."""
    weight = 1.0 / np.maximum(measured.ms + measured.spread_ms, 1e-3)
    units, networks = ~measured.is_network, measured.is_network

    def least_squares(rows: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        w = weight[chosen]
        return nnls(rows * w[:, None], measured.ms[chosen] * w, maxiter=10_000)[0]

    coefficients = least_squares(measured.features[units], units)
    sums = measured.features[networks] @ coefficients
    fixed, factor = least_squares(np.stack([np.ones_like(sums), sums], axis=1), networks)
    return CostModel(coefficients=factor * coefficients, network_ms=float(fixed))


def fit_quality(predicted: Sequence[float], measured: Sequence[float]) -> dict[str, float]:
    """How well predictions rank and hit: MAPE, share within 10 %, Kendall's tau, mean signed error (parts of 1)."""
    p, m = np.asarray(predicted, float), np.asarray(measured, float)
    error = (p - m) / m
    correlation: Any = kendalltau(p, m) if len(p) > 1 else None
    return {
        "mape": float(np.abs(error).mean()),
        "within_10pct": float((np.abs(error) <= 0.1).mean()),
        "kendall_tau": 1.0 if correlation is None else float(correlation.statistic),
        "bias": float(error.mean()),
        "count": len(p),
    }


def cross_validated(measured: Measured, folds: int = 5) -> np.ndarray:
    """Predictions of every network by a model fitted without it; units get those of the model fitted to everything.

    Units are fitted in a loop of their own, so theirs is the model's without the factor of a network.
    """
    whole = fit(measured)
    networks = np.flatnonzero(measured.is_network)
    units = ~measured.is_network
    factor = _ratio(measured.features[units] @ whole.coefficients, measured.ms[units])
    predicted = measured.features @ whole.coefficients / factor
    for fold in range(min(folds, len(networks))):
        out = np.isin(np.arange(len(predicted)), networks[fold::folds])
        model = fit(measured[~out])
        predicted[out] = measured.features[out] @ model.coefficients + model.network_ms
    return predicted


def _ratio(predicted: np.ndarray, measured: np.ndarray) -> float:
    usable = measured > 0
    return float(np.median(predicted[usable] / measured[usable])) or 1.0
