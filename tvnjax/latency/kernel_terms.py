"""How many kernels a layer is worth inside of a network, learnt from the counts of compiled networks.

What a compiler fuses is not known before it has compiled, and a search weighs networks nobody compiled. So every kind
of layer gets numbers that add up to the counts of measured networks as well as they can: some for a layer, more where
it has strides, channels that are no multiple of 8 (which libraries lay out anew), or many of them (products with few
are fused into what stands beside them). A count is then a sum over layers, and its expectation is exact as that of any
other cost.

A unit is counted in a chain (``Prepared.kernels``), which transposes weights once and has kernels of its own to hang
turn on turn; so its count says what it took, and only those of networks say what layers are worth in a network.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.optimize import nnls

from tvnjax.graph import Head, Layer, Network, Unit

_WHOLE = 8
_MANY = (32, 64)
"""Channels. (Networks of the ``clips`` space compiled for an H200 are told to 2.3 % by numbers fitted to 80 others, to
2.7 % without what a layer has more.)"""
_PULL_KIND, _PULL_MORE = 0.3, 1.0
"""How hard a kind of layer is pulled towards the mean of all layers, and what it has more towards 0, where few networks
tell. (Fitted to 12 of those networks, others are told to 3.8 %; with both at 0.1 and no mean, to 4.9 %.)"""

UNIT, NETWORK, _WITH = "unit", "network", " with "


def layer_classes(layer: Layer | Head) -> list[str]:
    """What a layer's kernels go by, with repetition for one made of others; a head's are part of the network's."""
    if isinstance(layer, Head):
        return []
    if layer.leaves != (layer,):
        return [name for leaf in layer.leaves for name in layer_classes(leaf)]
    kind, cost = type(layer).__name__ + layer.cost.variant, layer.cost
    channels = [*(shape.c for shape in layer.in_shapes), layer.out_shape.c]
    more = {
        "strides": any(step > 1 for step in cost.stride),
        "ragged channels": any(count % _WHOLE for count in channels),
        **{f"{many} channels": layer.out_shape.c >= many for many in _MANY},
    }
    return [kind, *(f"{kind}{_WITH}{name}" for name, has in more.items() if has)]


def _is_kind(name: str) -> bool:
    return _WITH not in name and name not in (UNIT, NETWORK)


def network_classes(network: Network) -> list[str]:
    """Of its layers, its units and itself."""
    layers = [name for layer in network.layers() for name in layer_classes(layer)]
    return [*layers, *[UNIT] * len(network.units), NETWORK]


@dataclasses.dataclass(frozen=True)
class KernelTerms:
    """Kernels by class; see ``layer_classes``."""

    by_class: Mapping[str, float]
    usual: float
    """Of a layer whose kind no network had: the mean of all layers."""
    missed: float
    """Mean absolute difference from the counts it was fitted to, as a part of them."""

    def of(self, classes: Iterable[str]) -> float:
        """Kernels of classes."""
        return sum(self.by_class.get(name, self.usual if _is_kind(name) else 0.0) for name in classes)


def unit_kernels(terms: KernelTerms, unit: Unit) -> float:
    """What a unit is worth inside of a network."""
    return terms.of([UNIT, *(name for layer in unit.all_layers for name in layer_classes(layer))])


def fit_kernels(networks: Sequence[Network], counts: Sequence[float]) -> KernelTerms:
    """Numbers of classes, none below 0, that come nearest to counts.

    Args:
        networks: compiled ones.
        counts: kernels of each.
    """
    each = [network_classes(network) for network in networks]
    names = sorted({name for classes in each for name in classes})
    column = {name: number for number, name in enumerate(names)}
    rows, target = np.zeros((len(each), len(names))), np.asarray(counts, float)
    for row, classes in zip(rows, each):
        np.add.at(row, [column[name] for name in classes], 1.0)
    kinds = np.array([_is_kind(name) for name in names])
    usual = float(target.sum() / max(rows[:, kinds].sum(), 1))
    pull = np.where(kinds, _PULL_KIND, _PULL_MORE)
    towards = np.where(kinds, usual, 0.0)
    found = nnls(np.vstack([rows, np.diag(pull)]), np.concatenate([target, pull * towards]), maxiter=10_000)[0]
    missed = float(np.mean(np.abs(rows @ found - target) / np.maximum(target, 1)))
    return KernelTerms(dict(zip(names, map(float, found))), usual, missed)
