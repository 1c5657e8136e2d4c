"""Clips on the device: the pixels, labels and order of batches cut on the host, from streamed clips and held ones."""

import functools
import itertools
import threading
import time

import jax
import numpy as np
import pytest

from tests.data import host_path
from tests.data.in_memory import FRAMES, SIZE, SPANS, in_memory
from tvnjax.data import resident as resident_module
from tvnjax.data.ahead import StreamAhead, ahead
from tvnjax.data.batch_fields import FIRST, LEFT, MIRRORED, STORED, STRIDE, TOP
from tvnjax.data.device_crop import plan_view
from tvnjax.data.loader import Stream
from tvnjax.data.placement import FIRST_DEVICE
from tvnjax.data.resident import ResidentClips, ResidentLimit, split_bytes, splits_within
from tvnjax.data.stored_clips import PlanView, RawTrainLoader, raw_eval_batches

BOTH = ("val", "train")


def views(side):
    sizes = [(1, 1, side), (2, 5, side), (3, 2, side - 1), (6, 1, side // 2), (2, 3, 5)]
    return [PlanView(num_frames=t, frame_stride=stride, image_size=size) for t, stride, size in sizes]


def held(clips):
    return ResidentClips(clips, BOTH, FIRST_DEVICE)


@functools.cache
def program(num_frames, image_size, side, flip):
    return jax.jit(functools.partial(plan_view, num_frames=num_frames, image_size=image_size, side=side, flip=flip))


def seen(batch, view, clips, rng):
    read = program(view.num_frames, view.image_size, clips.image_size, clips.flip)
    clips_of = {name: batch[name] for name in ("clips", STORED) if name in batch}
    pixels, labels = read({**clips_of, "rows": view.rows(batch, rng)})
    return np.asarray(pixels), np.asarray(labels)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shift", [0, 3])
def test_training_batches_are_those_cut_on_the_host(shift, flip):
    clips = in_memory(shift, flip)
    drawn = set()
    for resident in (None, held(clips)):
        for split, augment in itertools.product(BOTH, (True, False)):
            how = {"batch_size": 7, "seed": 5, "augment": augment}
            expected = host_path.train_batches(clips, split, **how)
            loader = RawTrainLoader(clips, split, **how, resident=resident)
            ours, theirs = np.random.default_rng(3), np.random.default_rng(3)
            # Behind the end of the first epoch too, every view of a batch as a scoring takes them.
            for batch, reference in itertools.islice(zip(loader, expected), 5):
                for view in views(clips.image_size):
                    rows = view.rows(batch, None)
                    drawn |= {tuple(row) for row in rows[:, [TOP, LEFT, MIRRORED]].tolist()}
                    for rngs in ((None, None), (ours, theirs)):
                        pixels, labels = seen(batch, view, clips, rngs[0])
                        right, right_labels = host_path.seen(reference, view, rngs[1])
                        assert np.array_equal(pixels, right) and np.array_equal(labels, right_labels)
            assert ours.bit_generator.state == theirs.bit_generator.state
    tops, lefts, mirrored = map(set, zip(*drawn))
    assert mirrored == ({0, 1} if flip else {0}) and tops == lefts == set(range(2 * shift + 1))


@pytest.mark.parametrize("shift", [0, 3])
def test_passes_are_those_cut_on_the_host(shift):
    clips = in_memory(shift, flip=True)
    for resident in (None, held(clips)):
        passes = [list(raw_eval_batches(clips, split, batch_size=4, resident=resident)) for split in BOTH]
        assert [len(one) for one in passes] == [3, 6]
        for split, batches in zip(BOTH, passes):
            for batch, reference in zip(batches, host_path.eval_batches(clips, split, batch_size=4), strict=True):
                kept = len(reference["label"])
                assert batch["weight"].tolist() == [1] * kept + [0] * (4 - kept)
                for view in views(clips.image_size):
                    pixels, labels = seen(batch, view, clips, None)
                    right, right_labels = host_path.seen(reference, view, None)
                    assert np.array_equal(pixels[:kept], right) and np.array_equal(labels[:kept], right_labels)
                    assert (pixels[kept:] == right[-1]).all() and (labels[kept:] == right_labels[-1]).all()


def test_rows_name_the_frames_that_are_read():
    """Of clips whose every pixel is the number of its frame."""
    clips = np.broadcast_to(np.arange(FRAMES, dtype=np.uint8)[:, None, None], (2, FRAMES, SIZE, 3 * SIZE))
    rows = np.zeros((2, 7), np.int32)
    rows[:, [FIRST, STRIDE]] = [[1, 2], [3, 1]]
    pixels, _ = program(3, 6, SIZE, False)({"clips": np.ascontiguousarray(clips), "rows": rows})
    assert np.asarray(pixels)[:, :, 0, 0, 0].tolist() == [[1, 3, 5], [3, 4, 5]]


class Telling:
    """A placement that keeps what it was given."""

    whole = None

    def __init__(self):
        self.pieces = []

    def copy(self, array):
        self.pieces.append(array)
        return jax.device_put(array)


def test_a_split_is_put_on_the_device_in_pieces(monkeypatch):
    clips, whole = in_memory(), held(in_memory()).clips
    for per_piece in (1, 4, 1000):
        monkeypatch.setattr(resident_module, "_PIECE", per_piece * FRAMES * SIZE * SIZE * 3)
        placement = Telling()
        pieces, again = placement.pieces, ResidentClips(clips, BOTH, placement)
        assert not pieces, "nothing is read before it is asked for"
        assert np.array_equal(again.clips, whole) and again.clips is again.clips
        assert max(piece.shape[0] for piece in pieces if piece.ndim) <= per_piece
        for split in BOTH:
            numbers, records = again.numbers(split), clips.source(split)
            assert numbers.first == {"val": 0, "train": 11}[split]
            assert numbers.label.tolist() == [record["label"] for record in records]
            assert numbers.valid.tolist() == [list(SPANS[i % len(SPANS)][1]) for i in range(len(records))]


def test_whole_splits_are_held_within_the_limit():
    clips = in_memory(shift=3, train=20, val=10)
    clip = FRAMES * SIZE * SIZE * 3
    assert (split_bytes(clips, "train"), split_bytes(clips, "val")) == (20 * clip, 10 * clip)
    fits = {0: (), 10 * clip - 1: (), 10 * clip: ("val",), 30 * clip - 1: ("val",), 30 * clip: BOTH, 10**15: BOTH}
    assert {limit: splits_within(clips, limit) for limit in fits} == fits
    few = in_memory(train=5, val=10)
    assert splits_within(few, 9 * clip) == ("train",), "a split that does not fit leaves its room to the next"


def test_the_limit_is_the_one_given_or_a_quarter_of_the_memory(monkeypatch):
    def device(platform, stats):
        return type("Device", (), {"platform": platform, "memory_stats": lambda _: stats})()

    assert ResidentLimit.of(1.5).most == 1_500_000_000 and ResidentLimit.of(0).most == 0
    assert ResidentLimit.of(None, device("gpu", {"bytes_limit": 4000})).most == 1000
    monkeypatch.setattr(resident_module, "free_bytes", lambda: 800)
    assert ResidentLimit.of(None, device("cpu", None)).most == 200
    assert ResidentLimit.of(None, device("cpu", {"bytes_limit": 4000})).most == 200
    monkeypatch.setattr(resident_module, "free_bytes", lambda: None)
    for unknown in (device("cpu", None), device("gpu", {})):
        assert ResidentLimit.of(None, unknown) == ResidentLimit(
            most=2 * 10**9, why="nothing tells how much memory there is"
        )


def loader(clips, seed=5, resident=None):
    return RawTrainLoader(clips, "train", batch_size=7, seed=seed, resident=resident)


def streamed(clips, depth=3, seed=5):
    return StreamAhead(loader(clips, seed), jax.device_put, depth)


def pixels(batch):
    view = PlanView(num_frames=6, frame_stride=1, image_size=8)
    return seen(batch, view, in_memory(3, True), None)[0]


def test_a_stream_is_at_the_batch_handed_out_not_at_those_in_advance():
    clips = in_memory(3, True)
    plain, stream = loader(clips), streamed(clips)
    states = [plain.get_state()]
    assert stream.get_state() == states[0], "before the first batch"
    for _ in range(9):
        expected, batch = next(plain), next(stream)
        assert isinstance(batch["clips"], jax.Array) and np.array_equal(batch["clips"], expected["clips"])
        assert np.array_equal(batch["picks"], expected["picks"])
        time.sleep(0.02)  # time for the thread to run ahead
        states.append(plain.get_state())
        assert stream.get_state() == states[-1]
    assert len({str(state) for state in states}) == 10
    rest = [pixels(batch) for batch in itertools.islice(stream, 3)]
    # Held, streamed, fresh and itself: each goes on with the same batches.
    for other in (streamed(clips), loader(clips), loader(clips, resident=held(clips)), stream):
        other.set_state(states[-1])
        assert other.get_state() == states[-1]
        assert all(np.array_equal(pixels(next(other)), right) for right in rest)


def test_a_place_of_another_stream_is_refused_and_nothing_lost(refused):
    clips = in_memory(3, True)
    stream, plain = streamed(clips), loader(clips)
    for _ in range(2):
        next(stream), next(plain)
    refused(lambda: stream.set_state(loader(clips, seed=6).get_state()), "seed=6", "same data")
    assert np.array_equal(next(stream)["clips"], next(plain)["clips"])


def test_what_goes_wrong_in_advance_is_raised_in_its_place():
    def items():
        yield 1
        yield 2
        raise OSError("the disk is gone")

    read = ahead(items(), 4)
    assert next(read) == 1 and next(read) == 2
    with pytest.raises(OSError, match="the disk is gone"):
        next(read)
    assert list(ahead(iter(range(5)), 2)) == [0, 1, 2, 3, 4] and list(ahead(iter(()), 1)) == []


def test_no_more_is_made_than_asked_and_the_thread_ends():
    made = []

    def items():
        for number in itertools.count():
            made.append(number)
            yield number

    others = set(threading.enumerate())
    read = ahead(items(), 2)
    assert not made and next(read) == 0
    deadline = time.monotonic() + 10
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert made == [0, 1, 2, 3], "the one handed out, two that wait, one in the making"
    assert any(thread.name == "clips ahead" for thread in set(threading.enumerate()) - others)
    read.close()
    assert not any(thread.name == "clips ahead" for thread in set(threading.enumerate()) - others)


def test_numbers_of_clips_are_drawn_in_the_order_of_clips():
    """So that saved places mean the same, whether a split is held or streamed."""
    clips = in_memory()
    resident = held(clips)
    assert isinstance(loader(clips), Stream)
    one, other = loader(clips), loader(clips, resident=resident)
    records, first = clips.source("train"), resident.numbers("train").first
    for streamed_batch, held_batch in itertools.islice(zip(one, other), 8):
        assert one.get_state() == other.get_state()
        index = held_batch["picks"][:, 0] - first
        right = np.stack([records[i]["clip"] for i in index]).reshape(7, FRAMES, SIZE, 3 * SIZE)
        assert np.array_equal(streamed_batch["clips"], right)
