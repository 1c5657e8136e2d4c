"""Batches: which frames and pixels they hold, and that a stream of them can be left and found again."""

import itertools
import json
import sys

import numpy as np
import pytest

from tvnjax.data.clips import prepare
from tvnjax.data.loader import TrainLoader, eval_batches
from tvnjax.data.procedural import ProceduralData
from tvnjax.data.sampling import area_resize
from tvnjax.data.video_folder import VideoData

READ = {"num_frames": 4, "frame_stride": 1, "image_size": 16}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    config = ProceduralData(task="motion", train_clips=20, val_clips=5, test_clips=11, num_frames=6, size=16)
    return prepare(config, cache_dir=tmp_path_factory.mktemp("cache"), num_frames=6, frame_stride=1, image_size=16)


@pytest.fixture
def filmed(tmp_path, write_video, write_manifest):
    """Returns clips of 40 frames, of which 10 to 20 are labelled, in pictures that are bright on the left."""
    lines = ["path,label,start_frame,end_frame,split"]
    for label in ("x", "y"):
        for split in ("train", "val", "test"):
            write_video(tmp_path / f"{label}_{split}.mkv", 40, bright=24)
            lines.append(f"{label}_{split}.mkv,{label},10,20,{split}")
    manifest = write_manifest(*lines)

    def make(*, num_frames=4, frame_stride=2, **fields):
        asked = {"num_frames": num_frames, "frame_stride": frame_stride, "image_size": 16}
        return prepare(VideoData(manifest=manifest, **fields), cache_dir=tmp_path / "cache", **asked)

    return make


def train(clips, split="train", *, batch_size=8, seed=0, augment=True, **read):
    return TrainLoader(clips, split, batch_size=batch_size, seed=seed, augment=augment, **{**READ, **read})


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in ("clip", "label"))


def test_batches_have_one_shape_and_type(drawn):
    for batch in itertools.islice(train(drawn), 5):
        assert batch.keys() == {"clip", "label"}
        assert batch["clip"].shape == (8, 4, 16, 16, 3) and batch["clip"].dtype == np.uint8
        assert batch["label"].shape == (8,) and batch["label"].dtype == np.int32


def test_each_epoch_holds_every_clip_once_in_an_order_of_its_own(drawn):
    source = drawn.source("train")
    middle = {source[i]["clip"][1:5].tobytes(): i for i in range(20)}
    drawn_clips = [c.tobytes() for b in itertools.islice(train(drawn, augment=False), 5) for c in b["clip"]]
    order = [middle[clip] for clip in drawn_clips]
    assert sorted(order[:20]) == sorted(order[20:]) == list(range(20))
    assert order[:20] != order[20:] and order[:20] != list(range(20))


def test_a_seed_gives_the_same_batches_and_another_seed_others(drawn):
    one, again, other = train(drawn), train(drawn), train(drawn, seed=1)
    pairs = [(next(one), next(again), next(other)) for _ in range(6)]
    assert all(same(a, b) for a, b, _ in pairs)
    assert not any(same(a, c) for a, _, c in pairs)


@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_stream_is_resumed_where_it_was_left(drawn, after):
    loader = train(drawn)
    for _ in range(after):
        next(loader)
    state = json.loads(json.dumps(loader.get_state()))
    expected = [next(loader) for _ in range(6)]
    fresh = train(drawn)
    next(fresh)
    fresh.set_state(state)
    assert all(same(batch, next(fresh)) for batch in expected)
    loader.set_state(state)
    assert all(same(batch, next(loader)) for batch in expected)


def test_states_of_other_streams_are_refused(drawn, refused):
    state = train(drawn).get_state()
    for other in (train(drawn, seed=1), train(drawn, batch_size=4), train(drawn, "val")):
        refused(lambda other=other: other.set_state(state), "seed=0", "same data")
    refused(lambda: train(drawn).set_state({}), "None")


@pytest.mark.parametrize("position", [None, 5, {}, {"next_index": -1}, {"next_index": 1.5}, {"next_index": True}])
def test_damaged_states_are_refused(drawn, refused, position):
    loader = train(drawn)
    refused(lambda: loader.set_state(loader.get_state() | {"position": position}), "next_index", "damaged")
    assert next(loader)["clip"].shape[0]


def test_splits_smaller_than_a_batch_are_repeated(drawn):
    assert next(train(drawn, "val", batch_size=16))["clip"].shape[0] == 16


def test_splits_are_joined(drawn):
    labels = np.concatenate([b["label"] for b in itertools.islice(train(drawn, ("train", "val"), batch_size=5), 5)])
    assert np.bincount(labels).tolist() == [7, 6, 6, 6]


def test_training_windows_stay_in_the_span_and_evaluation_is_centred(filmed, frame_numbers):
    clips = filmed()
    seen = set()
    for batch in itertools.islice(train(clips, frame_stride=2), 20):
        for clip in batch["clip"]:
            numbers = frame_numbers(clip)
            assert np.diff(numbers).tolist() == [2, 2, 2]
            seen.add(numbers[0])
    assert seen == {10, 11, 12, 13}
    evaluated = next(eval_batches(clips, "test", batch_size=2, **{**READ, "frame_stride": 2}))
    assert [frame_numbers(clip) for clip in evaluated["clip"]] == [[11, 13, 15, 17]] * 2
    centred = next(train(clips, frame_stride=2, augment=False))
    assert {tuple(frame_numbers(clip)) for clip in centred["clip"]} == {(11, 13, 15, 17)}


def test_shorter_clips_are_sampled_from_the_same_set(filmed, frame_numbers):
    batch = next(eval_batches(filmed(), "test", batch_size=2, **{**READ, "num_frames": 2, "image_size": 8}))
    assert batch["clip"].shape == (2, 2, 8, 8, 3)
    assert frame_numbers(batch["clip"][0]) == [14, 15]


def test_crops_move_and_pictures_are_mirrored_only_where_that_is_declared(filmed):
    def edges(clips):
        """Returns the columns where a training clip turns from bright to dark, negative where it is mirrored."""
        found = set()
        for batch in itertools.islice(train(clips), 10):
            for clip in batch["clip"].astype(int):
                step = np.diff(clip[0, 8, :, 1])
                found.add(int(np.sign(-step.sum()) * (1 + abs(step).argmax())))
        return found

    assert edges(filmed()) == {8}
    assert edges(filmed(flip=True)) == {8, -8}
    assert edges(filmed(shift=2)) == {6, 7, 8, 9, 10}
    batch = next(eval_batches(filmed(shift=2, flip=True), "test", batch_size=2, **READ))
    assert batch["clip"].shape[2:4] == (16, 16)
    assert abs(np.diff(batch["clip"][0, 0, 8, :, 1].astype(int))).argmax() + 1 == 8


def test_the_last_evaluation_batch_is_filled_up(drawn):
    batches = list(eval_batches(drawn, "test", batch_size=4, **READ))
    assert [batch["clip"].shape for batch in batches] == [(4, 4, 16, 16, 3)] * 3
    weight = np.concatenate([batch["weight"] for batch in batches])
    assert weight.dtype == np.float32 and weight.tolist() == [1] * 11 + [0]
    labels = np.concatenate([batch["label"] for batch in batches])
    assert labels.dtype == np.int32 and labels[:11].tolist() == [record["label"] for record in drawn.source("test")]


def test_shrinking_averages_areas():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 5, 24, 24, 3)).astype(np.uint8)
    halves = images.reshape(2, 5, 12, 2, 12, 2, 3).mean((3, 5))
    assert abs(area_resize(images, 12) - halves).max() <= 0.51
    odd = area_resize(images, 17)
    assert odd.shape == (2, 5, 17, 17, 3) and odd.dtype == np.uint8
    assert abs(odd.mean() - images.mean()) < 0.5
    assert area_resize(images, 24) is images
    flat = np.full((1, 24, 24, 3), 255, np.uint8)
    assert (area_resize(flat, 7) == 255).all()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"num_frames": 7}, ["7 frames", "prepared for 6"]),
        ({"frame_stride": 2}, ["span 7 frames"]),
        ({"image_size": 32}, ["32", "16 pixels"]),
        ({"batch_size": 0}, ["batch_size", "0"]),
        ({"seed": -1}, ["seed", "-1"]),
        ({"split": "tset"}, ["'tset'", "did you mean 'test'"]),
    ],
)
def test_more_than_was_prepared_is_refused(changed, words, drawn, refused):
    split = changed.pop("split", "train")
    refused(lambda: train(drawn, split, **changed), *words)
    if "seed" not in changed:
        read = {"batch_size": 8} | READ | changed
        refused(lambda: eval_batches(drawn, split, **read), *words)


def test_tensorflow_is_not_needed(drawn):
    next(train(drawn))
    assert "tensorflow" not in sys.modules
