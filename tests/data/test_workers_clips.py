"""Workers train on the clips that their run prepared, whatever became of the videos."""

import copy
import dataclasses
import shutil

import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Silent
from tvnjax.data import video_folder
from tvnjax.data.video_folder import VideoData
from tvnjax.running import worker_problem
from tvnjax.running.config import PRESETS
from tvnjax.running.problem import prepare_problem, space_and_classes
from tvnjax.running.worker_problem import EvaluatorOf
from tvnjax.spaces.tvn.shapes import BlockShapes, ShapeChoices


@pytest.fixture
def prepared(class_folders, write_video, tmp_path, monkeypatch):
    monkeypatch.setenv("TVNJAX_CACHE", str(tmp_path / "cache"))
    folder = class_folders(frames=9)
    shapes = ShapeChoices(image_size=(8,), num_frames=(2,), blocks=(BlockShapes(filters=(4,)),))
    config = dataclasses.replace(PRESETS["clips"][1], data=VideoData(folder=folder), shapes=shapes)
    return folder, config, prepare_problem(config, Silent())


def worker(config, clips):
    """The problem as another process makes it, of what reaches it."""
    config, clips = copy.deepcopy((config, clips))
    worker_problem._PROBLEMS.clear()
    EvaluatorOf(config, clips)("evolution")
    (made,) = worker_problem._PROBLEMS.values()
    return made


def test_videos_that_vanish_or_change_meanwhile_change_nothing(prepared, write_video):
    folder, config, run = prepared
    shutil.rmtree(folder / "cat")
    write_video(folder / "dog" / "0.mkv", 30)
    made = worker(config, run.clips)
    assert made.clips == run.clips and made.clips.names("train") == run.clips.names("train")
    assert len(made.clips.source("train")) == run.clips.splits["train"]


def test_a_machine_without_the_clips_makes_the_same_or_refuses(prepared, write_video, tmp_path):
    folder, config, run = prepared
    shutil.rmtree(tmp_path / "cache")
    assert worker(config, run.clips).clips.fingerprint == run.clips.fingerprint
    shutil.rmtree(tmp_path / "cache")
    write_video(folder / "dog" / "0.mkv", 30)
    with pytest.raises(InvalidInputError, match="workers train on the clips of their run"):
        worker(config, run.clips)


def test_a_profile_asks_for_the_classes_and_reads_no_video(prepared, monkeypatch):
    _, config, run = prepared
    monkeypatch.setattr(video_folder, "digests_of", lambda *_: pytest.fail("reads videos"))
    _, classes, _ = space_and_classes(config, None, 10, Silent())
    assert classes == len(run.clips.class_names) == 2


def test_a_profile_of_drawn_clips_takes_what_a_run_takes():
    """On 0.1 planted clips were refused: their space reaches over more frames than are drawn, and is cut to them."""
    config = PRESETS["planted"][1]
    shapes, classes, _ = space_and_classes(config, None, 10, Silent())
    assert classes == 4 and shapes.clip_frames == config.data.clip_frames
