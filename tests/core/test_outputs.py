"""Files that a command writes: nothing is replaced unasked, nothing is left half."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tvnjax.core import atomic
from tvnjax.core.atomic import make_folders, partial_name, sweep_partial, write_atomic, write_folder, write_together
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.outputs import write_output


def tree(folder):
    """Everything below a folder, by path: a file's bytes, a link's target, or that it is a folder."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def test_the_rule(tmp_path):
    a, b = tmp_path / "new" / "a.onnx", tmp_path / "new" / "a.onnx.json"
    write_output({a: b"1", b: b"2"}, "an export")
    before = a.stat().st_mtime_ns, a.stat().st_ino
    write_output({a: b"1", b: b"2"}, "an export")
    assert (a.stat().st_mtime_ns, a.stat().st_ino) == before, "just that is there already"
    for files in ({a: b"3", b: b"2"}, {a: b"1", b: b"4"}, {tmp_path / "c": b"5", b: b"4"}):
        with pytest.raises(InvalidInputError, match=r"holds something else: name another with --out, or .* --force"):
            write_output(files, "an export")
    assert tree(tmp_path) == {"new": False, "new/a.onnx": b"1", "new/a.onnx.json": b"2"}
    write_output({a: b"3", b: b"4"}, "an export", force=True)
    assert tree(tmp_path) == {"new": False, "new/a.onnx": b"3", "new/a.onnx.json": b"4"}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", ["folder", "pipe", "/dev/full", "/dev/null"])
def test_what_is_no_file_is_never_replaced(kind, force, tmp_path):
    path = tmp_path / "out"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = Path(kind)
    mode = path.stat().st_mode
    with pytest.raises(InvalidInputError, match="a drawing is a file that can be written") as refused:
        write_output({path: b"x"}, "a drawing", force=force)
    assert path.stat().st_mode == mode and "--force" not in str(refused.value)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_replaced_itself_when_it_is_asked_for(there, tmp_path):
    target, path = tmp_path / "target", tmp_path / "out"
    if there:
        target.write_bytes(b"precious")
    path.symlink_to(target)
    with pytest.raises(InvalidInputError, match="--force"):
        write_output({path: b"x"}, "a table")
    write_output({path: b"x"}, "a table", force=True)
    assert not path.is_symlink() and path.read_bytes() == b"x"
    assert target.read_bytes() == b"precious" if there else not target.exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 300, "File name too long"),
        ("/".join(["x" * 200] * 30), "File name too long"),
        ("file/below", "Not a directory"),
        ("a\0b", "null"),
        (".", "Is a directory"),
        ("/proc/none", "No such file"),
    ],
    ids=["long name", "long path", "below a file", "null", "folder", "proc"],
)
@pytest.mark.parametrize("force", [False, True])
def test_a_path_that_cannot_be_is_one_line(name, reason, force, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(InvalidInputError, match=f"(?s)can be written; .*{reason}.*--out") as refused:
        write_output({tmp_path / name: b"x"}, "a table", force=force)
    assert "\n" not in str(refused.value)
    assert tree(tmp_path) == {"file": b"x"}, "no folder that was made for it is left"


def test_the_longest_name_there_can_be(tmp_path):
    path = tmp_path / ("ü" * 127)
    for data in (b"1", b"2"):
        write_atomic(path, data)
    assert tree(tmp_path) == {path.name: b"2"}
    assert partial_name(path) != partial_name(path) and sweep_partial(tmp_path) == []


@pytest.mark.parametrize("failing", [1, 2])
def test_files_that_belong_together_change_together(failing, tmp_path, monkeypatch):
    a, b = tmp_path / "report.md", tmp_path / "report.html"
    write_together({a: b"1", b: b"2"})
    calls, plain = [], os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(descriptor)

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OSError, match="No space") as refused:
        write_together({a: b"3", b: b"4", tmp_path / "figures" / "x.png": b"5"})
    assert refused.value.filename == str([a, b][failing - 1]), "the name its reader knows, not that of the half file"
    assert tree(tmp_path) == {"report.md": b"1", "report.html": b"2"}


LIMITED = """
import resource, signal, sys
from pathlib import Path
from tvnjax.core.outputs import write_output
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_output({Path(sys.argv[1]): bytes(5000)}, "an export", force=True)
"""


def test_a_file_size_limit_leaves_the_old_file(tmp_path):
    """With a real limit of the system (RLIMIT_FSIZE)."""
    path = tmp_path / "old"
    path.write_bytes(b"old")
    ended = subprocess.run([sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and "InvalidInputError: an export is a file that can be written" in ended.stderr
    assert "File too large" in ended.stderr and tree(tmp_path) == {"old": b"old"}


def test_of_two_that_write_one_new_file_one_is_refused(tmp_path):
    path, refused = tmp_path / "new", []
    begin = threading.Barrier(8)

    def write(number):
        begin.wait()
        try:
            write_output({path: bytes([number])}, "a genotype")
        except InvalidInputError:
            refused.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7 and path.read_bytes()[0] not in refused and len(tree(tmp_path)) == 1


def test_permissions_of_a_file_that_is_replaced_stay(tmp_path):
    path = tmp_path / "private"
    path.write_bytes(b"1")
    path.chmod(0o640)
    write_atomic(path, b"2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_half_file_is_not_written_through_a_link(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    monkeypatch.setattr(atomic, "partial_name", lambda path: path.with_name(".guessed.partial"))
    (tmp_path / ".guessed.partial").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_atomic(tmp_path / "a", b"x")
    assert victim.read_bytes() == b"precious"


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "deep" / "new"
    with pytest.raises(KeyboardInterrupt), write_folder(folder) as partial:
        (partial / "a").write_bytes(b"1")
        raise KeyboardInterrupt
    assert tree(tmp_path) == {}
    with write_folder(folder) as partial:
        (partial / "a").write_bytes(b"1")
        assert not folder.exists()
    assert tree(tmp_path) == {"deep": False, "deep/new": False, "deep/new/a": b"1"}
    with pytest.raises(OSError, match=r"not empty"), write_folder(folder) as partial:
        (partial / "b").write_bytes(b"2")
    assert tree(tmp_path) == {"deep": False, "deep/new": False, "deep/new/a": b"1"}
    assert make_folders(folder) == []
