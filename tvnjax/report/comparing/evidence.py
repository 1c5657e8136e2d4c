"""What several runs say of each strategy, gathered from their directories alone."""

import dataclasses
import functools
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from tvnjax.report.comparing.statistics import (
    Interval,
    RankCorrelation,
    gene_correlation,
    hypervolume,
    mean_interval,
    probability_of_improvement,
    rank_correlation,
)
from tvnjax.report.record import RunRecord, StrategyResult, number

Key = tuple[str, int]
"""Which seed: of which run (empty where the seeds of all runs differ), and its number."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """One strategy with one seed."""

    result: StrategyResult
    key: Key
    candidates: tuple[dict[str, Any], ...]
    """Events of its proposals: refused, or trained to the end."""

    @property
    def points(self) -> list[tuple[float, float]]:
        """Measured milliseconds and validation top-1 of the networks it trained."""
        pairs = ((number(c, "latency_ms"), number(c, "top1")) for c in self.candidates)
        return [(ms, top1) for ms, top1 in pairs if ms is not None and top1 is not None]

    @property
    def distinct(self) -> int:
        """Different networks it trained."""
        return len({str(c.get("id")) for c in self.candidates if number(c, "top1") is not None})

    def curve(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Charged seconds and the best fitness from each on; ``None`` without a fitness."""
        pairs = [(number(c, "charged_s"), number(c, "fitness")) for c in self.candidates]
        known = sorted((s, f) for s, f in pairs if s is not None and f is not None)
        if not known:
            return None
        seconds, fitness = np.array(known).T
        end = max(seconds[-1], self.result.seconds or 0.0)
        best = np.maximum.accumulate(fitness)
        return np.append(seconds, end), np.append(best, best[-1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """One strategy against another."""

    ours: str
    theirs: str
    difference: Interval
    """Of top-1, ours minus theirs, paired by seed."""
    improvement: float
    """Probability that a run of ours has the higher top-1."""
    seconds: float | None
    """Ours as a part of theirs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inherited:
    """How scores with a supernet's weights order networks, beside what a second training does."""

    supernet: RankCorrelation | None
    ceiling: RankCorrelation | None
    """Of two trainings of the same networks with different seeds."""
    genes: dict[str, tuple[float, float, int]]


class Evidence:
    """Runs read together.

    Args:
        records: run directories, each of one seed or of several.
    """

    def __init__(self, records: Sequence[RunRecord]):
        self.records = records
        pairs = [(result.name, result.seed) for record in records for result in record.results]
        together = len(set(pairs)) == len(pairs)
        self.searches: list[Search] = [
            Search(
                result=result,
                key=("" if together else record.name, result.seed),
                candidates=tuple(record.candidates(strategy=result.name, seed=result.seed)),
            )
            for record in records
            for result in record.results
        ]

    @property
    def strategies(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(search.result.name for search in self.searches))

    def of(self, strategy: str) -> list[Search]:
        return [search for search in self.searches if search.result.name == strategy]

    @functools.cached_property
    def reference_ms(self) -> float | None:
        """What hypervolumes are taken up to: the largest budget, or the slowest network where there is none."""
        budgets = [s.result.budget_ms for s in self.searches if s.result.budget_ms]
        slowest = [ms for s in self.searches for ms, _ in s.points]
        return max(budgets or slowest, default=None)

    def hypervolumes(self, strategy: str) -> list[float | None]:
        """One for each seed, over the networks it trained."""
        reference = self.reference_ms
        return [
            hypervolume(search.points, reference) if reference and search.points else None
            for search in self.of(strategy)
        ]

    def pair(self, ours: str, theirs: str) -> Pair | None:
        """Compares two strategies over the seeds that both have; ``None`` where there is none."""
        left, right = ({s.key: s.result for s in self.of(name)} for name in (ours, theirs))
        both = [key for key in left if key in right]
        known = [(a, b) for key in both if (a := left[key].top1) is not None and (b := right[key].top1) is not None]
        if not known:
            return None
        seconds = [(left[key].seconds, right[key].seconds) for key in both]
        ratios = [a / b for a, b in seconds if a and b]
        return Pair(
            ours=ours,
            theirs=theirs,
            difference=mean_interval([a - b for a, b in known]),
            improvement=probability_of_improvement([a for a, _ in known], [b for _, b in known]),
            seconds=statistics.fmean(ratios) if ratios else None,
        )

    def inherited(self) -> Inherited:
        """Over networks that were scored with inherited weights and trained from scratch as well."""
        scored: dict[str, float] = {}
        trained: dict[str, dict[Any, float]] = {}
        genes: dict[str, dict[str, Any]] = {}
        for record in self.records:
            for event in record.select("candidate"):
                identity, top1 = str(event.get("id")), number(event, "top1")
                if top1 is None:
                    continue
                if event.get("scoring") == "inherited":
                    scored.setdefault(identity, top1)
                elif (number(event, "part") or 1.0) >= 1:
                    trained.setdefault(identity, {}).setdefault(str(event.get("seed")), top1)
                    genes.setdefault(identity, _genes(event.get("genotype")))
        both = [identity for identity in trained if identity in scored]
        twice = [list(seeds.values())[:2] for seeds in trained.values() if len(seeds) > 1]
        truth = [statistics.fmean(trained[identity].values()) for identity in both]
        scores = [scored[identity] for identity in both]
        return Inherited(
            supernet=rank_correlation(scores, truth) if both else None,
            ceiling=rank_correlation([a for a, _ in twice], [b for _, b in twice]) if twice else None,
            genes=gene_correlation([genes[identity] for identity in both], scores, truth) if len(both) > 1 else {},
        )


def _genes(genotype: Any) -> dict[str, Any]:
    """Genes by name, those of a block with its number."""
    if not isinstance(genotype, dict) or not isinstance(genotype.get("blocks"), list):
        return {}
    genes = {key: value for key, value in genotype.items() if isinstance(value, int)}
    for index, block in enumerate(genotype["blocks"]):
        if isinstance(block, dict):
            scalars = {gene: value for gene, value in block.items() if isinstance(value, str | int | float)}
            genes |= {f"{gene} of block {index + 1}": value for gene, value in scalars.items()}
    return genes
