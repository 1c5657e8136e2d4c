"""Charging a strategy for what it does, and asking it until its seconds, or its count of networks, are spent.

Everything that took seconds or was measured is written to the stage's journal before the strategy hears of it, with the
seconds charged so far. A run that goes on is handed it back in the same order, so the strategy, which is deterministic,
comes to the same place: its history is its state.
"""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.journal import Journal
from tvnjax.core.monitor import Monitor
from tvnjax.core.stages import Stage
from tvnjax.search.base import (
    AskTell,
    Candidate,
    Evaluation,
    Proposal,
    SearchResult,
    SearchTask,
    Verdict,
    Wait,
    as_proposal,
)
from tvnjax.search.own import broken
from tvnjax.search.seconds import DeviceSeconds
from tvnjax.spaces.base import Genotype

_PROPOSALS = 50
"""Proposals for each network that may be trained, where those are counted: a filter may refuse all."""
_IDLE = 1000
"""Proposals in a row that were made before and of which nothing new was found, as networks that were refused, or that a
table has been asked for: such a strategy would never come to the end of its seconds."""


class CostAccount:
    """Counts what one strategy costs, and checks its proposals, until its seconds are spent.

    Args:
        monitor: hears of it; a ``Stage`` also keeps it, so that the strategy can go on.
        limit_s: seconds the strategy may use; ``None`` for no limit.
        initial_seconds: charged already, by kind, for what the strategy builds on.
        limit_evaluations: networks it may train; then seconds do not count.
    """

    def __init__(
        self,
        name: str,
        seed: int,
        task: SearchTask,
        monitor: Monitor,
        limit_s: float | None = None,
        initial_seconds: Mapping[str, float] | None = None,
        limit_evaluations: int | None = None,
    ):
        self.name, self.seed, self.task, self.monitor = name, seed, task, monitor
        self.journal = monitor.journal if isinstance(monitor, Stage) else Journal()
        self.limit_evaluations = limit_evaluations
        self.device = DeviceSeconds(limit_s, initial_seconds=initial_seconds, clocked=task.clocked)
        self.candidates: list[Candidate] = []
        self._paid: set[str] = set()
        self._check_costs: dict[str, float] = {}
        self._met: set[tuple[str, str, float]] = set()
        self._repeats = 0
        self.idle = False
        """Whether it ended because it proposed nothing new for too long."""
        self._kept_s = 0.0
        """Seconds at the journal's last entry."""

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
    def trained(self) -> int:
        """Networks trained, in part or to the end."""
        return sum(c.evaluation is not None and c.scoring == "trained" for c in self.candidates)

    @property
    def exhausted(self) -> bool:
        if self.journal.replaying:
            # It was not when the entries that are left were made.
            return self.journal.upcoming == "end"
        if self.idle:
            return True
        if self.limit_evaluations is None:
            return self.device.exhausted
        asked = sum(candidate.scoring == "trained" for candidate in self.candidates)
        return self.trained >= self.limit_evaluations or asked >= _PROPOSALS * self.limit_evaluations

    def check(self, genotype: Genotype) -> Verdict:
        """The runtime filter's verdict, charged; also once where another strategy had it measured before."""
        known = genotype.id
        kept = self.journal.recall("check", known)
        if kept is not None:
            self._paid.add(known)
            self._check_costs = self._recalled(kept)
            return Verdict(**kept["verdict"])
        start = time.monotonic()
        verdict, compiling = self.task.check(genotype)
        took = time.monotonic() - start
        costs = {"check": took if verdict.seconds is None else verdict.seconds}
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
        self._check_costs = costs | {"check_compile": verdict.compile_seconds}
        self._keep("check", known, self._check_costs, verdict=verdict)
        return verdict

    def consider(self, asked: Genotype | Proposal, *, twice: bool = False) -> Candidate:
        """Filters a proposal, evaluates it if it is feasible, and records what came of it.

        Args:
            asked: the network.
            twice: it is measured once more when it has been trained, and is infeasible if it is over the budget then.
        """
        proposal = as_proposal(asked)
        if proposal.scoring == "inherited":
            return self._inherit(proposal)
        verdict, evaluation = self.check(proposal.genotype), None
        costs = dict(self._check_costs)
        if verdict.feasible:
            kept = self.journal.recall("evaluate", evaluation_key(proposal))
            if kept is not None:
                evaluation = Evaluation(**kept["evaluation"])
                costs |= self._recalled(kept)
            else:
                start = time.monotonic()
                evaluation = self.task.evaluate(proposal.genotype, self.seed, proposal.part)
                costs |= self.charge_evaluation(proposal, evaluation, time.monotonic() - start)
            if twice and evaluation.failed is None:
                verdict = self._confirmed(proposal.genotype, verdict)
        return self.record(proposal, verdict, evaluation, costs)

    def again(self, genotype: Genotype) -> Verdict | None:
        """The verdict of measuring a network once more, charged; ``None`` where latencies are looked up."""
        if self.task.confirm is None:
            return None
        known = genotype.id
        kept = self.journal.recall("confirm", known)
        if kept is not None:
            self._recalled(kept)
            again = Verdict(**kept["verdict"])
        else:
            again, compiling = self.task.confirm(genotype)
            self.device.charge("compile", compiling)
            self.device.charge("checking", max((again.seconds or 0.0) - compiling, 0.0))
            self._keep("confirm", known, {}, verdict=again)
        told = {"id": known, "latency_ms": again.latency_ms, "feasible": again.feasible, "reason": again.reason}
        self.monitor.event("measured_again", strategy=self.name, seed=self.seed, **told)
        return again

    def _confirmed(self, genotype: Genotype, first: Verdict) -> Verdict:
        """The verdict of a second measurement where it is over the budget; the first one where it is not, or nothing
        can be measured."""
        again = self.again(genotype)
        if again is None or again.feasible or again.latency_ms is None:
            return first
        return dataclasses.replace(first, latency_ms=again.latency_ms, feasible=False, reason=again.reason)

    def recall_evaluation(self, proposal: Proposal) -> tuple[Evaluation, dict[str, float]]:
        """An evaluation that comes next in the journal, and its costs."""
        kept = self.journal.recall("evaluate", evaluation_key(proposal))
        assert kept is not None, "the journal was asked what comes next"
        return Evaluation(**kept["evaluation"]), self._recalled(kept)

    def charge_evaluation(self, proposal: Proposal, evaluation: Evaluation, took: float) -> dict[str, float]:
        """Charges a training, compilation apart, and apart what failed, and keeps it; returns the costs."""
        took = took if evaluation.seconds is None else evaluation.seconds
        self.device.charge("compile", evaluation.compile_seconds)
        kind = "failed" if evaluation.failed else "training"
        self.device.charge(kind, max(took - evaluation.compile_seconds, 0.0))
        costs = {"train": took, "train_compile": evaluation.compile_seconds}
        self._keep("evaluate", evaluation_key(proposal), costs, evaluation=evaluation)
        return costs

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
            charged_s=self._kept_s,
            scoring=proposal.scoring,
            part=proposal.part,
            costs=costs or {},
        )
        self.candidates.append(candidate)
        self._count_repeats(proposal, evaluation)
        self.monitor.event("candidate", strategy=self.name, seed=self.seed, **describe_candidate(candidate))
        return candidate

    def _count_repeats(self, proposal: Proposal, evaluation: Evaluation | None) -> None:
        """By what was proposed and not by the seconds, so that a run that goes on ends where the one before would."""
        key = (proposal.genotype.id, proposal.scoring, proposal.part)
        nothing_new = key in self._met and (evaluation is None or evaluation.seconds == 0)
        self._met.add(key)
        self._repeats = self._repeats + 1 if nothing_new else 0
        self.idle = self.idle or self._repeats >= _IDLE

    def finish(self) -> SearchResult:
        """What it came to. The clock stands from here on, so that it is the same to the bit when it is recalled."""
        if self.idle:
            self.monitor.event("idle", strategy=self.name, seed=self.seed, proposals=_IDLE)
            text = f"ended: {_IDLE:,} proposals in a row had been made before, and nothing new was found of them"
            self.monitor.progress(self.name, 1, 1, text)
        kept = self.journal.recall("end", "")
        clock = self.device.snapshot() if kept is None else kept["clock"]
        if kept is None:
            self.journal.add("end", "", {"clock": clock})
        self.device.stop(clock)
        return self.result()

    def result(self) -> SearchResult:
        """What it has come to so far."""
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
            seconds_by_kind=self.device.by_kind(),
        )

    def _inherit(self, proposal: Proposal) -> Candidate:
        if self.task.screen is None or self.task.inherit is None:
            raise InvalidInputError(
                f"{self.name} proposes a network to be scored with inherited weights, and no supernet is trained for "
                "it: set shares_weights = True in its class"
            )
        known = proposal.genotype.id
        kept = self.journal.recall("inherit", known)
        if kept is not None:
            self._recalled(kept)
            scored = None if kept["evaluation"] is None else Evaluation(**kept["evaluation"])
            return self.record(proposal, Verdict(**kept["verdict"]), scored)
        start = time.monotonic()
        verdict = self.task.screen(proposal.genotype)
        evaluation = self.task.inherit(proposal.genotype) if verdict.feasible else None
        took = time.monotonic() - start
        if evaluation is not None:
            took = took if evaluation.seconds is None else evaluation.seconds
            self.device.charge("compile", evaluation.compile_seconds)
            took -= evaluation.compile_seconds
        self.device.charge("inherited" if verdict.feasible else "infeasible", max(took, 0.0))
        self._keep("inherit", known, {}, verdict=verdict, evaluation=evaluation)
        return self.record(proposal, verdict, evaluation)

    def _keep(self, op: str, key: str, costs: Mapping[str, float], **parts: Any) -> None:
        plain = {name: None if part is None else dataclasses.asdict(part) for name, part in parts.items()}
        clock = self.device.snapshot()
        self._kept_s = clock["total"]
        self.journal.add(op, key, plain | {"costs": dict(costs), "clock": clock})

    def _recalled(self, kept: Mapping[str, Any]) -> dict[str, float]:
        """Sets the seconds to what they were; returns the costs."""
        self.device.restore(kept["clock"])
        self._kept_s = kept["clock"]["total"]
        return dict(kept["costs"])


def describe_candidate(candidate: Candidate) -> dict[str, Any]:
    """A candidate as plain values, for the log."""
    verdict, evaluation = candidate.verdict, candidate.evaluation
    measured: dict[str, Any] = {"top1": None, "top5": None, "fitness": None}
    reason = verdict.reason
    if evaluation is not None and evaluation.failed is None:
        fitness = evaluation.fitness if verdict.feasible else None
        measured = {"top1": evaluation.top1, "top5": evaluation.top5, "fitness": fitness}
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


def evaluation_key(proposal: Proposal) -> str:
    """What a training is told apart by in a journal."""
    return f"{proposal.genotype.id} {proposal.part:g}"


def run_strategy(
    strategy: AskTell,
    task: SearchTask,
    *,
    seed: int,
    limit_s: float | None,
    monitor: Monitor,
    initial_seconds: Mapping[str, float] | None = None,
    limit_evaluations: int | None = None,
) -> SearchResult:
    """Asks, filters, trains and tells until the seconds are spent; what is under way then is finished and counted.

    An infeasible proposal is told untrained, and its seconds are charged like any other's.
    """
    account = CostAccount(strategy.name, seed, task, monitor, limit_s, initial_seconds, limit_evaluations)
    while not account.exhausted:
        asked = ask(strategy)
        if asked is None:
            break
        if isinstance(asked, Wait):
            raise waits_for_nothing(strategy)
        tell(strategy, account.consider(asked))
        show_progress(account)
    return account.finish()


def ask(strategy: AskTell) -> Proposal | Wait | None:
    """What a strategy proposes.

    Raises:
        InvalidInputError: the strategy breaks, or proposes what is no network; what it had been told is kept.
    """
    try:
        asked = strategy.ask()
        return asked if asked is None or isinstance(asked, Wait) else as_proposal(asked)
    except Exception as error:
        raise broken(strategy.name, "ask", error) from error


def tell(strategy: AskTell, candidate: Candidate) -> None:
    """Tells a strategy what became of a proposal. Raises as ``ask``."""
    try:
        strategy.tell(candidate)
    except Exception as error:
        raise broken(strategy.name, "tell", error) from error


def waits_for_nothing(strategy: AskTell) -> InvalidInputError:
    """What is said of a strategy that waits while nothing is under way: it would wait for ever."""
    return InvalidInputError(
        f"a strategy waits while results are under way; {strategy.name} waits though it has been told all: let ask "
        "return a network, or None at the end"
    )


def show_progress(account: CostAccount) -> None:
    """How far a strategy has come, and its best network so far."""
    best = max((c.fitness for c in account.candidates if c.whole), default=float("-inf"))
    found = f"best top-1 + top-5 {best:.3f}" if best > float("-inf") else "none trained to the end yet"
    text = f"{len(account.candidates)} proposed, {found}"
    done, total = account.seconds, account.device.limit_s or account.seconds
    if account.limit_evaluations is not None:
        done, total = account.trained, account.limit_evaluations
    account.monitor.progress(account.name, min(done, total), total, text)
