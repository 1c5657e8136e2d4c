"""Arrays of one's own become stored clips, or are refused in one line."""

import copy
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest

import tvnjax
from tests.api.tiny import dark_halves
from tvnjax.core.to_json import jsonable
from tvnjax.data.clips import prepare
from tvnjax.data.preparation import source_from_json

SIZES = {"num_frames": 4, "frame_stride": 1, "image_size": 8}


def arrays(count=24, **options):
    clips, labels = dark_halves(count, frames=4, size=16)
    return tvnjax.Arrays(options.pop("clips", clips), options.pop("labels", labels), **options)


@pytest.fixture
def stored(tmp_path):
    """Returns a function that gives the stored clips of some data, by name: pixels and label."""

    def read(data, **sizes):
        clips = prepare(data, **(SIZES | sizes), cache_dir=tmp_path / "cache")
        found = {}
        for split in clips.splits:
            source = clips.source(split)
            for i in range(len(source)):
                record = source[i]
                found[record["name"].decode()] = split, record["clip"], int(record["label"])
        return clips, found

    return read


def means(clips, size):
    """Of uint8 ``[frames, height, width, channels]``, sides whole multiples of the size: plain means, rounded."""
    frames, height, width, channels = clips.shape
    cells = clips.reshape(frames, size, height // size, size, width // size, channels)
    return np.rint(cells.astype(float).mean((2, 4))).astype(np.uint8)


def test_clips_are_stored_scaled_with_their_labels(stored):
    clips, labels = dark_halves(24, frames=4, size=16)
    made, found = stored(tvnjax.Arrays(clips, labels, class_names=["a", "b", "c", "d"]))
    assert made.class_names == ("a", "b", "c", "d") and sum(made.splits.values()) == 24
    assert set(made.splits) == {"train", "val", "test"}
    for i in range(24):
        _, pixels, label = found[f"clip {i}"]
        np.testing.assert_array_equal(pixels, means(clips[i], 8))
        assert label == labels[i]


def test_clips_of_the_size_asked_for_stay_as_they_are(stored):
    clips, labels = dark_halves(24, frames=4, size=16)
    _, found = stored(tvnjax.Arrays(clips, labels), image_size=16)
    assert all(np.array_equal(found[f"clip {i}"][1], clips[i]) for i in range(24))


def test_floats_and_grey_and_names_come_to_the_same(stored):
    clips, labels = dark_halves(24, frames=4, size=16)
    grey = clips[..., :1]
    _, colour = stored(tvnjax.Arrays(clips, labels))
    _, floats = stored(tvnjax.Arrays((clips / 255).astype(np.float32), labels))
    assert all(np.array_equal(colour[name][1], floats[name][1]) for name in colour)
    for one in (grey, grey[..., 0], (grey / 255).astype(np.float64)):
        made, found = stored(tvnjax.Arrays(one, [f"class {label}" for label in labels]))
        assert made.class_names == ("class 0", "class 1", "class 2", "class 3")
        for i in range(24):
            np.testing.assert_array_equal(found[f"clip {i}"][1], means(np.repeat(clips[i][..., :1], 3, -1), 8))


def test_frames_that_are_not_square(stored):
    clips = np.random.default_rng(0).integers(0, 256, (24, 4, 16, 32, 3), np.uint8)
    labels = np.arange(24) % 2
    _, squashed = stored(tvnjax.Arrays(clips, labels))
    _, cut = stored(tvnjax.Arrays(clips, labels, fit="crop"))
    for i in range(24):
        np.testing.assert_array_equal(squashed[f"clip {i}"][1], means(clips[i], 8))
        np.testing.assert_array_equal(cut[f"clip {i}"][1], means(clips[i][:, :, 8:24], 8))


def test_splits_are_those_given(stored):
    names = (["train"] * 4 + ["val"] * 4 + ["test"] * 4) * 2
    places = {split: [i for i, name in enumerate(names) if name == split] for split in ("train", "val", "test")}
    masks = {"Train": np.array(names) == "train", "validation": places["val"], "test": places["test"]}
    for splits in (names, np.array(names), places, masks):
        _, found = stored(arrays(splits=splits))
        assert [found[f"clip {i}"][0] for i in range(24)] == names


def test_a_missing_split_is_drawn_from_all_classes(stored):
    made, _ = stored(arrays(80))
    assert made.splits == {"train": 56, "val": 12, "test": 12}
    assert all(count == 3 for count in made.counts["val"].values())
    assert stored(arrays(80, split_seed=1))[0].fingerprint != made.fingerprint


def test_the_digest_is_of_the_content(stored):
    clips, labels = dark_halves(24, frames=4, size=16)
    same, changed = arrays(), clips.copy()
    changed[3, 0, 0, 0, 0] ^= 1
    swapped = labels.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    others = [
        arrays(clips=changed),
        arrays(labels=swapped),
        arrays(clips=clips[::-1], labels=labels[::-1]),
        arrays(splits=["train"] * 16 + ["val"] * 4 + ["test"] * 4),
    ]
    assert same.digest == arrays().digest and same == arrays()
    assert len({same.digest, *(other.digest for other in others)}) == 5
    assert len({stored(one)[0].fingerprint for one in (same, *others)}) == 5


def test_arrays_that_change_after_they_were_given_are_refused(stored, refused):
    clips, labels = dark_halves(24, frames=4, size=16)
    data = tvnjax.Arrays(clips, labels)
    clips[5] = 0
    refused(lambda: stored(data), "were changed")


def test_copies_in_two_splits_are_said(stored):
    clips, labels = dark_halves(24, frames=4, size=16)
    clips[23] = clips[0]
    splits = ["train"] * 12 + ["val"] * 8 + ["test"] * 4
    made, _ = stored(tvnjax.Arrays(clips, labels, splits=splits))
    assert any("pixels of a clip in another split: 1 (first clip 23)" in line for line in made.said())
    assert any("pixels of a clip with another label: 1 (first clip 23)" in line for line in made.said())


def test_what_a_file_says_of_arrays_has_none(stored, refused):
    data = arrays()
    read = source_from_json(jsonable(data), "config.json")
    assert read == data and hash(read) == hash(data) and data.has_arrays and not read.has_arrays
    refused(lambda: stored(read), "keeps no arrays", "tvnjax.Arrays(...)")
    assert len(ForkingPickler.dumps(data)) < 2000, "workers are sent no arrays"
    assert copy.copy(data) == data
    assert len(repr(data)) <= 200 and "\n" not in repr(data)


CLIPS = np.zeros((4, 4, 16, 16, 3), np.uint8)
WRONG = [
    (CLIPS.astype(int), [0, 1, 0, 1], {}, ["int64", "astype"]),
    (CLIPS.astype(np.float32) - 1, [0, 1, 0, 1], {}, ["-1 to -1", "255"]),
    (CLIPS.astype(np.float32) + 200, [0, 1, 0, 1], {}, ["200", "255"]),
    (np.full(CLIPS.shape, np.nan), [0, 1, 0, 1], {}, ["nan"]),
    (CLIPS[0], [0, 1, 0, 1], {}, ["(4, 16, 16, 3)", "frames"]),
    (CLIPS[..., :2], [0, 1, 0, 1], {}, ["2 channels"]),
    (CLIPS[:0], [], {}, ["(0, 4, 16, 16, 3)"]),
    ([np.zeros((2, 8, 8, 3)), np.zeros((3, 8, 8, 3))], [0, 1], {}, ["one shape"]),
    (CLIPS, [0, 1], {}, ["4 clips", "(2,)"]),
    (CLIPS, [0, 1, 0, -1], {}, ["-1"]),
    (CLIPS, [0.0, 1.0, 0.0, 1.0], {}, ["float64"]),
    (CLIPS, [0, 2, 0, 2], {}, ["without gaps", "class_names"]),
    (CLIPS, [0, 1, 0, 1], {"class_names": ["a", "b", "c"]}, ["'c'"]),
    (CLIPS, [0, 1, 0, 1], {"class_names": ["a", "a"]}, ["once"]),
    (CLIPS, ["a", "b", "a", "cat"], {"class_names": ["a", "b", "cut"]}, ["'cat'", "'cut'"]),
    (CLIPS, [0, 0, 0, 0], {}, ["two classes"]),
    (CLIPS, [0, 1, 0, 1], {"splits": ["train"] * 3}, ["4 clips"]),
    (CLIPS, [0, 1, 0, 1], {"splits": ["train", "train", "val", "tset"]}, ["'tset'", "'test'"]),
    (CLIPS, [0, 1, 0, 1], {"splits": {"train": [0, 1], "test": [1, 2, 3]}}, ["clip 1"]),
    (CLIPS, [0, 1, 0, 1], {"splits": {"train": [0, 1], "test": [3]}}, ["clip 2"]),
    (CLIPS, [0, 1, 0, 1], {"splits": {"train": [0, 9]}}, ["9"]),
    (CLIPS, [0, 1, 0, 1], {"fit": "squish"}, ["'squash'"]),
    (CLIPS, [0, 1, 0, 1], {"shfit": 1}, ["'shift'"]),
    (CLIPS, [0, 1, 0, 1], {"val_fraction": 2}, ["val_fraction"]),
]


@pytest.mark.parametrize(("clips", "labels", "options", "words"), WRONG, ids=[" ".join(w) for *_, w in WRONG])
def test_what_is_no_set_of_clips_is_one_line(clips, labels, options, words, refused):
    refused(lambda: tvnjax.Arrays(clips, labels, **options), *words)


def test_windows_and_images_that_the_clips_do_not_have(stored, refused):
    refused(lambda: stored(arrays(), num_frames=5), "5 frames", "shapes.num_frames")
    refused(lambda: stored(arrays(), image_size=17), "17", "16 or less")
    refused(lambda: stored(arrays(shift=2), image_size=16), "margin of 2", "12 or less")
    made, _ = stored(arrays(shift=2), image_size=12)
    assert (made.size, made.image_size, made.shift) == (16, 12, 2)


def test_videos_that_are_not_there(refused, tmp_path):
    refused(lambda: tvnjax.VideoFolder(tmp_path / "nowhere"), "nowhere")
    refused(lambda: tvnjax.Manifest(tmp_path / "nowhere.csv"), "nowhere.csv")
    refused(lambda: tvnjax.VideoFolder(tmp_path, shfit=1), "'shift'")
    assert len(repr(tvnjax.VideoFolder(tmp_path, max_skipped=0.5, split_seed=100, flip=True))) <= 200
