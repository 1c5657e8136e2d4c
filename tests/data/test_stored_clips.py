"""Stored clips are those that were written, or are made again; a disk that takes no more is one line."""

import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.test_cache import SMALL, Counted
from tvnjax.core.errors import InvalidInputError
from tvnjax.data import builder
from tvnjax.data.clips import prepare
from tvnjax.data.contents import CONTENTS_FILE, is_whole
from tvnjax.data.procedural import ProceduralData
from tvnjax.data.video_folder import VideoData

ASKED = {"num_frames": 4, "frame_stride": 1, "image_size": 16}


@pytest.fixture
def prepare_counted(tmp_path):
    return Counted(tmp_path / "cache")


def stored(clips):
    return [(r["label"], r["name"], r["clip"].tobytes()) for s in clips.splits for r in clips.source(s)]


def _one_bit(directory):
    path = next(directory.glob("*-train*"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _two_labels_exchanged(directory):
    path = directory / "label.labels.txt"
    assert path.read_text().split() == ["right", "down", "left", "up"]
    path.write_text("down\nright\nleft\nup\n")


def _two_shards_exchanged(directory):
    val, test = (next(directory.glob(f"*-{split}*")) for split in ("val", "test"))
    val.rename(directory / "aside")
    test.rename(val)
    (directory / "aside").rename(test)


def _facts_cut_short(directory):
    path = directory / "dataset_info.json"
    path.write_text(path.read_text()[:40])


def _counts_edited(directory):
    path = directory / "metadata.json"
    path.write_text(path.read_text().replace('"widened": 0', '"widened": 7'))
    assert '"widened": 7' in path.read_text()


def _origin_edited(directory):
    path = directory / CONTENTS_FILE
    path.write_text(path.read_text().replace("train/3", "train/4"))


def _shard_removed(directory):
    next(directory.glob("*-test*")).unlink()


DAMAGES = [
    _one_bit,
    _two_labels_exchanged,
    _two_shards_exchanged,
    _facts_cut_short,
    _counts_edited,
    _origin_edited,
    _shard_removed,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_clips_that_are_not_as_they_were_written_are_made_again_and_that_is_said(damage, prepare_counted):
    """On 0.1 files that existed were believed; half of what TFDS writes of a set was a traceback."""
    clips = prepare_counted(SMALL)
    before, names = stored(clips), clips.names("train")
    damage(clips.directory)
    with pytest.warns(UserWarning, match="not as they were written; they are made again"):
        again = prepare_counted(SMALL)
    assert prepare_counted.made == 20
    assert again == clips and stored(again) == before and again.names("train") == names
    assert prepare_counted(SMALL) == clips and prepare_counted.made == 0


def test_what_a_worker_looks_at_is_there_and_of_the_same_size(prepare_counted):
    clips = prepare_counted(SMALL)
    assert is_whole(clips.directory, clips.fingerprint, by_size=True)
    assert not is_whole(clips.directory, "0" * 64, by_size=True)
    _shard_removed(clips.directory)
    assert not is_whole(clips.directory, clips.fingerprint, by_size=True)


def test_a_data_folder_of_another_name_finds_the_same_clips(prepare_counted, class_folders, tmp_path):
    folder = class_folders(frames=6)
    first = prepare_counted(VideoData(folder=folder))
    folder.rename(tmp_path / "another name")
    second = prepare_counted(VideoData(folder=tmp_path / "another name"))
    assert not prepare_counted.made and second.directory == first.directory and second.name == "another_name"


def build_at_once(cache_dir: str, barrier, answers) -> None:
    barrier.wait()
    made = []
    clips = prepare(
        SMALL,
        cache_dir=Path(cache_dir),
        progress=lambda done, total, what: made.append(what == "clips stored"),
        **ASKED,
    )
    answers.put((any(made), clips, [len(clips.source(split)) for split in clips.splits]))


def test_of_processes_that_want_the_same_clips_one_makes_them(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(3), context.Queue()
    processes = [context.Process(target=build_at_once, args=(str(tmp_path), barrier, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert sorted(made for made, _, _ in found) == [False, False, True]
    assert all(clips == found[0][1] and sizes == [12, 4, 4] for _, clips, sizes in found)
    assert not list(tmp_path.rglob("*incomplete*"))


LIMITED = """
import resource, sys
from pathlib import Path
from tests.data.test_stored_clips import LARGER
from tvnjax.core.errors import InvalidInputError
from tvnjax.data.clips import prepare

limit = int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    prepare(LARGER, num_frames=4, frame_stride=1, image_size=32, cache_dir=Path(sys.argv[1]))
except InvalidInputError as error:
    print(error)
    sys.exit(2)
"""
LARGER = ProceduralData(task="motion", train_clips=96, val_clips=8, test_clips=8, num_frames=4, size=32)


def limited(cache_dir, limit=0):
    ended = subprocess.run([sys.executable, "-c", LIMITED, cache_dir, str(limit)], capture_output=True, text=True)
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.returncode, ended.stdout.strip()


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limits of file sizes")
@pytest.mark.parametrize("limit", [300_000, 600])
def test_a_file_limit_is_one_line_and_leaves_nothing_to_be_taken_for_whole(tmp_path, limit):
    """ArrayRecord's own exception was a traceback on 0.1; the limit is met in the clips, or in what is said of them."""
    status, line = limited(tmp_path, limit)
    assert status == 2 and len(line.splitlines()) == 1
    assert "File too large" in line and str(tmp_path) in line and "TVNJAX_CACHE" in line
    assert not list(tmp_path.rglob(CONTENTS_FILE)) and not list(tmp_path.rglob("*incomplete*"))
    assert limited(tmp_path) == (0, "")


def test_a_full_disk_is_one_line_whenever_it_fills(tmp_path):
    tmp_path.joinpath("disk").mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("mounting takes root")
    disk = str(tmp_path / "disk")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=8k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        for kilobytes in (8, 40, 400):  # folders, the first bytes, the middle
            subprocess.run([mount, "-o", f"remount,size={kilobytes}k", disk], check=True)
            status, line = limited(disk)
            assert status == 2 and "No space left on device" in line and disk in line and "TVNJAX_CACHE" in line, line
            assert not list(Path(disk).rglob(CONTENTS_FILE))
        subprocess.run([mount, "-o", "remount,size=16m", disk], check=True)
        assert limited(disk) == (0, "")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_only_what_the_system_refuses_is_taken_for_a_full_disk(tmp_path, monkeypatch):
    def broken(self, split):
        raise RuntimeError("a write of another kind failed")
        yield

    monkeypatch.setattr(builder.Clips, "_generate_examples", broken)
    with pytest.raises(RuntimeError, match="of another kind"):
        prepare(SMALL, cache_dir=tmp_path, **ASKED)


def test_a_folder_that_cannot_be_written_is_named_with_the_reason(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/tvnjax")):
        with pytest.raises(InvalidInputError, match="TVNJAX_CACHE") as refused:
            prepare(SMALL, cache_dir=place, **ASKED)
        assert repr(str(place)) in str(refused.value)
