"""Clips are built once, and again when anything they are made of changes."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tvnjax.data import video_folder
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

        def progress(done, total, what):
            self.made = done if what == "clips stored" else self.made
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
    def interrupt(done, total, what):
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


def kill(done, total, what):
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
    begun, others = threading.Event(), []

    def second():
        begun.wait()
        made = []
        clips = prepare(SMALL, progress=lambda done, total, what: made.append(what), **asked)
        others.append((clips, made))

    waiting = threading.Thread(target=second)
    waiting.start()

    def slowly(done, total, what):
        begun.set()
        time.sleep(0.05)

    clips = prepare(SMALL, progress=slowly, **asked)
    source = clips.source("test")  # open files must stay good
    waiting.join()
    ((theirs, heard),) = others
    assert theirs == clips and "clips stored" not in heard, "the second waited, and found the clips made"
    assert any("waiting for another process" in what for what in heard)
    assert source[3]["clip"].shape == (4, 16, 16, 3)
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
    now = prepare_counted(config)
    os.utime(folder / "cat" / "1.mkv", ns=(0, 0))
    assert prepare_counted(config) == now and not prepare_counted.made, "what it holds is the same"
    write_video(folder / "cat" / "new.mkv", 6)
    assert sum(prepare_counted(config).splits.values()) == 9
    prepare_counted(config)
    assert not prepare_counted.made


def test_videos_of_the_same_size_and_time_that_change_places_are_decoded_anew(prepare_counted, class_folders):
    """On 0.1 the clips, and so the labels, stayed the old ones."""
    folder = class_folders(videos=3, frames=6)
    cat, dog, aside = folder / "cat" / "0.mkv", folder / "dog" / "0.mkv", folder.parent / "aside.mkv"
    dog.write_bytes(bytes(reversed(cat.read_bytes())))
    os.utime(cat, ns=(10**18, 10**18))
    os.utime(dog, ns=(10**18, 10**18))
    config = VideoData(folder=folder, max_skipped=0.5)
    before = prepare_counted(config)
    for source, target in ((cat, aside), (dog, cat), (aside, dog)):
        source.rename(target)
    assert (cat.stat().st_size, cat.stat().st_mtime_ns) == (dog.stat().st_size, dog.stat().st_mtime_ns)
    after = prepare_counted(config)
    assert prepare_counted.made == 6 and after.fingerprint != before.fingerprint
    assert [clip.path for clip in before.skipped] == ["dog/0.mkv"]
    assert [clip.path for clip in after.skipped] == ["cat/0.mkv"]


def test_a_folder_that_moved_or_was_copied_holds_the_same_clips(prepare_counted, class_folders, tmp_path, monkeypatch):
    folder = class_folders(frames=6)
    first = prepare_counted(VideoData(folder=folder))
    copied = tmp_path / "elsewhere" / folder.name
    shutil.copytree(folder, copied)  # with times of its own
    monkeypatch.chdir(tmp_path)
    for other in (copied, Path(folder.name), Path(f"./{folder.name}")):
        assert prepare_counted(VideoData(folder=other)) == first and not prepare_counted.made


def test_an_error_of_the_system_is_not_remembered(prepare_counted, class_folders, monkeypatch, refused):
    """On 0.1 a video that could not be read once was skipped for good."""
    folder = class_folders(frames=6, videos=6)
    config, real = VideoData(folder=folder, max_skipped=0.5), Path.open
    broken = {"at": "digest"}

    def failing(path, *args, **kwargs):
        if path.name == "1.mkv" and path.parent.name == "cat" and broken["at"] == "digest":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", failing)
    during = prepare_counted(config)
    assert [(clip.path, clip.reason) for clip in during.skipped] == [("cat/1.mkv", "cannot be read (EIO)")]
    broken["at"] = ""
    after = prepare_counted(config)
    assert not after.skipped and prepare_counted.made == 12 and after.fingerprint != during.fingerprint


def test_a_read_error_while_clips_are_made_keeps_nothing(prepare_counted, class_folders, monkeypatch, refused):
    config = VideoData(folder=class_folders(frames=6))

    def fails(path, spans, shape):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(video_folder, "decode_spans", fails)
        refused(lambda: prepare_counted(config), "Input/output error", "nothing was kept")
    assert not prepare_counted(config).skipped and prepare_counted.made == 8


def test_a_video_that_changes_while_clips_are_made_is_refused(
    prepare_counted, class_folders, write_video, monkeypatch, refused
):
    folder, real = class_folders(frames=6), video_folder.decode_spans

    def meanwhile(path, spans, shape):
        if path.name == "2.mkv" and path.parent.name == "dog":
            write_video(path, 7)
        return real(path, spans, shape)

    with monkeypatch.context() as patched:
        patched.setattr(video_folder, "decode_spans", meanwhile)
        refused(lambda: prepare_counted(VideoData(folder=folder)), "'dog/2.mkv' was changed meanwhile")
    assert prepare_counted(VideoData(folder=folder)).splits and prepare_counted.made == 8


def test_files_of_the_set_that_were_cut_short_are_made_anew(prepare_counted):
    clips = prepare_counted(SMALL)
    file = next(clips.directory.glob("*val*"))
    file.write_bytes(file.read_bytes()[:-1])
    prepare_counted(SMALL)
    assert prepare_counted.made == 20
    (clips.directory / "contents.jsonl").write_text("{}")
    prepare_counted(SMALL)
    assert prepare_counted.made == 20


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
    refused(lambda: Counted(tmp_path / "file")(SMALL), "file'", "set TVNJAX_CACHE to a folder of yours")


def test_splits_can_be_joined_and_others_are_refused(prepare_counted, refused):
    clips = prepare_counted(SMALL)
    assert len(clips.source("train+val")) == 16
    refused(lambda: clips.source("tset"), "'tset'", "did you mean 'test'")
    refused(lambda: clips.source("train[:5]"), "'train[:5]'")
