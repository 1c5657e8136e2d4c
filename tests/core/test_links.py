"""Links, pipes and second names where a run's own files should be."""

import os
import socket

import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.links import open_in_place, refuse_links
from tvnjax.core.run_dir import RunDir
from tvnjax.core.waiting import taking_turns


@pytest.mark.parametrize("place", ["a", "b/c", "b/d/e"])
@pytest.mark.parametrize("kind", ["link to a file", "link to a folder", "link to nothing", "pipe", "socket"])
def test_anything_but_files_and_folders_is_refused_at_any_depth(kind, place, tmp_path, monkeypatch):
    run, outside = tmp_path / "run", tmp_path / "outside"
    (run / "b" / "d").mkdir(parents=True)
    (run / "b" / "file").write_text("x")
    outside.mkdir()
    refuse_links(run)
    if kind == "pipe":
        os.mkfifo(run / place)
    elif kind == "socket":
        monkeypatch.chdir((run / place).parent)  # its path may have 107 bytes
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind((run / place).name)
    else:
        target = {"link to a file": __file__, "link to a folder": outside, "link to nothing": tmp_path / "none"}[kind]
        (run / place).symlink_to(target)
    with pytest.raises(InvalidInputError, match=f"{place} is a {kind.split()[0]}"):
        refuse_links(run)
    with pytest.raises(InvalidInputError, match=f"{place} is a {kind.split()[0]}"):
        RunDir(run, resume=True)
    assert sorted(path.name for path in run.iterdir()) == sorted({"b", place.split("/")[0]}), "nothing was written"


def test_the_directory_itself_may_be_named_by_a_link(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "latest").symlink_to("run")
    run = RunDir(tmp_path / "latest")
    run.event("first")
    run.close()
    assert (tmp_path / "run" / "events.jsonl").stat().st_size > 0
    refuse_links(tmp_path / "latest")
    refuse_links(tmp_path / "none")


def test_a_file_with_a_second_name_is_not_added_to(tmp_path):
    path = tmp_path / "log"
    os.close(open_in_place(path))
    os.link(path, tmp_path / "other")
    with pytest.raises(InvalidInputError, match=r"log is a file that has 2 names .*cp -al"):
        open_in_place(path)
    (tmp_path / "other").unlink()
    os.close(open_in_place(path))


def test_a_link_that_appears_as_the_file_is_opened_is_not_followed(tmp_path):
    """``open_in_place`` looks at what it opened, not at what was there before."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "log").symlink_to(victim)
    (tmp_path / "nothing").symlink_to(tmp_path / "made")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("log", "nothing", "folder", "pipe"):
        with pytest.raises(InvalidInputError, match=f"{name} is a"):
            open_in_place(tmp_path / name)
    with pytest.raises(InvalidInputError, match="is a device"):
        open_in_place(tmp_path.__class__("/dev/null"))
    assert victim.read_text() == "precious" and not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", [".lock", "events.jsonl", ".turn"])
def test_a_copy_made_of_second_names_is_not_written(name, tmp_path):
    """As ``cp -al`` makes it: what was added to the copy's log was added to the run's."""
    run, copy = tmp_path / "run", tmp_path / "copy"
    first = RunDir(run)
    with taking_turns(run):
        first.event("first")
    first.close()
    copy.mkdir()
    os.link(run / name, copy / name)
    before = (run / name).read_bytes()
    with pytest.raises(InvalidInputError, match="2 names"), taking_turns(copy):
        RunDir(copy, resume=True)
    assert (run / name).read_bytes() == before
