"""Sizes at a few nodes: costs are asked there, and sizes in between count as weighted sums of their neighbours.

Weights reproduce ``_POWERS`` of the size exactly, and with them whatever is a quadratic polynomial in frames, sides or
widths: parameters, multiply-adds, values moved. In between they follow any curve that is smooth over the logarithm of
the size. A stride rounds sizes up, which is not smooth; so strided sizes go by what is behind the stride, and between
the least and the most that gives it.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

_POWERS = (-1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
_DENSE = 6
"""Least values that are all nodes."""

RATIO = 1.4
"""From one node to the next, from there on."""

LANES = 16
"""Widths are told apart by what is left of them after whole vectors of this many channels; costs jump there."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """Values of a size, and the nodes that stand for them."""

    values: tuple[int, ...]
    nodes: tuple[int, ...]
    onto: np.ndarray
    """``[values, nodes]``: weights of the nodes."""

    @property
    def grid(self) -> "Grid":
        """Every value, without a stride."""
        return Grid(tuple((v, 1) for v in self.values), tuple((n, 1) for n in self.nodes), self.onto)

    def rows(self, values: Iterable[int]) -> np.ndarray:
        """Weights of some of the values."""
        at = {value: index for index, value in enumerate(self.values)}
        return self.onto[[at[value] for value in values]]


def axis(values: Iterable[int], ratio: float = RATIO) -> Axis:
    """An axis over positive values."""
    fine = tuple(sorted(set(values)))
    nodes = list(fine[:_DENSE])
    for value in fine[_DENSE:]:
        if value >= ratio * nodes[-1]:
            nodes.append(value)
    if fine and nodes[-1] != fine[-1]:
        nodes.append(fine[-1])
    if len(nodes) > 0.8 * len(fine) or len(nodes) < len(_POWERS):
        nodes = list(fine)
    return Axis(fine, tuple(nodes), np.array([_weights(value, nodes) for value in fine]).reshape(len(fine), len(nodes)))


def width_axis(values: Iterable[int], ratio: float = RATIO) -> Axis:
    """An axis over widths: no neighbours but those with as much left of a whole vector."""
    fine = tuple(sorted(set(values)))
    parts = [axis((v for v in fine if v % LANES == rest), ratio) for rest in sorted({v % LANES for v in fine})]
    nodes = [node for part in parts for node in part.nodes]
    onto, first = np.zeros((len(fine), len(nodes))), 0
    for part in parts:
        onto[np.searchsorted(fine, part.values), first : first + len(part.nodes)] = part.onto
        first += len(part.nodes)
    return Axis(fine, tuple(nodes), onto)


def _weights(value: int, nodes: Sequence[int]) -> np.ndarray:
    """``[nodes]``: weights that give ``value ** power`` for every one of ``_POWERS``."""
    if value in nodes:
        return np.equal(nodes, value).astype(float)
    behind = int(np.searchsorted(nodes, value))
    first = min(max(behind - len(_POWERS) // 2, 0), len(nodes) - len(_POWERS))
    near = np.array(nodes[first : first + len(_POWERS)], float) / value
    weights = np.zeros(len(nodes))
    weights[first : first + len(near)] = np.linalg.solve(near ** np.array(_POWERS)[:, None], np.ones(len(_POWERS)))
    return weights


class Grid(NamedTuple):
    """Sizes with strides, and the nodes that stand for them."""

    values: tuple[tuple[int, int], ...]
    """Size and effective stride."""
    nodes: tuple[tuple[int, int], ...]
    onto: np.ndarray
    """``[values, nodes]``."""


@dataclasses.dataclass(frozen=True)
class Strided:
    """One dimension with the strides it may be met with."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    """As genes say them; a stride past the end of a size acts like one as long as it."""
    nodes: tuple[tuple[int, int], ...]
    """Size and effective stride of every node; first those of stride 1, as in ``plain``."""
    onto: np.ndarray
    """``[sizes, strides, nodes]``."""
    plain: Axis
    """The same sizes without a stride."""

    @property
    def grid(self) -> Grid:
        """Every size with every stride."""
        met = [(size, min(size, stride)) for size in self.sizes for stride in self.strides]
        kept = [met.index(pair) for pair in sorted(set(met))]
        return Grid(tuple(met[i] for i in kept), self.nodes, self.onto.reshape(len(met), len(self.nodes))[kept])

    @property
    def behind(self) -> np.ndarray:
        """``[sizes, strides]``: index of the size behind the stride; of one that is not listed, which no block then
        gives, that of the next."""
        sizes, strides = np.array(self.sizes)[:, None], np.array(self.strides)
        return np.searchsorted(self.sizes, -(-sizes // np.minimum(strides, sizes)))

    @property
    def changes(self) -> np.ndarray:
        """``[sizes, strides]``: whether it strides at all."""
        return np.minimum(np.array(self.sizes)[:, None], np.array(self.strides)) > 1


_EXACT = 3
"""Sizes behind a stride up to which every size before it is a node of its own."""


def strided(sizes: Iterable[int], strides: Iterable[int], power: int, ratio: float = RATIO) -> Strided:
    """A dimension with its strides.

    Args:
        sizes: every size, before or behind strides.
        strides: every stride.
        power: costs are linear in this power of the size before a stride, given that behind it.
    """
    fine, steps = tuple(sorted(set(sizes))), tuple(sorted(set(strides)))
    plain = axis(fine, ratio)
    nodes: dict[tuple[int, int], int] = {(node, 1): index for index, node in enumerate(plain.nodes)}
    parts: dict[tuple[int, int], dict[tuple[int, int], float]] = {}
    for stride in sorted({min(size, step) for size in fine for step in steps} - {1}):
        parts |= {(size, stride): row for size, row in _one_stride(fine, stride, power, ratio).items()}
    for row in parts.values():
        for node in row:
            nodes.setdefault(node, len(nodes))
    onto = np.zeros((len(fine), len(steps), len(nodes)))
    for i, size in enumerate(fine):
        for j, step in enumerate(steps):
            stride = min(size, step)
            if stride == 1:
                onto[i, j, : len(plain.nodes)] = plain.onto[i]
                continue
            for node, weight in parts[size, stride].items():
                onto[i, j, nodes[node]] = weight
    return Strided(fine, steps, tuple(nodes), onto, plain)


def _one_stride(sizes: Sequence[int], stride: int, power: int, ratio: float) -> dict[int, dict[tuple[int, int], float]]:
    """For every size that can have the stride, the weights of nodes."""
    met = [size for size in sizes if size >= stride]
    exact = {size: {(size, stride): 1.0} for size in met}
    large = [size for size in met if -(-size // stride) > _EXACT]
    if not large:
        return exact
    behind = axis((-(-size // stride) for size in large), ratio)
    if 2 * len(behind.nodes) >= len(large):
        return exact
    rows = dict(exact)
    for size in large:
        given = -(-size // stride)
        least, most = ((stride * (given - 1) + 1) ** power, (stride * given) ** power)
        part = (size**power - least) / (most - least)
        row = {}
        for node, weight in zip(behind.nodes, behind.rows([given])[0]):
            if weight:
                row[stride * (node - 1) + 1, stride] = weight * (1 - part)
                row[stride * node, stride] = weight * part
        rows[size] = row
    return rows
