"""Costs of a chain in expectation over its relaxed choices, and its cheapest and most expensive networks."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.graph import Head, HeadKind, Layer, Network
from tvnjax.latency.memory import BYTES, MIB, working_set
from tvnjax.spaces.chain.space import GENE, ChainGenotype, ChainSpace
from tvnjax.spaces.relaxing import Extreme, LayerCost


class ChainCost:
    """The exact mean cost over all networks of a chain, positions being chosen independently.

    What an option costs depends on the width that comes in, and so on the options before it, through that width alone:
    the probabilities of the widths are carried from position to position.

    Args:
        layer_cost: of a layer or the head.
        unit_cost: of every position that is not the identity.
        constant: of every network.
    """

    def __init__(
        self,
        space: ChainSpace,
        num_classes: int,
        layer_cost: LayerCost,
        *,
        unit_cost: float = 0.0,
        constant: float = 0.0,
        head: HeadKind = "mean",
    ):
        self.space, self.num_classes, self.constant = space, num_classes, constant
        self.head_kind: HeadKind = head
        self.errors: dict[str, float] = {}
        """None: the mean is exact."""
        self._layer_cost, self._unit_cost = layer_cost, unit_cost
        self.tables: list[np.ndarray] = []
        """For every position the cost ``[options, widths]``."""
        self.moves: list[np.ndarray] = []
        """For every position the index of the width behind, ``[options, widths]``."""
        for number, options in enumerate(space.options):
            chains = [
                [option.layers(space.shape_before(number, width)) for width in space.widths[number]]
                for option in options
            ]
            behind = space.widths[number + 1]
            self.tables.append(np.array([[self._chain_cost(chain) for chain in row] for row in chains]))
            self.moves.append(
                np.array(
                    [
                        [
                            behind.index(chain[-1].out_shape.c if chain else width)
                            for chain, width in zip(row, space.widths[number])
                        ]
                        for row in chains
                    ]
                )
            )
        last = len(space.options)
        self.heads = np.array(
            [
                layer_cost(Head(in_shape=space.shape_before(last, width), num_classes=num_classes, pool=head))
                for width in space.widths[last]
            ]
        )

    def __call__(self, weights: Any, keys: Any = None) -> Array:
        """A scalar."""
        total, p = jnp.asarray(self.constant), jnp.ones(1)
        for number, (table, moves) in enumerate(zip(self.tables, self.moves)):
            joint = weights[number][GENE][:, None] * p[None, :]
            total = total + (joint * table).sum()
            p = jnp.zeros(len(self.space.widths[number + 1])).at[moves].add(joint)
        return total + (p * self.heads).sum()

    def of_network(self, network: Network) -> float:
        """The cost of one network."""
        layers = sum(self._layer_cost(layer) for layer in network.layers())
        return self.constant + layers + self._layer_cost(network.head) + len(network.units) * self._unit_cost

    def of_genotype(self, genotype: ChainGenotype) -> float:
        """The cost of a genotype's network."""
        return self.of_network(genotype.lower(self.num_classes, head=self.head_kind))

    def extreme(self, which: Extreme) -> ChainGenotype:
        """The network of least or most cost: the shortest or longest way over widths."""
        better: Callable[[float, float], bool] = (lambda a, b: a < b) if which == "cheapest" else (lambda a, b: a > b)
        ways: dict[int, tuple[float, tuple[int, ...]]] = {0: (self.constant, ())}
        for table, moves in zip(self.tables, self.moves):
            behind: dict[int, tuple[float, tuple[int, ...]]] = {}
            for width, (cost, chosen) in ways.items():
                for option in range(len(table)):
                    total, to = cost + float(table[option, width]), int(moves[option, width])
                    if to not in behind or better(total, behind[to][0]):
                        behind[to] = (total, (*chosen, option))
            ways = behind
        ended = [(cost + float(self.heads[width]), chosen) for width, (cost, chosen) in ways.items()]
        return self.space.genotype((min if which == "cheapest" else max)(ended)[1])

    def _chain_cost(self, chain: tuple[Layer, ...]) -> float:
        return sum(self._layer_cost(layer) for layer in chain) + (self._unit_cost if chain else 0.0)


class ChainMemory:
    """Expected memory of a chain in MiB: parameters exactly, and the largest of the positions' mean working sets, which
    is exact at one-hot weights and below the mean elsewhere (Jensen)."""

    def __init__(self, space: ChainSpace, num_classes: int, *, head: HeadKind = "mean"):
        self._params = ChainCost(space, num_classes, lambda layer: float(layer.params), head=head)
        self._sets = _LargestSets(space, num_classes, lambda layer: float(working_set(layer)), head=head)

    def __call__(self, weights: Any, keys: Any = None) -> Array:
        """MiB, a scalar."""
        peak, p = jnp.asarray(0.0), jnp.ones(1)
        sets = self._sets
        for number, (table, moves) in enumerate(zip(sets.tables, sets.moves)):
            joint = weights[number][GENE][:, None] * p[None, :]
            peak = jnp.maximum(peak, (joint * table).sum())
            p = jnp.zeros(len(sets.space.widths[number + 1])).at[moves].add(joint)
        peak = jnp.maximum(peak, (p * sets.heads).sum())
        return BYTES * (self._params(weights) + peak) / MIB


class _LargestSets(ChainCost):
    def _chain_cost(self, chain: tuple[Layer, ...]) -> float:
        return max((self._layer_cost(layer) for layer in chain), default=0.0)
