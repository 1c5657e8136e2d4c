"""Clips are built once, and again when anything they are made of changes."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from tvnjax.data.clips import prepare
from tvnjax.data.procedural import ProceduralData
from tvnjax.data.video_folder import VideoData

SMALL = ProceduralData(task="motion", train_clips=12, val_clips=4, test_clips=4, num_frames=4, size=16)


class Counted:
    """Prepares small clips and counts those that are made."""

    def __init__(self, cache_dir):
        self.cache_dir, self.made = cache_dir, 0

    def __call__(self, config, **asked):
        self.made = 0

        def progress(done, total):
            self.made = done
            assert done <= total

        asked = {"num_frames": 4, "frame_stride": 1, "image_size": 16} | asked
        return prepare(config, cache_dir=self.cache_dir, progress=progress, **asked)


@pytest.fixture
def prepare_counted(tmp_path):
    return Counted(tmp_path / "cache")


def test_the_second_time_nothing_is_made(prepare_counted, capfd):
    first = prepare_counted(SMALL)
    assert prepare_counted.made == 20 and first.splits == {"train": 12, "val": 4, "test": 4}
    assert first.counts["train"] == {"right": 3, "down": 3, "left": 3, "up": 3}
    second = prepare_counted(SMALL)
    assert prepare_counted.made == 0 and first == second
    assert capfd.readouterr().out == ""  # what is printed is the command line's business


def test_a_build_that_is_interrupted_is_made_anew(tmp_path):
    def interrupt(done, total):
        if done == 15:
            raise KeyboardInterrupt

    asked = {"num_frames": 4, "frame_stride": 1, "image_size": 16, "cache_dir": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        prepare(SMALL, progress=interrupt, **asked)
    clips = prepare(SMALL, **asked)
    assert [len(clips.source(split)) for split in clips.splits] == [12, 4, 4]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.data.test_cache import SMALL
from tvnjax.data.clips import prepare


def kill(done, total):
    if done == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)


prepare(SMALL, num_frames=4, frame_stride=1, image_size=16, cache_dir=Path(sys.argv[1]), progress=kill)
"""


def test_a_build_killed_anywhere_is_made_anew_and_leaves_nothing(tmp_path):
    asked = {"num_frames": 4, "frame_stride": 1, "image_size": 16}
    for done in ("1", "13"):
        ended = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "killed", done], stderr=subprocess.DEVNULL)
        assert ended.returncode == -signal.SIGKILL
    assert list(tmp_path.rglob("incomplete.*")), "a killed process cleans nothing up"
    clips, whole = prepare(SMALL, cache_dir=tmp_path / "killed", **asked), prepare(SMALL, cache_dir=tmp_path, **asked)
    assert not list(tmp_path.rglob("incomplete.*"))
    for split in whole.splits:
        for ours, theirs in zip(clips.source(split), whole.source(split), strict=True):
            assert ours["label"] == theirs["label"] and (ours["clip"] == theirs["clip"]).all()


def test_two_builds_at_once_agree(tmp_path):
    asked = {"num_frames": 4, "frame_stride": 1, "image_size": 16, "cache_dir": tmp_path}
    overtaken_by = []

    def overtake(done, total):
        if done == 15:
            overtaken_by.append(prepare(SMALL, **asked))
            overtaken_by.append(overtaken_by[0].source("test"))  # open files must stay good

    assert prepare(SMALL, progress=overtake, **asked) == overtaken_by[0]
    assert overtaken_by[1][3]["clip"].shape == (4, 16, 16, 3)
    assert len(list(tmp_path.rglob("*.array_record*"))) == 3


def test_a_damaged_cache_is_made_anew(prepare_counted):
    clips = prepare_counted(SMALL)
    next(clips.directory.glob("*val*")).unlink()
    prepare_counted(SMALL)
    assert prepare_counted.made == 20
    shutil.rmtree(clips.directory)
    clips.directory.mkdir()  # an empty directory is no finished build either
    assert len(prepare_counted(SMALL).source("val")) == 4


def test_changed_videos_are_decoded_anew(prepare_counted, class_folders, write_video):
    folder = class_folders(frames=6)
    config = VideoData(folder=folder)
    old = prepare_counted(config)
    assert prepare_counted.made == 8
    assert prepare_counted(config, num_frames=2, frame_stride=3) == old and not prepare_counted.made  # the same window

    write_video(folder / "cat" / "0.mkv", 9)
    assert prepare_counted(config).fingerprint != old.fingerprint and prepare_counted.made == 8
    os.utime(folder / "cat" / "1.mkv", ns=(0, 0))
    prepare_counted(config)
    assert prepare_counted.made == 8
    write_video(folder / "cat" / "new.mkv", 6)
    assert sum(prepare_counted(config).splits.values()) == 9
    prepare_counted(config)
    assert not prepare_counted.made


def test_changed_manifests_and_settings_are_built_anew(prepare_counted, write_video, tmp_path, write_manifest):
    lines = ["path,label,split"]
    for label in ("x", "y"):
        for split in ("train", "val", "test"):
            write_video(tmp_path / f"{label}_{split}.mkv", 12)
            lines.append(f"{label}_{split}.mkv,{label},{split}")
    write_video(tmp_path / "more.mkv", 12)
    config = VideoData(manifest=write_manifest(*lines))
    prints = {prepare_counted(config).fingerprint}
    prints.add(prepare_counted(config, num_frames=5).fingerprint)
    prints.add(prepare_counted(config, image_size=24).fingerprint)
    for field in ({"fit": "crop"}, {"shift": 1}, {"temporal_jitter": 1}, {"short_spans": "widen"}):
        prints.add(prepare_counted(VideoData(manifest=config.manifest, **field)).fingerprint)
    write_manifest(*lines, "more.mkv,y,train")
    prints.add(prepare_counted(config).fingerprint)
    assert len(prints) == 8 and prepare_counted.made == 7
    # Mirroring happens when clips are drawn: what is stored stays the same.
    flipped = prepare_counted(VideoData(manifest=config.manifest, flip=True))
    assert flipped.flip and not prepare_counted.made


def test_places_that_cannot_be_written_to(tmp_path, refused):
    (tmp_path / "file").touch()
    refused(lambda: Counted(tmp_path / "file")(SMALL), "file'", "choose another folder")


def test_splits_can_be_joined_and_others_are_refused(prepare_counted, refused):
    clips = prepare_counted(SMALL)
    assert len(clips.source("train+val")) == 16
    refused(lambda: clips.source("tset"), "'tset'", "did you mean 'test'")
    refused(lambda: clips.source("train[:5]"), "'train[:5]'")
