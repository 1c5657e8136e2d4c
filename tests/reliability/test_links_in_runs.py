"""Run directories from elsewhere: a link in place of each of their files and folders is refused, its target untouched.

On 0.1 a ``.lock`` that was a link emptied its target, and ``report.html`` or ``figures`` were written through.
"""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.report.fabricated_run import make_run
from tvnjax.cli import main
from tvnjax.core.run_dir import RunDir, write_json
from tvnjax.core.waiting import TURN_FILE
from tvnjax.report.page import write_report
from tvnjax.running.config import PRESETS
from tvnjax.running.continuing import begin
from tvnjax.spaces.tvn.genotype import Block, Genotype

GENOTYPE = Genotype(image_size=16, num_frames=2, frame_stride=2, blocks=(Block(spatial_kernel=3, spatial_stride=2),))
TRAINING = ["--data", "texture", "--drawn-clips", "48", "--steps", "2", "--batch-size", "8"]
OF_A_SEARCH = [
    *(".lock", "events.jsonl", "config.json", "results.json", "report.html", "report.md", "figures", "stages"),
    *("checkpoints", "genotypes", "latency_table.json", "measurements.jsonl", TURN_FILE),
    *("figures/fronts.png", "stages/data.json", "stages/evolution-0", "stages/evolution-0/journal.jsonl"),
    *("stages/evolution-0/step-000000003", "stages/evolution-0/step-000000003.json", "genotypes/evolution-0.json"),
    *("checkpoints/evolution-0", "checkpoints/evolution-0/_METADATA"),
]
OF_A_TRAINING = [
    *(".lock", "events.jsonl", "config.json", "results.json", "training.json", "network.json", "stages", "resume"),
    *("tensorboard", "checkpoints", "checkpoints/net", "checkpoints/net/_METADATA", "genotypes", "genotypes/net.json"),
    *("resume/step-000000002.json", "resume/step-000000002"),
]


def tree(folder):
    """Everything below a folder: what it is, what it holds, when it changed."""
    return {
        str(path.relative_to(folder)): (
            os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes(),
            path.lstat().st_mtime_ns,
            path.lstat().st_nlink,
        )
        for path in folder.rglob("*")
    }


def fill(run, names):
    """Makes those that are not there: files, and folders with one."""
    for name in names:
        path = run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            continue
        if path.suffix or path.name in (".lock", TURN_FILE, "_METADATA"):
            path.write_bytes(b"")
        else:
            path.mkdir()
            (path / "file").write_bytes(b"x")


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """A finished search, as its directory looks; no network was trained."""
    run = tmp_path_factory.mktemp("search") / "run"
    make_run(run, strategies=("evolution",), candidates=8)
    begin(PRESETS["quick"][1], run, "tvnjax run quick", ["quick"])
    write_report(run)
    RunDir(run, resume=True).close()
    fill(run, OF_A_SEARCH)
    return run


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A finished training, and its genotype's file."""
    folder = tmp_path_factory.mktemp("training")
    write_json(folder / "net.json", GENOTYPE.to_json())
    assert main(["train", str(folder / "net.json"), *TRAINING, "--out", str(folder / "run")]) == 0
    fill(folder / "run", OF_A_TRAINING)
    return folder


def planted(run, folder, name, kind="link"):
    """A copy of a run with a link to something outside in place of one of its files; returns it and what is outside."""
    copy, outside = folder / "run", folder / "outside"
    shutil.copytree(run, copy)
    outside.mkdir()
    target = outside / Path(name).name
    (copy / name).rename(target)
    if kind == "link":
        (copy / name).symlink_to(target)
    elif kind == "link to nothing":
        (copy / name).symlink_to(outside / "nothing")
    elif kind == "pipe":
        os.mkfifo(copy / name)
    return copy, outside


def refused(capsys, *argv):
    """The one line of a command that must fail at once."""
    capsys.readouterr()
    status = main([str(part) for part in argv])
    told = capsys.readouterr()
    lines = [line for line in told.err.splitlines() if not line.startswith("warning: ")]
    lines = [line for line in lines if not line.startswith("data: ")]  # how far it has come
    assert status == 2 and len(lines) == 1 and lines[0].startswith("error: "), told.err
    return lines[0]


def cases(names):
    """Each name in a finished and in an unfinished run, which has no results."""
    return [(name, finished) for finished in (True, False) for name in names if finished or name != "results.json"]


@pytest.mark.parametrize(("name", "finished"), cases(OF_A_SEARCH))
def test_no_command_reads_or_writes_through_a_link_in_a_search(search, tmp_path, monkeypatch, capsys, name, finished):
    run, outside = planted(search, tmp_path, name)
    if not finished:
        (run / "results.json").unlink()
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    fork = tmp_path / "fork"
    for argv in (
        ["report", run],
        ["record", run, "--out", "table.jsonl"],
        ["compare", run, "--out", "comparison"],
        ["run", "--resume", run],
        ["run", "--resume", run, "--fork", fork],
        ["run", "quick", "--out", run],
        *([["evaluate", run / "checkpoints" / "evolution-0", "--data", "texture"]] if finished else []),
    ):
        line = refused(capsys, *argv)
        assert "is a link to" in line, (argv, line)
        assert str(outside) in line
    assert tree(tmp_path) == before, "nothing was written, anywhere"


@pytest.mark.parametrize("kind", ["link to nothing", "pipe"])
@pytest.mark.parametrize("name", [".lock", "events.jsonl", "results.json", "report.html", "figures", "stages"])
def test_nor_through_anything_else(search, tmp_path, capsys, name, kind):
    run, _ = planted(search, tmp_path, name, kind)
    before = tree(tmp_path)
    for argv in (["report", run], ["run", "--resume", run]):
        assert f"{name} is a {kind.split()[0]}" in refused(capsys, *argv)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(("name", "finished"), cases(OF_A_TRAINING))
def test_no_command_reads_or_writes_through_a_link_in_a_training(
    training, tmp_path, monkeypatch, capsys, name, finished
):
    run, outside = planted(training / "run", tmp_path, name)
    if not finished:
        (run / "results.json").unlink()
    monkeypatch.chdir(tmp_path)
    net, weights = training / "net.json", run / "checkpoints" / "net"
    before = tree(tmp_path)
    for argv in (
        ["train", net, *TRAINING, "--out", run, "--resume"],
        ["evaluate", run, "--data", "texture"],
        ["evaluate", weights, "--data", "texture"],
        ["export", net, "--checkpoint", weights, "--to", "stablehlo", "--out", "net.stablehlo"],
        ["train", net, *TRAINING, "--init", weights, "--out", "again"],
        ["tables", "--trained", run],
        ["ensemble", run, run, "--data", "texture"],
    ):
        line = refused(capsys, *argv)
        assert "is a link to" in line and str(outside) in line, (argv, line)
    assert tree(tmp_path) == before, "nothing was written, anywhere"


@pytest.mark.parametrize("name", [".lock", "events.jsonl"])
def test_a_copy_of_second_names_writes_nothing_into_the_run(training, tmp_path, capsys, name):
    """As ``cp -al`` makes it."""
    run, copy = tmp_path / "run", tmp_path / "copy"
    shutil.copytree(training / "run", run)
    (run / "results.json").unlink()
    shutil.copytree(run, copy, copy_function=os.link)
    for path in copy.rglob("*"):
        if path.is_file() and path.name in {".lock", "events.jsonl"} - {name}:
            content = path.read_bytes()
            path.unlink()
            path.write_bytes(content)
    before = tree(run)
    line = refused(capsys, "train", training / "net.json", *TRAINING, "--out", copy, "--resume")
    assert f"{name} is a file that has 2 names" in line
    assert tree(run) == before


def test_a_report_replaces_a_second_name_and_leaves_the_first(search, tmp_path):
    """What is renamed into place needs no refusal."""
    run, copy = tmp_path / "run", tmp_path / "copy"
    shutil.copytree(search, run)
    shutil.copytree(run, copy, copy_function=os.link)
    results = json.loads((copy / "results.json").read_text())
    results["data"]["name"] = "another set"
    write_json(copy / "results.json", results)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in run.rglob("*") if path.is_file()}
    assert main(["report", str(copy)]) == 0
    assert "another set" in (copy / "report.html").read_text()
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in run.rglob("*") if path.is_file()}


def test_a_run_reached_through_a_link_is_that_run(training, tmp_path, capsys):
    (tmp_path / "latest").symlink_to(training / "run")
    assert main(["evaluate", str(tmp_path / "latest"), "--data", "texture", "--drawn-clips", "48"]) == 0
    assert "top-1" in capsys.readouterr().out
