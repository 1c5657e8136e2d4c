"""Strategies that people write: the documented one, what becomes of those that break or never end, and their names."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

import tvnjax
from tests.fabricated_table import make_table
from tests.search.hill_climb import documented, hill_climb
from tests.search.test_workers import PrescribedPool
from tests.search.toy_landscape import SPACE, closeness, toy_task
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.journal import OtherCourseError
from tvnjax.core.monitor import Silent
from tvnjax.core.run_dir import RunDir
from tvnjax.core.stages import Stage
from tvnjax.running.replay import ReplayConfig, replay
from tvnjax.search.base import WAIT, Proposal
from tvnjax.search.cost_account import run_strategy
from tvnjax.search.own import Started
from tvnjax.search.shared_weights import SharedWeights
from tvnjax.search.workers import run_on_workers


class Climb(tvnjax.Strategy):
    """With something to be told apart by."""

    def __init__(self, step=1):
        self.step, self.best, self.told = step, None, []

    def ask(self):
        genotype = self.space.sample(self.rng) if self.best is None else self.best.genotype
        for _ in range(self.step):
            genotype = self.space.mutate(genotype, self.rng)
        return genotype

    def tell(self, candidate):
        self.told.append(candidate.id)
        if self.best is None or candidate.fitness >= self.best.fitness:
            self.best = candidate


class Repeats(Climb):
    """One network for ever."""

    def ask(self):
        return self.space.sample(np.random.default_rng(0))


def named(name, kind=Climb, **options):
    return type(name if name.isidentifier() else "Odd", (kind,), {"name": name})(**options)


class Told(Silent):
    def __init__(self):
        self.events = []

    def event(self, event, **facts):
        self.events.append((event, facts))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return make_table(tmp_path_factory.mktemp("table") / "table.jsonl", inherited_noise=0.05)


@pytest.fixture(scope="module")
def documented_class(tmp_path_factory):
    return hill_climb(tmp_path_factory.mktemp("documented"))


def run(table, strategy, **limits):
    told = Told()
    task = table.task(1e9)
    started = Started(getattr(strategy, "name", None) or "climb", strategy, task.space, 0)
    result = run_strategy(started, task, seed=0, monitor=told, **{"limit_s": None} | limits)
    return result, told.events


def test_the_documented_one_is_ten_lines_ends_and_finds_a_good_network(table, documented_class):
    """On 0.1.0 it never ended: what had been looked up once was charged nothing."""
    assert len([line for line in documented().splitlines() if line.strip() and not line.startswith("import")]) <= 10
    result, events = run(table, documented_class, limit_s=1e9)
    assert result.best.fitness >= np.quantile([e.fitness for e in table.entries.values()], 0.5)
    assert [facts["strategy"] for event, facts in events if event == "idle"] == ["climb"]


def test_a_strategy_that_proposes_one_network_for_ever_ends(table):
    result, events = run(table, Repeats, limit_s=1e9)
    assert len({candidate.id for candidate in result.candidates}) == 1 and ("idle" in dict(events))


@pytest.mark.parametrize("clocked", [False, True])
@pytest.mark.parametrize("workers", [None, 1, 3])
def test_it_ends_where_each_of_its_proposals_is_refused_again(clocked, workers):
    """Nothing is trained then: on workers it was asked for ever, and with a clock until the seconds were over."""
    task = dataclasses.replace(toy_task(), clocked=clocked)
    check = lambda genotype: (dataclasses.replace(task.check(genotype)[0], feasible=False, seconds=0.0), 0.0)  # noqa: E731
    refusing, told = dataclasses.replace(task, check=check), Told()
    options = {"seed": 0, "limit_s": 1e9, "monitor": told}
    strategy = Started("repeats", Repeats, SPACE, 0)
    if workers is None:
        result = run_strategy(strategy, refusing, **options)
    else:
        result = run_on_workers(strategy, refusing, PrescribedPool(workers, 0), **options)
    assert result.infeasible == len(result.candidates) == 1001
    assert [event for event, _ in told.events].count("idle") == 1


def test_what_is_trained_again_is_no_end_but_its_seconds_are():
    result = run_on_workers(
        Started("repeats", Repeats, SPACE, 0), toy_task(), PrescribedPool(2, 0), seed=0, limit_s=30, monitor=Silent()
    )
    assert 30 <= result.seconds < 34 and result.evaluations == len(result.candidates) > 10


def test_seconds_and_counts_end_it_as_any_other(table):
    whole, _ = run(table, Climb, limit_s=1e9)
    short, events = run(table, Climb, limit_s=whole.seconds / 3)
    assert short.seconds < whole.seconds and "idle" not in dict(events)
    counted, _ = run(table, Climb, limit_evaluations=3)
    assert counted.evaluations == 3


def test_every_seed_begins_with_a_copy(table):
    """Together and alone, in any order, as an object and as its class; the object itself is told nothing."""
    given = Climb()
    together = replay(table, ReplayConfig(strategies=(given,), seeds=(0, 1, 2), seconds=90))
    alone = [replay(table, ReplayConfig(strategies=(Climb,), seeds=(seed,), seconds=90))[0] for seed in (2, 0, 1)]
    proposed = {result.seed: [c.id for c in result.candidates] for result in together}
    assert proposed == {result.seed: [c.id for c in result.candidates] for result in alone}
    assert len(set(map(tuple, proposed.values()))) == 3 and all(proposed.values())
    assert given.best is None and given.told == [] and not hasattr(given, "space")


def test_two_strategies_draw_other_networks(table):
    found = replay(table, ReplayConfig(strategies=(Climb, named("other")), seeds=(0,), seconds=60))
    first, second = ([c.id for c in result.candidates] for result in found)
    assert first != second and [result.name for result in found] == ["Climb", "other"]


def test_weights_are_shared_with_one_that_asks_for_it(table):
    class Inherits(Climb):
        shares_weights = True

        def ask(self):
            done = len(self.told) >= 20
            return Proposal(genotype=self.best.genotype if done else super().ask(), **({} if done else SCORED))

    (result,) = replay(table, ReplayConfig(strategies=(Inherits,), seeds=(0,), seconds=10**6))
    assert [c.scoring for c in result.candidates[:21]] == ["inherited"] * 20 + ["trained"]
    assert result.seconds_by_kind["supernet"] == table.header["supernet_seconds"] and result.best is not None

    class Forgets(Inherits):
        shares_weights = False

    with pytest.raises(InvalidInputError, match=r"Forgets proposes a network to be scored with inherited weights.*set"):
        replay(table, ReplayConfig(strategies=(Forgets,), seeds=(0,), seconds=10**6))


SCORED = {"scoring": "inherited"}


def test_a_network_that_the_supernet_does_not_cover_is_refused():
    shared = object.__new__(SharedWeights)
    shared.covered = SimpleNamespace(plan_of=lambda genotype: None)
    with pytest.raises(InvalidInputError, match="draw from the space that start is given"):
        shared.score(SPACE.sample(np.random.default_rng(0)))


@pytest.mark.parametrize("what", ["ask", "tell", "start"])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("first\nsecond"), r"climb broke in {} \(KeyError"),
        (InvalidInputError("one network"), "climb: one network"),
    ],
)
def test_a_strategy_that_breaks_is_named_in_one_line(table, what, error, words):
    class Breaks(Climb):
        pass

    def broken(self, *_):
        raise error

    setattr(Breaks, what, broken)
    with pytest.raises(InvalidInputError, match=words.format(what)) as refused:
        run(table, Breaks)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("workers", [None, 2])
def test_a_strategy_that_waits_for_nothing_is_refused(workers):
    class Waits(Climb):
        def ask(self):
            return WAIT if self.told else super().ask()

    options = {"seed": 0, "limit_s": 1e9, "monitor": Silent()}
    strategy = Started("waits", Waits, SPACE, 0)
    with pytest.raises(InvalidInputError, match="waits waits though it has been told all"):
        if workers is None:
            run_strategy(strategy, toy_task(), **options)
        else:
            run_on_workers(strategy, toy_task(), PrescribedPool(workers, 0), **options)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("tvn1", "a proposal is a genotype.*got str 'tvn1'"),
        (3, "got int 3"),
        (SPACE, "got SearchSpace"),
        ({"part": 0.0}, "part is above 0 and at most 1; got 0.0"),
        ({"part": 2}, "got 2"),
        ({"part": float("nan")}, "got nan"),
        ({"part": "half"}, "got 'half'"),
        ({"scoring": "guessed"}, "scoring is one of trained, inherited; got 'guessed'"),
    ],
)
def test_what_is_no_proposal_is_refused_with_the_strategys_name(table, asked, words):
    class Odd(Climb):
        def ask(self):
            return Proposal(genotype=super().ask(), **asked) if isinstance(asked, dict) else asked

    with pytest.raises(InvalidInputError, match=f"^climb: .*{words}"):
        run(table, Odd)


def test_closeness_is_what_a_climb_climbs(documented_class):
    options = {"seed": 0, "limit_s": 150, "monitor": Silent()}
    result = run_strategy(Started("climb", documented_class, SPACE, 0), toy_task(), **options)
    first = closeness(result.candidates[0].genotype)
    assert closeness(result.best.genotype) > first


# Going on.


class Killed(BaseException):
    pass


class Doubles(Climb):
    """Asks for every network twice before it is told of it."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def ask(self):
        self.asked.append(self.asked[-1] if len(self.asked) % 2 else super().ask())
        return self.asked[-1]


class Unsteady(Climb):
    """Proposes something else each time it is told the same."""

    def start(self, space, rng):
        super().start(space, np.random.default_rng())


def on_workers(strategy, run_dir, kill_at=None, pool_seed=1, limit=12):
    done = []

    def evaluate(*arguments):
        if len(done) == kill_at:
            raise Killed
        done.append(arguments[0].id)
        return task.evaluate(*arguments)

    task, stage = toy_task(), Stage(Silent(), run_dir, "own")
    options = {"seed": 0, "limit_s": None, "monitor": stage, "limit_evaluations": limit}
    try:
        pool = PrescribedPool(3, pool_seed, evaluate=evaluate)
        return run_on_workers(Started("own", strategy, SPACE, 0), task, pool, **options), done
    finally:
        stage.close()


@pytest.mark.parametrize("strategy", [Doubles, Climb])
@pytest.mark.parametrize("kill_at", [1, 4, 7, 10])
def test_workers_go_on_with_a_network_that_was_under_way_twice(strategy, kill_at, tmp_path):
    """One of the two was lost, and its result was then nobody's."""
    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(Killed):
        on_workers(strategy, run_dir, kill_at)
    result, again = on_workers(strategy, run_dir, pool_seed=2)
    assert len(again) == result.evaluations - kill_at and result.evaluations >= 12
    if strategy is Doubles:
        assert max([c.id for c in result.candidates].count(c.id) for c in result.candidates) > 1


@pytest.mark.parametrize("kill_at", [1, 5])
def test_one_that_proposes_something_else_is_refused_when_it_goes_on(kill_at, tmp_path):
    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(Killed):
        on_workers(Unsteady, run_dir, kill_at)
    with pytest.raises(OtherCourseError, match="came next, now it is 'check "):
        on_workers(Unsteady, run_dir)


@pytest.mark.parametrize("answer", [None, WAIT])
def test_one_that_proposes_nothing_any_more_is_refused_when_it_goes_on(answer, tmp_path):
    class Stops(Climb):
        def ask(self):
            return answer

    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(Killed):
        on_workers(Climb, run_dir, 5)
    with pytest.raises(OtherCourseError, match="now the strategy proposes nothing"):
        on_workers(Stops, run_dir)
