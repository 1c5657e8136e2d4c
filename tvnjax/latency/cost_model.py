"""Milliseconds of any layer, fitted to measured units and networks.

A layer's physical cost is a sum of non-negative terms (a fixed cost, multiply-adds, values moved, values gathered under
a window), with coefficients of their own for each kind of layer, fitted by non-negative least squares on the relative
errors of units and networks; a network costs a fixed amount more than its units. What these terms miss is learnt as a
factor on every layer (``layer_regressor``). Being a sum over layers the cost can be taken in expectation exactly
(``expected``).

On an accelerator, where kernels are counted, a further term of all layers alike is the milliseconds of a kernel. It is
fitted to the counts of what was measured; a network that was not compiled has the kernels its layers are worth
(``kernel_terms``), which add up too.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from scipy.optimize import nnls

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Head, Layer, Network, Unit
from tvnjax.latency.kernel_terms import NETWORK, KernelTerms, fit_kernels, layer_classes, unit_kernels
from tvnjax.latency.kernel_terms import UNIT as UNIT_KERNELS
from tvnjax.latency.layer_regressor import CANDIDATES, Constants, LayerRegressor, Program

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
    fixed cost of a network. A layer made of others has the sum of theirs.

    Raises:
        InvalidInputError: the layer's costs go by a group that is not known.
    """
    row = np.zeros(len(FEATURE_NAMES))
    if isinstance(layer, Head):
        return row
    if layer.leaves != (layer,):
        return np.sum([layer_features(leaf) for leaf in layer.leaves], axis=0, initial=0.0) + row
    cost, macs = layer.cost, float(layer.macs)
    if cost.group not in _KINDS:
        raise InvalidInputError(
            f"the costs of a layer go by one of the groups {', '.join(_KINDS)}; {type(layer).__name__} names "
            f"{cost.group!r}: name one of them"
        )
    if cost.whole_vectors:
        macs = cost.gathered * _whole_lanes(layer.out_shape.c)
    moved = sum(shape.size / shape.c * _whole_lanes(shape.c) for shape in (*layer.in_shapes, layer.out_shape))
    first = _KINDS.index(cost.group) * len(_TERMS)
    row[first : first + len(_TERMS)] = (1, macs / 1e6, moved / 1e6, cost.gathered / 1e6)
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
        kernels: on an accelerator, what layers, units and a network are worth in kernels, and milliseconds of one.
    """

    def __init__(
        self,
        coefficients: np.ndarray,
        network_ms: float,
        regressor: LayerRegressor | None = None,
        kernels: tuple[KernelTerms, float] | None = None,
    ):
        self.coefficients, self.network_ms, self.regressor = coefficients, network_ms, regressor
        self.kernels = kernels
        self._known: dict[Layer | Head, float] = {}

    def prior_ms(self, layer: Layer | Head) -> float:
        """Physical cost of a layer."""
        prior = float(layer_features(layer) @ self.coefficients)
        return prior if self.kernels is None else prior + self._kernels_ms(*layer_classes(layer))

    def layer_ms(self, layer: Layer | Head) -> float:
        """Cost of a layer; of one made of others the sum of theirs."""
        if layer not in self._known:
            if isinstance(layer, Head):
                self._known[layer] = self.prior_ms(layer)
            elif layer.leaves != (layer,):
                self._known[layer] = sum(map(self.layer_ms, layer.leaves))
            else:
                factor = 1.0 if self.regressor is None else self.regressor.factor(layer)
                self._known[layer] = self.prior_ms(layer) * factor
        return self._known[layer]

    @property
    def unit_ms(self) -> float:
        """Cost of a unit apart from its layers."""
        unit = float(self.coefficients[UNIT])
        return unit if self.kernels is None else unit + self._kernels_ms(UNIT_KERNELS)

    def _kernels_ms(self, *classes: str) -> float:
        if self.kernels is None:
            return 0.0
        terms, kernel_ms = self.kernels
        return kernel_ms * terms.of(classes)

    def predict(self, network: Network) -> float:
        """Milliseconds of a call."""
        layers = sum(self.layer_ms(layer) for layer in network.layers())
        return layers + self.layer_ms(network.head) + len(network.units) * self.unit_ms + self.network_ms

    def unit(self, unit: Unit) -> float:
        """Milliseconds of a unit inside of a network."""
        return sum(self.layer_ms(layer) for layer in unit.all_layers) + self.unit_ms

    def program(self, what: Unit | Network) -> Program:
        """What the regressor sees of a unit or network."""
        layers = list(what.layers()) if isinstance(what, Network) else what.all_layers
        return Program.of(layers, [self.prior_ms(layer) for layer in layers])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """Measured units and networks, and the milliseconds of each."""

    units: tuple[tuple[Unit, float], ...]
    networks: tuple[tuple[Network, float], ...]
    kernels: Mapping[Unit | Network, float] | None = None
    """Counted of each, on accelerators; of a unit by the turn of a chain."""


def fit(measured: Measured, constants: Constants | None = None) -> CostModel:
    """Fits the physical terms and a network's fixed cost to units and networks, then the factors of layers.

    Args:
        measured: at least one unit and two networks.
        constants: what the regressor assumes, and how much a unit counts. Default: the likeliest candidate.
    """
    if constants is None:
        models = [fit(measured, candidate) for candidate in CANDIDATES]
        return max(models, key=lambda model: model.regressor.likelihood if model.regressor else -np.inf)
    what = [*(unit for unit, _ in measured.units), *(network for network, _ in measured.networks)]
    ms = np.maximum([taken for _, taken in [*measured.units, *measured.networks]], 1e-4)
    is_network = np.arange(len(ms)) >= len(measured.units)
    weights = np.where(is_network, 1.0, constants.unit_weight)
    layers = [unit_features(part) if isinstance(part, Unit) else network_features(part) for part in what]
    rows = np.column_stack([np.array(layers), is_network])
    counts = None
    if measured.kernels is not None:
        counts = np.array([measured.kernels[part] for part in what], float)
        rows = np.column_stack([rows, counts])
    found = nnls(rows * (weights / ms)[:, None], weights, maxiter=10_000)[0]
    coefficients, network_ms = found[: len(FEATURE_NAMES)], float(found[len(FEATURE_NAMES)])
    kernels, chained = None, np.zeros(len(ms))
    if counts is not None:
        terms = fit_kernels([network for network, _ in measured.networks], list(counts[is_network]))
        kernels = terms, float(found[-1])
        network_ms += kernels[1] * terms.of([NETWORK])
        # A unit is worth more kernels, or fewer, inside of a network than in the chain it was timed in.
        worth = np.array([0.0 if isinstance(part, Network) else unit_kernels(terms, part) for part in what])
        chained = np.where(is_network, 0.0, kernels[1] * (worth - counts))
    prior = CostModel(coefficients, network_ms, kernels=kernels)
    # What is left of each for its layers.
    of_layers = ms - is_network * prior.network_ms - rows[:, UNIT] * prior.unit_ms + chained
    regressor = LayerRegressor([prior.program(part) for part in what], of_layers, weights, constants)
    return CostModel(coefficients, network_ms, regressor, kernels)


def cross_validated(measured: Measured, constants: Constants, folds: int = 5) -> np.ndarray:
    """``[networks]``: every network's milliseconds as predicted by a model fitted without it."""
    predicted = np.zeros(len(measured.networks))
    for fold in range(min(folds, len(predicted))):
        out = range(fold, len(predicted), folds)
        kept = tuple(pair for index, pair in enumerate(measured.networks) if index not in out)
        model = fit(dataclasses.replace(measured, networks=kept), constants)
        predicted[out] = [model.predict(measured.networks[index][0]) for index in out]
    return predicted
