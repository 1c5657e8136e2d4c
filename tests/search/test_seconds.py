"""Device seconds: everything is charged, and the kinds add up to the total."""

import numpy as np
import pytest

from tests.search.toy_landscape import SPACE, toy_task
from tvnjax.core.monitor import Silent
from tvnjax.search.base import Evaluation, Verdict
from tvnjax.search.cost_account import CostAccount
from tvnjax.search.seconds import DeviceSeconds


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_every_second_on_the_clock_counts_whatever_it_went_into(clock):
    device = DeviceSeconds(60, initial_seconds={"table": 20.0})
    clock[0] += 30
    device.charge("compile", 12)
    device.charge("training", 10)
    assert device.total == 50 and not device.exhausted
    device.charge("checking", 15, beside=True)
    assert device.total == 65 and device.exhausted
    parts = {"table": 20, "compile": 12, "training": 10, "checking": 15, "other": 8}
    assert device.by_kind() == parts and sum(parts.values()) == device.total


def test_without_a_clock_seconds_are_those_charged(clock):
    device = DeviceSeconds(10, clocked=False)
    clock[0] += 1000
    device.charge("training", 9)
    assert device.total == 9 and not device.exhausted


def outcomes(clock, refuse, fail, known=False):
    """A charge for one network that was checked in 4 s, 1 of them compiling, and trained in 10 s, 3 of them."""
    account = CostAccount("random", 0, toy_task(), Silent())

    def check(genotype):
        clock[0] += 0 if known else 4
        seconds = {"seconds": 4.0, "compile_seconds": 1.0, "known": known} if known else {}
        return Verdict(predicted_ms=1.0, latency_ms=1.0, feasible=not refuse, **seconds), 0.0 if known else 1.0

    def evaluate(genotype, seed, part):
        clock[0] += 10
        return Evaluation(top1=0.5, top5=0.5, compile_seconds=3.0, failed="out of memory" if fail else None)

    task = toy_task()
    for name, value in (("check", check), ("evaluate", evaluate), ("clocked", True)):
        object.__setattr__(task, name, value)
    account = CostAccount("random", 0, task, Silent())
    genotype = SPACE.sample(np.random.default_rng(0))
    account.consider(genotype)
    if known:
        account.check(genotype)
    return account.result()


@pytest.mark.parametrize(
    ("refuse", "fail", "spent"),
    [
        (False, False, {"compile": 4, "checking": 3, "training": 7}),
        (False, True, {"compile": 4, "checking": 3, "failed": 7}),
        (True, False, {"compile": 1, "infeasible": 3}),
    ],
)
def test_failures_and_refused_proposals_are_charged(clock, refuse, fail, spent):
    result = outcomes(clock, refuse, fail)
    assert result.seconds_by_kind == spent and result.seconds == sum(spent.values())
    assert result.compile_seconds == spent["compile"]


def test_what_another_strategy_had_measured_is_charged_once(clock):
    result = outcomes(clock, False, False, known=True)
    assert result.seconds_by_kind == {"compile": 4, "checking": 3, "training": 7} and result.seconds == 14
