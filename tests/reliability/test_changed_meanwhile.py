"""Videos that change between two stages of a run: it goes on with the clips it prepared, or refuses when resumed."""

import contextlib
import json
import shutil
import warnings

import pytest

from experiments.reliability.kill_anywhere import differences, what_is_left
from tests.grey_video import write_video
from tests.reliability.tiny_videos import tiny, write_videos
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Silent
from tvnjax.core.stages import Stage
from tvnjax.running import pipeline

STAGES = ("data", "profile", "differentiable-0", "evolution-0", "gate", "retrained-differentiable-0")


class Left(Exception):
    """A run that ends here."""


class Logging(Silent):
    """Events to the run's log, progress to nobody."""

    def __init__(self, run_dir):
        self.event = run_dir.event


def run(config, out, monkeypatch, *, after=None, then=lambda: None, resume=False):
    """A run; after the stage named, something happens."""
    finish = Stage.finish

    def finished(stage, result):
        kept = finish(stage, result)
        if stage.name == after:
            then()
        return kept

    with monkeypatch.context() as patched, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that so few videos leave without a clip in a split
        patched.setattr(Stage, "finish", finished)
        return pipeline.run(config, out, "test", Logging, resume=resume)


def change(folder):
    """All that may happen to videos: removed, replaced, damaged, exchanged, and new ones."""
    (folder / "dark" / "0.mp4").unlink()
    write_video(folder / "dark" / "1.mp4", 250, frames=4)
    (folder / "dark" / "2.mp4").write_bytes(b"damaged")
    (folder / "dark" / "3.mp4").rename(folder / "aside.mp4")
    (folder / "light" / "3.mp4").rename(folder / "dark" / "3.mp4")
    (folder / "aside.mp4").rename(folder / "light" / "3.mp4")
    write_video(folder / "light" / "new.mp4", 99, frames=4)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("undisturbed")
    patch.setenv("TVNJAX_CACHE", str(folder / "cache"))
    config = tiny(write_videos(folder / "clips"))
    run(config, folder / "run", patch)
    yield config, folder, json.loads(json.dumps(what_is_left(folder / "run")))
    patch.undo()


@pytest.fixture
def again(undisturbed, tmp_path):
    """The same videos elsewhere; latencies and programs of before, but no clips."""
    _, folder, expected = undisturbed
    write_videos(tmp_path / "clips")
    shutil.rmtree(folder / "cache" / "datasets")
    return tiny(tmp_path / "clips"), tmp_path, expected


def same(expected, out):
    return differences(expected, json.loads(json.dumps(what_is_left(out))))


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_run_goes_on_with_the_clips_it_prepared(stage, again, monkeypatch):
    config, folder, expected = again
    run(config, folder / "run", monkeypatch, after=stage, then=lambda: change(folder / "clips"))
    assert same(expected, folder / "run") == []


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_is_resumed_refuses_others_and_goes_on_with_its_own(stage, again, monkeypatch):
    config, folder, expected = again

    def leave():
        raise Left

    with pytest.raises(Left):
        run(config, folder / "run", monkeypatch, after=stage, then=leave)
    shutil.copytree(folder / "clips", folder / "kept")
    change(folder / "clips")
    with pytest.raises(InvalidInputError, match=r"it began with|may be skipped|must keep a clip") as refused:
        run(config, folder / "run", monkeypatch, resume=True)
    assert len(str(refused.value).splitlines()) == 1
    # From where they were kept, under another name.
    run(tiny(folder / "kept"), folder / "run", monkeypatch, resume=True)
    assert [different for different in same(expected, folder / "run") if different != "results"] == []
    data = json.loads((folder / "run" / "results.json").read_text())["data"]
    assert data["fingerprint"] == expected["results"]["data"]["fingerprint"]
    assert data["name"] == "kept" and data["splits"] == expected["results"]["data"]["splits"]


def test_what_is_prepared_before_a_change_is_what_is_read_after_it(tmp_path, monkeypatch):
    """The first stage alone, in seconds."""
    monkeypatch.setenv("TVNJAX_CACHE", str(tmp_path / "cache"))
    config = tiny(write_videos(tmp_path / "clips"))
    seen = {}

    class Seen(Exception):
        pass

    def look(problem, stages):
        clips = problem.clips
        before = [record["clip"].tobytes() for split in clips.splits for record in clips.source(split)]
        change(tmp_path / "clips")
        shutil.rmtree(tmp_path / "clips" / "light")
        seen["same"] = before == [record["clip"].tobytes() for split in clips.splits for record in clips.source(split)]
        raise Seen

    with monkeypatch.context() as patched, contextlib.suppress(Seen):
        patched.setattr(pipeline, "profile_run", look)
        run(config, tmp_path / "run", monkeypatch)
    assert seen == {"same": True}
