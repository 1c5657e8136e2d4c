"""Files and directories that outlive the process: atomic, locked, torn at the end."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tvnjax.core import atomic
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.jsonl import history, read_lines
from tvnjax.core.lock import LOCK_FILE, process_start
from tvnjax.core.run_dir import RunDir, read_json, write_json

HOLD = "import sys, time; from pathlib import Path; from tvnjax.core.run_dir import RunDir; " + (
    "run = RunDir(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
)


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"], "no half file is left"


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    owner = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "run"], stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(InvalidInputError, match=f"process {owner.pid} on "):
            RunDir(tmp_path / "run", resume=True)
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    run = RunDir(tmp_path / "run", resume=True)
    assert run.lock.broken["pid"] == owner.pid, "a dead owner's lock is broken"
    run.close()
    assert (tmp_path / "run" / LOCK_FILE).read_text() == ""


def owned_by(folder, **owner):
    """A directory whose lock names an owner and is not held: as on a file system that keeps no locks."""
    (folder / LOCK_FILE).write_text(json.dumps({"host": os.uname().nodename, **owner}))


def test_without_the_kernels_locks_the_named_owner_counts(tmp_path):
    parent = os.getppid()
    owned_by(tmp_path, pid=parent, started=process_start(parent))
    with pytest.raises(InvalidInputError, match=f"process {parent}"):
        RunDir(tmp_path, resume=True)
    # The same number, another process: it was used again.
    owned_by(tmp_path, pid=parent, started="1")
    RunDir(tmp_path, resume=True).close()
    owned_by(tmp_path, pid=1, started="1", host="elsewhere")
    with pytest.raises(InvalidInputError, match="process 1 on elsewhere"):
        RunDir(tmp_path, resume=True)
    long_ago = time.time() - 1000
    os.utime(tmp_path / LOCK_FILE, (long_ago, long_ago))
    RunDir(tmp_path, resume=True).close()


def test_a_torn_last_line_is_passed_over_and_told_of(tmp_path):
    run = RunDir(tmp_path / "run")
    run.event("first")
    run.event("second", text="é")
    run.close()
    log = tmp_path / "run" / "events.jsonl"
    log.write_bytes(log.read_bytes()[:-8])
    with pytest.warns(UserWarning, match="1 line torn"):
        run = RunDir(tmp_path / "run", resume=True)
    run.event("third")
    run.close()
    lines, unread = read_lines(log)
    assert [line["event"] for line in lines] == ["first", "resumed", "third"] and unread == 1
    assert lines[2]["elapsed"] >= lines[0]["elapsed"]


def test_events_told_again_count_once(tmp_path):
    run = RunDir(tmp_path / "run")
    for step in range(4):
        run.event("step", step=step)
    run.close()
    run = RunDir(tmp_path / "run", resume=True)
    run.goes_on_from(2)
    for step in (2, 3, 4):
        run.event("step", step=step, again=True)
    run.close()
    lines, _ = read_lines(tmp_path / "run" / "events.jsonl")
    assert len(lines) == 8, "the log is only added to"
    steps = [(line["step"], "again" in line) for line in history(lines) if line["event"] == "step"]
    assert steps == [(0, False), (1, False), (2, True), (3, True), (4, True)]
    assert len({line["seq"] for line in lines}) == 8


def test_what_a_killed_process_was_writing_is_swept(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".a.json.123.partial").write_text("{")
    (tmp_path / "run" / "checkpoints" / "x.orbax-checkpoint-tmp-7").mkdir(parents=True)
    (tmp_path / "run" / "b.json").write_text("{}")
    RunDir(tmp_path / "run", resume=True).close()
    left = {path.name for path in (tmp_path / "run").rglob("*")}
    assert left == {"b.json", "checkpoints", "events.jsonl", LOCK_FILE}
