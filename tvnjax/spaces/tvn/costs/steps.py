"""The cheapest and the most expensive network of a space too large for dynamic programming, by steps of one gene."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from tvnjax.spaces.tvn.costs.factored.expected import FactoredCost
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.relaxed import GENES, RelaxedBlock, relax_plan
from tvnjax.spaces.tvn.shapes import BLOCK_SHAPE_GENES, BlockPlan, Plan, ShapeKey

Extreme = Literal["cheapest", "most_expensive"]

_STRIDES = ("spatial_stride", "temporal_stride")
_EVERY = 12
"""Values up to which all are tried; of more the ends and the neighbours."""
_ROUNDS = 12


@dataclasses.dataclass(frozen=True)
class _Point:
    """A network as indices."""

    shapes: Mapping[ShapeKey, int]
    genes: tuple[Mapping[str, int], ...]


def extreme_by_steps(
    expected: FactoredCost, which: Extreme, of_plan: Callable[[FactoredCost, Plan, Extreme], Genotype]
) -> Genotype:
    """A network that no change of one gene makes cheaper (or dearer), and the extreme one of its plan.

    Found from the smallest (or largest) network with the longest strides and from that with the shortest. It is the
    extreme itself where no two genes have to change at once; in any case it is a network of the space, so that the
    least cost is at most this one's, or the largest at least.

    Args:
        of_plan: gives a plan's extreme network, exactly.
    """
    return _Steps(expected, which, of_plan).run()


class _Steps:
    def __init__(
        self, expected: FactoredCost, which: Extreme, of_plan: Callable[[FactoredCost, Plan, Extreme], Genotype]
    ):
        self._expected, self._shapes, self._of_plan = expected, expected.shapes, of_plan
        self._which: Extreme = which
        self._sign = 1.0 if which == "cheapest" else -1.0
        self._relaxed: RelaxedBlock = expected.relaxed

    def run(self) -> Genotype:
        found = [self._descended(self._start(long_strides=long)) for long in (True, False)]
        return min(found, key=self._cost)

    def _cost(self, genotype: Genotype) -> float:
        return self._sign * self._expected.of_genotype(genotype)

    def _descended(self, best: _Point) -> Genotype:
        """Steps and the exact extreme of the plan they led to in turns, until neither helps."""
        genotype = self._network(best)
        least = self._cost(genotype)
        for _ in range(_ROUNDS):
            before = least
            for step in self._moves(best):
                moved = step(best)
                plan = self._plan(moved)
                if plan is not None and (cost := self._cost(other := self._decoded(plan, moved))) < least:
                    best, genotype, least = moved, other, cost
            if least < before:
                continue
            plan = self._plan(best)
            assert plan is not None
            exact = self._of_plan(self._expected, plan, self._which)
            if not self._cost(exact) < least - 1e-9 * abs(least):
                break
            chosen = relax_plan(plan, self._expected.operators).encode(exact)
            best = dataclasses.replace(best, genes=(*chosen, *best.genes[len(chosen) :]))
            genotype, least = exact, self._cost(exact)
        return genotype

    def _network(self, point: _Point) -> Genotype:
        plan = self._plan(point)
        assert plan is not None, "the least frame stride fits the least frames"
        return self._decoded(plan, point)

    def _start(self, *, long_strides: bool) -> _Point:
        """The smallest network, or the largest, but for strides."""
        shapes = {}
        for key in self._shapes.keys:
            values = self._shapes.values(key)
            largest = long_strides if key.gene in _STRIDES else self._sign < 0
            if key.gene == "frame_stride":
                largest = False
            shapes[key] = values.index(max(values) if largest else min(values))
        frames = ShapeKey("num_frames")
        fits = [t for t in self._shapes.values(frames) if self._shapes.legal_strides(t).any()]
        shapes[frames] = self._shapes.values(frames).index(min(fits) if self._sign > 0 else max(fits))
        return _Point(shapes, ({},) * len(self._shapes.choices.blocks))

    def _moves(self, point: _Point) -> Iterator:
        for key in self._shapes.keys:
            if key.block is None or key.block < self._length(point):
                yield from (
                    self._shape_step(key, to) for to in _tried(len(self._shapes.values(key)), point.shapes[key])
                )
        for block in range(self._length(point)):
            yield from self._operator_and_stride(block)
            for gene in GENES:
                count = len(self._relaxed.candidates(gene))
                # Candidates of an operator are in no order.
                tried = range(count) if gene in ("spatial", "temporal") else _tried(count, 0)
                yield from (self._gene_step(block, gene, to) for to in tried)

    def _operator_and_stride(self, block: int) -> Iterator:
        """Both at once: the identity cannot stride, and what strides costs something."""
        for axis in ("spatial", "temporal"):
            operators = self._relaxed.candidates(axis)
            kinds = [[at for at, (kind, _) in enumerate(operators) if kind == of] for of in dict(operators)]
            ends = sorted({at for kind in kinds for at in (kind[0], kind[-1])})
            key = ShapeKey(f"{axis}_stride", block)
            values = self._shapes.values(key)
            for stride, operator in itertools.product({values.index(min(values)), values.index(max(values))}, ends):
                first, second = self._shape_step(key, stride), self._gene_step(block, axis, operator)
                yield lambda point, first=first, second=second: second(first(point))

    def _shape_step(self, key: ShapeKey, to: int):
        return lambda point: dataclasses.replace(point, shapes={**point.shapes, key: to})

    def _gene_step(self, block: int, gene: str, to: int):
        def step(point: _Point) -> _Point:
            genes = tuple({**chosen, gene: to} if b == block else chosen for b, chosen in enumerate(point.genes))
            return dataclasses.replace(point, genes=genes)

        return step

    def _length(self, point: _Point) -> int:
        return self._shapes.values(ShapeKey("num_blocks"))[point.shapes[ShapeKey("num_blocks")]]

    def _plan(self, point: _Point) -> Plan | None:
        """The plan; nothing where the frames do not fit the clip."""

        def value(gene: str, block: int | None = None) -> int:
            key = ShapeKey(gene, block)
            return self._shapes.values(key)[point.shapes[key]]

        plan = Plan(
            image_size=value("image_size"),
            num_frames=value("num_frames"),
            frame_stride=min(self._shapes.choices.frame_stride),
            blocks=tuple(
                BlockPlan(**{gene: value(gene, index) for gene in BLOCK_SHAPE_GENES})
                for index in range(self._length(point))
            ),
        )
        return self._shapes.canonical(plan) if plan.window <= self._shapes.clip_frames else None

    def _decoded(self, plan: Plan, point: _Point) -> Genotype:
        chosen = []
        relaxed = relax_plan(plan, self._expected.operators)
        for block, genes in zip(relaxed.blocks, point.genes):
            # A candidate that another block's sizes rule out gives way, and comes back where they allow it.
            indices = {gene: genes.get(gene, block.default(gene)) for gene in GENES}
            legal = {gene: at if block.legal(gene)[at] else block.default(gene) for gene, at in indices.items()}
            chosen.append(legal)
        return relaxed.decode(tuple(chosen))


def _tried(count: int, now: int) -> list[int]:
    """Which values are tried beside the present one."""
    if count <= _EVERY:
        return list(range(count))
    return sorted({0, count - 1, *range(max(now - 1, 0), min(now + 2, count))})
