"""Copies of runs that go on with other options: whole or not there, and never of what they should not touch."""

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.report.fabricated_run import make_run
from tvnjax.cli import main
from tvnjax.core import atomic
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.run_dir import RunDir
from tvnjax.core.stages import Stages
from tvnjax.running import continuing
from tvnjax.running.config import PRESETS
from tvnjax.running.continuing import begin, fork

CONFIG = PRESETS["quick"][1]
LONGER = dataclasses.replace(CONFIG, retrain_seeds=3)


def tree(folder):
    return {str(path.relative_to(folder)): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.fixture
def run(tmp_path):
    """A finished run with stages, as far as a copy of it goes."""
    out = tmp_path / "runs" / "first"
    begin(CONFIG, out, "tvnjax run quick", ["quick"])
    directory = RunDir(out, resume=True)
    stages = Stages(directory, directory_monitor(directory), 0.0)
    for name in ("data", "evolution-0", "retrained-evolution-0"):
        stages.stage(name).once("train", "a", lambda: 1)
        directory.event("step", stage=name)
        stages.stage(name).finish({"name": name})
    stages.close()
    make_run(out, candidates=5, strategies=("evolution",), events=False)
    begin(CONFIG, out, "tvnjax run quick", ["quick"])
    return out


class directory_monitor:
    """Tells the run's directory alone."""

    def __init__(self, directory):
        self.event = directory.event

    def progress(self, *_):
        pass


def copied(run, new, config=CONFIG):
    return fork(config, run, new, "tvnjax run quick", ["quick"])


def test_a_copy_holds_what_the_run_does(run, tmp_path):
    new = tmp_path / "deep" / "new"
    before = tree(run)
    assert copied(run, new) == []
    ours, theirs = tree(new), tree(run)
    assert theirs == before and ours == {name: data for name, data in theirs.items() if name != ".lock"}
    changed = tmp_path / "changed"
    assert copied(run, changed, LONGER) == ["retrain_seeds"]
    assert not (changed / "results.json").exists() and (changed / "stages" / "evolution-0.json").exists()
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["new"]


@pytest.mark.parametrize("place", [".", "below", "below/deeper", "../first", "link", "link/below"])
def test_a_copy_into_the_run_itself_is_refused(run, tmp_path, place):
    (run.parent / "link").symlink_to(run)
    new = run.parent / place if place.startswith("link") else run / place
    before = tree(run)
    with pytest.raises(InvalidInputError, match="outside of it"):
        copied(run, new)
    assert tree(run) == before


def test_a_run_that_lies_below_the_new_directory_keeps_its_place(run):
    with pytest.raises(InvalidInputError, match="is none: name another"):
        copied(run, run.parent)


@pytest.mark.parametrize("taken", ["file", "full folder", "link to nothing", "link to a file"])
def test_a_place_that_is_taken(run, tmp_path, taken):
    new = tmp_path / "new"
    if taken == "file":
        new.write_text("x")
    elif taken == "full folder":
        (new / "a").mkdir(parents=True)
    elif taken == "link to a file":
        (tmp_path / "target").write_text("x")
        new.symlink_to(tmp_path / "target")
    else:
        new.symlink_to(tmp_path / "target")
    if taken == "link to nothing":
        # The user's own link: what it names is made.
        assert copied(run, new) == [] and (tmp_path / "target" / "config.json").is_file()
        return
    with pytest.raises(InvalidInputError, match="is none: name another"):
        copied(run, new)


def test_an_empty_folder_is_filled(run, tmp_path):
    (tmp_path / "new").mkdir()
    copied(run, tmp_path / "new")
    assert (tmp_path / "new" / "config.json").is_file()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 300, "File name too long"),
        ("file/new", "Not a directory"),
        ("/proc/new", "No such file"),
        ("a\0b", "null"),
    ],
    ids=["long", "below a file", "proc", "null"],
)
def test_a_place_that_cannot_be_is_one_line(run, tmp_path, name, reason):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidInputError, match=reason) as refused:
        copied(run, tmp_path / name)
    assert "\n" not in str(refused.value) and sorted(os.listdir(tmp_path)) == ["file", "runs"]


AS_ANOTHER_USER = """
import functools, importlib.metadata, os, sys
from pathlib import Path
from tests.test_forking import CONFIG, fork
source, new, before = map(Path, sys.argv[1:])
# Once as root: the other user may be unable to read the packages, which are imported here, and their versions.
importlib.metadata.version = functools.cache(importlib.metadata.version)
fork(CONFIG, source, before, "command", ["quick"])
os.setgid(65534), os.setuid(65534)
fork(CONFIG, source, new, "command", ["quick"])
"""


@pytest.fixture
def open_folder():
    """A folder that other users can enter, which pytest's are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which root alone can")
@pytest.mark.parametrize("what", ["new", "source", "nothing"])
def test_a_folder_without_permission_is_one_line(run, open_folder, what):
    """As another user: root may write anywhere."""
    source, closed = open_folder / "run", open_folder / "closed"
    shutil.copytree(run, source)
    closed.mkdir()
    closed.chmod(0o755 if what == "new" else 0o777)
    if what == "source":
        (source / "events.jsonl").chmod(0o600)
    command = [sys.executable, "-c", AS_ANOTHER_USER, source, closed / "new", open_folder / "before"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if what == "nothing":
        assert ended.returncode == 0, "a run of somebody else, which cannot be locked, is copied"
        return
    last = ended.stderr.splitlines()[-1]
    named = source / "events.jsonl" if what == "source" else closed / "new"
    assert "InvalidInputError" in last and f"{named}: Permission denied" in last
    assert list(closed.iterdir()) == []


@pytest.mark.parametrize("ends", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=type)
@pytest.mark.parametrize("after", [0, 3, 7])
def test_a_copy_that_fails_leaves_nothing(run, tmp_path, monkeypatch, after, ends):
    calls, plain = [], atomic.shutil.copyfileobj

    def failing(*arguments, **options):
        calls.append(arguments)
        if len(calls) > after:
            raise ends
        plain(*arguments, **options)

    monkeypatch.setattr(atomic.shutil, "copyfileobj", failing)
    before = tree(run)
    with pytest.raises(InvalidInputError if isinstance(ends, OSError) else KeyboardInterrupt) as refused:
        copied(run, tmp_path / "deep" / "new")
    assert isinstance(ends, KeyboardInterrupt) or "No space left on device" in str(refused.value)
    assert os.listdir(tmp_path) == ["runs"] and tree(run) == before


def test_a_run_that_is_being_written_is_not_copied(run, tmp_path):
    writer = RunDir(run, resume=True)
    with pytest.raises(InvalidInputError, match=f"is written by process {os.getpid()}"):
        copied(run, tmp_path / "new")
    writer.close()
    copied(run, tmp_path / "new")


def test_links_in_the_run_are_not_followed(run, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (run / "notes").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidInputError, match="notes is a link"):
        copied(run, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_stages_and_events_of_any_form_are_copied_as_far_as_they_go(run, tmp_path):
    for number, content in enumerate(("[3]", '{"seq": "7"}', "{", '{"seq": [1]}')):
        (run / "stages" / "data.json").write_text(content)
        with (run / "events.jsonl").open("a") as file:
            file.write('{"event": "step", "seq": "7"}\n{"event": "step", "seq": [3]}\n[\n')
        new = tmp_path / f"new-{number}"
        copied(run, new, LONGER)
        assert (new / "stages" / "data.json").read_text() == content
        assert {json.loads(line)["event"] for line in (new / "events.jsonl").read_text().splitlines()} == {"step"}


@pytest.mark.parametrize("versions", [[], "1.0", {"jax": [1]}, {"jax": "\x1b[2J" * 1000}])
def test_versions_of_any_form(run, versions, recwarn):
    begun = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(begun | {"versions": versions}))
    continuing.check_continues(CONFIG, run)
    assert all(len(str(one.message)) < 2000 for one in recwarn)


def test_the_command_refuses_in_one_line(run, tmp_path, capsys):
    for new in (run / "below", tmp_path / ("x" * 300)):
        assert main(["run", "--resume", str(run), "--fork", str(new)]) == 2
        told = capsys.readouterr().err
        assert told.startswith("error: ") and told.count("\n") == 1
