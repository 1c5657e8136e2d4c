"""Strategies that people write: ten lines, and what becomes of those that break or never end."""

import numpy as np
import pytest

from tests.fabricated_table import make_table
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Silent
from tvnjax.search.base import WAIT
from tvnjax.search.charge import run_strategy


class HillClimb:
    """One change at a time, kept where it is no worse."""

    name = "hill_climb"

    def __init__(self, space, seed):
        self.space, self.rng, self.best = space, np.random.default_rng(seed), None

    def ask(self):
        return self.space.sample(self.rng) if self.best is None else self.space.mutate(self.best.genotype, self.rng)

    def tell(self, candidate):
        if self.best is None or candidate.fitness >= self.best.fitness:
            self.best = candidate


class Repeats(HillClimb):
    def ask(self):
        self.best = None
        self.rng = np.random.default_rng(0)
        return super().ask()


class Told(Silent):
    def __init__(self):
        self.events = []

    def event(self, event, **facts):
        self.events.append((event, facts))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return make_table(tmp_path_factory.mktemp("table") / "table.jsonl")


def run(table, strategy, **limits):
    told = Told()
    task = table.task(1e9)
    result = run_strategy(strategy(task.space, 0), task, seed=0, monitor=told, **{"limit_s": None} | limits)
    return result, told.events


def test_a_hill_climb_on_a_table_ends_and_finds_a_good_network(table):
    """On 0.1.0 it never did: what had been looked up once was charged nothing."""
    result, events = run(table, HillClimb, limit_s=1e9)
    assert result.best is not None
    assert result.best.fitness >= np.quantile([e.fitness for e in table.entries.values()], 0.5)
    assert [facts["strategy"] for event, facts in events if event == "idle"] == ["hill_climb"]


def test_a_strategy_that_proposes_one_network_for_ever_ends(table):
    result, events = run(table, Repeats, limit_s=1e9)
    assert len({candidate.id for candidate in result.candidates}) == 1 and ("idle" in dict(events))


def test_seconds_and_counts_end_it_as_any_other(table):
    whole, _ = run(table, HillClimb, limit_s=1e9)
    short, events = run(table, HillClimb, limit_s=whole.seconds / 3)
    assert short.seconds < whole.seconds and "idle" not in dict(events)
    counted, _ = run(table, HillClimb, limit_evaluations=3)
    assert counted.evaluations == 3


@pytest.mark.parametrize("what", ["ask", "tell"])
def test_a_strategy_that_breaks_is_named_in_one_line(table, what):
    class Breaks(HillClimb):
        pass

    def broken(self, *_):
        raise KeyError("first\nsecond")

    setattr(Breaks, what, broken)
    with pytest.raises(InvalidInputError, match=rf"hill_climb broke in {what} \(KeyError") as refused:
        run(table, Breaks)
    assert "\n" not in str(refused.value)


def test_a_strategy_that_waits_for_nothing_is_refused(table):
    class Waits(HillClimb):
        def ask(self):
            return WAIT

    with pytest.raises(InvalidInputError, match="hill_climb waits though it has been told all"):
        run(table, Waits)
