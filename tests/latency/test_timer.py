"""The timer, with a clock of our own."""

import pytest

from tvnjax.latency.clocks import Clocks, Watch
from tvnjax.latency.measure import DriftError, ReferenceNetwork, measure
from tvnjax.latency.runtimes import Prepared
from tvnjax.latency.runtimes.chains import chain_turns
from tvnjax.latency.timer import Timer, Timing


class Clock:
    """Advances only when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Pending:
    """An asynchronous result: the work takes place when it is waited for."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def block_until_ready(self):
        self.clock.now += self.seconds
        return self


def call(clock, seconds):
    """A call whose n-th run takes the n-th of ``seconds``."""
    remaining = iter(seconds)
    return lambda: Pending(clock, next(remaining))


def test_warm_up_is_left_out_and_asynchronous_work_is_waited_for():
    clock = Clock()
    timing = Timer(warmup=2, repeats=3, settle=0, patience=1, clock=clock).time(
        call(clock, [9, 9, 0.001, 0.003, 0.002])
    )
    assert timing.samples_ms == pytest.approx((1, 3, 2))
    assert timing.median_ms == pytest.approx(2)


def test_a_slow_moment_does_not_move_the_median():
    clock = Clock()
    timing = Timer(warmup=0, repeats=5, settle=0, clock=clock).time(call(clock, [0.001, 0.001, 5, 0.001, 0.001]))
    assert timing.median_ms == pytest.approx(1)
    assert max(timing.samples_ms) == pytest.approx(5000)


def test_other_work_does_not_move_the_latency():
    clock = Clock()
    prepared = {"network": Prepared(call=call(clock, [0.005, 0.002, 0.003, 0.002, 0.009, 0.002]))}
    measured = measure(prepared, Timer(warmup=0, repeats=6, settle=0, clock=clock))["network"]
    assert measured.latency_ms == pytest.approx(2) and measured.median_ms == pytest.approx(2.5)


def test_a_fastest_call_that_stays_alone_is_looked_at_again():
    clock = Clock()
    timer = Timer(warmup=0, repeats=3, settle=0, patience=3, clock=clock)
    assert len(timer.time(call(clock, [0.001] * 3)).samples_ms) == 3
    assert len(timer.time(call(clock, [0.002, 0.003, 0.001, 0.001, 0.005, 0.001])).samples_ms) == 6
    assert len(timer.time(call(clock, [0.001 * 2**n for n in range(9)])).samples_ms) == 9, "patience has an end"


def test_calls_are_interleaved():
    clock, order = Clock(), []
    calls = {name: (lambda name=name: order.append(name)) for name in "ab"}
    Timer(warmup=1, repeats=2, settle=1, patience=1, clock=clock).interleave(calls)
    assert order == list("ab" + "aabb" * 2), "each timed call comes right behind an untimed one of its own"


def test_the_spread_is_the_distance_of_the_quartiles():
    assert Timing(samples_ms=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)).iqr_ms == pytest.approx(4)


def test_with_a_sentinel_a_busy_minute_cancels():
    clock, load = Clock(), {"now": 1.0}

    def work(seconds):
        return lambda: Pending(clock, seconds * load["now"])

    prepared = {"network": Prepared(call=work(0.002))}
    reference = ReferenceNetwork(call=work(0.004), reference_ms=4.0)
    timer = Timer(warmup=0, repeats=5, settle=0, clock=clock)
    for level in (0.8, 1.0, 1.3, 5.0):
        load["now"] = level
        measured = measure(prepared, timer, reference)["network"]
        assert measured.latency_ms == pytest.approx(2.0) and measured.drift == pytest.approx(level)
        assert measured.median_ms == pytest.approx(2.0 * level)
        assert measure(prepared, timer)["network"].latency_ms == pytest.approx(2.0 * level)


def test_outliers_are_counted():
    assert Timing(samples_ms=(1.0, 1.1, 0.9, 1.0, 1.2, 0.8, 1.0, 9.0)).outliers == 1
    assert Timing(samples_ms=(1.0, 2.0, 3.0, 4.0)).outliers == 0


def drifting(clock, levels):
    """A reference network whose n-th call takes the n-th of ``levels`` in milliseconds."""
    return ReferenceNetwork(call=call(clock, [level / 1e3 for level in levels]), reference_ms=1.0)


def test_a_drifting_reference_raises():
    clock = Clock()
    prepared = {"network": Prepared(call=lambda: Pending(clock, 0.001))}
    timer = Timer(warmup=0, repeats=6, settle=0, patience=1, attempts=2, clock=clock)
    with pytest.raises(DriftError, match=r"factor of 1\.5, .* it changed by 3\.00, 2\.00 in 2 attempts"):
        measure(prepared, timer, drifting(clock, [1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 2, 2]))


def test_a_reference_that_is_steady_again_is_believed():
    clock = Clock()
    prepared = {"network": Prepared(call=lambda: Pending(clock, 0.002))}
    timer = Timer(warmup=0, repeats=6, settle=0, patience=1, attempts=2, clock=clock)
    measured = measure(prepared, timer, drifting(clock, [1, 1, 2, 2, 3, 3] + [2] * 6))["network"]
    assert measured.drift == pytest.approx(2) and measured.latency_ms == pytest.approx(1)


def chain(clock, short, long):
    return {"unit": Prepared(call=call(clock, short), longer=call(clock, long), turns=4)}


def test_a_unit_is_the_difference_of_two_chains():
    clock = Clock()
    timer = Timer(warmup=0, repeats=3, settle=0, patience=1, attempts=1, clock=clock)
    measured = measure(chain(clock, [0.003, 0.002, 0.002], [0.006, 0.007, 0.009]), timer)["unit"]
    assert measured.latency_ms == pytest.approx(1) and measured.median_ms == pytest.approx(1.25)


def test_a_chain_lost_in_the_noise_is_timed_again_and_never_taken_for_nothing():
    clock = Clock()
    timer = Timer(warmup=0, repeats=3, settle=0, patience=1, attempts=2, clock=clock)
    lost, told = [0.0019] * 3, [0.004] * 3
    assert measure(chain(clock, [0.002] * 6, lost + told), timer)["unit"].latency_ms == pytest.approx(0.5)
    with pytest.raises(DriftError, match=r"1\.00 \(and 1 of 1 longer chains took no longer\), 1\.00 .* in 2 attempts"):
        measure(chain(clock, [0.002] * 6, lost + lost), timer)


@pytest.mark.parametrize(
    ("call_us", "turn_us", "turns"),
    [(20, 0.05, 20_000), (20, 2, 500), (20, 10, 200), (20, 100, 40), (20, 1e3, 6), (1e3, 0, 2**20), (0, 0, 2**20)],
)
def test_chains_are_long_enough_to_be_told_from_a_call(call_us, turn_us, turns):
    clock = Clock()
    found = chain_turns(lambda count: Pending(clock, (call_us + count * turn_us) / 1e6), clock)
    assert 0.8 * turns <= found <= turns


def watched(clock):
    """A watch, and the times its clocks were read at."""
    times = []
    return Watch(lambda: times.append(clock.now) or Clocks(sm_mhz=1980.0)), times


def test_an_accelerator_is_warmed_up_until_its_calls_take_equally_long():
    """Rounds of two calls: 8 and 8 s, 4 and 4 (half of it), 2 and 2, 2 and 2: settled, whatever ``warmup`` says."""
    clock = Clock()
    watch, times = watched(clock)
    timer = Timer(warmup=1, repeats=3, settle=0, patience=1, window=2, warm_seconds=1000, clock=clock)
    seconds = [9, 8, 8, 4, 4, 2, 2, 2.02, 2.02, 0.001, 0.002, 0.003]
    timing = timer.interleave({"call": call(clock, seconds)}, watch)["call"]
    assert timing.samples_ms == pytest.approx((1, 2, 3))
    assert times == pytest.approx([sum(seconds[:9]), sum(seconds)]), "clocks are read around what is timed"


def test_a_round_is_judged_by_its_median_and_by_all_calls_together():
    clock = Clock()
    watch, _ = watched(clock)
    timer = Timer(warmup=0, repeats=3, settle=0, patience=1, window=3, warm_seconds=1000, clock=clock)
    calls = {
        "a": call(clock, [1, 1, 50, 1, 1, 1, 1, 1, 1, 0.001, 0.001, 0.001]),  # an accident is none
        "b": call(clock, [3, 3, 3, 2, 2, 2, 2, 2, 2, 0.002, 0.002, 0.002]),  # slower in the first round
    }
    times = timer.interleave(calls, watch)
    assert times["a"].samples_ms == pytest.approx((1, 1, 1)) and times["b"].samples_ms == pytest.approx((2, 2, 2))


def test_a_warm_up_that_does_not_settle_is_given_up_and_said():
    clock = Clock()
    watch, _ = watched(clock)
    timer = Timer(warmup=0, repeats=3, settle=0, patience=1, window=2, warm_seconds=10, clock=clock)
    seconds = [1, 1, 2, 2, 1, 1, 2, 2, 0.001, 0.001, 0.001]  # 12 s behind the fourth round
    with pytest.warns(UserWarning, match=r"settles within 2% while the device warms up; after 10 s it has not"):
        timing = timer.interleave({"call": call(clock, seconds)}, watch)["call"]
    assert timing.samples_ms == pytest.approx((1, 1, 1))


def test_what_is_measured_brings_its_watch():
    """No watch, no further calls: on a CPU a warm-up is what it was."""
    clock = Clock()
    watch, times = watched(clock)
    timer = Timer(warmup=1, repeats=3, settle=0, patience=1, window=2, clock=clock)
    plain = {"a": Prepared(call=call(clock, [9] + [0.001] * 3))}
    assert measure(plain, timer)["a"].latency_ms == pytest.approx(1) and not times
    seen = {"a": Prepared(call=call(clock, [9] + [1] * 4 + [0.001] * 3), watch=watch)}
    assert measure(seen, timer)["a"].latency_ms == pytest.approx(1) and len(times) == 2
    assert watch.record["measurements"] == 1


@pytest.mark.parametrize(
    ("turn_us", "turns", "compiled"), [(1, 1000, [2, 34, 258, 2050]), (40, 100, [2, 34]), (1e4, 6, [2, 34])]
)
def test_few_lengths_of_a_chain_are_tried_where_each_is_a_program(turn_us, turns, compiled):
    clock, tried = Clock(), []

    def run(count):
        tried.append(count)
        return Pending(clock, (20 + count * turn_us) / 1e6)

    found = chain_turns(run, clock, short=2, first=32, growth=8)
    assert 0.8 * turns <= found <= turns and list(dict.fromkeys(tried)) == compiled
