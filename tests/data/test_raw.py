"""Whole clips and the views plans take of them: the same frames and pixels as a loader made for the plan alone."""

import functools
import itertools
import json

import jax
import numpy as np
import pytest

from tvnjax.data.batch_fields import LABEL
from tvnjax.data.clips import prepare
from tvnjax.data.device_crop import plan_view
from tvnjax.data.loader import TrainLoader, eval_batches
from tvnjax.data.planted import PlantedData
from tvnjax.data.procedural import ProceduralData
from tvnjax.data.stored_clips import PlanView, RawTrainLoader, raw_eval_batches
from tvnjax.data.video_folder import VideoData

PLANS = [(1, 1, 24), (1, 8, 8), (2, 7, 12), (4, 2, 24), (8, 1, 17), (3, 3, 16)]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    config = ProceduralData(task="motion", train_clips=20, val_clips=5, test_clips=11, num_frames=8, size=24)
    return prepare(config, cache_dir=tmp_path_factory.mktemp("cache"), num_frames=8, frame_stride=1, image_size=24)


@pytest.fixture
def filmed(tmp_path, write_video, write_manifest):
    """Returns clips of 40 frames, of which 10 to 20 are labelled, in pictures that are bright on the left."""
    lines = ["path,label,start_frame,end_frame,split"]
    for label in ("x", "y"):
        for split in ("train", "val", "test"):
            write_video(tmp_path / f"{label}_{split}.mkv", 40, bright=24)
            lines.append(f"{label}_{split}.mkv,{label},10,20,{split}")
    config = VideoData(manifest=write_manifest(*lines), shift=2, flip=True)
    return prepare(config, cache_dir=tmp_path / "cache", num_frames=4, frame_stride=2, image_size=16)


def read(num_frames, frame_stride, image_size):
    return {"num_frames": num_frames, "frame_stride": frame_stride, "image_size": image_size}


def cut(plan, clips, batch, rng=None):
    sizes = {"num_frames": plan.num_frames, "image_size": plan.image_size, "side": clips.image_size}
    read = jax.jit(functools.partial(plan_view, **sizes, flip=clips.flip))
    pixels, labels = read({"clips": batch["clips"], "rows": plan.rows(batch, rng)})
    assert np.array_equal(labels, batch["picks"][:, LABEL])
    return np.asarray(pixels)


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in ("clips", "picks"))


@pytest.mark.parametrize("shape", PLANS)
def test_centred_views_are_what_a_loader_of_the_plan_gives(shape, drawn):
    plan = PlanView(**read(*shape))
    whole = list(raw_eval_batches(drawn, "test", batch_size=4))
    alone = list(eval_batches(drawn, "test", batch_size=4, **read(*shape)))
    assert len(whole) == len(alone) == 3
    for raw, expected in zip(whole, alone):
        seen = cut(plan, drawn, raw)
        kept = expected["weight"] > 0
        assert np.array_equal(raw["weight"], expected["weight"]) and raw["weight"].dtype == np.float32
        assert np.array_equal(raw["picks"][kept, LABEL], expected["label"][kept])
        assert seen.dtype == np.float32 and seen.shape == expected["clip"].shape
        # A mean exactly between two levels may fall to either side, as the order of a sum decides.
        off = np.abs(seen[kept] - expected["clip"][kept])
        assert off.max() <= 1 and (off > 0).mean() < 1e-3
        if 24 % shape[2] == 0 and shape[2] != 8:
            assert not off.any()


def test_centred_views_of_cropped_videos_are_those_of_a_loader(filmed):
    for shape in [(4, 2, 16), (2, 4, 8), (1, 1, 4), (4, 1, 2)]:
        expected = next(eval_batches(filmed, "test", batch_size=2, **read(*shape)))
        raw = next(raw_eval_batches(filmed, "test", batch_size=2))
        assert raw["clips"].shape[2:] == (20, 20 * 3)
        assert np.array_equal(cut(PlanView(**read(*shape)), filmed, raw), expected["clip"])


def test_random_windows_are_the_allowed_ones(filmed, frame_numbers):
    plan, rng, seen = PlanView(**read(4, 2, 16)), np.random.default_rng(0), set()
    for batch in itertools.islice(RawTrainLoader(filmed, "train", batch_size=8, seed=0), 20):
        clips = cut(plan, filmed, batch, rng)
        for clip in clips:
            # The left half is bright, so that a mirrored clip shows its number on the other side.
            mirrored = clip[:, :, -1].mean() > clip[:, :, 0].mean()
            numbers = frame_numbers(clip[:, :, ::-1] if mirrored else clip)
            assert np.diff(numbers).tolist() == [2, 2, 2]
            seen.add(numbers[0])
    assert seen == {10, 11, 12, 13}


def test_training_batches_hold_whole_clips(drawn):
    for batch in itertools.islice(RawTrainLoader(drawn, "train", batch_size=8, seed=0), 5):
        assert batch.keys() == {"clips", "picks", "span", "valid"}
        assert batch["clips"].shape == (8, 8, 24, 24 * 3) and batch["clips"].dtype == np.uint8
        assert batch["picks"].shape == (8, 5) and batch["span"].shape == batch["valid"].shape == (8, 2)
        assert {batch[name].dtype for name in ("picks", "span", "valid")} == {np.dtype(np.int32)}
        assert (batch["span"] == [0, 8]).all() and (batch["valid"] == [0, 8]).all()


def test_crops_and_mirroring_are_drawn_where_the_set_allows_them(filmed):
    def edges(**how):
        found = set()
        for batch in itertools.islice(RawTrainLoader(filmed, "train", batch_size=8, seed=0, **how), 10):
            for clip in cut(PlanView(**read(4, 2, 16)), filmed, batch).astype(int):
                step = np.diff(clip[0, 8, :, 1])
                found.add(int(np.sign(-step.sum()) * (1 + abs(step).argmax())))
        return found

    assert edges() == {sign * edge for edge in (6, 7, 8, 9, 10) for sign in (1, -1)}
    assert edges(augment=False) == {8}


def test_a_stream_is_resumed_where_it_was_left(drawn, refused):
    def make(seed=0):
        return RawTrainLoader(drawn, ("train", "val"), batch_size=8, seed=seed)

    one, again = make(), make()
    assert all(same(next(one), next(again)) for _ in range(5))
    assert not same(next(make()), next(make(seed=1)))
    state = json.loads(json.dumps(one.get_state()))
    expected = [next(one) for _ in range(4)]
    fresh = make()
    fresh.set_state(state)
    assert all(same(batch, next(fresh)) for batch in expected)
    refused(lambda: make(seed=1).set_state(state), "seed=0", "same data")
    alone = TrainLoader(drawn, ("train", "val"), batch_size=8, seed=0, **read(2, 1, 8))
    refused(lambda: alone.set_state(state), "same data")


def test_more_than_a_clip_holds_is_refused(drawn, refused):
    batch = next(raw_eval_batches(drawn, "val", batch_size=8))
    assert batch["weight"].tolist() == [1] * 5 + [0] * 3
    refused(lambda: PlanView(**read(4, 3, 8)).starts(batch, None), "span 10 frames", "has 8")
    refused(lambda: cut(PlanView(**read(4, 1, 32)), drawn, batch), "32 pixels", "24")
    refused(lambda: PlanView(**read(0, 1, 8)), "num_frames", "0")
    refused(lambda: raw_eval_batches(drawn, "val", batch_size=0), "batch_size", "0")
    refused(lambda: RawTrainLoader(drawn, "vla", batch_size=8, seed=0), "'vla'", "did you mean 'val'")


def test_clips_of_videos_shorter_than_a_window_are_read_from_their_start(tmp_path, write_video, frame_numbers):
    """A plan of few frames reads real ones alone; one of many ends on the video's last frame, held."""
    for label in "xy":
        for i in range(4):
            write_video(tmp_path / "videos" / label / f"{i}.mkv", 3)
    for short_spans in ("hold", "widen"):
        config = VideoData(folder=tmp_path / "videos", temporal_jitter=1, short_spans=short_spans)
        clips = prepare(config, cache_dir=tmp_path / "cache", num_frames=6, frame_stride=1, image_size=16)
        assert clips.held == 8 and clips.widened == 0
        for batch in itertools.islice(RawTrainLoader(clips, "train", batch_size=4, seed=0), 3):
            rng = np.random.default_rng(0)
            for clip in cut(PlanView(**read(6, 1, 16)), clips, batch, rng):
                assert frame_numbers(clip) == [0, 1, 2, 2, 2, 2]
            for clip in cut(PlanView(**read(2, 2, 16)), clips, batch, rng):
                assert frame_numbers(clip) == [0, 2]
            for clip in cut(PlanView(**read(2, 1, 16)), clips, batch, rng):
                assert frame_numbers(clip) in ([0, 1], [1, 2])


def test_sources_know_their_clips_frames():
    assert ProceduralData(num_frames=12).clip_frames == 12
    assert PlantedData().clip_frames == 16
    assert VideoData().clip_frames is None
