"""Mean cost of many units at once, from their tables and the probabilities of the genes.

Notation, for one context: ``s`` and ``t`` are the probabilities that the spatial and the temporal operator are
bypasses. Cells are *open* where nothing behind the operators sets a width (expand 0, not inverted); an open block whose
operators are both bypasses *keeps* the width it receives through all its repeats. Everything else receives, from the
second repeat on, what its own cell gives. So the mean is that over two laws: the kept ones, and all others.

All units go through the same few array operations side by side, padded to one size, because what takes long is not to
run the program but to compile it: its length must not grow with the number of blocks.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.spaces.tvn.costs.probabilities import GeneProbabilities, taken
from tvnjax.spaces.tvn.costs.unit_cost_tables import GATES, UnitTables

SLOTS = (
    *("inverted", "point", "spatial", "temporal", "expand", "non_local", "squeeze", "context_gate", "project"),
    "shortcut",
)
"""Kinds of layers of a unit, in the order they run."""

_LAWS = ("1", "s", "t", "s t", "passes", "1 - s", "1 - passes", "-s", "-t", "-s t")


@dataclasses.dataclass
class _Group:
    """Tables of one shape, side by side: ``table[context, term, ...]``, what each term is multiplied by, its slot."""

    parts: list[np.ndarray] = dataclasses.field(default_factory=list)
    factors: list[tuple[int, int, int]] = dataclasses.field(default_factory=list)
    """For each term two columns of the candidates' probabilities and one of the laws'."""
    slots: list[int] = dataclasses.field(default_factory=list)


class UnitStack:
    """Tables of several units, padded and side by side.

    Args:
        units: the units' tables, all of first units or all of later ones.
        blocks: the block each belongs to.
    """

    def __init__(self, units: Sequence[UnitTables], blocks: Sequence[int]):
        self.units, self.relaxed = list(units), units[0].relaxed
        self.contexts = [context for unit in units for context in unit.contexts]
        self.unit_of = np.repeat(np.arange(len(units)), [len(unit.contexts) for unit in units])
        self.block_of = np.array(blocks)[self.unit_of]
        self.widths = max(len(unit.inputs) for unit in units)
        self.cells = max(len(unit.cells) for unit in units)
        self.kept = max(len(unit.kept) for unit in units)
        self.groups = max(int(unit.group.max()) + 1 for unit in units)
        self.onto_groups = _padded([np.eye(self.groups)[unit.group] for unit in units], (self.cells, self.groups))
        """``[units, cells, groups]``."""
        self.open = _padded([unit.cells.open for unit in units], (self.cells,))
        self.inverted = _padded([unit.cells.inverted for unit in units], (self.cells,))
        self.inputs = _padded([unit.inputs for unit in units], (self.widths, self.cells))
        self.kept_widths = _padded([np.array(unit.kept, float) for unit in units], (self.kept,))
        self.null_s = np.concatenate([unit.table["spatial_null"][unit.a.of] for unit in units])
        self.null_t = np.concatenate([unit.table["temporal_null"][unit.b.of] for unit in units])
        self.timed = np.array([context.timed for context in self.contexts])
        self.keeps_time = np.array([context.keeps_time for context in self.contexts], float)
        self._columns: dict[tuple[str, int], int] = {}
        for gene in ("spatial", "temporal", *GATES, "spatial_act", "temporal_act"):
            for index in range(len(self.relaxed.candidates(gene))):
                self._columns[gene, index] = len(self._columns)
        for name in ("narrow", "skip", "always"):
            self._columns[name, 0] = len(self._columns)
        self._terms: dict[str, _Group] = {}
        self._make_terms()
        self.tables = {name: np.concatenate(group.parts, axis=1) for name, group in self._terms.items()}

    def _make_terms(self) -> None:
        space, time = self.units[0].spatial, self.units[0].temporal

        def convolutions(axis: str, pairs: Sequence[tuple[int, int]]) -> list[tuple]:
            return [((axis, o), (f"{axis}_act", a)) for o, a in pairs]

        def pools(axis: str, operators: Sequence[int]) -> list[tuple]:
            return [((axis, o), ("always", 0)) for o in operators]

        always = [(("always", 0), ("always", 0))]
        acts = [(("narrow", 0), ("spatial_act", a)) for a in range(len(self.relaxed.spatial_act))]
        skip = [(("skip", 0), ("always", 0))]
        add = self._add
        add("inverted", "a", "cn", "inverted", always, "1")
        add("point", "a", "cq", "point", acts if space.narrow else [], "1")
        add("spatial_narrow", "a", "q", "spatial", convolutions("spatial", space.narrow), "1")
        add("spatial_wide", "a", "cq", "spatial", convolutions("spatial", space.wide), "1")
        # An open cell whose temporal operator is a bypass too is a kept one.
        add("spatial_bypass", "a", "cq", "spatial", pools("spatial", space.bypass), "1", less="-t")
        add("spatial_kept", "a", "k", "spatial", pools("spatial", space.bypass), "t")
        add("temporal_narrow", "b", "q", "temporal", convolutions("temporal", time.wide), "1 - s")
        add("temporal_bypass_narrow", "b", "q", "temporal", pools("temporal", time.bypass), "1 - s")
        add("temporal_wide", "b", "cq", "temporal", convolutions("temporal", time.wide), "s")
        add("temporal_bypass", "b", "cq", "temporal", pools("temporal", time.bypass), "s", less="-s")
        add("temporal_kept", "b", "k", "temporal", pools("temporal", time.bypass), "s")
        add("expand_narrow", "d", "n", "expand", always, "1 - passes")
        add("expand_wide", "d", "cn", "expand", always, "passes")
        for gene in GATES:
            values = [((gene, i), ("always", 0)) for i in range(len(self.relaxed.candidates(gene)))]
            add(gene, "d", "n", gene, values, "1", less="-s t")
            add(f"{gene}_kept", "d", "k", gene, values, "s t")
        add("project", "d", "n", "project", always, "1")
        add("shortcut", "s", "cn", "shortcut", skip, "1", less="-s t")
        add("shortcut_kept", "s", "k", "shortcut", skip, "s t")

    def _add(self, name: str, rows: str, shape: str, slot: str, chances: list[tuple], law: str, less: str = "") -> None:
        """Adds a table's terms, ``less`` what open cells have under another law."""
        sizes = {"c": self.widths, "n": self.cells, "q": self.groups, "k": self.kept}
        size = tuple(sizes[letter] for letter in shape)
        parts = []
        for unit in self.units:
            table = unit.table[name][getattr(unit, rows).of]
            table = table.reshape(len(table), len(chances), *table.shape[-len(size) :]) if table.size else None
            padded = np.zeros((len(unit.contexts), len(chances), *size))
            if table is not None:
                padded[(slice(None), slice(None), *(slice(n) for n in table.shape[2:]))] = table
            parts.append(padded)
        whole = np.concatenate(parts)
        for kind, name_of_law in ((shape, law), (f"{shape} open", less)):
            if whole.any() and name_of_law and (" open" not in kind or self.open.any()):
                group = self._terms.setdefault(kind, _Group())
                group.parts.append(whole)
                group.slots += [SLOTS.index(slot)] * len(chances)
                at = _LAWS.index(name_of_law)
                group.factors += [(self._columns[first], self._columns[second], at) for first, second in chances]


class ExpectedUnitCost:
    """Expected costs of a stack of units.

    Args:
        cells: ``[units, n]``, probabilities of the cells.
        mass: ``[contexts, c]``, probability of each context and received width (``c`` is 1 in later repeats).
        kept: ``[contexts, widths]``, the same by the width the *block* received.
    """

    def __init__(self, stack: UnitStack, draws: GeneProbabilities, cells: Array, mass: Array, kept: Array):
        self.stack, self.mass = stack, mass
        self._relaxed = stack.relaxed
        self._cells, self._open = cells, cells * stack.open
        self._kept = kept * taken(self._open.sum(1, keepdims=True), stack.unit_of)
        self._total = mass.sum(1)
        self._spatial, self._temporal = draws.operators(stack.contexts, stack.block_of)
        self.s, self.t = draws.bypass(stack.contexts, stack.block_of)
        self._gates = {gene: draws.gate(gene, stack.contexts, stack.block_of) for gene in GATES}
        self._genes = {
            gene: taken(p, stack.block_of) for gene, p in draws.by_gene.items() if gene not in ("filters", "expand")
        }
        self._skip = self._genes["skip"] @ np.array(self._relaxed.skip, float)
        self._null_s = (self._spatial * stack.null_s).sum(1)
        self._null_t = (self._temporal * stack.null_t).sum(1)

    def slots(self) -> Array:
        """``[units, slots]``: expected cost of each kind of layer."""
        stack, both = self.stack, self.s * self.t
        narrow = list(dict.fromkeys(o for o, _ in stack.units[0].spatial.narrow))
        among, ones = np.isin(np.arange(self._spatial.shape[1]), narrow), jnp.ones_like(both)
        # What the temporal layer passes on where the unit has one; without one it is a bypass.
        passes = self.s * jnp.where(stack.timed, self.t, 1.0)
        laws = (ones, self.s, self.t, both, passes, 1 - self.s, 1 - passes, -self.s, -self.t, -both)
        chances = [
            *(self._spatial, self._temporal, *self._gates.values()),
            *(self._genes["spatial_act"], self._genes["temporal_act"]),
            jnp.stack([(self._spatial * among).sum(1), self._skip, ones], axis=1),
        ]
        groups = stack._terms.values()
        if not groups:
            return jnp.zeros((len(stack.units), len(SLOTS)), self.mass.dtype)
        # What the terms of all tables are multiplied by, side by side: one product of matrices picks for all. Kept in
        # one piece, because XLA makes of a product of parts side by side one of each, which a GPU starts one by one.
        factors = jax.lax.optimization_barrier(jnp.concatenate([*chances, jnp.stack(laws, axis=1)], axis=1))
        columns = np.concatenate([np.array(group.factors) for group in groups])
        columns = columns + np.array([0, 0, factors.shape[1] - len(laws)])
        first, second, law = jnp.split(factors @ _picks(columns.T.ravel(), factors), 3, axis=1)
        weight = first * second * law
        values = jnp.concatenate([self._means(kind) for kind in stack._terms], axis=1) * weight
        slots = np.eye(len(SLOTS))[np.concatenate([group.slots for group in groups])]
        return self._onto_units(values @ slots)

    def units(self, after: Array) -> Array:
        """``[units]``: the probability that each is there and not idle, ``after`` being that a relu comes before."""
        off = self._off(*GATES) * (1 - self._skip * self.stack.keeps_time)
        relu = self._genes["act"] @ np.array([act == "relu" for act in self._relaxed.act], float)
        opened = taken((after * self._open.sum(1))[:, None], self.stack.unit_of)[:, 0]
        idle = self._null_s * self._null_t * off * relu * opened
        return self._onto_units(self._total * (1 - idle))

    def _means(self, kind: str) -> Array:
        """``[contexts, terms]``: tables weighted by sizes and cells."""
        table, stack = jnp.asarray(self.stack.tables[kind], self.mass.dtype), self.stack
        shape, _, opened = kind.partition(" ")
        if shape == "k":
            return (table * self._kept[:, None]).sum(2)
        cells = self._open if opened else self._cells
        if "q" in shape:
            cells = jnp.einsum("un,unq->uq", cells, jnp.asarray(stack.onto_groups, cells.dtype))
        if "c" not in shape:
            return (table * taken(cells, stack.unit_of)[:, None]).sum(2) * self._total[:, None]
        return (table * (self.mass[:, :, None] * taken(cells, stack.unit_of)[:, None])[:, None]).sum((2, 3))

    def _off(self, *genes: str) -> Array | float:
        """``[contexts]``: that all these gates are off."""
        off = 1.0
        for gene in genes:
            off = off * (self._gates[gene] @ np.array([not value for value in self._relaxed.candidates(gene)], float))
        return off

    def held(self) -> Array:
        """``[units, slots]``: mean values of the unit's input that a shortcut holds beside a layer that is not the
        first."""
        stack = self.stack
        volume = np.array([context.frames * context.side**2 for context in stack.contexts], float) * stack.keeps_time
        closed = (1 - stack.inverted) * (1 - stack.open)
        received = [
            (self.mass * (jnp.einsum("un,ucn->uc", self._cells * kind, stack.inputs)[stack.unit_of])).sum(1)
            for kind in (stack.inverted, closed, stack.open)
        ]
        received.append((self._kept * stack.kept_widths[stack.unit_of]).sum(1))
        held = [
            sum(volume * amount * event for amount, event in zip(received, self._behind_first(slot))) for slot in SLOTS
        ]
        amounts = jnp.stack([jnp.broadcast_to(h, volume.shape) for h in held], 1)
        return self._onto_units(self._skip[:, None] * amounts)

    def _onto_units(self, values: Array) -> Array:
        """``[contexts, ...]`` to ``[units, ...]``, summed over the contexts of each."""
        onto = np.arange(len(self.stack.units))[:, None] == self.stack.unit_of
        # A space without shapes to choose has a context for each unit.
        return values if np.array_equal(onto, np.eye(len(onto))) else onto.astype(float) @ values

    def _behind_first(self, slot: str) -> tuple[Array | float, ...]:
        """``[contexts]`` each: that a layer is there and not the first, in an inverted cell, an expanding one, an open
        one (less the kept), a kept one."""
        null_s, null_t, both = self._null_s, self._null_t, self.s * self.t
        second = self._spatial[:, list(dict.fromkeys(o for o, _ in self.stack.units[0].spatial.narrow))].sum(1)
        if slot == "point":
            return second, 0.0, 0.0, 0.0
        if slot == "spatial":
            return 1 - null_s, second, second, 0.0
        if slot == "temporal":
            kept = jnp.where(self.stack.timed, (self.s - null_s) * (self.t - null_t), 0.0)
            return 1 - null_t, (1 - null_s) * (1 - null_t), (1 - null_s) * (1 - null_t) - kept, kept
        if slot == "expand":
            return 0.0, 1 - null_s * null_t, 0.0, 0.0
        if slot in (*GATES, "shortcut"):
            before = GATES[: GATES.index(slot)] if slot in GATES else GATES
            there = 1 - self._off(slot) if slot in GATES else 1.0
            # No layer before, and the block's temporal operator is a bypass (a unit without a temporal layer may
            # belong to a block with a convolution).
            kept = both - self._off(*before) * null_s * jnp.where(self.stack.timed, null_t, self.t)
            return there, there, there * (1 - self._off(*before) * null_s * null_t - kept), there * kept
        return float(slot == "project"), 0.0, 0.0, 0.0


def _picks(columns: np.ndarray, table: Array) -> np.ndarray:
    """``[columns of table, picks]``: one-hot, so that picking is a product of matrices."""
    return (np.arange(table.shape[1])[:, None] == columns).astype(table.dtype)


def _padded(arrays: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Arrays side by side, each with zeros behind it up to ``shape``."""
    whole = np.zeros((len(arrays), *shape))
    for row, array in zip(whole, arrays):
        row[tuple(slice(n) for n in array.shape)] = array
    return whole
