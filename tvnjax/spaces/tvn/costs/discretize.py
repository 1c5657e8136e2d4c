"""From gene weights to networks: the likeliest ones of a plan whose predicted cost lies in a window.

A multiple-choice knapsack: every block takes one candidate of every choice, blocks are tied by the width between them.
Networks come out likeliest first, by best-first search: partial networks are ordered by the log-probability of their
genes plus the most that the rest can still add within the window. That bound is computed backwards over bins of cost
and rounded in favour of the partial network, so the order is exact; what the rounding costs is time alone.
"""

import dataclasses
import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from tvnjax.graph import Network
from tvnjax.spaces.relaxing import Choice
from tvnjax.spaces.tvn.costs.bounds import AnyCost, cell_indices, plan_values, tables_of
from tvnjax.spaces.tvn.costs.contexts import InputContext, first_context
from tvnjax.spaces.tvn.costs.expected import ExpectedCost
from tvnjax.spaces.tvn.costs.options import BlockOptions, Group, Variant
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.relaxed import RelaxedBlock, relax_plan
from tvnjax.spaces.tvn.shapes import Plan, ShapeKey

Probabilities = Sequence[Mapping[str, Any]]
"""For every block and gene the probabilities of its candidates, masked for the plan or not."""

_BINS = 1024
"""Partial networks are told apart by cost in this many steps of the limit, for the bound alone."""

_MOST_STEPS = 100_000
"""Partial networks looked at before the search gives up."""

_MOST_DRAWN = 50
"""Networks looked at for each one wanted, where some break a further limit."""


def discretize(
    probabilities: Probabilities,
    expected: AnyCost,
    plan: Plan,
    limit: float,
    *,
    floor: float = 0.0,
    count: int = 1,
    also: Sequence[tuple[Callable[[Network], float], float]] = (),
) -> list[Choice]:
    """The ``count`` likeliest networks of a plan with a predicted cost in (``floor``, ``limit``], likeliest first.

    Choices that are inactive in the plan are not counted in the likelihood, and genotypes that are one network are
    listed once. Order and completeness are exact, unless the search gives up: after ``_MOST_STEPS`` partial networks,
    or ``_MOST_DRAWN * count`` networks where many are the same or break a further limit. Then what was found by then is
    returned, the likeliest nevertheless; where nothing was, some network of the window that a dive finds.

    Args:
        probabilities: of the plan's blocks; those of further blocks are ignored.
        expected: the cost, none of whose layers costs less than 0; its space holds the plan.
        also: further costs of a lowered network (such as ``ExpectedCost.of_network``) and the most each may be.

    Raises:
        InvalidInputError: the plan is not of the cost's space.
    """
    expected = tables_of(expected, plan)
    found: dict[str, Choice] = {}
    drawn = _networks(probabilities, expected, plan, limit, floor)
    for genotype, score in itertools.islice(drawn, _MOST_DRAWN * count):
        network = lower(genotype, expected.num_classes, channels=expected.channels, head=expected.head_kind)
        cost = expected.of_network(network)
        if floor < cost <= limit and all(price(network) <= most for price, most in also):
            choice = Choice(genotype=genotype, log_probability=score, predicted_ms=cost)
            found.setdefault(genotype.id, choice)
        if len(found) == count:
            break
    return list(found.values())


@dataclasses.dataclass(frozen=True)
class _Chain:
    """One variant and cell of a block for one received width: groups of options taken one after another."""

    base: float
    score: float
    indices: Mapping[str, int]
    groups: tuple[Group, ...]
    costs: tuple[np.ndarray, ...]
    scores: tuple[np.ndarray, ...]
    end: tuple[int, int]
    """Index of the width behind the block, and whether behind a relu."""


class _Bounds:
    """Most log-probability that the rest of a network can add, by bins of the cost so far."""

    def __init__(self, probabilities: Probabilities, expected: ExpectedCost, plan: Plan, limit: float, floor: float):
        self._expected, self._limit, self._floor = expected, limit, floor
        self.step = limit / _BINS
        self.values = plan_values(expected, plan)
        self.relaxed = relax_plan(expected.shapes.canonical(plan), expected.operators)
        self._variants: list[list[Variant]] = []
        sizes = self.relaxed
        front = InputContext(sizes.num_frames, sizes.image_size)
        for index, block in enumerate(sizes.blocks):
            fixed = block.fixed
            context = first_context(front, fixed.spatial_stride, fixed.temporal_stride)
            self._variants.append(list(BlockOptions(expected, index, context, fixed.repeats).variants()))
            front = context.behind
        contexts = expected.blocks[len(sizes.blocks) - 1].contexts
        self._heads = expected.heads[len(sizes.blocks)][contexts.next_fronts.index(front)]
        self._scores = [_log_probabilities(block, p) for block, p in zip(sizes.blocks, probabilities)]
        self.chains = cache(self._chains)
        self.of_state = cache(self._of_state)
        self.of_chain = cache(self._of_chain)

    @property
    def blocks(self) -> int:
        return len(self.relaxed.blocks)

    def head(self, width: int) -> float:
        return float(self._heads[width])

    def top(self, index: int) -> int:
        """The block's bucket."""
        return self.values[ShapeKey("filters", index)][0]

    def at(self, bounds: np.ndarray, cost: float) -> float:
        """A bound for one cost so far."""
        bin = int(cost / self.step)
        return float(bounds[bin]) if bin < len(bounds) else -np.inf

    def _of_state(self, index: int, width: int, relu: int) -> np.ndarray:
        """In front of block ``index``, ``[bins + 1]``."""
        if index == self.blocks:
            # A hair wider than the window: rounding must not lose a network at its edge.
            slack = 1e-6 * self.step
            lowest = np.arange(_BINS + 1) * self.step + self.head(width)
            fits = (lowest <= self._limit + slack) & (lowest + self.step >= self._floor - slack)
            return np.where(fits, 0.0, -np.inf)
        bounds = np.full(_BINS + 1, -np.inf)
        for chain in self.chains(index, width, relu):
            first = self._backwards(index, chain)[0]
            bounds = np.maximum(bounds, chain.score + _shifted(first, np.array([chain.base / self.step]))[0])
        return bounds

    def _of_chain(self, index: int, width: int, relu: int, number: int) -> list[np.ndarray]:
        """In front of every group of a chain, and behind the last."""
        return self._backwards(index, self.chains(index, width, relu)[number])

    def _backwards(self, index: int, chain: _Chain) -> list[np.ndarray]:
        bounds = [self.of_state(index + 1, *chain.end)]
        for costs, scores in zip(chain.costs[::-1], chain.scores[::-1]):
            bounds.insert(0, (_shifted(bounds[0], costs / self.step) + scores[:, None]).max(0))
        return bounds

    def _chains(self, index: int, width: int, relu: int) -> list[_Chain]:
        contexts, scores, chains = self._expected.blocks[index].contexts, self._scores[index], []
        filters = self._expected.operators.filters(self.top(index))
        for variant in self._variants[index]:
            if variant.after is not None and variant.after != bool(relu):
                continue
            likely = [_likely(group, scores) for group in variant.groups]
            if not all(len(kept) for kept, _ in likely):
                continue
            for cell in np.flatnonzero(variant.cells & np.isin(contexts.cells.filters, filters)):
                indices = cell_indices(self._expected, index, self.top(index), int(cell))
                score = sum(float(scores[gene][i]) for gene, i in indices.items())
                if not np.isfinite(score):
                    continue
                groups = tuple(
                    Group(g.genes, g.indices[kept], g.cost[kept]) for g, (kept, _) in zip(variant.groups, likely)
                )
                chains.append(
                    _Chain(
                        base=float(variant.base[width, cell]),
                        score=score,
                        indices=indices,
                        groups=groups,
                        costs=tuple(group.cost[:, width, cell] for group in groups),
                        scores=tuple(s for _, s in likely),
                        end=(contexts.next_widths.index(int(variant.out[width, cell])), int(variant.relu)),
                    )
                )
        return chains


def _networks(
    probabilities: Probabilities, expected: ExpectedCost, plan: Plan, limit: float, floor: float
) -> Iterator[tuple[Genotype, float]]:
    """Networks of the plan in the window, and their log-probability, likeliest first."""
    if limit <= 0:
        return
    bounds = _Bounds(probabilities, expected, plan, limit, floor)
    order = itertools.count()
    # Ordered by bound; of equal ones the longest first, so that ties are not explored all at once. Rounded, because
    # the same terms added in another order differ in the last digit.
    heap: list[tuple] = []
    diving = found = False

    def push(bound: float, depth: int, score: float, cost: float, where: tuple, path: Any) -> None:
        if bound > -np.inf:
            keys = (-depth, -round(bound, 9)) if diving else (-round(bound, 9), -depth)
            heapq.heappush(heap, (*keys, next(order), score, cost, where, path))

    start = (0, 0, 0)
    push(bounds.at(bounds.of_state(*start), expected.constant), 0, 0.0, expected.constant, (start, None, 0), None)
    for step in range(2 * _MOST_STEPS):
        if not heap or (found and step >= _MOST_STEPS):
            return
        if step == _MOST_STEPS:
            # Nothing yet: from here on the longest first, which finds one soon, if not the likeliest.
            diving = True
            heap = [(entry[1], entry[0], *entry[2:]) for entry in heap]
            heapq.heapify(heap)
        *keys, _, score, cost, (state, number, position), path = heapq.heappop(heap)
        depth = 1 - keys[0 if diving else 1]
        index = state[0]
        if index == bounds.blocks:
            found = True
            yield bounds.relaxed.decode(_indices(path, bounds.blocks)), score
            continue
        chains = bounds.chains(*state)
        if number is None:
            for n, chain in enumerate(chains):
                likely, dear = score + chain.score, cost + chain.base
                rest = bounds.at(bounds.of_chain(*state, n)[0], dear)
                push(likely + rest, depth, likely, dear, (state, n, 0), (path, index, chain.indices))
            continue
        chain = chains[number]
        group, last = chain.groups[position], position + 1 == len(chain.groups)
        after = bounds.of_chain(*state, number)[position + 1]
        for option, (more_cost, more_score) in enumerate(zip(chain.costs[position], chain.scores[position])):
            likely, dear = score + float(more_score), cost + float(more_cost)
            where = ((index + 1, *chain.end), None, 0) if last else (state, number, position + 1)
            rest = bounds.at(after, dear)
            chosen = dict(zip(group.genes, map(int, group.indices[option])))
            push(likely + rest, depth, likely, dear, where, (path, index, chosen))


def _shifted(bounds: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """``[options, bins + 1]``: the bounds behind options that take so many steps of cost.

    A cost somewhere in its bin ends in one of two: the better of them counts.
    """
    either = np.maximum(bounds, np.append(bounds[1:], -np.inf))
    padded = np.append(either, np.full(len(bounds), -np.inf))
    at = np.arange(len(bounds)) + np.minimum(np.floor(steps), len(bounds)).astype(int)[:, None]
    return padded[at]


def _likely(group: Group, scores: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Options that can be taken, and their log-probabilities."""
    total = sum(scores[gene][group.indices[:, i]] for i, gene in enumerate(group.genes))
    total = np.asarray(total, float)
    kept = np.flatnonzero(np.isfinite(total))
    return kept, total[kept]


def _log_probabilities(block: RelaxedBlock, p: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """By gene, of each candidate: renormalised over the legal ones; of an inactive gene 0 for its default alone."""
    scores = {}
    for gene, values in p.items():
        legal = block.legal(gene)
        if gene in block.active:
            weights = np.maximum(np.asarray(values, float), 1e-12) * legal
            scores[gene] = np.where(legal, np.log(np.maximum(weights / weights.sum(), 1e-300)), -np.inf)
        else:
            scores[gene] = np.where(np.arange(len(legal)) == block.default(gene), 0.0, -np.inf)
    return scores


def _indices(path: Any, blocks: int) -> tuple[dict[str, int], ...]:
    chosen: list[dict[str, int]] = [{} for _ in range(blocks)]
    while path is not None:
        path, index, genes = path
        chosen[index] |= genes
    return tuple(chosen)
