"""Videos to stored clips: the frames are the named ones, and what cannot be used is named and counted."""

import shutil

import numpy as np
import pytest

from tvnjax.data import decode
from tvnjax.data.clips import prepare
from tvnjax.data.video_folder import VideoData

ASKED = {"num_frames": 8, "frame_stride": 1, "image_size": 16}


def build(tmp_path, config, **asked):
    return prepare(config, cache_dir=tmp_path / "cache", **{**ASKED, **asked})


@pytest.fixture
def rows(tmp_path, write_video):
    """Returns a function that gives one row per span and split, all of them of class x, and writes a file of class y
    beside them. Each split has copies of its own of the videos that are there."""

    def make(*spans, splits=("train", "val", "test")):
        for path in {path for path, _, _ in spans if (tmp_path / path).exists()}:
            for split in splits:
                (tmp_path / split).mkdir(exist_ok=True)
                copy = shutil.copytree if (tmp_path / path).is_dir() else shutil.copy
                copy(tmp_path / path, tmp_path / split / path)
        write_video(tmp_path / "other.mkv", 20)
        lines = [f"{split}/{path},x,{start},{end},{split}" for split in splits for path, start, end in spans]
        return ["path,label,start_frame,end_frame,split", *lines, "other.mkv,y,,,train"]

    return make


@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [
        ("ffv1", "mkv", {}),
        ("libx264", "mp4", {"crf": "0", "bf": "3", "g": "50"}),  # frames are stored out of order
        ("mpeg4", "avi", {"b": "4000000", "g": "30"}),
    ],
)
def test_clips_hold_exactly_the_named_frames(
    codec, suffix, options, tmp_path, write_video, write_manifest, frame_numbers, rows
):
    write_video(tmp_path / f"a.{suffix}", 60, codec=codec, **options)
    named = [(20, 40), (3, 12), (51, 60), (30, 33)]
    manifest = write_manifest(*rows(*[(f"a.{suffix}", start, end) for start, end in named]))
    clips = build(tmp_path, VideoData(manifest=manifest, temporal_jitter=2, short_spans="widen"))
    assert clips.class_names == ("x", "y") and clips.splits == {"train": 5, "val": 4, "test": 4}
    assert (clips.frames_stored, clips.size, clips.widened, clips.skipped) == (12, 16, 3, ())
    stored = [clips.source("train")[i] for i in range(4)]
    assert [frame_numbers(record["clip"]) for record in stored] == [
        list(range(24, 36)),
        list(range(1, 13)),
        [*range(49, 60), 59],  # the video ends here: the last place only fills up
        list(range(25, 37)),
    ]
    assert [record["span"].tolist() for record in stored] == [[0, 12], [2, 11], [2, 11], [5, 8]]
    assert stored[2]["valid"].tolist() == [0, 11]
    assert stored[3]["name"].decode() == f"train/a.{suffix}[30:33]"
    assert stored[0]["clip"].shape == (12, 16, 16, 3) and stored[0]["clip"].dtype == np.uint8


def test_hold_repeats_the_last_named_frame(tmp_path, write_video, write_manifest, frame_numbers, rows):
    """And is what is done unless something else is asked for."""
    write_video(tmp_path / "a.mkv", 5)
    manifest = write_manifest(*rows(("a.mkv", 1, 4), ("a.mkv", "", "")))
    clips = build(tmp_path, VideoData(manifest=manifest, temporal_jitter=0))
    assert (clips.held, clips.widened) == (6, 0)
    source = clips.source("val")
    assert frame_numbers(source[0]["clip"]) == [1, 2, 3, 3, 3, 3, 3, 3]
    assert frame_numbers(source[1]["clip"]) == [0, 1, 2, 3, 4, 4, 4, 4]


def test_each_file_is_decoded_once(tmp_path, write_video, write_manifest, monkeypatch, rows):
    write_video(tmp_path / "a.mkv", 60)
    write_video(tmp_path / "v.mkv", 60)
    write_video(tmp_path / "t.mkv", 60)
    lines = rows(*[("a.mkv", i, i + 9) for i in range(0, 50, 5)], splits=["train"])
    opened = []
    really_open = decode.av.open

    def count(file, *args, **options):
        opened.append(file.name.rsplit("/", 1)[-1])
        return really_open(file, *args, **options)

    monkeypatch.setattr(decode.av, "open", count)
    lines += ["v.mkv,x,0,9,val", "v.mkv,x,9,20,val", "t.mkv,x,,,test"]
    build(tmp_path, VideoData(manifest=write_manifest(*lines)))
    assert sorted(opened) == ["a.mkv", "other.mkv", "t.mkv", "v.mkv"]


@pytest.mark.parametrize(
    ("size", "bright", "fit", "expected"),
    [
        ((64, 32), 32, "squash", 8),
        ((64, 32), 16, "squash", 4),
        ((64, 32), 16, "crop", 0),  # the quarter cut off on the left
        ((64, 32), 32, "crop", 8),
        ((32, 96), 8, "squash", 4),
        ((32, 96), 8, "crop", 4),
        ((8, 6), 4, "crop", 8),  # enlarged
    ],
)
def test_frames_become_square(size, bright, fit, expected, tmp_path, write_video, write_manifest, rows):
    write_video(tmp_path / "a.mkv", 8, size=size, bright=bright)
    clips = build(tmp_path, VideoData(manifest=write_manifest(*rows(("a.mkv", 0, 8))), fit=fit))
    clip = clips.source("train")[0]["clip"][4]
    assert clip.shape == (16, 16, 3)
    assert (clip[8, :, 1] > 70).tolist() == [True] * expected + [False] * (16 - expected)


def test_bad_videos_are_skipped_named_and_counted(tmp_path, class_folders, write_video, refused):
    folder = class_folders(videos=12)
    (folder / "cat" / "empty.mp4").touch()
    (folder / "cat" / "text.mp4").write_text("no video\n" * 500)
    good = write_video(tmp_path / "good.mp4", 60, codec="mpeg4").read_bytes()
    (folder / "cat" / "cut.mp4").write_bytes(good[: len(good) // 2])
    (folder / "dog" / "playlist.mp4").write_text(f"#EXTM3U\n#EXTINF:3,\n{tmp_path / 'good.mp4'}\n#EXT-X-ENDLIST\n")
    refused(
        lambda: build(tmp_path, VideoData(folder=folder)),
        "at most 5% of the clips may be skipped, but 4 of 28 (14.3%)",
        "cannot be decoded",
        "allow more with max-skipped",
    )
    clips = build(tmp_path, VideoData(folder=folder, max_skipped=0.15))
    (said,) = clips.said()
    assert (
        said.startswith("4 of 28 clips (14.3%) of videos skipped: ")
        and "cannot be decoded" in said
        and " train" in said
    )
    assert {(clip.path, clip.label) for clip in clips.skipped} == {
        ("cat/empty.mp4", "cat"),
        ("cat/text.mp4", "cat"),
        ("cat/cut.mp4", "cat"),
        ("dog/playlist.mp4", "dog"),
    }
    assert all(clip.reason and "\n" not in clip.reason for clip in clips.skipped)
    assert sum(clips.splits.values()) == 24
    assert clips.splits == {split: sum(counts.values()) for split, counts in clips.counts.items()}
    assert clips.majority_share == max(clips.counts["test"].values()) / clips.splits["test"]


def test_missing_files_sound_and_spans_outside_are_skipped(tmp_path, write_video, write_manifest, rows):
    write_video(tmp_path / "a.mkv", 20)
    (tmp_path / "folder.mp4").mkdir()
    spans = [("a.mkv", 0, 9), ("a.mkv", 12, 21), ("a.mkv", 21, ""), ("none.mp4", 0, 9), ("folder.mp4", 0, 9)]
    clips = build(tmp_path, VideoData(manifest=write_manifest(*rows(*spans)), max_skipped=1))
    reasons = [(clip.path, clip.reason) for clip in clips.skipped if clip.split == "test"]
    assert reasons == [
        ("test/a.mkv", "frames 12 to 21 are not all inside its 20 frames (0 to 19)"),
        ("test/a.mkv", "frames 21 to 20 are not all inside its 20 frames (0 to 19)"),
        ("test/none.mp4", "no such file"),
        ("test/folder.mp4", "is no file"),
    ]
    assert clips.splits == {"train": 2, "val": 1, "test": 1}


def test_names_in_any_script(tmp_path, write_video, write_manifest):
    lines = ["path,label"]
    for label in ("猫", "hund og kat"):
        for i in range(4):
            write_video(tmp_path / f"clips é {label}" / f"{i} ü.mkv", 9)
            lines.append(f"clips é {label}/{i} ü.mkv,{label}")
    manifest = write_manifest(*lines, encoding="utf-8-sig", newline="\r\n", name="мои клипы.csv")
    clips = build(tmp_path, VideoData(manifest=manifest))
    assert clips.class_names == ("hund og kat", "猫") and sum(clips.splits.values()) == 8
    assert clips.source("test")[0]["name"].decode().startswith("clips é ")


@pytest.mark.parametrize("short_spans", ["hold", "widen"])
def test_one_short_video_ends_nothing(short_spans, tmp_path, class_folders, write_video, frame_numbers):
    folder = class_folders(frames=20)
    write_video(folder / "cat" / "short.mkv", 5)
    clips = build(tmp_path, VideoData(folder=folder, temporal_jitter=1, short_spans=short_spans))
    assert sum(clips.splits.values()) == 9 and not clips.skipped
    assert (clips.held, clips.widened) == (1, 0), "there is nothing to widen a whole video into"
    stored = [clip for split in clips.splits for clip in clips.source(split)]
    short = next(clip for clip in stored if clip["name"] == b"cat/short.mkv")
    assert frame_numbers(short["clip"]) == [0, 1, 2, 3, 4, 4, 4, 4, 4, 4]


def test_a_span_widens_as_far_as_the_video_goes_and_then_holds(
    tmp_path, write_video, write_manifest, frame_numbers, rows
):
    write_video(tmp_path / "a.mkv", 6)
    manifest = write_manifest(*rows(("a.mkv", 2, 4)))
    clips = build(tmp_path, VideoData(manifest=manifest, temporal_jitter=0, short_spans="widen"))
    assert (clips.held, clips.widened) == (3, 3)
    assert frame_numbers(clips.source("test")[0]["clip"]) == [0, 1, 2, 3, 4, 5, 5, 5]


def test_short_spans_may_be_refused(tmp_path, write_video, write_manifest, refused, rows):
    write_video(tmp_path / "a.mkv", 20)
    config = VideoData(manifest=write_manifest(*rows(("a.mkv", 3, 6))), short_spans="error")
    words = ["8 frames 1 apart span 8 frames", "labelled span has 3 frames", "a.mkv'", "short spans hold or widen"]
    message = refused(lambda: build(tmp_path, config), *words)
    assert "--" not in message, "commands have different options for it"
    assert not list((tmp_path / "cache").rglob("*.array_record*"))


def test_classes_and_splits_that_lose_all_their_clips(tmp_path, class_folders, write_manifest, write_video, refused):
    folder = class_folders(("cat", "dog"))
    (folder / "emu").mkdir()
    (folder / "emu" / "x.mp4").write_text("no video")
    config = VideoData(folder=folder, max_skipped=1)
    refused(lambda: build(tmp_path, config), "all 1 of 'emu'", "emu/x.mp4")
    refused(lambda: build(tmp_path, config), "all 1 of 'emu'")  # and again from the cache
    for name in "abc":
        write_video(tmp_path / f"{name}.mkv", 20)
    lines = ["path,label,split", "a.mkv,x,train", "b.mkv,y,train", "c.mkv,x,val", "gone.mp4,x,test"]
    config = VideoData(manifest=write_manifest(*lines), max_skipped=1)
    refused(lambda: build(tmp_path, config), "1 of the test split", "gone.mp4")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, ["neither", "--data.manifest and --data.folder"]),
        ({"manifest": "a.csv", "folder": "b"}, ["both 'a.csv' and 'b'"]),
        ({"folder": "b", "short_spans": "widden"}, ["'widden'", "did you mean 'widen'"]),
        ({"folder": "b", "fit": "stretch"}, ["fit", "'stretch'", "squash"]),
        ({"folder": "b", "val_fraction": 0}, ["val_fraction", "0"]),
        ({"folder": "b", "val_fraction": 0.5, "test_fraction": 0.5}, ["0.5 + 0.5"]),
        ({"folder": "b", "temporal_jitter": -1}, ["temporal_jitter", "-1"]),
        ({"folder": "b", "shift": 1.5}, ["shift", "1.5"]),
    ],
)
def test_fields_that_break_a_rule_are_refused(fields, words, refused):
    refused(lambda: VideoData(**fields).recipe(num_frames=2, frame_stride=1, image_size=8), *words)


def test_a_manifest_of_test_rows_alone(tmp_path, write_video, write_manifest, refused):
    """With the classes of a network in its order, some of which have no clip; the other splits are left out."""
    for i in range(3):
        write_video(tmp_path / f"{i}.mkv", 12)
    manifest = write_manifest("path,label,split", "0.mkv,cat,test", "1.mkv,cat,test", "2.mkv,ant,Test")
    config, classes = VideoData(manifest=manifest), ("dog", "cat", "ant")
    refused(lambda: build(tmp_path, config), "train split")
    for _ in range(2):  # made, and found
        clips = build(tmp_path, config, classes=classes, required=("test",))
        assert clips.class_names == classes and clips.splits == {"test": 3}
        assert clips.counts == {"test": {"dog": 0, "cat": 2, "ant": 1}} and clips.majority_share == 2 / 3
        assert [clip["label"] for clip in clips.source("test")] == [1, 1, 2]
        refused(lambda clips=clips: clips.source("train"), "one of test")
    other = build(tmp_path, config, classes=("ant", "cat"), required=("test",))
    assert [clip["label"] for clip in other.source("test")] == [1, 1, 0] and other.fingerprint != clips.fingerprint
    turned = build(tmp_path, config, classes=("cat", "ant"), required=("test",))
    assert [clip["label"] for clip in turned.source("test")] == [0, 0, 1] and turned.fingerprint != other.fingerprint


def test_a_set_of_the_same_classes_in_the_same_order_is_built_once(tmp_path, class_folders):
    config = VideoData(folder=class_folders())
    recipe = config.recipe(**ASKED)
    assert recipe.fingerprint == config.recipe(**ASKED, classes=("cat", "dog"), required=("test",)).fingerprint
    assert recipe.fingerprint != config.recipe(**ASKED, classes=("dog", "cat"), required=("test",)).fingerprint


def test_a_split_nobody_asked_for_may_lose_its_videos(tmp_path, write_video, write_manifest, refused):
    """On the machine where a network is scored the training videos need not be."""
    write_video(tmp_path / "0.mkv", 12)
    lines = ["path,label,split", "0.mkv,cat,test", *(f"gone{c}{s}.mkv,{c},{s}" for c in "xy" for s in ("train", "val"))]
    config = VideoData(manifest=write_manifest(*lines, "gone.mkv,cat,train"))
    asked = {"classes": ("cat", "x", "y"), "required": ("test",)}
    for _ in range(2):
        clips = build(tmp_path, config, **asked)
        assert clips.splits == {"test": 1} and len(clips.skipped) == 5
    refused(lambda: build(tmp_path, config), "all 3 of the train split", "gonex", "no such file")
    refused(lambda: build(tmp_path, config, classes=asked["classes"], required=("val",)), "all 2 of the val split")
