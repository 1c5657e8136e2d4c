"""Trainings on several workers at once, asynchronously as in the paper's evolution (section 3.3: ten workers).

Proposals are asked for and filtered here, one at a time, so that no two networks are timed together; trainings run on
the workers, and a strategy is told each result as it comes. Given the order of results, a search is repeatable. Workers
are processes of ``concurrent.futures`` or actors of Ray: there is no queue of our own besides the proposals under way.
"""

import dataclasses
import time
from collections import deque
from collections.abc import Mapping

from tvnjax.core.monitor import Monitor
from tvnjax.search.base import AskTell, Evaluation, Proposal, SearchResult, SearchTask, Verdict, Wait
from tvnjax.search.cost_account import CostAccount, ask, evaluation_key, show_progress, tell, waits_for_nothing
from tvnjax.search.pools import Lost, Pool

_ATTEMPTS = 2
"""Workers a candidate may lose before it counts as what kills them."""


@dataclasses.dataclass(kw_only=True)
class _Job:
    proposal: Proposal
    verdict: Verdict
    started: float = 0.0
    lost: int = 0


def run_on_workers(
    strategy: AskTell,
    task: SearchTask,
    pool: Pool,
    *,
    seed: int,
    limit_s: float | None,
    monitor: Monitor,
    initial_seconds: Mapping[str, float] | None = None,
    limit_evaluations: int | None = None,
) -> SearchResult:
    """Keeps every worker busy until the seconds are spent; what is under way then is finished and counted.

    Device seconds are those of all workers together and of filtering. A candidate whose worker died is trained again,
    before anything new; one that loses two is marked failed. Either way the lost seconds are charged.
    """
    task = dataclasses.replace(task, clocked=False)
    account = CostAccount(strategy.name, seed, task, monitor, limit_s, initial_seconds, limit_evaluations)
    busy: dict[int, _Job] = {}
    again, more = _recall(strategy, account)
    while True:
        for worker in [number for number in range(pool.count) if number not in busy]:
            job = again.popleft() if again else None
            if job is None and more:
                job, more = _next_job(strategy, account)
            if job is None:
                break
            job.started = time.monotonic()
            proposal = job.proposal
            pool.submit(worker, strategy.name, proposal.genotype, seed, proposal.part)
            busy[worker] = job
        if not busy and more:
            raise waits_for_nothing(strategy)
        if not busy:
            break
        worker, outcome = pool.wait()
        job = busy.pop(worker)
        if isinstance(outcome, Lost):
            job.lost += 1
            lost_s = time.monotonic() - job.started
            event = {"strategy": strategy.name, "seed": seed, "reason": outcome.reason, "lost_s": lost_s}
            monitor.event("worker_lost", **event)
            if job.lost < _ATTEMPTS:
                account.device.charge("failed", lost_s)
                again.append(job)
                continue
            reason = f"{outcome.reason}, {job.lost} times"
            outcome = Evaluation(top1=0.0, top5=0.0, compile_seconds=0.0, failed=reason, seconds=lost_s)
        costs = account.charge_evaluation(job.proposal, outcome, 0.0)
        tell(strategy, account.record(job.proposal, job.verdict, outcome, costs))
        show_progress(account)
    return account.finish()


def _recall(strategy: AskTell, account: CostAccount) -> tuple[deque[_Job], bool]:
    """What the journal says, in its order: results came back in another than they were proposed in. Returns what was
    being trained when it ended, and whether the strategy has more."""
    # Several of one key where a strategy proposed a network again before it was told of it.
    under_way: list[_Job] = []
    more = True
    while account.journal.replaying:
        if account.journal.upcoming == "evaluate":
            key = account.journal.upcoming_key
            job = next((one for one in under_way if evaluation_key(one.proposal) == key), None)
            if job is None:
                raise account.journal.other_course(f"nothing of '{key}' was proposed")
            under_way.remove(job)
            evaluation, costs = account.recall_evaluation(job.proposal)
            tell(strategy, account.record(job.proposal, job.verdict, evaluation, costs))
            continue
        if account.journal.upcoming == "end":
            return deque(), False
        job, more = _next_job(strategy, account)
        if job is not None:
            under_way.append(job)
        elif account.journal.upcoming not in ("evaluate", "end", None):
            raise account.journal.other_course("the strategy proposes nothing")
    return deque(under_way), more


def _next_job(strategy: AskTell, account: CostAccount) -> tuple[_Job | None, bool]:
    """The next feasible proposal; without one, whether there may be one later. What is refused, or scored with
    inherited weights, is told at once."""
    while not account.exhausted:
        if account.journal.upcoming == "evaluate":
            # Being recalled: here the seconds were spent, or the strategy waited.
            return None, True
        asked = ask(strategy)
        if asked is None:
            return None, False
        if isinstance(asked, Wait):
            return None, True
        if asked.scoring == "inherited":
            tell(strategy, account.consider(asked))
            continue
        verdict = account.check(asked.genotype)
        if verdict.feasible:
            return _Job(proposal=asked, verdict=verdict), True
        tell(strategy, account.record(asked, verdict, None))
    return None, False
