"""A run goes on with the clips it began with, wherever they lie by then, or says which of them are others."""

import contextlib
import dataclasses
import json
import os
import shutil
import warnings
from pathlib import Path

import pytest

from tests.reliability.tiny_videos import tiny, write_videos
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Silent
from tvnjax.core.run_dir import RunDir, write_json
from tvnjax.core.stages import Stages
from tvnjax.data.video_folder import VideoData
from tvnjax.running import pipeline
from tvnjax.running.continuing import begin, check_continues, fork, refuse_unfinished


def data_stage(config, out, *, resume):
    """The first stage of a run, begun or gone on with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that so few videos leave without a clip in a split
        stages = Stages(RunDir(out, resume=resume), Silent(), 0.0)
        with contextlib.closing(stages):
            if resume:
                check_continues(config, out)
            else:
                begin(config, out, "run", ["run"])
            return pipeline._data(config, stages).clips


@pytest.fixture
def begun(tmp_path, monkeypatch):
    monkeypatch.setenv("TVNJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    config = tiny(write_videos(Path("clips")))
    return config, tmp_path / "run", data_stage(config, tmp_path / "run", resume=False)


def at(config, **place):
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **({"folder": None} | place)))


def moved(folder):
    folder.rename("elsewhere")
    return Path("elsewhere")


def copied(folder):
    shutil.copytree(folder, "copy/of/clips")
    shutil.rmtree(folder)
    return Path("copy/of/clips")


def touched(folder):
    for video in folder.rglob("*.mp4"):
        os.utime(video, (1, 1))
    return folder


@pytest.mark.parametrize(
    "place",
    [
        lambda f: f"./{f}",
        lambda f: f.absolute(),
        lambda f: f"../{f.absolute().parent.name}/{f}",
        moved,
        copied,
        touched,
    ],
)
def test_the_same_clips_are_gone_on_with_wherever_they_lie(begun, place):
    """On 0.1 ``./clips`` was another option than ``clips``, and a touched video another video."""
    config, out, before = begun
    after = data_stage(at(config, folder=Path(place(config.data.folder))), out, resume=True)
    assert after.fingerprint == before.fingerprint and after.directory == before.directory, "and found in the cache"


def test_a_manifest_that_moved_with_its_videos_is_the_same(begun, tmp_path):
    config, _, _ = begun
    folder = tmp_path / "clips"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.mp4"))
    (folder / "all.csv").write_text("path,label\n" + "".join(f"{name},{name.split('/')[0]}\n" for name in names))
    before = data_stage(at(config, manifest=folder / "all.csv"), tmp_path / "by-manifest", resume=False)
    folder.rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "all.csv").rename(tmp_path / "elsewhere" / "renamed.csv")
    now = at(config, manifest=tmp_path / "elsewhere" / "renamed.csv")
    assert data_stage(now, tmp_path / "by-manifest", resume=True).fingerprint == before.fingerprint


def exchanged(folder):
    first, second = folder / "dark" / "1.mp4", folder / "light" / "1.mp4"
    times = first.stat(), second.stat()
    aside, content = first.read_bytes(), second.read_bytes()
    first.write_bytes(content)
    second.write_bytes(aside)
    for path, stat in zip((first, second), times):
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (exchanged, ["2 with other frames", "dark/1.mp4"]),
        (lambda f: (f / "dark" / "3.mp4").unlink(), ["1 missing", "dark/3.mp4"]),
        (lambda f: shutil.copy(f / "dark" / "3.mp4", f / "dark" / "33.mp4"), ["1 new", "dark/33.mp4"]),
        (lambda f: (f / "light").rename(f / "bright"), ["8 missing", "light/", "8 new", "bright/"]),
        (lambda f: (f / "dark" / "3.mp4").write_bytes(b"damaged"), ["1 missing", "dark/3.mp4"]),
    ],
)
def test_other_clips_are_refused_and_named(begun, change, words):
    config, out, _ = begun
    change(config.data.folder)
    loose = dataclasses.replace(config, data=dataclasses.replace(config.data, max_skipped=1.0))
    for options in (loose, at(loose, folder=config.data.folder.absolute())):
        with pytest.raises(InvalidInputError, match="a run goes on with the clips it began with") as refused:
            data_stage(options, out, resume=True)
        told = str(refused.value)
        assert len(told.splitlines()) == 1 and "--data.folder" in told
        assert all(word in told for word in words), told


def test_a_run_that_kept_no_list_of_its_clips_is_refused_in_one_line(begun):
    config, out, _ = begun
    exchanged(config.data.folder)
    for damage in (lambda f: f.write_text("{"), lambda f: f.unlink()):
        damage(out / "clips.jsonl")
        with pytest.raises(InvalidInputError, match=r"clips\.jsonl of the run cannot be read"):
            data_stage(config, out, resume=True)


def test_other_labels_of_the_same_frames_are_another_set(begun):
    config, out, before = begun
    clips = data_stage(config, out, resume=True)
    other = dataclasses.replace(clips, fingerprint="0" * 64)
    assert clips == before
    told = pipeline.what_changed(out / "clips.jsonl", {split: other.origins(split) for split in other.splits})
    assert "of the same frames, but what shapes or labels them is not what it was" in told


def test_a_new_run_of_other_data_is_not_told_to_go_on_with_the_old_one(begun):
    config, out, _ = begun
    for same in (config, at(config, folder=Path("./clips")), at(config, folder=Path("clips").absolute())):
        with pytest.raises(InvalidInputError, match="with these options: go on"):
            refuse_unfinished(same, out)
    with pytest.raises(InvalidInputError, match=r"other options \(data\.folder is 'clips', now 'other'\)"):
        refuse_unfinished(at(config, folder=Path("other")), out)


def test_a_finished_run_looks_at_no_clips_and_says_so_where_others_are_named(begun, tmp_path):
    config, out, before = begun
    write_json(out / "results.json", {"strategies": []})
    check_continues(config, out)
    check_continues(at(config, folder=Path("./clips")), out)
    other = at(config, folder=Path("other"))
    with pytest.raises(InvalidInputError, match="of a finished run the report is written again, and no clips are read"):
        check_continues(other, out)
    # A copy of it goes on, and looks.
    shutil.copytree("clips", "other")
    assert fork(other, out, tmp_path / "new", "run", ["run"]) == ["data.folder"]
    assert not (tmp_path / "new" / "results.json").exists() and (tmp_path / "new" / "stages" / "data.json").exists()
    assert data_stage(other, tmp_path / "new", resume=True).fingerprint == before.fingerprint
    exchanged(Path("other"))
    with pytest.raises(InvalidInputError, match="2 with other frames"):
        data_stage(other, tmp_path / "new", resume=True)
    assert fork(config, out, tmp_path / "same", "run", ["run"]) == []
    assert json.loads((tmp_path / "same" / "results.json").read_text()) == {"strategies": []}


def test_only_places_are_free_of_the_data(begun):
    config, out, _ = begun
    for change in ({"split_seed": 1}, {"val_fraction": 0.2}, {"fit": "crop"}, {"flip": True}):
        other = dataclasses.replace(config, data=dataclasses.replace(config.data, **change))
        with pytest.raises(InvalidInputError, match=f"data.{next(iter(change))} is "):
            check_continues(other, out)
    assert isinstance(config.data, VideoData)
