"""Milliseconds of any layer, fitted to measured units and networks.

A layer's cost is a sum of non-negative terms with a physical meaning (a fixed cost, multiply-adds, values moved), with
coefficients of their own for each kind of layer, fitted by non-negative least squares on relative errors. Being a sum over
layers it can be taken in expectation exactly (``tvnjax.latency.expected``).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls
from scipy.stats import kendalltau

from tvnjax.space.network import ContextGate, Conv, Head, Layer, Network, NonLocal, Pool, SqueezeExcite, Unit

_KINDS: dict[str, int] = {"pointwise": 3, "dense": 3, "depthwise": 3, "temporal": 3, "pool": 3, "gate": 3, "head": 2}
_FEATURES = [(kind, term) for kind, terms in _KINDS.items() for term in range(terms)]
_INDEX = {feature: index for index, feature in enumerate(_FEATURES)}
UNIT, NETWORK = len(_FEATURES), len(_FEATURES) + 1
"""Columns of the cost of a unit and of a network apart from their layers."""

FEATURE_NAMES = [f"{kind}.{('fixed', 'macs', 'moved')[term]}" for kind, term in _FEATURES] + ["unit", "network"]


def layer_features(layer: Layer | Head) -> np.ndarray:
    """``[features]``: a layer's fixed cost (1), millions of multiply-adds and millions of values moved."""
    row = np.zeros(NETWORK + 1)

    def put(kind: str, *values: float) -> None:
        for term, value in enumerate(values):
            row[_INDEX[kind, term]] = value

    if isinstance(layer, Head):
        put("head", 1, (layer.in_shape.size + layer.macs) / 1e6)
        return row
    moved = (layer.in_shape.size + layer.out_shape.size) / 1e6
    if isinstance(layer, Conv):
        kind = "pointwise" if layer.kernel == (1, 1, 1) else "dense"
        if layer.depthwise:
            kind = "depthwise"
        elif layer.kernel[0] > 1:
            kind = "temporal"
        put(kind, 1, layer.macs / 1e6, moved)
    elif isinstance(layer, Pool):
        put("pool", 1, sum(layer.window) * layer.out_shape.size / 1e6, moved)
    elif isinstance(layer, SqueezeExcite | ContextGate | NonLocal):
        put("gate", 1, layer.macs / 1e6, moved)
    return row


def unit_features(unit: Unit) -> np.ndarray:
    row = np.sum([layer_features(layer) for layer in unit.all_layers], axis=0)
    row[UNIT] = 1
    return row


def network_features(network: Network) -> np.ndarray:
    row = np.sum([unit_features(unit) for unit in network.units], axis=0) + layer_features(network.head)
    row[NETWORK] = 1
    return row


@dataclasses.dataclass(frozen=True, kw_only=True)
class CostModel:
    """Predicts milliseconds: ``coefficients`` times features."""

    coefficients: np.ndarray

    def layer_ms(self, layer: Layer | Head) -> float:
        return float(layer_features(layer) @ self.coefficients)

    @property
    def unit_ms(self) -> float:
        """Cost of a unit apart from its layers."""
        return float(self.coefficients[UNIT])

    @property
    def network_ms(self) -> float:
        """Cost of a call apart from the units and the head."""
        return float(self.coefficients[NETWORK])

    def predict(self, network: Network) -> float:
        """Milliseconds of one clip."""
        return float(network_features(network) @ self.coefficients)


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
    """Fits the coefficients so that relative errors are least.

    A row counts the less the wider its spread; whole networks count three times as much as units, because they are what is
    predicted.
    """
    scale = np.maximum(measured.ms + measured.spread_ms, 1e-3)
    weight = np.where(measured.is_network, 3.0, 1.0) / scale
    coefficients, _ = nnls(measured.features * weight[:, None], measured.ms * weight, maxiter=10_000)
    return CostModel(coefficients=coefficients)


def fit_quality(predicted: Sequence[float], measured: Sequence[float]) -> dict[str, float]:
    """How well predictions rank and hit: MAPE, share within 10 %, Kendall's tau, mean signed error (parts of 1)."""
    p, m = np.asarray(predicted, float), np.asarray(measured, float)
    error = (p - m) / m
    return {
        "mape": float(np.abs(error).mean()),
        "within_10pct": float((np.abs(error) <= 0.1).mean()),
        "kendall_tau": float(kendalltau(p, m).statistic) if len(p) > 1 else 1.0,
        "bias": float(error.mean()),
        "count": len(p),
    }


def cross_validated(measured: Measured, folds: int = 5) -> np.ndarray:
    """Predictions of every row by a model fitted without it (every ``folds``-th row is left out at a time)."""
    predicted = np.zeros(len(measured.ms))
    for fold in range(folds):
        out = np.arange(len(predicted)) % folds == fold
        predicted[out] = measured.features[out] @ fit(measured[~out]).coefficients
    return predicted
