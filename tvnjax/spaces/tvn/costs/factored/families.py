"""Families of layers: the costs of all layers of one kind, over all sizes, candidates and widths.

A family is a matrix. Its rows are sizes (frames, side, stride), its columns candidates with the widths before and
behind; ``cross`` takes it apart into few products of a part that knows sizes and a part that knows widths. Layers come
from ``tvnjax.spaces.tvn.lowering``.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from tvnjax.graph import Head, HeadKind, Layer, Shape
from tvnjax.spaces.tvn.costs.factored.axes import Axis, Grid, Strided
from tvnjax.spaces.tvn.costs.factored.cross import LowRank, cross
from tvnjax.spaces.tvn.costs.unit_cost_tables import GATES, Candidates, LayerCost
from tvnjax.spaces.tvn.genotype import Block
from tvnjax.spaces.tvn.lowering import (
    expand_layers,
    gate_layers,
    shortcut_layers,
    spatial_layers,
    temporal_layers,
)
from tvnjax.spaces.tvn.operators import Operator
from tvnjax.spaces.tvn.relaxed import RelaxedBlock

Size = tuple[int, int]
"""A size and the stride it is met with."""

Ask = Callable[[Size, Size, int, int, int], float]
"""Cost of the layer at frames and side (each with a stride), of one candidate, between two widths."""


@dataclasses.dataclass(frozen=True)
class Family:
    """Costs of one kind of layers: ``left`` by sizes times ``right`` by candidates and widths."""

    frames: Grid
    sides: Grid
    before: np.ndarray
    """Which nodes of the widths come before."""
    behind: np.ndarray
    """The same behind; none where that width is the one before."""
    ask: Ask
    left: np.ndarray
    """``[frames, sides, rank]``, at nodes."""
    right: np.ndarray
    """``[rank, candidates, before, behind]``; without the last axis where widths are those before."""

    def errors(self, widths: Axis, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """``[count]`` each: costs of layers drawn from all sizes, candidates and widths, and how far off they are.

        Args:
            widths: of the family's space.
            count: how many to draw.
            rng: source of chance.
        """
        shape = (len(self.frames.values), len(self.sides.values), self.right.shape[1])
        # Widths before and behind, none of whose nodes are left out here.
        lists = [np.flatnonzero(~np.delete(widths.onto, kept, axis=1).any(1)) for kept in (self.before, self.behind)]
        told, exact = np.zeros(count), np.zeros(count)
        for number in range(count if self.right.size and self.left.size else 0):
            t, side, candidate = (int(rng.integers(size)) for size in shape)
            sizes = np.einsum("n,m,nmr->r", self.frames.onto[t], self.sides.onto[side], self.left)
            value, ends = self.right[:, candidate], [0, 0]
            for place, kept in enumerate((self.before, self.behind)):
                if len(kept):
                    at = int(rng.choice(lists[place]))
                    ends[place] = widths.values[at]
                    value = np.einsum("rw...,w->r...", value, widths.onto[at, kept])
            told[number] = sizes @ value
            exact[number] = self.ask(self.frames.values[t], self.sides.values[side], candidate, *ends)
        return exact, told - exact


class LayerFamilies:
    """All families of a space.

    Args:
        cost: of one layer.
        relaxed: the candidates.
        time: frames, with their strides.
        timed: the same of several frames.
        space: sides, with their strides.
        few: frames and sides at which a non-local layer is legal.
        widths: of all arrays.
        ends: which of their nodes a convolution of an operator can give.
        classes: of the head.
        tolerance: to what part of itself a cost is to be right.
    """

    def __init__(
        self,
        cost: LayerCost,
        relaxed: RelaxedBlock,
        time: Strided,
        timed: Strided,
        space: Strided,
        few: tuple[Axis, Axis],
        widths: Axis,
        ends: np.ndarray,
        classes: int,
        head: HeadKind,
        tolerance: float,
    ):
        self._cost, self._relaxed = cost, relaxed
        self._classes, self._tolerance, self._widths = classes, tolerance, widths
        self._head_kind: HeadKind = head
        self._rng = np.random.default_rng(0)
        space_kinds, time_kinds = Candidates.of_block(relaxed)
        self.kernels = {
            "std": [(o, a) for o, a in space_kinds.narrow if relaxed.spatial[o][0] == "std"],
            "1std": list(space_kinds.wide),
            "depth": [(o, a) for o, a in space_kinds.narrow if relaxed.spatial[o][0] == "depth"],
            "1d": list(time_kinds.wide),
        }
        """Operator and activation of every convolution, by kind."""
        self.bypasses = {"spatial": list(space_kinds.bypass), "temporal": list(time_kinds.bypass)}
        operator = relaxed.spatial.__getitem__
        self.dense = sorted({operator(o)[1] for kind in ("std", "1std") for o, _ in self.kernels[kind]})
        """Kernels of dense spatial convolutions."""
        point_acts = set(relaxed.spatial_act) if space_kinds.narrow else set()
        self.point_acts = sorted(point_acts | ({"relu"} if True in relaxed.inverted_bottleneck else set()))
        """Activations of the 1x1 in front of a convolution, and of the widening one."""
        acts = relaxed.spatial_act
        every = np.arange(len(widths.nodes))
        still, flat, moving, shrinking = time.plain.grid, space.plain.grid, timed.grid, space.grid
        at = self._family
        self.point = at(still, flat, len(self.point_acts), every, ends, self._point)
        self.linear = at(still, flat, 1, every, every, self._linear)
        self.shortcut = at(still, shrinking, int(any(relaxed.skip)), every, every, self._shortcut)
        self.dense_spatial = at(still, shrinking, len(self.dense) * len(acts), every, ends, self._dense)
        self.depthwise = at(still, shrinking, len(self.kernels["depth"]), ends, None, self._depthwise)
        self.spatial_bypass = at(still, shrinking, len(space_kinds.bypass), every, None, self._spatial_bypass)
        self.temporal = at(moving, flat, len(time_kinds.wide), every, ends, self._temporal)
        self.temporal_bypass = at(moving, flat, len(time_kinds.bypass), every, None, self._temporal_bypass)
        self.squeeze = at(still, flat, len(relaxed.squeeze), every, None, self._gate("squeeze"))
        self.context_gate = at(still, flat, len(relaxed.context_gate), every, None, self._gate("context_gate"))
        self.non_local = at(few[0].grid, few[1].grid, len(relaxed.non_local), every, None, self._gate("non_local"))
        self.head = at(still, flat, 1, every, None, self._head)

    def gate(self, gene: str) -> Family:
        return {name: getattr(self, name) for name in GATES}[gene]

    @property
    def all(self) -> dict[str, Family]:
        return {name: found for name, found in vars(self).items() if isinstance(found, Family)}

    def errors(self, count: int, rng: np.random.Generator) -> dict[str, float]:
        """By family: how far drawn layers are off on average, as a part of their cost."""
        errors = {}
        for name, found in self.all.items():
            exact, off = found.errors(self._widths, count, rng)
            errors[name] = float(np.abs(off).sum() / max(exact.sum(), 1e-300))
        return errors

    def _family(
        self,
        frames: Grid,
        sides: Grid,
        candidates: int,
        before: np.ndarray,
        behind: np.ndarray | None,
        ask: Ask,
    ) -> Family:
        """Asks for what ``cross`` needs of a family's costs."""
        widths = self._widths.nodes
        rows = [(t, side) for t in frames.nodes for side in sides.nodes]
        ends = [0] if behind is None else [widths[at] for at in behind]
        columns = [(c, widths[at], end) for c in range(candidates) for at in before for end in ends]

        def entry(i: int, j: int) -> float:
            return ask(*rows[i], *columns[j])

        found = LowRank(np.zeros((len(rows), 1)), np.zeros((1, len(columns))), 0.0)
        if rows and columns:
            found = cross(len(rows), len(columns), entry, self._tolerance, self._rng)
        rank = len(found.right)
        shape = (rank, candidates, len(before)) if behind is None else (rank, candidates, len(before), len(ends))
        return Family(
            frames=frames,
            sides=sides,
            before=before,
            ask=ask,
            behind=np.arange(0) if behind is None else behind,
            left=found.left.reshape(len(frames.nodes), len(sides.nodes), rank),
            right=found.right.reshape(shape),
        )

    def _sum(self, layers: Sequence[Layer | Head]) -> float:
        return sum(float(self._cost(layer)) for layer in layers)

    def _point(self, t: Size, side: Size, candidate: int, before: int, behind: int) -> float:
        # The widening layer of an inverted unit, and the 1x1 in front of a convolution, are one kind of layer.
        act, shape = self.point_acts[candidate], Shape(t[0], side[0], side[0], before)
        return self._sum(spatial_layers(_ending(behind, "spatial", ("std", 2), act), 1, shape)[:1])

    def _linear(self, t: Size, side: Size, candidate: int, before: int, behind: int) -> float:
        shape = Shape(t[0], side[0], side[0], before)
        if behind <= 2048:
            return self._sum(expand_layers(_ending(behind), shape))
        filters, expand = _factors(behind)
        return self._sum(expand_layers(Block(filters=filters, expand=expand), shape))

    def _shortcut(self, t: Size, side: Size, candidate: int, before: int, behind: int) -> float:
        middle = -(-side[0] // side[1])
        source, target = Shape(t[0], side[0], side[0], before), Shape(t[0], middle, middle, behind)
        return self._sum(shortcut_layers(side[1], source, target))

    def _dense(self, t: Size, side: Size, candidate: int, before: int, behind: int) -> float:
        kernel, act = divmod(candidate, len(self._relaxed.spatial_act))
        block = _ending(behind, "spatial", ("1std", self.dense[kernel]), self._relaxed.spatial_act[act])
        return self._sum(spatial_layers(block, side[1], Shape(t[0], side[0], side[0], before)))

    def _depthwise(self, t: Size, side: Size, candidate: int, before: int, behind: int) -> float:
        operator, act = self.kernels["depth"][candidate]
        block = _ending(before, "spatial", self._relaxed.spatial[operator], self._relaxed.spatial_act[act])
        return self._sum(spatial_layers(block, side[1], Shape(t[0], side[0], side[0], before))[-1:])

    def _spatial_bypass(self, t: Size, side: Size, candidate: int, before: int, behind: int) -> float:
        block = _ending(1, "spatial", self._relaxed.spatial[self.bypasses["spatial"][candidate]])
        return self._sum(spatial_layers(block, side[1], Shape(t[0], side[0], side[0], before)))

    def _temporal(self, t: Size, side: Size, candidate: int, before: int, behind: int) -> float:
        operator, act = self.kernels["1d"][candidate]
        block = _ending(behind, "temporal", self._relaxed.temporal[operator], self._relaxed.temporal_act[act])
        return self._sum(temporal_layers(block, t[1], Shape(t[0], side[0], side[0], before)))

    def _temporal_bypass(self, t: Size, side: Size, candidate: int, before: int, behind: int) -> float:
        block = _ending(1, "temporal", self._relaxed.temporal[self.bypasses["temporal"][candidate]])
        return self._sum(temporal_layers(block, t[1], Shape(t[0], side[0], side[0], before)))

    def _gate(self, gene: str) -> Ask:
        values = self._relaxed.candidates(gene)

        def ask(t: Size, side: Size, candidate: int, before: int, behind: int) -> float:
            return self._sum(gate_layers(_gate_block(gene, values[candidate]), Shape(t[0], side[0], side[0], before)))

        return ask

    def _head(self, t: Size, side: Size, candidate: int, before: int, behind: int) -> float:
        shape = Shape(t[0], side[0], side[0], before)
        return self._sum([Head(in_shape=shape, num_classes=self._classes, pool=self._head_kind)])


@cache
def _factors(width: int) -> tuple[int, int]:
    """Filters and their expansion that give a width."""
    return next((width // expand, expand) for expand in range(1, 9) if width % expand == 0 and width // expand <= 2048)


@cache
def _ending(width: int, axis: str = "", operator: Operator | None = None, act: str = "relu") -> Block:
    """A block whose convolutions are so wide."""
    filters, expand = _factors(width)
    genes: dict = {"filters": filters, "expand": expand, "inverted_bottleneck": expand > 1}
    if operator is not None and operator[0] != "identity":
        genes |= {f"{axis}_type": operator[0], f"{axis}_kernel": operator[1], f"{axis}_act": act}
    return Block(**genes)


@cache
def _gate_block(gene: str, value: float) -> Block:
    genes: dict = {gene: value}
    return Block(**genes)
