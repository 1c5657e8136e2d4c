"""A disk that is full: every command ends with one line, what was whole stays whole, and work goes on later.

With a real file system in memory, filled to the last byte.
"""

import json
import shutil
import time
import warnings

import pytest

from experiments.reliability.kill_anywhere import TINY, what_is_left
from tests.data.annotation_files import hmdb51, write
from tests.data.test_annotated_videos import hmdb51_videos
from tests.fabricated_table import make_table
from tests.report.fabricated_run import make_run
from tvnjax.cli import main
from tvnjax.cli.console import ConsoleMonitor
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.run_dir import write_json
from tvnjax.report.page import write_report
from tvnjax.running import pipeline
from tvnjax.running.config import PRESETS
from tvnjax.running.continuing import begin
from tvnjax.spaces.tvn.genotype import Block, Genotype

GENOTYPE = Genotype(image_size=16, num_frames=2, frame_stride=2, blocks=(Block(spatial_kernel=3, spatial_stride=2),))
TRAINING = [
    "--data",
    "texture",
    "--drawn-clips",
    "48",
    "--steps",
    "30",
    "--batch-size",
    "8",
    "--checkpoint-every",
    "10",
]


def tree(folder):
    return {
        str(path.relative_to(folder)): path.is_file() and path.read_bytes()
        for path in folder.rglob("*")
        if path.name != ".filler"
    }


def one_line(capsys, *argv):
    """The one line of a command that must fail."""
    capsys.readouterr()
    status = main([str(part) for part in argv])
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(("warning: ", "training: "))]
    assert status == 2 and len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("finished") / "run", candidates=8)
    begin(PRESETS["quick"][1], run, "tvnjax run quick", ["quick"])
    write_report(run)
    return run


@pytest.mark.parametrize("command", ["show svg", "show png", "scale", "record", "compare", "manifest"])
def test_a_file_that_is_replaced_stays_whole(command, finished, small_disk, tmp_path, capsys):
    disk = small_disk.path
    if command == "manifest":
        files, videos = write(tmp_path / "files", hmdb51()), hmdb51_videos(disk / "videos")
    first = {
        "show svg": ["show", "tvn1", "--out", disk / "net.svg"],
        "show png": ["show", "tvn1", "--out", disk / "net.png"],
        "scale": ["scale", "tvn1", "--compound", "1", "--out", disk / "net.json"],
        "record": ["record", finished, "--out", disk / "table.jsonl"],
        "compare": ["compare", finished, "--out", disk / "comparison"],
        "manifest": ["manifest", "hmdb51", files, "--videos", videos] if command == "manifest" else [],
    }[command]
    other = {
        "show svg": ["--frames", "4"],
        "show png": ["--frames", "4"],
        "scale": ["--frames", "8"],
        "record": [],
        "compare": ["--reference", "random"],
        "manifest": ["--val-fraction", "0"],
    }[command]
    small_disk.fill()
    before = tree(disk)
    assert "No space left on device" in one_line(capsys, *first)
    assert tree(disk) == before, "no folder, no half file"
    small_disk.free()
    assert main([str(part) for part in first]) == 0
    if command == "record":
        other_run = shutil.copytree(finished, tmp_path / "other")
        first, other = ["record", finished, other_run, "--out", disk / "table.jsonl"], []
    before = tree(disk)
    assert "--force" in one_line(capsys, *first, *other)
    assert tree(disk) == before
    small_disk.fill()
    assert "No space left on device" in one_line(capsys, *first, *other, "--force")
    assert tree(disk) == before
    small_disk.free()
    assert main([str(part) for part in [*first, *other, "--force"]]) == 0
    assert tree(disk).keys() == before.keys() and tree(disk) != before


def test_a_report_stays_whole(finished, small_disk, capsys):
    run = small_disk.path / "run"
    shutil.copytree(finished, run)
    results = json.loads((run / "results.json").read_text())
    results["data"]["name"] = "another set"
    write_json(run / "results.json", results)
    small_disk.fill()
    before = tree(run)
    line = one_line(capsys, "report", run)
    assert f"{run}/figures/" in line and f"tvnjax report {run}" in line
    assert tree(run) == before
    small_disk.free()
    assert main(["report", str(run)]) == 0
    assert all("another set" in (run / name).read_text() for name in ("report.md", "report.html"))


def test_a_replay_and_a_fork_leave_nothing(finished, small_disk, tmp_path, capsys):
    make_table(tmp_path / "table.jsonl", count=20)
    small_disk.fill()
    replay = ["replay", tmp_path / "table.jsonl", "--strategies", "random", "--seeds", "0"]
    for argv in (
        [*replay, "--out", small_disk.path / "deep" / "replay"],
        ["run", "--resume", finished, "--fork", small_disk.path / "deep" / "fork"],
        ["run", "quick", "--out", small_disk.path / "deep" / "run"],
    ):
        line = one_line(capsys, *argv)
        assert "No space left on device" in line and str(small_disk.path / "deep") in line
        assert tree(small_disk.path) == {}
    small_disk.free()
    assert main([str(part) for part in [*replay, "--out", small_disk.path / "replay"]]) == 0


class Filling:
    """A monitor of a run; the disk is full from the moment on at which a stage says for the first time how far it is.

    Args:
        run_dir: receives the events.
        disk: what is filled.
        met: stages that said so already; the disk is filled once for each.
    """

    def __init__(self, run_dir, disk, met):
        self.event, self._disk, self._met = run_dir.event, disk, met

    def progress(self, stage, done, total, text=""):
        if stage not in self._met:
            self._met.append(stage)
            self._disk.fill()


def until_done(out, disk, met):
    """Runs a search, making room after every time it ended for want of it; the lines it ended with."""
    told = []
    while True:
        try:
            pipeline.run(
                TINY, out, "c", lambda run_dir: Filling(run_dir, disk, met), resume=(out / "config.json").exists()
            )
        except InvalidInputError as error:
            assert "\n" not in str(error) and "No space left on device" in str(error)
            told.append(str(error))
            assert len(told) < 20
            disk.free()
        else:
            return told


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A search in one go, and the cache it filled."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TVNJAX_CACHE", str(folder / "cache"))

        class Quiet:
            def __init__(self, run_dir):
                self.event = run_dir.event

            def progress(self, *_):
                pass

        pipeline.run(TINY, folder / "run", "c", Quiet)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("where", ["run", "cache", "temporary folder"])
def test_a_search_goes_on_after_a_full_disk_at_every_stage(where, uninterrupted, small_disk, tmp_path, monkeypatch):
    cache = small_disk.path / "cache" if where == "cache" else tmp_path / "cache"
    shutil.copytree(uninterrupted / "cache", cache)
    if where == "cache":
        # Clips and programs are to be made; latencies decide what is found, and are to be those of the other.
        for name in ("datasets", "xla"):
            shutil.rmtree(cache / name)
    monkeypatch.setenv("TVNJAX_CACHE", str(cache))
    if where == "temporary folder":
        monkeypatch.setenv("TMPDIR", str(small_disk.path))
        monkeypatch.setattr("tempfile.tempdir", None)
    out = (small_disk.path if where == "run" else tmp_path) / "run"
    met: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # programs that are not kept are compiled again, and JAX says so
        told = until_done(out, small_disk, met)
    assert len(met) >= 9
    if where == "run":
        assert len(told) >= 8 and all(str(out) in line for line in told)
        assert sum(f"go on with: tvnjax run --resume {out}" in line for line in told) >= 7
    elif where == "cache":
        assert len(told) >= 1 and all(str(cache) in line for line in told)
    else:
        assert told == []
    assert what_is_left(out) == what_is_left(uninterrupted / "run")


def test_a_training_goes_on_after_a_full_disk(small_disk, tmp_path, monkeypatch, capsys):
    write_json(tmp_path / "net.json", GENOTYPE.to_json())
    call = ["train", tmp_path / "net.json", *TRAINING]
    whole, out = tmp_path / "whole", small_disk.path / "run"
    assert main([str(part) for part in [*call, "--out", whole]]) == 0
    plain = ConsoleMonitor.progress
    again: list[str] = []

    def filling(self, stage, done, total, text=""):
        if stage == "training" and done >= 20 and not again:
            time.sleep(1)  # what is being written beside the training is there by now, or has made room again
            small_disk.fill()
        plain(self, stage, done, total, text)

    monkeypatch.setattr(ConsoleMonitor, "progress", filling)
    warnings.simplefilter("always")  # a checkpoint that could not be kept is said, and is no error
    for _ in range(2):
        capsys.readouterr()
        if main([str(part) for part in [*call, "--out", out, *again]]) == 0:
            break
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1 and "No space left on device" in lines[0] and "go on with: tvnjax train" in lines[0]
        assert (out / "training.json").is_file(), "what was begun is kept"
        small_disk.free()
        again = ["--resume"]
    ours, theirs = (json.loads((run / "results.json").read_text()) for run in (out, whole))
    assert again and ours["scores"] == theirs["scores"]
    assert ours["steps"] == 20, "it went on from the checkpoint that was whole"
    before = tree(out)
    small_disk.fill()
    export = ["export", tmp_path / "net.json", "--checkpoint", out / "checkpoints" / "net", "--to", "stablehlo"]
    line = one_line(capsys, *export, "--out", small_disk.path / "net.stablehlo")
    assert "No space left on device" in line and tree(out) == before
    assert not (small_disk.path / "net.stablehlo").exists()
    small_disk.free()
    assert main([str(part) for part in [*export, "--out", small_disk.path / "net.stablehlo"]]) == 0
