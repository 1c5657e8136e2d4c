"""Runs that begin and go on in Python: the configuration and the files of the command line."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

import tvnjax
from tests.api.conftest import stopping_at
from tests.api.tiny import CLASSES, TINY_RUN, dark_halves
from tvnjax.api import progress
from tvnjax.cli import main
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.to_json import jsonable
from tvnjax.data.video_folder import VideoData
from tvnjax.running import pipeline
from tvnjax.running.config import PRESETS, RunConfig
from tvnjax.running.config_values import changed, from_plain


class Asked(Exception):
    """In place of a run."""


@pytest.fixture
def asked(monkeypatch):
    """Returns a function that gives the configuration and directory a call would have run."""

    def stand_in(config, out, *args, **options):
        raise Asked(config, out)

    monkeypatch.setattr(pipeline, "run", stand_in)

    def call(do):
        with pytest.raises(Asked) as met:
            do()
        return met.value.args

    return call


PAIRS = [
    (("quick",), {}, ["quick"]),
    (
        ("quick",),
        {"search": {"steps": 100}, "budget": {"ms": 2}},
        ["quick", "--search.steps", "100", "--budget.ms", "2"],
    ),
    (
        ("quick",),
        {"strategies": ["evolution", "differentiable"]},
        ["quick", "--strategies", "evolution", "differentiable"],
    ),
    (("quick",), {"shapes": {"image_size": 16}}, ["quick", "--shapes.image-size", "16"]),
    (("quick",), {"search": {"projection": {"top_k": np.int64(3)}}}, ["quick", "--search.projection.top-k", "3"]),
    (("planted",), {"data": {"task": "one_block"}, "seed": 2}, ["planted", "--data.task", "one_block", "--seed", "2"]),
]


@pytest.mark.parametrize(("names", "options", "argv"), PAIRS, ids=[" ".join(argv) for _, _, argv in PAIRS])
def test_the_same_configuration_as_the_command_line(names, options, argv, asked, tmp_path):
    ours, place = asked(lambda: tvnjax.run(*names, out=tmp_path / "run", **options))
    theirs, _ = asked(lambda: main(["run", *argv, "--out", str(tmp_path / "run")]))
    assert ours == theirs and place == tmp_path / "run"
    assert json.dumps(jsonable(ours)) == json.dumps(jsonable(theirs)), "the file says the same to the letter"


@pytest.mark.parametrize(("data", "option"), [("VideoFolder", "folder"), ("Manifest", "manifest")])
def test_videos_are_read_as_the_command_line_reads_them(data, option, asked, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "clips.csv").write_text("path,label\n")
    place = tmp_path / ("videos" if option == "folder" else "clips.csv")
    ours, _ = asked(lambda: tvnjax.run("clips", data=getattr(tvnjax, data)(place)))
    theirs, _ = asked(lambda: main(["run", "clips", f"--data.{option}", str(place)]))
    assert ours == theirs
    assert tvnjax.VideoFolder(tmp_path / "videos", flip=True) == VideoData(
        folder=tmp_path / "videos", flip=True, shift=PRESETS["clips"][1].data.shift
    )


WRONG = [
    ({"serach": {"steps": 1}}, ["serach", "'search'"]),
    ({"search": {"stesp": 1}}, ["search.stesp", "'search.steps'"]),
    ({"search": {"projection": {"topk": 1}}}, ["search.projection.topk", "'search.projection.top_k'"]),
    ({"search": {"steps": "many"}}, ["search.steps", "'many'"]),
    ({"search": {"steps": 1.5}}, ["search.steps", "whole number"]),
    ({"search": {"steps": True}}, ["search.steps", "True"]),
    ({"search": 3}, ["search", "mapping", "3"]),
    ({"seed": 2**32}, ["seed", "2,147,483,647"]),
    ({"budget": {"ms": float("nan")}}, ["budget.ms", "nan"]),
    ({"strategies": ("evoluton",)}, ["strategies.0", "'evolution'"]),
    ({"strategies": ()}, ["strategies"]),
    ({"runtime": "litter"}, ["runtime", "'litert'"]),
    ({"data": "videos/"}, ["tvnjax.VideoFolder", "videos/"]),
    ({"data": {"folder": "videos"}}, ["data.folder"]),
    ({"resume": True}, ["out", "resume=DIR"]),
    ({"fork": "elsewhere"}, ["resume"]),
    ({"out": "a", "resume": "b"}, ["out", "leave one out"]),
]


@pytest.mark.parametrize(("options", "words"), WRONG, ids=[str(options) for options, _ in WRONG])
def test_what_breaks_a_rule_is_one_line(options, words, refused):
    refused(lambda: tvnjax.run("quick", **options), *words)


def test_no_preset_of_that_name(refused):
    refused(lambda: tvnjax.run("quik"), "'quik'", "'quick'")
    refused(lambda: tvnjax.run(), "resume=DIR")
    refused(lambda: tvnjax.run(3), "RunConfig")


def test_a_configuration_comes_back_from_its_file():
    for _, config in PRESETS.values():
        told = json.loads(json.dumps(jsonable(config)))
        assert from_plain(RunConfig, told, "config.json") == config
        assert changed(config, {}) == config
        first = {**told, "search": {**told["search"], "steps": None}}
        with pytest.raises(ValueError, match=r"config.json: config.search.steps is"):
            from_plain(RunConfig, first, "config.json")


def leaves(value, path=()):
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))
    yield path


@pytest.mark.parametrize(
    "junk", [None, "\0", -1, 1e300, 2**70, [], {}, [[1]], {"type": "Budget"}, True, [None]], ids=str
)
def test_a_damaged_file_is_refused_or_read_in_part(junk):
    told = json.loads(json.dumps(jsonable(PRESETS["planted"][1])))
    for path in leaves(told):
        damaged = json.loads(json.dumps({"config": told}))
        place = damaged
        for key in ("config", *path)[:-1]:
            place = place[key]
        place[("config", *path)[-1]] = junk
        try:
            made = from_plain(RunConfig, damaged["config"], "config.json")
        except InvalidInputError as error:
            assert len(str(error).splitlines()) == 1 and "config.json" in str(error)
        else:
            assert isinstance(made, RunConfig) and hash(made) is not None


def test_blocks_can_be_left_out_in_python():
    config = changed(PRESETS["clips"][1], {"shapes": {"blocks": [{"filters": 8}, {}]}})
    before = PRESETS["clips"][1].shapes.blocks
    assert config.shapes.blocks == (dataclasses.replace(before[0], filters=(8,)), before[1])


def test_stopping_says_how_to_go_on_from_both(stopped_run):
    assert f"tvnjax.run(resume='{stopped_run.out}')" in stopped_run.told
    assert f"tvnjax run --resume {stopped_run.out}" in stopped_run.told


def test_config_json_holds_a_digest_and_not_the_arrays(stopped_run):
    told = (stopped_run.stopped / "config.json").read_text()
    assert len(told) < 20_000 and stopped_run.data().digest in told
    assert json.loads(told)["config"]["data"]["shape"] == [5000, 8, 32, 32, 3]


def test_going_on_asks_for_the_same_arrays(stopped_run, refused, capsys):
    out, clips, labels = stopped_run.stopped, stopped_run.clips, stopped_run.labels
    refused(lambda: tvnjax.run(resume=out), "keeps no arrays", "5,000 clips", "data=tvnjax.Arrays(...)")
    for other in (
        tvnjax.Arrays(clips[::-1], labels, class_names=CLASSES),
        tvnjax.Arrays(clips, labels[::-1], class_names=CLASSES),
    ):
        refused(
            lambda other=other: tvnjax.run(resume=out, data=other), other.digest[:12], stopped_run.data().digest[:12]
        )
    refused(lambda: tvnjax.run(resume=out, data=stopped_run.data(), seed=4), "seed is 3, now 4")
    refused(lambda: tvnjax.run(TINY_RUN, data=stopped_run.data(), out=out, seed=3), "unfinished", "tvnjax.run(resume='")
    assert main(["run", "--resume", str(out)]) == 2
    told = capsys.readouterr().err
    assert "begun from Python" in told and "data=tvnjax.Arrays(...)" in told and len(told.splitlines()) == 1


def test_a_run_of_arrays_went_on_to_its_end(finished, stopped_run):
    assert finished.finished and finished.path == stopped_run.out
    events = [line for line in (stopped_run.out / "events.jsonl").read_text().splitlines() if '"resumed"' in line]
    assert len(events) == 1
    # A finished one needs no arrays: nothing of them is read.
    assert tvnjax.run(resume=finished.path, quiet=True).rows() == finished.rows()


@pytest.mark.slow
def test_the_command_line_goes_on_with_a_run_of_python(tmp_path, monkeypatch, capsys, refused):
    out = tmp_path / "begun in Python"
    with monkeypatch.context() as patch:
        patch.setattr(progress.RunMonitor, "progress", stopping_at("retraining"))
        with pytest.raises(KeyboardInterrupt):
            tvnjax.run(TINY_RUN, out=out, strategies=("differentiable",), baseline_ratio=2.0)
    refused(lambda: tvnjax.run(TINY_RUN, out=out, strategies=("differentiable",)), "baseline_ratio is 2.0, now 1.0")
    assert main(["run", "--resume", str(out), "--seed", "7"]) == 2
    assert "seed is 0, now 7" in capsys.readouterr().err
    other = tmp_path / "copied"
    assert main(["run", "--resume", str(out), "--fork", str(other), "--retrain.steps", "2"]) == 0
    assert main(["run", "--resume", str(out)]) == 0
    rows = tvnjax.open_run(out).rows()
    assert [row["strategy"] for row in rows] == ["differentiable"] and rows[0]["top1"] is not None
    assert json.loads((other / "config.json").read_text())["config"]["retrain"]["steps"] == 2
    # And Python with the copy that the command line made.
    assert tvnjax.run(resume=other, quiet=True).finished


def test_resume_true_begins_what_is_not_there(asked, tmp_path, finished):
    _, place = asked(lambda: tvnjax.run("quick", out=tmp_path / "new", resume=True))
    assert place == tmp_path / "new"
    again = {"out": finished.path, "resume": True, "seed": 3}
    with pytest.raises(ValueError, match="data"):
        tvnjax.run(TINY_RUN, **again)


def test_a_fork_goes_on_with_other_options(stopped_run, asked, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(stopped_run.stopped, source)
    new = tmp_path / "new"
    config, place = asked(lambda: tvnjax.run(resume=source, data=stopped_run.data(), fork=new, retrain={"steps": 2}))
    assert place == new and config.retrain.steps == 2
    assert json.loads((new / "config.json").read_text())["config"]["retrain"]["steps"] == 2
    assert (new / "stages").is_dir() and not (new / "results.json").exists()


def test_two_runs_that_begin_in_one_second(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "20300101-000000")
    first = asked(lambda: tvnjax.run("quick"))[1]
    (tmp_path / first).mkdir(parents=True)
    assert asked(lambda: tvnjax.run("quick"))[1] == first.with_name(f"{first.name}-2")


def test_arrays_are_smaller_than_what_the_space_reads(refused, tmp_path):
    data = tvnjax.Arrays(*dark_halves(40, frames=4, size=16))
    out = tmp_path / "run"
    refused(lambda: tvnjax.run("quick", data=data, out=out, quiet=True), "4")
    assert not out.exists()
