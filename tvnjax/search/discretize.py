"""From gene weights to networks: the likeliest ones whose predicted latency fits.

A multiple-choice knapsack: every block takes one candidate of every choice, blocks are tied by the width between them.
"""

import dataclasses

import numpy as np

from tvnjax.latency.expected import ExpectedCost
from tvnjax.space.canonical import genotype_id
from tvnjax.space.genotype import Genotype
from tvnjax.space.relaxed import GENES, RelaxedBlock

Probabilities = tuple[dict[str, np.ndarray], ...]
"""For each block and each of ``GENES`` the probabilities of its candidates."""

_COST_STEPS = 512
"""Partial networks are told apart by cost in this many steps of the limit."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """One network of the projection."""

    genotype: Genotype
    log_probability: float
    predicted_ms: float


@dataclasses.dataclass
class _Partial:
    """Partial networks that end in one width: score and cost of each, and the options that led there."""

    score: np.ndarray
    cost: np.ndarray
    path: np.ndarray
    """``[partials, blocks]``: flat option index of every block so far."""

    def best(self, limit: float, count: int) -> "_Partial":
        """Keeps those that fewer than ``count`` others beat in both cost and score."""
        kept = _undominated(self.score, self.cost, limit, count)
        return _Partial(self.score[kept], self.cost[kept], self.path[kept])


def discretize(
    probabilities: Probabilities, expected: ExpectedCost, limit_ms: float, *, count: int = 1, channels: int = 3
) -> list[Choice]:
    """The ``count`` likeliest networks of predicted latency at most ``limit_ms``, the likeliest first.

    Inactive choices are not counted in the likelihood, and genotypes that are one network are listed once, so there
    may be fewer. Empty where no network fits.
    """
    plan = expected.plan
    # Some of the best may turn out to be one network.
    keep = 2 * count
    partials = {channels: _Partial(np.zeros(1), np.full(1, expected.constant), np.zeros((1, 0), int))}
    for index, (block, p) in enumerate(zip(plan.blocks, probabilities)):
        scores = _scores(block, p)
        sizes = np.broadcast_to(
            np.outer(block.filters, block.expand)[None, None, :, :, None, None, None], scores.shape
        ).ravel()
        scores = scores.ravel()
        reached: dict[int, list[_Partial]] = {width: [] for width in block.widths}
        for c, partial in partials.items():
            costs = expected.block_options(index, c).ravel()
            for width in block.widths:
                options = np.flatnonzero((sizes == width) & np.isfinite(scores))
                options = options[_undominated(scores[options], costs[options], limit_ms, keep)]
                if len(options):
                    reached[width].append(_extend(partial, options, scores, costs))
        partials = {width: _concatenate(parts).best(limit_ms, keep) for width, parts in reached.items() if parts}
    ended = []
    for width, partial in partials.items():
        head = float(expected.head[plan.blocks[-1].widths.index(width)])
        ended += [(s, c + head, path) for s, c, path in zip(partial.score, partial.cost, partial.path)]
    choices: dict[str, Choice] = {}
    for score, cost, path in sorted(ended, key=lambda entry: -entry[0]):
        genotype = plan.decode(_indices(plan.blocks, path))
        if cost <= limit_ms and len(choices) < count:
            choice = Choice(genotype=genotype, log_probability=float(score), predicted_ms=float(cost))
            choices.setdefault(genotype_id(genotype), choice)
    return list(choices.values())


def _shape(block: RelaxedBlock) -> tuple[int, ...]:
    return tuple(len(block.candidates(gene)) for gene in GENES)


def _scores(block: RelaxedBlock, p: dict[str, np.ndarray]) -> np.ndarray:
    """Log-probability of every assignment of a block's genes, axes in the order of ``GENES``."""
    total = np.zeros(_shape(block))
    for axis, gene in enumerate(GENES):
        if gene in block.active:
            score = np.log(np.maximum(np.asarray(p[gene], float), 1e-12))
        else:
            score = np.where(np.arange(total.shape[axis]) == 0, 0.0, -np.inf)
        total = total + np.expand_dims(score, [other for other in range(len(GENES)) if other != axis])
    return total


def _undominated(score: np.ndarray, cost: np.ndarray, limit: float, count: int) -> np.ndarray:
    """Indices of those within the limit that fewer than ``count`` cheaper ones outscore, ``count`` a step of cost at
    most."""
    within = np.flatnonzero(cost <= limit)
    step = np.floor(cost[within] / limit * _COST_STEPS)
    within = within[np.lexsort((-score[within], step))]
    kept, leaders = [], np.full(count, -np.inf)
    for index in within:
        if score[index] > leaders[0]:
            leaders[0] = score[index]
            leaders.sort()
            kept.append(index)
    return np.array(kept, int)


def _extend(partial: _Partial, options: np.ndarray, scores: np.ndarray, costs: np.ndarray) -> _Partial:
    rows = np.repeat(np.arange(len(partial.score)), len(options))
    chosen = np.tile(options, len(partial.score))
    return _Partial(
        partial.score[rows] + scores[chosen],
        partial.cost[rows] + costs[chosen],
        np.concatenate([partial.path[rows], chosen[:, None]], axis=1),
    )


def _concatenate(parts: list[_Partial]) -> _Partial:
    return _Partial(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("score", "cost", "path")))


def _indices(blocks: tuple[RelaxedBlock, ...], path: np.ndarray) -> tuple[dict[str, int], ...]:
    return tuple(
        dict(zip(GENES, map(int, np.unravel_index(option, _shape(block))))) for block, option in zip(blocks, path)
    )
