"""Weights of their own for each way in which what a layer reads was made.

One set of weights has to read two things in a supernet: behind a convolution the features it made, behind a pool or the
identity what the unit itself was given (in the first unit, colours). A supernet of single paths that shared them ranked
networks that begin with a pool far below what they reach when trained alone (``experiments/tabular``). So a layer here
has a copy of its weights for every *source* of its input: whether space, and whether time, was convolved or passed on
by the mixtures before it. (The idea of splitting what is shared, edge by edge, is that of few-shot NAS, Zhao et al.
2021; there whole supernets are copied.)

Copies are mixed by how likely each source is, in kernel space as operators are: one network of plain weights runs, and
one convolution a layer. With one-hot weights on every choice it has exactly the copies of that one network's sources.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from tvnjax.nn.mixed import POOL_KINDS, MixedOp
from tvnjax.nn.supernet import GeneWeights, Supernet

Path = tuple[str | int, ...]
Sources = dict[str, Array]
"""How likely each source is, by its name; they sum to one."""

_READ_THE_INPUT = ("widen", "spatial", "shortcut")
_ONE = jnp.ones(())


class UnitSources(NamedTuple):
    """Sources of what a unit's parts read."""

    given: Sources
    """Of what the unit is given."""
    spaced: Sources
    """Of what the spatial mixture makes of it."""
    made: Sources
    """Of what the spatial and the temporal mixture make of it."""

    def read_by(self, part: str) -> Sources:
        if part in _READ_THE_INPUT:
            return self.given
        return self.spaced if part == "temporal" else self.made


def split(params: nnx.State, model: Supernet) -> nnx.State:
    """The weights of a supernet with a copy for each source, all alike: a leaf becomes a dictionary by source.

    Args:
        params: of ``model``.
        model: of the largest plan; the sources of every smaller one are among its own.
    """
    sources, copies = _possible_sources(model), []
    for path, leaf in nnx.to_flat_state(params):
        copies += [((*path, name), leaf.replace(leaf[...])) for name in sources.read_by(path)]
    return nnx.from_flat_state(copies)


def joined(params: nnx.State, model: Supernet, weights: GeneWeights) -> nnx.State:
    """Plain weights of ``model`` under ``weights``: the mean of the copies, by how likely their sources are.

    Args:
        params: what ``split`` made for this plan or a larger one; every array's leading corner is taken.
        model: has the parameters of the plan.
        weights: of the first of its blocks or all of them; what further blocks get then has no meaning.
    """
    sources, copies, plain = _sources(model, weights), dict(nnx.to_flat_state(params)), []
    for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        corner = tuple(slice(size) for size in leaf.shape)
        parts = [chance * copies[*path, name][...][corner] for name, chance in sources.read_by(path).items()]
        plain.append((path, leaf.replace(sum(parts[1:], start=parts[0]))))
    return nnx.from_flat_state(plain)


class NetworkSources(NamedTuple):
    """Sources of what every layer reads."""

    units: list[list[UnitSources]]
    ends: list[Sources]
    """Of what the last unit of each block makes."""

    def read_by(self, path: Path) -> Sources:
        """Of what the layer of a weight reads, by the weight's path."""
        return self.ends[path[1]] if path[0] == "heads" else self.units[path[1]][path[2]].read_by(path[3])


def _sources(model: Supernet, weights: GeneWeights) -> NetworkSources:
    units, ends, made = [], [], {"clip": _ONE}
    for index, block in enumerate(model.blocks):
        p = weights[index] if index < len(weights) else None
        rows = []
        for unit in block:
            space = _kinds(unit.spatial, None if p is None else p["spatial"])
            time = {"passed": _ONE}
            if unit.temporal is not None:
                time = _kinds(unit.temporal, None if p is None else p["temporal"])
            given, made = made, _both(space, time)
            rows.append(UnitSources(given, space, made))
        units.append(rows)
        ends.append(made)
    return NetworkSources(units, ends)


def _possible_sources(model: Supernet) -> NetworkSources:
    """All that this plan or a smaller one can have: of fewer frames, or of fewer repeats."""
    units, ends, made = [], [], {"clip": _ONE}
    for block in model.blocks:
        rows, end = [], {}
        for unit in block:
            space = _kinds(unit.spatial, None)
            # The same unit of a plan with a single frame mixes nothing in time.
            time = {"passed": _ONE} | ({} if unit.temporal is None else _kinds(unit.temporal, None))
            given, made = made, _both(space, time)
            rows.append(UnitSources(given, space, made))
            end |= made
        units.append(rows)
        ends.append(end)
        made = end
    return NetworkSources(units, ends)


def _both(space: Sources, time: Sources) -> Sources:
    return {f"{s}, {t}": a * b for s, a in space.items() for t, b in time.items()}


def _kinds(mixed: MixedOp, weights: Array | None) -> Sources:
    """How likely a mixture convolves and how likely it passes its input on."""
    passes = np.array([kind in (*POOL_KINDS, "identity") for kind, _ in mixed.operators])
    if weights is None:
        weights = jnp.full(len(passes), 1 / len(passes))
    found = {"convolved": weights @ ~passes, "passed": weights @ passes}
    there = {"convolved": mixed.convolves, "passed": mixed.bypasses}
    return {name: chance for name, chance in found.items() if there[name]}
