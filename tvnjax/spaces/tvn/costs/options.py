"""What a block can be where it stands, as sets of networks in which every gene adds its own cost.

The genes of a block are not independent in cost: widths tie them together. Once the cell (filters, expand, inverted)
and the class of both operators (bypass or convolution) are fixed, each of the others adds a cost of its own, over all
repeats. One such set, for all cells and input widths at once, is a ``Variant``. Where an idle unit can save the cost of
a unit, it is split further so that this holds there too. Every assignment is in exactly one variant and cell.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from tvnjax.spaces.tvn.costs.contexts import UnitContext
from tvnjax.spaces.tvn.costs.expected import BlockTables, ExpectedCost
from tvnjax.spaces.tvn.costs.unit_cost_tables import UnitTables
from tvnjax.spaces.tvn.operators import Operator, bypasses, can_stride

_GATES = ("non_local", "squeeze", "context_gate", "skip")


@dataclasses.dataclass(frozen=True)
class Group:
    """Genes chosen together: candidates of each, and what they cost."""

    genes: tuple[str, ...]
    indices: np.ndarray
    """``[options, genes]``: candidates."""
    cost: np.ndarray
    """``[options, widths, cells]``."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """Networks whose cost is ``base`` plus that of one option of every group."""

    after: bool | None
    """Whether a relu comes before; ``None``: either way."""
    relu: bool
    """Whether it ends with one (``True`` where that is not told apart)."""
    cells: np.ndarray
    """``[cells]``: whether the variant has this cell."""
    base: np.ndarray
    """``[widths, cells]``."""
    out: np.ndarray
    """``[widths, cells]``: channels behind the block."""
    groups: tuple[Group, ...]


def tells_relu(expected: ExpectedCost) -> bool:
    """Whether a unit's cost can depend on the activation before it: it may be idle, and then costs nothing."""
    return expected.unit_cost != 0 and any(block.contexts.can_keep for block in expected.blocks)


class BlockOptions:
    """Variants of one block at one context.

    Args:
        context: of its first unit.
        repeats: how many units it has.
    """

    def __init__(self, expected: ExpectedCost, index: int, context: UnitContext, repeats: int):
        self._block: BlockTables = expected.blocks[index]
        self._site, self._unit_cost, self._repeats = context, expected.unit_cost, repeats
        self._relaxed, self._cells = self._block.contexts.relaxed, self._block.contexts.cells
        self._tells_relu = tells_relu(expected)
        self._shape = (len(self._block.contexts.widths), len(self._cells))
        self._units: list[tuple[UnitTables, int, int]] = [
            (self._block.first, self._block.contexts.first.index(context), 1)
        ]
        for timed, count in ((False, repeats // 2), (True, (repeats - 1) // 2)):
            if count:
                later = self._block.later[timed]
                self._units.append((later, later.contexts.index(context.repeated(timed=timed)), count))
        self._spatial = [i for i, o in enumerate(self._relaxed.spatial) if can_stride(o) or not context.strides_space]
        self._temporal = [i for i, o in enumerate(self._relaxed.temporal) if can_stride(o) or not context.strides_time]
        self._crowded = context.behind.frames * context.behind.side**2 > expected.operators.non_local_tokens

    def variants(self) -> Iterator[Variant]:
        """All of them; together every assignment once."""
        is_open, every = self._cells.open, np.ones(len(self._cells), bool)
        for s in (False, True):
            for t in (False, True) if self._site.block_timed else (True,):
                for keeps, cells in ((True, is_open), (False, ~is_open)) if s and t else ((False, every),):
                    if not self._operators("spatial", s) or not self._operators("temporal", t) or not cells.any():
                        continue
                    if not (self._tells_relu and s):
                        yield from self._whole(s, t, keeps, cells)
                    else:
                        yield from self._whole(s, t, keeps, cells & ~is_open)
                        yield from self._split(s, t, keeps, cells & is_open)

    def _whole(self, s: bool, t: bool, keeps: bool, cells: np.ndarray) -> Iterator[Variant]:
        """Variants without idle units, by the activation at the end if it matters."""
        base, out = self._base(s, t, keeps)
        groups = (*self._operator_groups(s, t, keeps), *(self._gate(gene, keeps) for gene in _GATES))
        for relu, act in self._acts():
            if cells.any():
                yield Variant(None, relu, cells, base, out, (*groups, act))

    def _split(self, s: bool, t: bool, keeps: bool, cells: np.ndarray) -> Iterator[Variant]:
        """Variants of open cells: by the first gate that is on; with all off and a relu, units may be idle."""
        if not cells.any():
            return
        base, out = self._base(s, t, keeps)
        operators = self._operator_groups(s, t, keeps)
        gates = [self._gate(gene, keeps) for gene in _GATES]
        off = [_only(gate, self._off(gate)) for gate in gates]
        for first, gate in enumerate(gates):
            on = _only(gate, ~self._off(gate))
            for relu, act in self._acts():
                if len(on.indices) and all(len(before.indices) for before in off[:first]):
                    yield Variant(
                        None, relu, cells, base, out, (*operators, *off[:first], on, *gates[first + 1 :], act)
                    )
        if not all(len(gate.indices) for gate in off):
            return
        for relu, act in self._acts():
            if not relu:
                yield Variant(None, False, cells, base, out, (*operators, *off, act))
                continue
            spatial, temporal = (next(g for g in operators if axis in g.genes) for axis in ("spatial", "temporal"))
            rest = [group for group in operators if group is not spatial and group is not temporal]
            for after in (False, True):
                joint = self._joined(spatial, temporal, after)
                yield Variant(after, True, cells, base, out, (joint, *rest, *off, act))

    def _joined(self, spatial: Group, temporal: Group, after: bool) -> Group:
        """Both operators chosen together, less the cost of the units that are idle with them."""
        idle = np.zeros((len(spatial.indices), len(temporal.indices)))
        for number, (unit, at, count) in enumerate(self._units):
            null_s = unit.table["spatial_null"][unit.a.of[at]][spatial.indices[:, 0]]
            null_t = unit.table["temporal_null"][unit.b.of[at]][temporal.indices[:, 0]]
            idle += count * (after or number > 0) * np.outer(null_s, null_t)
        left, right = (grid.ravel() for grid in np.indices(idle.shape))
        cost = spatial.cost[left] + temporal.cost[right] - self._unit_cost * idle.reshape(-1, 1, 1)
        indices = np.concatenate([spatial.indices[left], temporal.indices[right]], axis=1)
        return Group((*spatial.genes, *temporal.genes), indices, cost)

    def _operators(self, axis: str, bypass: bool) -> list[int]:
        """Legal candidates of one class; every temporal one counts as a bypass of a single frame."""
        legal = self._spatial if axis == "spatial" else self._temporal
        operators: Sequence[Operator] = self._relaxed.candidates(axis)
        single = axis == "temporal" and not self._site.block_timed
        return [o for o in legal if single or bypasses(operators[o]) == bypass]

    def _operator_groups(self, s: bool, t: bool, keeps: bool) -> list[Group]:
        names = [f"{axis}_{'kept' if keeps else 'bypass'}" for axis in ("spatial", "temporal")]
        if s:
            costs = self._sum(names[0], "a", "k" if keeps else "cq")
            spatial = self._bypass_groups("spatial", costs, self._block.first.spatial.bypass)
        else:
            kinds = self._block.first.spatial
            costs = np.zeros((len(kinds.narrow + kinds.wide), *self._shape))
            if kinds.narrow:
                point = self._sum("point", "a", "cq")
                costs[: len(kinds.narrow)] = self._sum("spatial_narrow", "a", "q") + point[[a for _, a in kinds.narrow]]
            if kinds.wide:
                costs[len(kinds.narrow) :] = self._sum("spatial_wide", "a", "cq")
            spatial = [self._convolutions("spatial", kinds.narrow + kinds.wide, costs)]
        kinds = self._block.first.temporal
        if not self._site.block_timed:
            free = np.zeros((len(self._relaxed.temporal), *self._shape))
            return [*spatial, *self._bypass_groups("temporal", free, range(len(free)))]
        if t:
            costs = (
                self._sum(names[1], "b", "k" if keeps else "cq") if s else self._sum("temporal_bypass_narrow", "b", "q")
            )
            return [*spatial, *self._bypass_groups("temporal", costs, kinds.bypass)]
        costs = self._sum("temporal_wide", "b", "cq") if s else self._sum("temporal_narrow", "b", "q")
        return [*spatial, self._convolutions("temporal", kinds.wide, costs)]

    def _convolutions(self, axis: str, pairs: Sequence[tuple[int, int]], costs: np.ndarray) -> Group:
        group = Group((axis, f"{axis}_act"), np.array(pairs, int).reshape(-1, 2), costs)
        return _only(group, np.isin(group.indices[:, 0], self._spatial if axis == "spatial" else self._temporal))

    def _bypass_groups(self, axis: str, costs: np.ndarray, operators: Sequence[int]) -> list[Group]:
        group = Group((axis,), np.array(operators, int).reshape(-1, 1), costs)
        legal = self._spatial if axis == "spatial" else self._temporal
        return [_only(group, np.isin(group.indices[:, 0], legal)), self._free(f"{axis}_act")]

    def _gate(self, gene: str, keeps: bool) -> Group:
        if gene == "skip":
            sides = self._sum("shortcut_kept", "s", "k") if keeps else self._sum("shortcut", "s", "cn")
            values = np.array(self._relaxed.skip, float)
            return Group((gene,), np.arange(len(values))[:, None], values[:, None, None] * sides)
        costs = self._sum(f"{gene}_kept", "d", "k") if keeps else self._sum(gene, "d", "n")
        group = Group((gene,), np.arange(len(costs))[:, None], costs)
        return _only(group, self._off(group)) if gene == "non_local" and self._crowded else group

    def _off(self, group: Group) -> np.ndarray:
        return np.array([not self._relaxed.candidates(group.genes[0])[i] for i in group.indices[:, 0]], bool)

    def _acts(self) -> Iterator[tuple[bool, Group]]:
        """The last activation: relu or not where that is told apart."""
        group = self._free("act")
        relu = np.array([act == "relu" for act in self._relaxed.act])
        for is_relu, chosen in ((True, relu), (False, ~relu)) if self._tells_relu else ((True, relu | True),):
            if chosen.any():
                yield is_relu, _only(group, chosen)

    def _free(self, gene: str) -> Group:
        count = len(self._relaxed.candidates(gene))
        return Group((gene,), np.arange(count)[:, None], np.zeros((count, *self._shape)))

    def _base(self, s: bool, t: bool, keeps: bool) -> tuple[np.ndarray, np.ndarray]:
        base = np.full(self._shape, self._unit_cost * self._repeats)
        widths, cells = np.array(self._block.contexts.widths), self._cells
        if keeps:
            return base, np.broadcast_to(widths[:, None], self._shape)
        for unit, at, count in self._units:
            wide = s and (t or not unit.contexts[at].timed)
            d = unit.d.of[at]
            base += count * unit.table["expand_wide" if wide else "expand_narrow"][d]
        if cells.inverted.any():
            base += self._sum("inverted", "a", "cn") + self._sum("project", "d", "n")
        return base, np.broadcast_to(cells.out, self._shape)

    def _sum(self, name: str, rows: str, shape: str) -> np.ndarray:
        """A table at the block's contexts, over all its units: ``[..., widths, cells]``."""
        total: np.ndarray | float = 0.0
        for unit, at, count in self._units:
            table = unit.table[name][getattr(unit, rows).of[at]]
            if "q" in shape:
                table = table[..., unit.group]
            if shape == "k":
                table = table[..., None]
            elif "c" not in shape:
                table = table[..., None, :]
            total = total + count * table
        total = np.asarray(total)
        return np.broadcast_to(total, (*total.shape[:-2], *self._shape))


def _only(group: Group, chosen: np.ndarray) -> Group:
    return Group(group.genes, group.indices[chosen], group.cost[chosen])
