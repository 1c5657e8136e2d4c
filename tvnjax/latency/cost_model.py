"""Milliseconds of any layer, fitted to measured units and networks.

A layer's physical cost is a sum of non-negative terms (a fixed cost, multiply-adds, values moved, values gathered under
a window), with coefficients of their own for each kind of layer, fitted by non-negative least squares on the relative
errors of units. A network costs a fixed amount more than its units, and in a network units run slower by a factor than
by themselves; both are fitted to whole networks. What these terms miss is learnt as a factor on every layer
(``layer_regressor``). Being a sum over layers the cost can be taken in expectation exactly (``expected``).
"""

import dataclasses

import numpy as np
from scipy.optimize import nnls

from tvnjax.latency.layer_regressor import LayerRegressor, Program
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


class CostModel:
    """Milliseconds of layers, and of a network as their sum.

    Args:
        coefficients: ``[features]`` of the physical terms.
        network_ms: cost of a call apart from the units.
        regressor: factors on the physical costs of layers; ``None`` for the physical costs alone.
        network_factor: how much longer units take in a network than by themselves; the coefficients are of a network.
    """

    def __init__(
        self,
        coefficients: np.ndarray,
        network_ms: float,
        regressor: LayerRegressor | None = None,
        network_factor: float = 1.0,
    ):
        self.coefficients, self.network_ms = coefficients, network_ms
        self.regressor, self.network_factor = regressor, network_factor
        self._known: dict[Layer | Head, float] = {}

    def prior_ms(self, layer: Layer | Head) -> float:
        """Physical cost of a layer."""
        return float(layer_features(layer) @ self.coefficients)

    def layer_ms(self, layer: Layer | Head) -> float:
        if layer not in self._known:
            learnt = self.regressor is not None and not isinstance(layer, Head)
            factor = self.regressor.factor(layer) if learnt else 1.0  # type: ignore[union-attr, arg-type]
            self._known[layer] = self.prior_ms(layer) * factor
        return self._known[layer]

    @property
    def unit_ms(self) -> float:
        """Cost of a unit apart from its layers."""
        return float(self.coefficients[UNIT])

    def predict(self, network: Network) -> float:
        """Milliseconds of one clip."""
        layers = sum(self.layer_ms(layer) for layer in network.layers())
        return layers + self.layer_ms(network.head) + len(network.units) * self.unit_ms + self.network_ms

    def program(self, what: Unit | Network) -> Program:
        """What the regressor sees of a unit or network."""
        layers = list(what.layers()) if isinstance(what, Network) else what.all_layers
        return Program.of(layers, [self.prior_ms(layer) for layer in layers])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """Measured units and networks, and the milliseconds of each."""

    units: tuple[tuple[Unit, float], ...]
    networks: tuple[tuple[Network, float], ...]


def fit(measured: Measured, constants: tuple[float, float, float] | None = None) -> CostModel:
    """Fits physical terms to units, what a network adds to the sum of its units, then the factors of layers to both.

    Args:
        measured: at least one unit and two networks.
        constants: of the regressor, see there.
    """

    def least_squares(rows: np.ndarray, ms: np.ndarray) -> np.ndarray:
        return nnls(rows / ms[:, None], np.ones(len(ms)), maxiter=10_000)[0]

    units, networks = [unit for unit, _ in measured.units], [network for network, _ in measured.networks]
    units_ms = np.maximum([ms for _, ms in measured.units], 1e-4)
    networks_ms = np.maximum([ms for _, ms in measured.networks], 1e-4)
    coefficients = least_squares(np.array([unit_features(unit) for unit in units]), units_ms)
    sums = np.array([network_features(network) for network in networks]) @ coefficients
    fixed, factor = least_squares(np.stack([np.ones_like(sums), sums], axis=1), networks_ms)
    prior = CostModel(factor * coefficients, float(fixed))
    # What the layers of each took, in a network.
    targets = [*(factor * units_ms - prior.unit_ms)]
    targets += [ms - prior.network_ms - len(net.units) * prior.unit_ms for net, ms in zip(networks, networks_ms)]
    programs = [prior.program(what) for what in [*units, *networks]]
    regressor = LayerRegressor(programs, targets, constants)
    return CostModel(prior.coefficients, prior.network_ms, regressor, float(factor))


def cross_validated(measured: Measured, constants: tuple[float, float, float], folds: int = 5) -> np.ndarray:
    """``[networks]``: every network's milliseconds as predicted by a model fitted without it."""
    predicted = np.zeros(len(measured.networks))
    for fold in range(min(folds, len(predicted))):
        out = range(fold, len(predicted), folds)
        kept = tuple(pair for index, pair in enumerate(measured.networks) if index not in out)
        model = fit(dataclasses.replace(measured, networks=kept), constants)
        predicted[out] = [model.predict(measured.networks[index][0]) for index in out]
    return predicted
