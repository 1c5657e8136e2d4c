"""What every strategy is given and gives back, so that none knows of training, of timing or of another strategy."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import numpy as np

from tvnjax.core.monitor import Monitor
from tvnjax.search.seconds import DeviceSeconds
from tvnjax.space.canonical import genotype_id
from tvnjax.space.genotype import Genotype
from tvnjax.space.search_space import Draw

Scoring = Literal["trained", "inherited"]
"""Trained from scratch, or scored with the weights of a supernet."""


class Space(Protocol):
    """What a strategy draws proposals from."""

    def sample(self, rng: np.random.Generator) -> Genotype: ...

    def mutate(self, genotype: Genotype, rng: np.random.Generator, *, draw: Draw = "gene") -> Genotype: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proposal:
    """A network to be evaluated, and how."""

    genotype: Genotype
    scoring: Scoring = "trained"
    part: float = 1.0
    """Of the short training's steps after which it is scored; a later proposal of the same network goes on from
    there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the runtime filter says of a network."""

    predicted_ms: float
    latency_ms: float | None
    """Measured; ``None`` where the prediction alone was far over the budget, or measuring failed."""
    feasible: bool
    reason: str | None = None
    seconds: float | None = None
    """Device seconds it took, where the clock cannot tell: elsewhere, or recorded. Compilation included."""
    compile_seconds: float = 0.0
    """Of ``seconds``."""
    known: bool = False
    """The verdict was there already; ``seconds`` are what it once took."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a short training from scratch says of a network, on the validation split; parts of 1."""

    top1: float
    top5: float
    compile_seconds: float
    failed: str | None = None
    """Why there is no accuracy, e.g. a loss that is not finite."""
    seconds: float | None = None
    """Device seconds it took, where the clock cannot tell: elsewhere, or recorded. Compilation included."""

    @property
    def fitness(self) -> float:
        """Top-1 plus top-5 (the paper, section 3.3)."""
        return self.top1 + self.top5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network a strategy proposed, with what was found of it. An infeasible one is never trained."""

    genotype: Genotype
    verdict: Verdict
    evaluation: Evaluation | None
    charged_s: float
    """Seconds its strategy had been charged when it was done."""
    scoring: Scoring = "trained"
    part: float = 1.0
    costs: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Device seconds: ``check`` and ``train``, and of each those of compiling, ``check_compile`` and
    ``train_compile``."""

    @property
    def whole(self) -> bool:
        """Whether it was trained from scratch to the end of the short training: what strategies are judged by."""
        return self.scoring == "trained" and self.part >= 1

    @property
    def usable(self) -> bool:
        """Whether it may be what a strategy ends with."""
        return self.whole and self.fitness > float("-inf")

    @property
    def id(self) -> str:
        return genotype_id(self.genotype)

    @property
    def fitness(self) -> float:
        """Minus infinity for what is infeasible or failed."""
        if self.evaluation is None or self.evaluation.failed:
            return float("-inf")
        return self.evaluation.fitness


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchTask:
    """The problem all strategies solve: one space, one filter, one way to evaluate."""

    space: Space
    budget_ms: float
    check: Callable[[Genotype], tuple[Verdict, float]]
    """The runtime filter; also returns the compile seconds it took."""
    evaluate: Callable[[Genotype, int, float], Evaluation]
    """Short training from scratch with a seed, up to a part of its steps, scored on the validation split."""
    screen: Callable[[Genotype], Verdict] | None = None
    """The filter without measuring, for proposals scored with inherited weights."""
    inherit: Callable[[Genotype], Evaluation] | None = None
    """Scores a network with a trained supernet's weights."""
    clocked: bool = True
    """Whether this process's clock tells device seconds; otherwise results bring their own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a strategy found and what it was charged."""

    name: str
    seed: int
    candidates: tuple[Candidate, ...]
    seconds: float
    """Everything, compilation included."""
    compile_seconds: float
    evaluations: int
    """Networks trained, in part or to the end."""
    infeasible: int
    """Proposals the filter refused."""
    best: Candidate | None
    """Fittest feasible candidate trained to the end; ``None`` where there is none."""
    spent: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """What the seconds went into (see ``DeviceSeconds``)."""


class Wait:
    """What a strategy answers that cannot propose before it is told more."""


WAIT = Wait()


class Strategy(Protocol):
    """Proposes genotypes and learns what became of them."""

    name: str

    def ask(self) -> Genotype | Proposal | Wait | None:
        """The next proposal, a plain genotype to be trained to the end; ``WAIT`` while results it needs are under way,
        ``None`` when the strategy has no more."""

    def tell(self, candidate: Candidate) -> None:
        """What became of a proposal."""


def as_proposal(asked: Genotype | Proposal) -> Proposal:
    return asked if isinstance(asked, Proposal) else Proposal(genotype=asked)


class Charge:
    """Counts what one strategy costs, and checks its proposals, until its seconds are spent.

    Args:
        limit_s: seconds the strategy may use; ``None`` for no limit.
        before: seconds charged already, by kind, for what the strategy builds on.
    """

    def __init__(
        self,
        name: str,
        seed: int,
        task: SearchTask,
        monitor: Monitor,
        limit_s: float | None = None,
        before: Mapping[str, float] | None = None,
    ):
        self.name, self.seed, self.task, self.monitor = name, seed, task, monitor
        self.device = DeviceSeconds(limit_s, before=before, clocked=task.clocked)
        self.candidates: list[Candidate] = []
        self._paid: set[str] = set()

    @property
    def seconds(self) -> float:
        return self.device.total

    @property
    def compile_seconds(self) -> float:
        return self.device.parts.get("compile", 0.0)

    @compile_seconds.setter
    def compile_seconds(self, value: float) -> None:
        self.device.parts["compile"] = value

    @property
    def spent(self) -> bool:
        return self.device.spent

    def check(self, genotype: Genotype) -> Verdict:
        """The runtime filter's verdict, charged; also once where another strategy had it measured before."""
        start = time.monotonic()
        verdict, compiling = self.task.check(genotype)
        took = time.monotonic() - start
        known = genotype_id(genotype)
        if verdict.known:
            owed = known not in self._paid
            took, compiling = (verdict.seconds or 0.0, verdict.compile_seconds) if owed else (0.0, 0.0)
            self.device.charge("compile", compiling, beside=True)
            self.device.charge(_checking(verdict), took - compiling, beside=True)
        else:
            took = took if verdict.seconds is None else verdict.seconds
            self.device.charge("compile", compiling)
            self.device.charge(_checking(verdict), max(took - compiling, 0.0))
        self._paid.add(known)
        return verdict

    def consider(self, asked: Genotype | Proposal) -> Candidate:
        """Filters a proposal, evaluates it if it is feasible, and records what came of it."""
        proposal = as_proposal(asked)
        if proposal.scoring == "inherited":
            return self._inherit(proposal)
        start = time.monotonic()
        verdict, evaluation = self.check(proposal.genotype), None
        costs = {"check": time.monotonic() - start if verdict.seconds is None else verdict.seconds}
        costs["check_compile"] = verdict.compile_seconds
        if verdict.feasible:
            start = time.monotonic()
            evaluation = self.task.evaluate(proposal.genotype, self.seed, proposal.part)
            costs |= self.charge_evaluation(evaluation, time.monotonic() - start)
        return self.record(proposal, verdict, evaluation, costs)

    def charge_evaluation(self, evaluation: Evaluation, took: float) -> dict[str, float]:
        """Charges a training: compilation apart, and apart what failed; returns the costs."""
        took = took if evaluation.seconds is None else evaluation.seconds
        self.device.charge("compile", evaluation.compile_seconds)
        kind = "failed" if evaluation.failed else "training"
        self.device.charge(kind, max(took - evaluation.compile_seconds, 0.0))
        return {"train": took, "train_compile": evaluation.compile_seconds}

    def record(
        self,
        proposal: Proposal,
        verdict: Verdict,
        evaluation: Evaluation | None,
        costs: Mapping[str, float] | None = None,
    ) -> Candidate:
        """Keeps what became of a proposal."""
        candidate = Candidate(
            genotype=proposal.genotype,
            verdict=verdict,
            evaluation=evaluation,
            charged_s=self.seconds,
            scoring=proposal.scoring,
            part=proposal.part,
            costs=costs or {},
        )
        self.candidates.append(candidate)
        self.monitor.event("candidate", strategy=self.name, seed=self.seed, **describe_candidate(candidate))
        return candidate

    def result(self) -> SearchResult:
        trained = [c for c in self.candidates if c.evaluation is not None and c.scoring == "trained"]
        usable = [candidate for candidate in trained if candidate.usable]
        return SearchResult(
            name=self.name,
            seed=self.seed,
            candidates=tuple(self.candidates),
            seconds=self.seconds,
            compile_seconds=self.compile_seconds,
            evaluations=len(trained),
            infeasible=sum(not candidate.verdict.feasible for candidate in self.candidates),
            best=max(usable, key=lambda candidate: candidate.fitness, default=None),
            spent=self.device.spent_on(),
        )

    def _inherit(self, proposal: Proposal) -> Candidate:
        assert self.task.screen is not None and self.task.inherit is not None, "the task has no supernet"
        start = time.monotonic()
        verdict = self.task.screen(proposal.genotype)
        evaluation = self.task.inherit(proposal.genotype) if verdict.feasible else None
        took = time.monotonic() - start
        if evaluation is not None:
            took = took if evaluation.seconds is None else evaluation.seconds
            self.device.charge("compile", evaluation.compile_seconds)
            took -= evaluation.compile_seconds
        self.device.charge("inherited" if verdict.feasible else "infeasible", max(took, 0.0))
        return self.record(proposal, verdict, evaluation)


def describe_candidate(candidate: Candidate) -> dict[str, Any]:
    """A candidate as plain values, for the log."""
    verdict, evaluation = candidate.verdict, candidate.evaluation
    measured: dict[str, Any] = {"top1": None, "top5": None, "fitness": None}
    reason = verdict.reason
    if evaluation is not None and evaluation.failed is None:
        measured = {"top1": evaluation.top1, "top5": evaluation.top5, "fitness": evaluation.fitness}
    elif evaluation is not None:
        reason = evaluation.failed
    return {
        "charged_s": candidate.charged_s,
        "id": candidate.id,
        "genotype": candidate.genotype.to_json(),
        "scoring": candidate.scoring,
        "part": candidate.part,
        "predicted_ms": verdict.predicted_ms,
        "latency_ms": verdict.latency_ms,
        "feasible": verdict.feasible,
        "reason": reason,
        "costs": dict(candidate.costs),
        **measured,
    }


def _checking(verdict: Verdict) -> str:
    return "checking" if verdict.feasible else "infeasible"


def run_strategy(
    strategy: Strategy,
    task: SearchTask,
    *,
    seed: int,
    limit_s: float,
    monitor: Monitor,
    before: Mapping[str, float] | None = None,
) -> SearchResult:
    """Asks, filters, trains and tells until the seconds are spent; what is under way then is finished and counted.

    An infeasible proposal is told untrained, and its seconds are charged like any other's.
    """
    charge = Charge(strategy.name, seed, task, monitor, limit_s, before)
    while not charge.spent:
        asked = strategy.ask()
        if asked is None:
            break
        assert not isinstance(asked, Wait), "everything proposed has been told"
        strategy.tell(charge.consider(asked))
        show_progress(charge, limit_s)
    return charge.result()


def show_progress(charge: Charge, limit_s: float) -> None:
    """How far a strategy has come, and its best network so far."""
    best = max((c.fitness for c in charge.candidates if c.whole), default=float("-inf"))
    found = f"best top-1 + top-5 {best:.3f}" if best > float("-inf") else "none trained to the end yet"
    text = f"{len(charge.candidates)} proposed, {found}"
    charge.monitor.progress(charge.name, min(charge.seconds, limit_s), limit_s, text)
