"""Expected cost of a relaxed space, exactly, for any cost that is a sum over layers.

What a layer costs depends on the sizes it meets, hence on the shape genes, and on the channels it receives, hence on
earlier operators. The distribution over what a block receives (frames, side, channels) is propagated block by block, so
the result is the mean over the networks one would draw, not probabilities times costs at some nominal size. Inside a
unit the genes that decide widths are conditioned on: filters, expand, inverted, and whether spatial and temporal
operator are bypasses (pool, identity) or convolutions; everything else is averaged in closed form. Differentiable in
every probability; at one-hot probabilities it is that network's own cost.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Head, HeadKind, Network, Shape
from tvnjax.spaces.tvn.costs.contexts import BlockContexts, InputContext, positions
from tvnjax.spaces.tvn.costs.expected_unit_cost import ExpectedUnitCost, UnitStack
from tvnjax.spaces.tvn.costs.probabilities import GeneProbabilities, striding
from tvnjax.spaces.tvn.costs.table_sizes import check_size
from tvnjax.spaces.tvn.costs.unit_cost_tables import LayerCost, LayerCosts, UnitTables
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.relaxed import GENES, OperatorChoices
from tvnjax.spaces.tvn.shapes import Plan, ShapeChoices, ShapeKey, ShapeSpace


class BlockTables:
    """Tables of one block: its first unit, and its odd and even later ones where it can have them."""

    def __init__(self, contexts: BlockContexts):
        self.contexts = contexts
        kept = contexts.widths if contexts.can_keep else []
        relaxed, cells = contexts.relaxed, contexts.cells
        self.first = UnitTables(contexts.first, contexts.widths, cells, kept, relaxed)
        self.later = {
            timed: UnitTables(contexts.later[timed], None, cells, kept, relaxed)
            for timed in (False, True)
            if contexts.repeats > 1 + timed
        }

    @property
    def units(self) -> list[UnitTables]:
        return [self.first, *self.later.values()]

    def unit(self, repeat: int) -> UnitTables:
        """Of repeat 0; of all odd ones (1); of all even ones behind the first (2)."""
        return self.later[repeat == 2] if repeat else self.first


class ExpectedCost:
    """Mean cost of the networks drawn from operator and shape probabilities; see the module's docstring.

    Args:
        shapes: plans; ``ExpectedCost.of_plan`` makes the space of one.
        cost: cost of one layer or of the head, in any unit.
        unit_cost: added for every unit that is not left out as idle.
        constant: added once.

    Raises:
        InvalidInputError: the space is too large to tabulate, or some block is left without a legal candidate.
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
    ):
        self.shapes, self.operators, self.num_classes = shapes, operators, num_classes
        self.unit_cost, self.constant, self.channels = unit_cost, constant, channels
        self.head_kind: HeadKind = head
        self.errors: dict[str, float] = {}
        """None: the mean is exact."""
        self.costs = LayerCosts(cost)
        choices = shapes.choices
        check_size(choices, operators, channels)
        self.fronts = sorted({InputContext(t, side) for t in choices.num_frames for side in choices.image_size})
        fronts, widths = self.fronts, [channels]
        self.blocks: list[BlockTables] = []
        for block in choices.blocks:
            self.blocks.append(BlockTables(BlockContexts(fronts, widths, block, operators)))
            fronts, widths = self.blocks[-1].contexts.next_fronts, self.blocks[-1].contexts.next_widths
        self._check_candidates()
        for block in self.blocks:
            for unit in block.units:
                unit.fill(self.costs)
        firsts = [(index, 0) for index in range(len(self.blocks))]
        later = [(index, 1 + timed) for index, block in enumerate(self.blocks) for timed in block.later]
        self.stacks = [
            (UnitStack([self.blocks[b].unit(r) for b, r in keys], [b for b, _ in keys]), keys)
            for keys in (firsts, later)
            if keys
        ]
        self.heads = {
            length: np.array(
                [[self.head_cost(front, width) for width in contexts.next_widths] for front in contexts.next_fronts]
            )
            for length in choices.lengths
            for contexts in [self.blocks[length - 1].contexts]
        }
        """By number of blocks, ``[fronts, widths]``: cost of the head."""

    @classmethod
    def of_plan(
        cls, plan: Plan, operators: OperatorChoices, num_classes: int, cost: LayerCost, **options: Any
    ) -> "ExpectedCost":
        """Expected cost of the networks of one plan; called without shape probabilities."""
        return cls(ShapeSpace(ShapeChoices.fixed(plan)), operators, num_classes, cost, **options)

    def __call__(
        self, operators_p: Sequence[Mapping[str, Any]], shapes_p: Mapping[ShapeKey, Any] | None = None
    ) -> Array:
        """The mean cost, a scalar.

        Args:
            operators_p: for every block the probabilities of each gene's candidates, in the order of ``RelaxedBlock``.
                Candidates a plan cannot have are masked and the rest renormalised (all legal ones alike where only
                illegal ones have probability).
            shapes_p: probabilities of every shape gene's values; may be left out where each has one value.
        """
        slots, units = self.slots(operators_p, shapes_p)
        return self.constant + slots.sum() + units

    def slots(
        self,
        operators_p: Sequence[Mapping[str, Any]],
        shapes_p: Mapping[ShapeKey, Any] | None = None,
        *,
        largest: bool = False,
    ) -> tuple[Array, Array]:
        """Expected cost of every kind of layer by block and repeat, ``[slots]``, and the cost of units, a scalar.

        Odd repeats of a block are one slot, and so are even ones behind the first.

        Args:
            largest: do not add up the repeats of a slot, but give the largest one's; and add the values of the unit's
                input where a shortcut holds it beside a layer. What ``ExpectedMemory`` needs.
        """
        if len(operators_p) != len(self.blocks):
            raise InvalidInputError(
                f"expected costs take probabilities for every block of the space, {len(self.blocks)}; got "
                f"{len(operators_p)}: also give those of blocks that may be absent"
            )
        shapes_p = self.shapes.given(shapes_p)
        dtype = jnp.result_type(float, *jax.tree.leaves([dict(p) for p in operators_p]))
        sizes = {key: jnp.asarray(p, dtype) for key, p in shapes_p.items()}
        by_gene = {gene: jnp.stack([jnp.asarray(p[gene], dtype) for p in operators_p]) for gene in GENES}
        draws = GeneProbabilities.of(by_gene, self.blocks[0].contexts.relaxed, self.operators.non_local_tokens)
        cells = [self._cells(index, by_gene, sizes) for index in range(len(self.blocks))]
        masses, states = self._masses(sizes, draws, cells)
        relu = by_gene["act"] @ np.array([act == "relu" for act in self.operators.act], float)
        lengths, every = sizes[ShapeKey("num_blocks")], self.shapes.choices.lengths
        alive = [lengths @ np.array([length > b for length in every], float) for b in range(len(self.blocks))]
        slots: list[Array] = []
        total = jnp.zeros((), dtype)
        for stack, keys in self.stacks:
            mean = self._unit_mean(stack, keys, draws, cells, masses)
            after = jnp.stack([(relu[b - 1] if b else 0 * relu[0]) if r == 0 else 0 * relu[0] + 1 for b, r in keys])
            there = [alive[b] * self._repeats(b, r, sizes, first=largest) for b, r in keys]
            costs = mean.slots() + (mean.held() if largest else 0.0)
            slots.append((jnp.stack(there)[:, None] * costs).ravel())
            total += self.unit_cost * (jnp.stack(there) * mean.units(after)).sum()
        heads = [
            share * (states[length] * jnp.asarray(self.heads[length], dtype)).sum()
            for length, share in zip(every, lengths)
        ]
        return jnp.concatenate([*slots, jnp.stack(heads)]), total

    def of_network(self, network: Network) -> float:
        """The cost of one lowered network."""
        layers = sum(self.costs.one(layer) for layer in network.layers())
        return self.constant + self.unit_cost * len(network.units) + layers + self.costs.one(network.head)

    def of_genotype(self, genotype: Genotype) -> float:
        """The cost of one network."""
        return self.of_network(lower(genotype, self.num_classes, channels=self.channels, head=self.head_kind))

    def head_cost(self, front: InputContext, width: int) -> float:
        shape = Shape(front.frames, front.side, front.side, width)
        return self.costs.one(Head(in_shape=shape, num_classes=self.num_classes, pool=self.head_kind))

    def _cells(self, index: int, by_gene: Mapping[str, Array], sizes: Mapping[ShapeKey, Array]) -> Array:
        """``[n]``: probabilities of a block's cells."""
        contexts = self.blocks[index].contexts
        joint = jnp.outer(sizes[ShapeKey("filters", index)], by_gene["filters"][index]).ravel()
        filters = joint @ contexts.onto_filters.reshape(len(joint), -1)
        widths = jnp.outer(by_gene["expand"][index], by_gene["inverted_bottleneck"][index]).ravel()
        return jnp.outer(filters, widths).ravel()

    def _masses(
        self, sizes: Mapping[ShapeKey, Array], draws: GeneProbabilities, cells: list[Array]
    ) -> tuple[list[Array], list[Array]]:
        """For every block ``[contexts, widths]`` of its first unit, and ``[fronts, widths]`` before each block and
        behind the last."""
        choices = self.shapes.choices
        at = positions([InputContext(t, side) for t in choices.num_frames for side in choices.image_size], self.fronts)
        joint = jnp.outer(sizes[ShapeKey("num_frames")], sizes[ShapeKey("image_size")]).ravel()
        masses, states = [], [_sums(joint[:, None], at, len(self.fronts))]
        for index, (block, p) in enumerate(zip(self.blocks, cells)):
            contexts, state = block.contexts, states[-1]
            space, time = (sizes[ShapeKey(gene, index)] for gene in ("spatial_stride", "temporal_stride"))
            flow = (state[:, None, :] * jnp.outer(space, time).ravel()[:, None]).reshape(-1, state.shape[1])
            masses.append(mass := _sums(flow, contexts.flow.ravel(), len(contexts.first)))
            ends = (contexts.cells.out[:, None] == np.array(contexts.next_widths)).astype(float)
            reached = _sums(mass, contexts.onto_next, len(contexts.next_fronts))
            behind = jnp.outer(reached.sum(1), p @ ends)
            if contexts.can_keep:
                # Open blocks of bypasses do not end with their cell's width but keep what they received.
                opened = p * contexts.cells.open
                keeping = mass * draws.keeping(contexts.first, index)[:, None]
                kept = _sums(keeping, contexts.onto_next, len(contexts.next_fronts))
                same = (np.array(contexts.widths)[:, None] == np.array(contexts.next_widths)).astype(float)
                behind += kept @ same * opened.sum() - jnp.outer(kept.sum(1), opened @ ends)
            states.append(behind)
        return masses, states

    def _unit_mean(
        self,
        stack: UnitStack,
        keys: list[tuple[int, int]],
        draws: GeneProbabilities,
        cells: list[Array],
        masses: list[Array],
    ) -> ExpectedUnitCost:
        def pad(x: Array, width: int) -> Array:
            return jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((0, width - x.shape[-1]),))

        received, kept = [], []
        for (index, repeat), unit in zip(keys, stack.units):
            mass, onto = masses[index], self.blocks[index].contexts.onto_later
            if repeat:
                mass = _sums(mass, onto[repeat == 2], len(unit.contexts))
            received.append(pad(mass.sum(1, keepdims=True) if repeat else mass, stack.widths))
            kept.append(pad(mass[:, : len(unit.kept)], stack.kept))
        by_unit = jnp.stack([pad(cells[index], stack.cells) for index, _ in keys])
        return ExpectedUnitCost(stack, draws, by_unit, jnp.concatenate(received), jnp.concatenate(kept))

    def _repeats(self, index: int, repeat: int, sizes: Mapping[ShapeKey, Array], *, first: bool) -> Array:
        """How many units of a kind there are on average, or the probability that there is one."""
        contexts = self.blocks[index].contexts
        which = range(repeat, contexts.repeats, 2) if repeat else (0,)
        counts = [sum(n > r for r in (list(which)[:1] if first else which)) for n in contexts.shapes.repeats]
        return sizes[ShapeKey("repeats", index)] @ np.array(counts, float)

    def _check_candidates(self) -> None:
        for index, block in enumerate(self.blocks):
            for axis, legal, strides in (
                ("spatial", striding(block.contexts.relaxed.spatial), "strides_space"),
                ("temporal", striding(block.contexts.relaxed.temporal), "strides_time"),
            ):
                if not legal.any() and any(getattr(context, strides) for context in block.contexts.first):
                    raise InvalidInputError(
                        f"a block that strides needs an operator that strides; block {index} can stride, and its only "
                        f"{axis}_kernel is 1: the nearest legal kernel is 2"
                    )
            tokens = max(front.frames * front.side**2 for front in block.contexts.next_fronts)
            if 0 not in self.operators.non_local and tokens > self.operators.non_local_tokens:
                raise InvalidInputError(
                    f"a non-local layer sees at most {self.operators.non_local_tokens} positions; block {index} can "
                    f"have {tokens} and non_local {self.operators.non_local}: the nearest legal value is 0"
                )


def _sums(values: Array, onto: np.ndarray, count: int) -> Array:
    """Sums the rows of ``values`` that fall onto each of ``count`` rows."""
    # A product with a one-hot matrix: quicker to compile, and to run at these sizes, than a scatter.
    return (np.arange(count)[:, None] == onto).astype(values.dtype) @ values
