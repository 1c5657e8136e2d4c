"""Videos to stored clips: the frames are the named ones, and what cannot be used is named and counted."""

import numpy as np
import pytest

from tvnjax.data import decode
from tvnjax.data.clips import prepare
from tvnjax.data.video_folder import VideoData

ASKED = {"num_frames": 8, "frame_stride": 1, "image_size": 16}


def build(tmp_path, config, **asked):
    return prepare(config, cache_dir=tmp_path / "cache", **{**ASKED, **asked})


def rows(*spans, splits=("train", "val", "test")):
    """One row per span and split, all of them of class x, and a file of class y beside them."""
    lines = [f"{path},x,{start},{end},{split}" for split in splits for path, start, end in spans]
    return ["path,label,start_frame,end_frame,split", *lines, "other.mkv,y,,,train"]


@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [
        ("ffv1", "mkv", {}),
        ("libx264", "mp4", {"crf": "0", "bf": "3", "g": "50"}),  # frames are stored out of order
        ("mpeg4", "avi", {"b": "4000000", "g": "30"}),
    ],
)
def test_clips_hold_exactly_the_named_frames(
    codec, suffix, options, tmp_path, write_video, write_manifest, frame_numbers
):
    write_video(tmp_path / f"a.{suffix}", 60, codec=codec, **options)
    write_video(tmp_path / "other.mkv", 20)
    named = [(20, 40), (3, 12), (51, 60), (30, 33)]
    manifest = write_manifest(*rows(*[(f"a.{suffix}", start, end) for start, end in named]))
    clips = build(tmp_path, VideoData(manifest=manifest, temporal_jitter=2))
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
    assert stored[3]["name"].decode() == f"a.{suffix}[30:33]"
    assert stored[0]["clip"].shape == (12, 16, 16, 3) and stored[0]["clip"].dtype == np.uint8


def test_hold_repeats_the_last_named_frame(tmp_path, write_video, write_manifest, frame_numbers):
    write_video(tmp_path / "a.mkv", 5)
    write_video(tmp_path / "other.mkv", 20)
    manifest = write_manifest(*rows(("a.mkv", 1, 4), ("a.mkv", "", "")))
    clips = build(tmp_path, VideoData(manifest=manifest, temporal_jitter=0, short_spans="hold"))
    assert (clips.held, clips.widened) == (6, 0)
    source = clips.source("val")
    assert frame_numbers(source[0]["clip"]) == [1, 2, 3, 3, 3, 3, 3, 3]
    assert frame_numbers(source[1]["clip"]) == [0, 1, 2, 3, 4, 4, 4, 4]


def test_each_file_is_decoded_once(tmp_path, write_video, write_manifest, monkeypatch):
    write_video(tmp_path / "a.mkv", 60)
    write_video(tmp_path / "other.mkv", 20)
    opened = []
    really_open = decode.av.open

    def count(file, *args, **options):
        opened.append(file.name.rsplit("/", 1)[-1])
        return really_open(file, *args, **options)

    monkeypatch.setattr(decode.av, "open", count)
    lines = rows(*[("a.mkv", i, i + 9) for i in range(0, 50, 5)], splits=["train"])
    lines += ["a.mkv,x,,,val", "a.mkv,x,,,test"]
    build(tmp_path, VideoData(manifest=write_manifest(*lines)))
    assert sorted(opened) == ["a.mkv"] * 3 + ["other.mkv"]  # once per split


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
def test_frames_become_square(size, bright, fit, expected, tmp_path, write_video, write_manifest):
    for name in ("a", "other"):
        write_video(tmp_path / f"{name}.mkv", 8, size=size, bright=bright)
    clips = build(tmp_path, VideoData(manifest=write_manifest(*rows(("a.mkv", 0, 8))), fit=fit))
    clip = clips.source("train")[0]["clip"][4]
    assert clip.shape == (16, 16, 3)
    assert (clip[8, :, 1] > 70).tolist() == [True] * expected + [False] * (16 - expected)


def test_bad_videos_are_skipped_named_and_counted(tmp_path, class_folders, write_video):
    folder = class_folders(videos=12)
    (folder / "cat" / "empty.mp4").touch()
    (folder / "cat" / "text.mp4").write_text("no video\n" * 500)
    good = write_video(tmp_path / "good.mp4", 60, codec="mpeg4").read_bytes()
    (folder / "cat" / "cut.mp4").write_bytes(good[: len(good) // 2])
    (folder / "dog" / "playlist.mp4").write_text(f"#EXTM3U\n#EXTINF:3,\n{tmp_path / 'good.mp4'}\n#EXT-X-ENDLIST\n")
    clips = build(tmp_path, VideoData(folder=folder))
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


def test_missing_files_sound_and_spans_outside_are_skipped(tmp_path, write_video, write_manifest):
    write_video(tmp_path / "a.mkv", 20)
    write_video(tmp_path / "other.mkv", 20)
    (tmp_path / "folder.mp4").mkdir()
    spans = [("a.mkv", 0, 9), ("a.mkv", 12, 21), ("a.mkv", 20, ""), ("none.mp4", 0, 9), ("folder.mp4", 0, 9)]
    clips = build(tmp_path, VideoData(manifest=write_manifest(*rows(*spans))))
    reasons = [(clip.path, clip.reason) for clip in clips.skipped if clip.split == "test"]
    assert reasons == [
        ("a.mkv", "frames 12 to 21 are not all inside its 20 frames (0 to 19)"),
        ("a.mkv", "frames 20 to 20 are not all inside its 20 frames (0 to 19)"),
        ("none.mp4", "no such file"),
        ("folder.mp4", "is no file"),
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


def test_videos_too_short_to_widen_are_an_error(tmp_path, class_folders, refused):
    config = VideoData(folder=class_folders(frames=5))
    words = ["8 frames 2 apart span 15 frames", "has 5 frames", ".mkv'", "--data.short-spans hold", "smaller stride"]
    refused(lambda: build(tmp_path, config, frame_stride=2), *words)
    assert not list((tmp_path / "cache").rglob("*.array_record*"))


def test_short_spans_may_be_refused(tmp_path, write_video, write_manifest, refused):
    write_video(tmp_path / "a.mkv", 20)
    write_video(tmp_path / "other.mkv", 20)
    config = VideoData(manifest=write_manifest(*rows(("a.mkv", 3, 6))), short_spans="error")
    refused(
        lambda: build(tmp_path, config), "labelled span has 3 frames", "'a.mkv'", "--data.short-spans widen or hold"
    )


def test_classes_and_splits_that_lose_all_their_clips(tmp_path, class_folders, write_manifest, write_video, refused):
    folder = class_folders(("cat", "dog"))
    (folder / "emu").mkdir()
    (folder / "emu" / "x.mp4").write_text("no video")
    refused(lambda: build(tmp_path, VideoData(folder=folder)), "all 1 of 'emu'", "emu/x.mp4")
    refused(lambda: build(tmp_path, VideoData(folder=folder)), "all 1 of 'emu'")  # and again from the cache
    write_video(tmp_path / "a.mkv", 20)
    lines = ["path,label,split", "a.mkv,x,train", "a.mkv,y,train", "a.mkv,x,val", "gone.mp4,x,test"]
    refused(lambda: build(tmp_path, VideoData(manifest=write_manifest(*lines))), "1 of the test split", "gone.mp4")


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
