"""Expected cost of a relaxed space too large to tabulate, by structure.

The mean is taken over the same networks as in ``costs.expected``, by the same laws, and where every size and width is a
node of its axis it is the same number. What differs is how costs are kept: not one for each surroundings, candidate and
pair of widths, but as products of a part that knows sizes and a part that knows widths (``families``), at few sizes and
widths (``axes``). Sizes factor too: time and space are strided apart (``flow``).
"""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import HeadKind, Network
from tvnjax.spaces.tvn.costs.contexts import candidates
from tvnjax.spaces.tvn.costs.expected import ExpectedCost
from tvnjax.spaces.tvn.costs.expected_unit_cost import SLOTS
from tvnjax.spaces.tvn.costs.factored.axes import RATIO, axis, strided, width_axis
from tvnjax.spaces.tvn.costs.factored.families import LayerFamilies
from tvnjax.spaces.tvn.costs.factored.flow import Flow, Steps, flow
from tvnjax.spaces.tvn.costs.factored.genes import BlockGenes, WidthPairs
from tvnjax.spaces.tvn.costs.factored.held import HeldValues
from tvnjax.spaces.tvn.costs.factored.idle import IdleUnits, NullChances, Nulls
from tvnjax.spaces.tvn.costs.factored.sizes import Dimensions, Sizes
from tvnjax.spaces.tvn.costs.factored.units import FirstUnits, LaterUnits, stacked
from tvnjax.spaces.tvn.costs.probabilities import GeneProbabilities
from tvnjax.spaces.tvn.costs.table_sizes import cells_of, reaches
from tvnjax.spaces.tvn.costs.unit_cost_tables import LayerCost, LayerCosts
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.relaxed import GENES, OperatorChoices
from tvnjax.spaces.tvn.shapes import Plan, ShapeChoices, ShapeKey, ShapeSpace

TOLERANCE = 5e-4
"""To what part of itself a layer's cost at a node is kept."""

_DRAWN, _WARNED = 100, 0.01
"""Layers of a family that are drawn to tell how far off it is; from where on that is told."""

_KEPT = 8
"""Plans whose tables are kept."""


class FactoredCost:
    """Mean cost of the networks drawn from operator and shape probabilities; called as ``ExpectedCost`` is.

    Args:
        shapes: the plans.
        cost: cost of one layer or of the head, 0 or above, in any unit; smooth over sizes and widths, as far as these
            are no nodes.
        unit_cost: added for every unit that is not left out as idle.
        constant: added once.
        ratio: from one node of an axis to the next.
        tolerance: see ``TOLERANCE``.
    """

    def __init__(
        self,
        shapes: ShapeSpace,
        operators: OperatorChoices,
        num_classes: int,
        cost: LayerCost,
        *,
        unit_cost: float = 0.0,
        constant: float = 0.0,
        channels: int = 3,
        head: HeadKind = "mean",
        ratio: float = RATIO,
        tolerance: float = TOLERANCE,
    ):
        self.shapes, self.operators, self.num_classes = shapes, operators, num_classes
        self.unit_cost, self.constant, self.channels = unit_cost, constant, channels
        self.head_kind: HeadKind = head
        self.costs = LayerCosts(cost)
        self._tables: dict[Plan, ExpectedCost] = {}
        self.extremes: dict[Any, Genotype] = {}
        """Extreme networks of plans that were worked out (``bounds``)."""
        choices = shapes.choices
        self.relaxed = candidates(operators, choices.blocks[0].filters[0])
        """Candidates of every gene where nothing is illegal."""
        found = reaches(choices, operators, channels)
        frames, sides = (sorted(set().union(*(getattr(r, name) for r in found))) for name in ("frames", "sides"))
        self._strides = {
            gene: tuple(sorted({stride for block in choices.blocks for stride in getattr(block, gene)}))
            for gene in ("spatial_stride", "temporal_stride")
        }
        time = strided(frames, self._strides["temporal_stride"], 1, ratio)
        space = strided(sides, self._strides["spatial_stride"], 2, ratio)
        crowded = np.outer(frames, np.square(sides)) > operators.non_local_tokens
        self._dimensions = Dimensions(
            time=time,
            timed=strided([t for t in frames if t > 1], self._strides["temporal_stride"], 1, ratio),
            space=space,
            # Attention takes the square of the positions, and there are few sizes at which it is legal: all are nodes.
            few_frames=axis(np.array(frames)[~crowded.all(1)].tolist(), 1.0),
            few_sides=axis(np.array(sides)[~crowded.all(0)].tolist(), 1.0),
            crowded=crowded,
            steps=Steps(time, space),
        )
        self._tops = [[operators.filters(top) for top in block.filters] for block in choices.blocks]
        filters = sorted({width for rows in self._tops for row in rows for width in row})
        cells = [cells_of(block, operators) for block in choices.blocks]
        inside = {*filters, *(int(width) for cell in cells for width in cell.inner)}
        self._widths = width_axis({channels, *inside, *(int(width) for cell in cells for width in cell.out)}, ratio)
        self._pairs = WidthPairs(filters, operators, self._widths)
        ends = np.flatnonzero(self._widths.rows(sorted(inside)).any(0))
        self._nulls = Nulls(self.relaxed, self._dimensions)
        self.families = LayerFamilies(
            cost,
            self.relaxed,
            time,
            self._dimensions.timed,
            space,
            (self._dimensions.few_frames, self._dimensions.few_sides),
            self._widths,
            ends,
            num_classes,
            head,
            tolerance,
        )
        self.errors = self.families.errors(_DRAWN, np.random.default_rng(1))
        """By family of layers: how far drawn ones are off on average, as a part of their cost."""
        worst = max(self.errors, key=lambda name: self.errors[name])
        if self.errors[worst] > _WARNED:
            warnings.warn(
                f"expected costs of a space of this size are taken at few sizes and widths; costs of {worst} layers "
                f"drawn at random are off by {self.errors[worst]:.1%} on average: shorten the genes' ranges, or search "
                "with a cost that is smooth over sizes",
                stacklevel=2,
            )

    def __call__(
        self, operators_p: Sequence[Mapping[str, Any]], shapes_p: Mapping[ShapeKey, Any] | None = None
    ) -> Array:
        """The mean cost, a scalar. Arguments as for ``ExpectedCost``."""
        slots, units = self.slots(operators_p, shapes_p)
        return self.constant + slots.sum() + units

    def slots(
        self,
        operators_p: Sequence[Mapping[str, Any]],
        shapes_p: Mapping[ShapeKey, Any] | None = None,
        *,
        largest: bool = False,
    ) -> tuple[Array, Array]:
        """Expected cost of every kind of layer by repeat and block, ``[slots]``, and the cost of units, a scalar.

        Args:
            largest: see ``ExpectedCost.slots``.
        """
        choices, blocks = self.shapes.choices, range(len(self.shapes.choices.blocks))
        if len(operators_p) != len(blocks):
            raise InvalidInputError(
                f"expected costs take probabilities for every block of the space, {len(blocks)}; got "
                f"{len(operators_p)}: also give those of blocks that may be absent"
            )
        shapes_p = self.shapes.given(shapes_p)
        dtype = jnp.result_type(float, *jax.tree.leaves([dict(p) for p in operators_p]))
        by_key = {key: jnp.asarray(p, dtype) for key, p in shapes_p.items()}
        by_gene = {gene: jnp.stack([jnp.asarray(p[gene], dtype) for p in operators_p]) for gene in GENES}
        draws = GeneProbabilities.of(by_gene, self.relaxed, self.operators.non_local_tokens)
        filters = jnp.stack([self._filters(b, by_key, by_gene) for b in blocks])
        genes = BlockGenes(by_gene, filters, draws, self._pairs)
        strides = {gene: jnp.stack([self._on_strides(gene, b, by_key) for b in blocks]) for gene in self._strides}
        space, time = strides["spatial_stride"], strides["temporal_stride"]
        masses = self._flow(by_key, space, time, genes)
        sizes = Sizes(self._dimensions, masses, space, time, genes.s, genes.t)
        lengths = by_key[ShapeKey("num_blocks")]
        alive = jnp.stack([lengths @ np.array([length > b for length in choices.lengths], float) for b in blocks])
        units, there = [FirstUnits(self.families, genes, sizes).slots()], [alive]
        most = max(max(block.repeats) for block in choices.blocks)
        later = LaterUnits(self.families, genes, sizes).prepared() if most > 1 else None
        for timed in (False, True):
            if later is not None and most > 1 + timed:
                there.append(alive * jnp.stack([self._repeats(b, 1 + timed, by_key, first=largest) for b in blocks]))
                units.append(later.slots(timed))
        costs = stacked(units, SLOTS)
        if largest and genes.skips:
            costs += self._held(masses, genes, space, time, len(units))
        slots = jnp.stack(there)[..., None] * costs
        heads = [
            share * sizes.head(self.families.head, masses.ends[length - 1])
            for length, share in zip(choices.lengths, lengths)
        ]
        return jnp.concatenate([slots.ravel(), jnp.stack(heads)]), self._units(masses, genes, space, time, there)

    def of_network(self, network: Network) -> float:
        """The cost of one lowered network, exactly."""
        layers = sum(self.costs.one(layer) for layer in network.layers())
        return self.constant + self.unit_cost * len(network.units) + layers + self.costs.one(network.head)

    def of_genotype(self, genotype: Genotype) -> float:
        """The cost of one network, exactly."""
        return self.of_network(lower(genotype, self.num_classes, channels=self.channels, head=self.head_kind))

    def tables(self, plan: Plan) -> ExpectedCost:
        """The exact costs of the networks of one plan and its prefixes; the last ones are kept."""
        plan = self.shapes.canonical(plan)
        if plan not in self._tables:
            while len(self._tables) >= _KEPT:
                self._tables.pop(next(iter(self._tables)))
            lengths = tuple(len(prefix.blocks) for prefix in self.shapes.prefixes(plan))
            choices = dataclasses.replace(ShapeChoices.fixed(plan), num_blocks=lengths)
            self._tables[plan] = ExpectedCost(
                ShapeSpace(choices),
                self.operators,
                self.num_classes,
                self.costs.one,
                unit_cost=self.unit_cost,
                constant=self.constant,
                channels=self.channels,
                head=self.head_kind,
            )
        return self._tables[plan]

    def _filters(self, block: int, by_key: Mapping[ShapeKey, Array], by_gene: Mapping[str, Array]) -> Array:
        """``[F]``: chances of every number of filters of one block."""
        joint = jnp.outer(by_key[ShapeKey("filters", block)], by_gene["filters"][block]).ravel()
        rows = [width for row in self._tops[block] for width in row]
        return joint @ (np.array(rows)[:, None] == np.array(self._pairs.filters)).astype(float)

    def _on_strides(self, gene: str, block: int, by_key: Mapping[ShapeKey, Array]) -> Array:
        """``[strides]``: chances of every stride."""
        values = np.array(self.shapes.values(ShapeKey(gene, block)))
        return by_key[ShapeKey(gene, block)] @ (values[:, None] == np.array(self._strides[gene])).astype(float)

    def _flow(self, by_key: Mapping[ShapeKey, Array], space: Array, time: Array, genes: BlockGenes) -> Flow:
        d, choices = self._dimensions, self.shapes.choices
        frames = by_key[ShapeKey("num_frames")] @ _places(choices.num_frames, d.time.sizes)
        sides = by_key[ShapeKey("image_size")] @ _places(choices.image_size, d.space.sizes)
        width = self._widths.rows([self.channels])[0]
        start = jnp.asarray(width, frames.dtype)[:, None, None] * jnp.outer(frames, sides)
        steps = (
            jnp.einsum("bx,gsxu->bgsu", space, jnp.asarray(d.steps.space, frames.dtype)),
            jnp.einsum("by,ctyv->bctv", time, jnp.asarray(d.steps.time, frames.dtype)),
        )
        return flow(start, *steps, genes.widths)

    def _units(self, flow: Flow, genes: BlockGenes, space: Array, time: Array, there: Sequence[Array]) -> Array:
        """What units cost besides their layers; ``there`` is how many first, odd and even ones there are, ``[b]``."""
        if not self.unit_cost:
            return jnp.zeros((), space.dtype)
        if not genes.opens:
            return self.unit_cost * jnp.stack(list(there)).sum()
        nulls = NullChances(self._nulls, self._dimensions, genes)
        units = IdleUnits(self._dimensions, flow, genes, nulls, space, time)
        idle = [units.first(), *(units.later(timed) for timed, _ in zip((False, True), there[1:]))]
        return self.unit_cost * (jnp.stack(list(there)) * (1 - jnp.stack(idle))).sum()

    def _held(self, flow: Flow, genes: BlockGenes, space: Array, time: Array, kinds: int) -> Array:
        """``[kinds, b, slots]``: values that shortcuts hold."""
        narrow = sorted({o for o, _ in self.families.kernels["std"] + self.families.kernels["depth"]})
        nulls = NullChances(self._nulls, self._dimensions, genes)
        widths = np.array(self._widths.nodes, float)
        held = HeldValues(self._dimensions, flow, genes, nulls, space, time, widths, narrow)
        return jnp.stack([held.first(), *(held.later(timed) for timed in (False, True)[: kinds - 1])])

    def _repeats(self, block: int, repeat: int, by_key: Mapping[ShapeKey, Array], *, first: bool) -> Array:
        """How many odd units (1) or even ones behind the first (2) there are on average, or the chance of one."""
        values = self.shapes.values(ShapeKey("repeats", block))
        counts = [len(range(repeat, count, 2)[:1] if first else range(repeat, count, 2)) for count in values]
        return by_key[ShapeKey("repeats", block)] @ np.array(counts, float)


def _places(values: Sequence[int], among: Sequence[int]) -> np.ndarray:
    return (np.array(values)[:, None] == np.array(among)).astype(float)
