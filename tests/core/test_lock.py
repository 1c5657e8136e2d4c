"""Whose directory it is: copies of a lock name somebody else's owner, and damaged ones nobody."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from tvnjax.core import lock
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.lock import LOCK_FILE, process_start, unwritten
from tvnjax.core.run_dir import RunDir

HOLD = (
    "import sys, time; from pathlib import Path; from tvnjax.core.run_dir import RunDir; "
    "run = RunDir(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def writing(tmp_path):
    """A process that writes a run's directory, and the directory."""
    run = tmp_path / "run"
    owner = subprocess.Popen([sys.executable, "-c", HOLD, run], stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "held\n"
    yield owner, run
    owner.kill()
    owner.wait()


def test_a_copy_made_while_the_run_goes_on_is_nobodys(writing, tmp_path):
    owner, run = writing
    shutil.copytree(run, tmp_path / "copy")
    assert json.loads((tmp_path / "copy" / LOCK_FILE).read_text())["pid"] == owner.pid
    with unwritten(tmp_path / "copy"):
        pass
    copy = RunDir(tmp_path / "copy", resume=True)
    assert copy.lock.broken == {}, "nobody died here"
    copy.close()
    # The run itself is the owner's under any name, and after it was moved.
    run.rename(tmp_path / "moved")
    (tmp_path / "latest").symlink_to("moved")
    for name in ("moved", "latest"):
        with pytest.raises(InvalidInputError, match=f"process {owner.pid} on "):
            RunDir(tmp_path / name, resume=True)
        with pytest.raises(InvalidInputError, match=f"process {owner.pid} on "), unwritten(tmp_path / name):
            pass


def owned(folder, **owner):
    """A lock's file that names this process's parent, which lives, on a file system that keeps no locks."""
    parent = os.getppid()
    path = folder / LOCK_FILE
    path.touch()
    place = {"device": path.stat().st_dev, "inode": path.stat().st_ino, "path": str(path.resolve())}
    named = {"pid": parent, "host": os.uname().nodename, "started": process_start(parent), **place, **owner}
    path.write_text(json.dumps(named))


@pytest.mark.parametrize(
    ("other", "refused"),
    [
        ({}, True),
        ({"path": "/elsewhere/.lock"}, True),  # moved, or mounted elsewhere
        ({"inode": 1}, True),  # a file system that numbers its files anew
        ({"inode": 1, "path": "/elsewhere/.lock"}, False),
        ({"device": 1, "path": "/elsewhere/.lock"}, False),
        # Another machine numbers devices otherwise and mounts elsewhere; the file's own number is the same.
        ({"device": 1, "path": "/elsewhere/.lock", "host": "elsewhere"}, True),
        ({"inode": 1, "path": "/elsewhere/.lock", "host": "elsewhere"}, False),
    ],
)
def test_a_copy_is_what_lies_elsewhere_and_is_another_file(other, refused, tmp_path):
    owned(tmp_path, **other)
    if refused:
        with pytest.raises(InvalidInputError, match="is written by process"):
            RunDir(tmp_path, resume=True)
    else:
        RunDir(tmp_path, resume=True).close()


def test_a_lock_that_was_removed_by_its_owner_is_not_taken(tmp_path, monkeypatch):
    """Opened before it was removed, locked after: another process may hold the new one by then."""
    plain = lock._lock

    def removed_meanwhile(descriptor, *, exclusive):
        (tmp_path / LOCK_FILE).unlink()
        return plain(descriptor, exclusive=exclusive)

    monkeypatch.setattr(lock, "_lock", removed_meanwhile)
    with pytest.raises(InvalidInputError, match="another process"):
        RunDir(tmp_path, resume=True)


def test_a_directory_that_may_not_be_written_can_be_copied_and_is_left_as_it_is(tmp_path):
    owned(tmp_path, started="long ago")
    before = (tmp_path / LOCK_FILE).stat().st_mtime_ns
    # Whoever goes on with it meanwhile would change what is copied.
    with unwritten(tmp_path), pytest.raises(InvalidInputError, match="is written by"):
        RunDir(tmp_path, resume=True)
    assert (tmp_path / LOCK_FILE).stat().st_mtime_ns == before


def test_a_sign_of_life_keeps_the_lock_young(tmp_path, monkeypatch):
    run = RunDir(tmp_path / "run")
    os.utime(run.lock.path, (1, 1))
    run.lock.alive()
    assert run.lock.path.stat().st_mtime == 1, "not at every event"
    monkeypatch.setattr(run.lock, "_touched", time.monotonic() - 1000)
    run.event("step")
    assert time.time() - run.lock.path.stat().st_mtime < 100
    run.close()
