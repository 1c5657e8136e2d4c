"""The streams of a search: held and streamed splits give the same batches, and each clip goes to the device once."""

import dataclasses
import functools
import itertools

import jax
import numpy as np
import pytest

from tests.data.in_memory import FRAMES, SIZE, in_memory
from tvnjax.core.monitor import Silent
from tvnjax.data.placement import Placement
from tvnjax.data.resident import ResidentLimit
from tvnjax.search.gradient.stored_data import hold_clips, stored_data
from tvnjax.spaces.base import Reads

CLIP = FRAMES * SIZE * SIZE * 3
CLIPS = in_memory(shift=2, flip=True, train=23, val=11)
LIMITS = {"all streamed": 0, "val held": 11 * CLIP, "all held": 10**9}
PLANS = [Reads(4, 1, 10), Reads(2, 3, 6), Reads(4, 1, 5)]
BATCH = 4


@dataclasses.dataclass(frozen=True)
class Counting(Placement):
    """Counts the bytes that go to the device, by the number of axes."""

    put: list = dataclasses.field(default_factory=list, compare=False)

    def split(self, array):
        self.put.append(np.asarray(array))
        return super().split(array)

    def copy(self, array):
        self.put.append(np.asarray(array))
        return super().copy(array)

    def clips(self):
        """Clips put on the device."""
        return sum(array.nbytes for array in self.put if array.ndim > 2) / CLIP


class Plans:
    """What of a relaxation the streams ask for: a plan is what it reads."""

    @staticmethod
    def reads(plan):
        return plan


class Told(Silent):
    def __init__(self):
        self.events, self.lines = [], []

    def event(self, kind, **fields):
        self.events.append({"event": kind, **fields})

    def progress(self, stage, done, total, text=""):
        self.lines.append(f"{stage}: {text}")


def data(limit, monitor=None, placement=None):
    placement = placement or Counting()
    resident = hold_clips(CLIPS, ResidentLimit(most=LIMITS[limit], why="as given"), placement, monitor or Silent())
    sizes = {"batch_size": BATCH, "score_clips": 6, "eval_batch": 4}
    return stored_data(CLIPS, Plans(), resident, placement, **sizes, seed=3), placement


@functools.cache
def program(plan):
    return jax.jit(data("all streamed")[0].view_of(plan))


def seen(streams, batch, plan, rng=None):
    pixels, labels = program(plan)(streams.cut(batch, plan, rng))
    return np.asarray(pixels), np.asarray(labels)


def read_all(limit):
    """What a search might read, in order."""
    streams, _ = data(limit)
    rng, found = np.random.default_rng(0), []
    for _ in range(4):
        scoring = next(streams.scoring)
        found += [seen(streams, scoring, plan, rng) for plan in PLANS]
        found += [seen(streams, next(stream), PLANS[0], rng) for stream in (streams.train, streams.val)]
    for batch in streams.val_once():
        cut = streams.cut(batch, PLANS[1], None)
        found.append((*seen(streams, batch, PLANS[1]), np.asarray(cut["weight"])))
    return found, streams.capture(), rng.bit_generator.state


def test_what_is_held_changes_no_number():
    (expected, places, drawn), *others = [read_all(limit) for limit in LIMITS]
    assert len({str(pixels) for pixels, *_ in expected}) == len(expected) == 4 * 5 + 3
    for found, at, state in others:
        assert at == places and state == drawn
        for one, other in zip(found, expected, strict=True):
            assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("other", LIMITS)
@pytest.mark.parametrize("limit", LIMITS)
def test_a_search_goes_on_at_the_same_batches_whatever_is_held(limit, other):
    streams, _ = data(limit)
    for count, stream in enumerate((streams.train, streams.val, streams.scoring), start=1):
        for _ in range(3 * count):
            next(stream)
    places = streams.capture()
    at = {name: place["position"]["next_index"] for name, place in places.items()}
    assert at == {"train": 3, "val": 6, "scoring": 9}
    again, _ = data(other)
    again.restore(places)
    for name in ("train", "val", "scoring"):
        for _ in range(2):
            expected = seen(streams, next(getattr(streams, name)), PLANS[0])
            assert all(map(np.array_equal, expected, seen(again, next(getattr(again, name)), PLANS[0])))


def test_a_scoring_puts_its_clips_on_the_device_at_most_once():
    for limit in LIMITS:
        streams, placement = data(limit)
        scoring = next(streams.scoring)
        if limit == "all streamed":
            # Those in advance, too: as many at most as wait, and one in the making.
            assert 6 <= placement.clips() <= 6 * 4
        else:
            assert placement.clips() == {"val held": 11, "all held": 34}[limit], "the splits, once"
        before = len(placement.put)
        cuts = [streams.cut(scoring, plan, None) for plan in PLANS * 3]
        rows = [array for array in placement.put[before:] if array.ndim == 2]
        assert [(array.shape, array.dtype) for array in rows] == [((6, 7), np.int32)] * 9
        name = "clips" if limit == "all streamed" else "stored"
        assert all(cut[name] is scoring[name] and cut.keys() == {name, "rows"} for cut in cuts)


def test_a_pass_is_held_or_streamed_once():
    for limit in LIMITS:
        streams, placement = data(limit)
        batches = list(streams.val_once())
        first = placement.clips()
        assert first == {"all streamed": 12, "val held": 11, "all held": 34}[limit]
        for batch in batches:
            for plan in PLANS:
                streams.cut(batch, plan, None)
        assert placement.clips() == first
        list(streams.val_once())
        assert placement.clips() == (24 if limit == "all streamed" else first)


@pytest.mark.parametrize("limit", LIMITS)
def test_the_loop_copies_nothing_unasked(limit):
    streams, _ = data(limit)
    rng = np.random.default_rng(0)
    for stream in (streams.train, streams.val, streams.scoring):
        next(stream)
    programs = {}
    for name in ("train", "val"):
        cut = streams.cut(next(getattr(streams, name)), PLANS[0], rng)
        programs[name] = jax.jit(streams.view_of(PLANS[0])).lower(cut).compile()
    scoring = streams.cut(next(streams.scoring), PLANS[1], rng)
    programs["scoring"] = jax.jit(streams.view_of(PLANS[1])).lower(scoring).compile()
    with jax.transfer_guard("disallow"):
        with pytest.raises(Exception, match="Disallowed host-to-device"):
            programs["train"]({**cut, "rows": np.asarray(cut["rows"])})
        for _ in range(3):
            for name, plan in (("train", PLANS[0]), ("val", PLANS[0]), ("scoring", PLANS[1])):
                # Either program of a step takes the clips of either split.
                batch = streams.cut(next(getattr(streams, name)), plan, rng)
                others = {"train": "val", "val": "train"}
                jax.block_until_ready(programs[others.get(name, name)](batch))
            for batch in itertools.islice(streams.val_once(), 2):
                name = "clips" if limit == "all streamed" else "stored"
                assert streams.cut(batch, PLANS[0], None).keys() == {name, "rows", "weight"}


def test_what_is_held_and_what_is_streamed_is_said_once():
    val, train = 11 * CLIP, 23 * CLIP
    expected = {
        "all streamed": ({}, {"val": val, "train": train}, "on the device: none; streamed: val"),
        "val held": ({"val": val}, {"train": train}, "on the device: val"),
        "all held": ({"val": val, "train": train}, {}, "streamed: none"),
    }
    for limit, (held, streamed, words) in expected.items():
        monitor = Told()
        streams, _ = data(limit, monitor)
        next(streams.train), next(streams.val)
        told = {"resident": held, "streamed": streamed, "limit_bytes": LIMITS[limit], "limit": "as given"}
        assert monitor.events == [{"event": "resident_clips", **told}]
        (line,) = monitor.lines
        assert words in line and "as given" in line


@pytest.mark.parametrize("limit", LIMITS)
def test_a_batch_is_cut_in_parts_with_its_rows(limit):
    """As accumulated gradients do and several devices: all but the stored clips, which every part has."""
    streams, _ = data(limit)
    for stream in (streams.train, streams.val, streams.scoring):
        batch = streams.cut(next(stream), PLANS[0], None)
        whole = program(PLANS[0])(batch)
        half = len(batch["rows"]) // 2
        for part in (slice(half), slice(half, None)):
            cut = {name: array if name == "stored" else array[part] for name, array in batch.items()}
            found = program(PLANS[0])(cut)
            assert all(np.array_equal(one, other[part]) for one, other in zip(found, whole, strict=True))
