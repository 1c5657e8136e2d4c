"""Costs of every layer a unit can have, in tables over its surroundings.

A table holds one cost for each *row* (distinct surroundings of the layer), candidate, input width and cell. Layers come
from ``tvnjax.spaces.tvn.lowering``; the cost of each distinct one is asked once.
"""

import dataclasses
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from tvnjax.graph import Head, Layer, Shape
from tvnjax.spaces.tvn.costs.contexts import UnitContext, WidthGenes, positions
from tvnjax.spaces.tvn.genotype import Block
from tvnjax.spaces.tvn.lowering import (
    expand_layers,
    gate_layers,
    lower_unit,
    shortcut_layers,
    spatial_layers,
    temporal_layers,
)
from tvnjax.spaces.tvn.operators import IDENTITY, Operator, bypasses
from tvnjax.spaces.tvn.own_operators import OwnOperator
from tvnjax.spaces.tvn.relaxed import RelaxedBlock

LayerCost = Callable[[Layer | Head], float]

Cell = tuple[int, int, bool]
"""Filters, expand, inverted."""

GATES = ("non_local", "squeeze", "context_gate")
"""Genes of the layers behind the operators, in the order they run."""


class LayerCosts:
    """Costs by what decides a layer; every distinct layer is asked once."""

    def __init__(self, cost: LayerCost):
        self._cost, self._known = cost, {}
        # Two layers of different genes may be one; two calls of the same genes are one here.
        self.spatial, self.temporal, self.expand = cache(self._spatial), cache(self._temporal), cache(self._expand)
        self.inverted, self.gates, self.shortcut = cache(self._inverted), cache(self._gates), cache(self._shortcut)

    def one(self, layer: Layer | Head) -> float:
        if layer not in self._known:
            self._known[layer] = float(self._cost(layer))
        return self._known[layer]

    def total(self, layers: Sequence[Layer]) -> float:
        return sum(map(self.one, layers))

    def _spatial(
        self, frames: int, side: int, stride: int, operator: Operator, act: str, width: int, cell: Cell
    ) -> tuple[float, float, bool]:
        """Costs of the 1x1 in front and of the operator itself, and whether there is any layer."""
        layers = spatial_layers(_block("spatial", operator, act, cell), stride, Shape(frames, side, side, width))
        return self.total(layers[:-1]), self.total(layers[-1:]), bool(layers)

    def _temporal(
        self, frames: int, side: int, stride: int, operator: Operator, act: str, width: int, cell: Cell
    ) -> tuple[float, bool]:
        """Cost, and whether there is any layer."""
        layers = temporal_layers(_block("temporal", operator, act, cell), stride, Shape(frames, side, side, width))
        return self.total(layers), bool(layers)

    def _expand(self, frames: int, side: int, width: int, cell: Cell) -> float:
        return self.total(expand_layers(_block(cell=cell), Shape(frames, side, side, width)))

    def _inverted(self, frames: int, side: int, width: int, cell: Cell) -> tuple[float, float]:
        """Costs of the widening 1x1 in front of an inverted unit and of the narrowing one at its end."""
        if not cell[2]:
            return 0.0, 0.0
        widen, narrow = lower_unit(_block(cell=cell), 0, 0, Shape(frames, side, side, width)).layers
        return self.one(widen), self.one(narrow)

    def _gates(self, frames: int, side: int, width: int, gene: str, value: float) -> float:
        return self.total(gate_layers(_gate_block(gene, value), Shape(frames, side, side, width)))

    def _shortcut(self, frames: int, side: int, stride: int, width: int, out: int) -> float:
        middle = -(-side // stride)
        return self.total(shortcut_layers(stride, Shape(frames, side, side, width), Shape(frames, middle, middle, out)))


@cache
def _block(axis: str = "", operator: Operator = IDENTITY, act: str = "relu", cell: Cell = (1, 1, False)) -> Block:
    filters, expand, inverted = cell
    genes: dict = {"filters": filters, "expand": expand, "inverted_bottleneck": inverted}
    if operator != IDENTITY:
        genes |= {f"{axis}_type": operator[0], f"{axis}_kernel": operator[1], f"{axis}_act": act}
    return Block(**genes)


@cache
def _gate_block(gene: str, value: float) -> Block:
    genes: dict = {gene: value}
    return Block(**genes)


def is_layer(operator: Operator) -> bool:
    """Whether an operator is a layer whatever it meets: an own one is, and may refuse the one channel asked with."""
    return isinstance(operator[0], OwnOperator)


class Rows:
    """Distinct surroundings: their list, and for each context the index of its own."""

    def __init__(self, keys: Sequence[tuple]):
        self.keys = sorted(set(keys))
        self.of = positions(keys, self.keys)

    def __len__(self) -> int:
        return len(self.keys)


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Candidates of one axis, by what decides their widths; arrays of indices.

    A convolution counts once for each activation.
    """

    narrow: tuple[tuple[int, int], ...]
    """Convolutions behind a 1x1: operator, activation."""
    wide: tuple[tuple[int, int], ...]
    """Convolutions of the input as it comes."""
    bypass: tuple[int, ...]

    @staticmethod
    def of(operators: Sequence[Operator], acts: int) -> "Candidates":
        def convolutions(*kinds: str) -> tuple[tuple[int, int], ...]:
            return tuple((o, a) for o, (kind, _) in enumerate(operators) if kind in kinds for a in range(acts))

        bypass = tuple(o for o, operator in enumerate(operators) if bypasses(operator))
        return Candidates(convolutions("std", "depth"), convolutions("1std", "1d"), bypass)

    @staticmethod
    def of_block(relaxed: RelaxedBlock) -> "tuple[Candidates, Candidates]":
        """Of the spatial and of the temporal axis."""
        return (
            Candidates.of(relaxed.spatial, len(relaxed.spatial_act)),
            Candidates.of(relaxed.temporal, len(relaxed.temporal_act)),
        )


class Lengths(NamedTuple):
    """Of the axes of a unit's tables, by their letters (see ``UnitTables``); ``k`` are kept widths."""

    a: int
    b: int
    d: int
    s: int
    c: int
    n: int
    q: int
    k: int


def table_shapes(lengths: Lengths, relaxed: RelaxedBlock, *, inverted: bool) -> dict[str, tuple[int, ...]]:
    """Shape of every table of a unit, which depends on counts alone.

    Args:
        lengths: of the axes.
        relaxed: the candidates.
        inverted: whether some cell is.
    """
    a, b, d, s, c, n, q, k = lengths
    space, time = Candidates.of_block(relaxed)
    acts = len(relaxed.spatial_act)
    shapes: dict[str, tuple[int, ...]] = {
        "point": (a, acts if space.narrow else 0, c, q),
        "spatial_narrow": (a, len(space.narrow), q),
        "spatial_wide": (a, len(space.wide), c, q),
        "spatial_bypass": (a, len(space.bypass), c, q),
        "spatial_kept": (a, len(space.bypass), k),
        "spatial_null": (a, len(relaxed.spatial)),
        "temporal_narrow": (b, len(time.wide), q),
        "temporal_wide": (b, len(time.wide), c, q),
        "temporal_bypass": (b, len(time.bypass), c, q),
        "temporal_bypass_narrow": (b, len(time.bypass), q),
        "temporal_kept": (b, len(time.bypass), k),
        "temporal_null": (b, len(relaxed.temporal)),
        "expand_narrow": (d, n),
        "expand_wide": (d, c, n),
        "inverted": (a, c if inverted else 0, n),
        "project": (d, n if inverted else 0),
        "shortcut": (s, c, n),
        "shortcut_kept": (s, k),
    }
    for gene in GATES:
        shapes[gene] = (d, len(relaxed.candidates(gene)), n)
        shapes[f"{gene}_kept"] = (d, len(relaxed.candidates(gene)), k)
    return shapes


def count_numbers(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """How many costs tables of these shapes hold."""
    return sum(math.prod(shape) for shape in shapes.values())


class UnitTables:
    """Tables of the units of some contexts. Letters of axes: ``a`` spatial, ``b`` temporal, ``d`` behind, ``s``
    shortcut rows; ``o`` candidates; ``c`` input widths, ``n`` cells, ``q`` groups of cells of one inner width.

    Args:
        widths: input widths ``[c]`` of a first unit, or ``None`` for a later repeat, which receives what the same
            cell gave (``c`` has length 1 there).
        kept: widths of blocks of bypasses that keep them through all their repeats.
    """

    def __init__(
        self,
        contexts: list[UnitContext],
        widths: list[int] | None,
        cells: WidthGenes,
        kept: list[int],
        relaxed: RelaxedBlock,
    ):
        self.contexts, self.cells, self.kept, self.relaxed = contexts, cells, kept, relaxed
        count = len(cells)
        columns = np.asarray(widths)[:, None] if widths is not None else cells.out[None, :]
        self.inputs = np.broadcast_to(columns, (len(columns), count)).astype(int)
        """``[c, n]``: channels the unit receives."""
        cell_list = list(zip(cells.filters.tolist(), cells.expand.tolist(), cells.inverted.tolist()))
        self._cells: list[Cell] = cell_list
        # A first unit's convolutions do not depend on expand, unless it is inverted.
        named: list[Hashable] = list(range(count))
        if widths is not None:
            named = list(zip(cells.inverted.tolist(), cells.inner.tolist()))
        groups = list(dict.fromkeys(named))
        self.group = positions(named, groups)
        """``[n]``: group of each cell."""
        self._leaders = np.unique(self.group, return_index=True)[1].tolist()
        self.spatial, self.temporal = Candidates.of_block(relaxed)
        self.a = Rows([(s.frames, s.side, s.spatial_stride, s.strides_space) for s in contexts])
        self.b = Rows([(s.timed, s.frames, s.middle, s.temporal_stride, s.strides_time) for s in contexts])
        self.d = Rows([tuple(s.behind) for s in contexts])
        self.s = Rows([(s.keeps_time, s.frames, s.side, s.spatial_stride) for s in contexts])
        self.gates = {gene: relaxed.candidates(gene) for gene in GATES}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every table."""
        lengths = Lengths(
            *map(len, (self.a, self.b, self.d, self.s, self.inputs, self.cells, self._leaders, self.kept))
        )
        return table_shapes(lengths, self.relaxed, inverted=bool(self.cells.inverted.any()))

    @property
    def numbers(self) -> int:
        return count_numbers(self.shapes())

    def fill(self, costs: LayerCosts) -> "UnitTables":
        """Asks for every cost; the tables are then attributes of ``table``."""
        shapes, relaxed = self.shapes(), self.relaxed
        inputs, cells = self.inputs, self._cells
        # What a group's layers depend on: with expand 1 where it does not matter.
        leaders = [(cells[n][0], cells[n][1] if cells[n][2] else 1, cells[n][2]) for n in self._leaders]
        inner = [int(self.cells.inner[n]) for n in self._leaders]
        ins = [[inner[q] if leaders[q][2] else int(row[n]) for q, n in enumerate(self._leaders)] for row in inputs]
        by_cq = _Grid([[(width, leader) for width, leader in zip(row, leaders)] for row in ins])
        by_q = _Grid([(width, leader) for width, leader in zip(inner, leaders)])
        by_k = _Grid([(width, (1, 1, False)) for width in self.kept])
        by_n = _Grid(cells)
        by_cn = _Grid([[(int(width), cell) for width, cell in zip(row, cells)] for row in inputs])
        acts, temporal_acts = relaxed.spatial_act, relaxed.temporal_act
        space, time = relaxed.spatial, relaxed.temporal
        first_narrow = next((space[o] for o, _ in self.spatial.narrow), IDENTITY)

        def spatial(row: tuple, operator: Operator, act: str, at: tuple) -> tuple[float, float, bool]:
            return costs.spatial(*row[:3], operator, act, *at)

        def temporal(row: tuple, operator: Operator, act: str, at: tuple) -> float:
            return costs.temporal(*row[1:4], operator, act, *at)[0] if row[0] else 0.0

        self.table = t = {
            # The 1x1 does not see the stride, nor the kernel behind it.
            "point": by_cq.table(
                self.a.keys,
                range(shapes["point"][1]),
                lambda row, a, at: spatial((row[0], row[1], 1), first_narrow, acts[a], at)[0],
            ),
            "spatial_narrow": by_q.table(
                self.a.keys, self.spatial.narrow, lambda row, k, at: spatial(row, space[k[0]], acts[k[1]], at)[1]
            ),
            "spatial_wide": by_cq.table(
                self.a.keys, self.spatial.wide, lambda row, k, at: spatial(row, space[k[0]], acts[k[1]], at)[1]
            ),
            "temporal_narrow": by_q.table(
                self.b.keys, self.temporal.wide, lambda row, k, at: temporal(row, time[k[0]], temporal_acts[k[1]], at)
            ),
            "temporal_wide": by_cq.table(
                self.b.keys, self.temporal.wide, lambda row, k, at: temporal(row, time[k[0]], temporal_acts[k[1]], at)
            ),
            "expand_narrow": _Grid([(int(u), cell) for u, cell in zip(self.cells.inner, cells)]).table(
                self.d.keys, None, lambda row, _, at: costs.expand(*row, *at)
            ),
            "expand_wide": by_cn.table(self.d.keys, None, lambda row, _, at: costs.expand(*row, *at)),
            "inverted": by_cn.table(self.a.keys, None, lambda row, _, at: costs.inverted(row[0], row[1], *at)[0])[
                :, : shapes["inverted"][1]
            ],
            "project": by_n.table(self.d.keys, None, lambda row, _, cell: costs.inverted(*row, 1, cell)[1])[
                :, : shapes["project"][1]
            ],
            "shortcut": _Grid([[(int(w), int(out)) for w, out in zip(row, self.cells.out)] for row in inputs]).table(
                self.s.keys, None, lambda row, _, at: costs.shortcut(*row[1:], *at) if row[0] else 0.0
            ),
            "shortcut_kept": _Grid(self.kept).table(
                self.s.keys, None, lambda row, _, w: costs.shortcut(*row[1:], w, w) if row[0] else 0.0
            ),
            "spatial_null": np.array(
                [
                    [not (is_layer(o) or spatial(row, o, "relu", (1, (1, 1, False)))[2]) for o in space]
                    for row in self.a.keys
                ],
                float,
            ),
            "temporal_null": np.array(
                [
                    [
                        not (row[0] and (is_layer(o) or costs.temporal(*row[1:4], o, "relu", 1, (1, 1, False))[1]))
                        for o in time
                    ]
                    for row in self.b.keys
                ],
                float,
            ),
        }
        pool, slow = self.spatial.bypass, self.temporal.bypass
        for name, grid in (("bypass", by_cq), ("kept", by_k)):
            t[f"spatial_{name}"] = grid.table(
                self.a.keys, pool, lambda row, o, at: spatial(row, space[o], "relu", at)[1]
            )
        for name, grid in (("bypass", by_cq), ("bypass_narrow", by_q), ("kept", by_k)):
            t[f"temporal_{name}"] = grid.table(self.b.keys, slow, lambda row, o, at: temporal(row, time[o], "relu", at))
        for gene, values in self.gates.items():
            for name, grid in ((gene, _Grid(self.cells.gated.tolist())), (f"{gene}_kept", _Grid(self.kept))):
                t[name] = grid.table(
                    self.d.keys, values, lambda row, value, w, gene=gene: costs.gates(*row, w, gene, value)
                )
        for name, shape in shapes.items():
            assert t[name].shape == shape, (name, t[name].shape, shape)
        return self


class _Grid:
    """An array of what decides a layer's widths; each distinct entry is asked once a row and candidate."""

    def __init__(self, entries: Sequence):
        nested = bool(entries) and isinstance(entries[0], list)
        flat = [entry for row in entries for entry in row] if nested else list(entries)
        self._distinct: list[Hashable] = list(dict.fromkeys(flat))
        at = {entry: index for index, entry in enumerate(self._distinct)}
        shape = (len(entries), len(entries[0])) if nested else (len(entries),)
        self._index = np.array([at[entry] for entry in flat], int).reshape(shape)

    def table(self, rows: Sequence[tuple], candidates: Sequence | None, value: Callable) -> np.ndarray:
        """``[rows, candidates, *entries]``, or without the second axis where there are no candidates."""
        asked = [None] if candidates is None else candidates
        values = [value(row, k, entry) for row in rows for k in asked for entry in self._distinct]
        table = np.array(values, float).reshape(len(rows), len(asked), len(self._distinct))[:, :, self._index]
        return table[:, 0] if candidates is None else table
