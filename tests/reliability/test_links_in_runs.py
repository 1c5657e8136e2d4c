"""A run's directory with a link in place of each of its files and folders: no command reads or writes through one."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.report.fabricated_run import make_run
from tvnjax.cli import main
from tvnjax.core.lock import LOCK_FILE
from tvnjax.core.run_dir import write_json

_ELSEWHERE = ("events.jsonl", "stages/data.json", "stages/evolution-0/journal.jsonl", "latency_table.json", LOCK_FILE)
_MORE = (
    "measurements.jsonl",
    "report.html",
    "report.md",
    "figures/pareto.png",
    "checkpoints/evolution-0/d/0",
    "clips.jsonl",
)
_TRAINING = ("network.json", "training.json", "resume/step-000000001.json", "tensorboard/events.out")


def files_of(run):
    return sorted(path.relative_to(run).as_posix() for path in run.rglob("*"))


@pytest.fixture(scope="module")
def a_run(tmp_path_factory):
    """A finished run with a file in each place that a run or a training writes to."""
    run = tmp_path_factory.mktemp("runs") / "run"
    make_run(run)
    row = next(
        row for row in json.loads((run / "results.json").read_text())["strategies"] if row["name"] == "evolution"
    )
    write_json(run / "genotypes" / "evolution-0.json", row["genotype"])
    for name in (*_ELSEWHERE, *_MORE, *_TRAINING):
        if not (run / name).exists():
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).write_text("{}\n")
    return run


def copied(source, target):
    for name in files_of(source):
        place = target / name
        if (source / name).is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes((source / name).read_bytes())
    return target


def digests(folder):
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in files_of(folder)
        if (folder / name).is_file()
    }


def test_no_command_goes_through_a_link_in_place_of_any_file_or_folder(a_run, tmp_path, capsys):
    """On 0.1 a ``.lock`` that was a link emptied its target, and a report was written through ``report.html``."""
    names, outside = files_of(a_run), tmp_path / "outside"
    assert {"config.json", "results.json", "genotypes", "checkpoints", "figures", "stages"} <= set(names)
    for number, name in enumerate(names):
        run = copied(a_run, tmp_path / f"run-{number}")
        # What the link leads to looks just like what it stands for.
        target = outside / f"{number}"
        target.parent.mkdir(exist_ok=True)
        (run / name).rename(target)
        (run / name).symlink_to(target)
        before = digests(outside) if target.is_dir() else hashlib.sha256(target.read_bytes()).hexdigest()
        checkpoint = run / "checkpoints" / "evolution-0"
        for argv in (
            ["report", run],
            ["run", "--resume", run],
            ["run", "--resume", run, "--fork", tmp_path / f"fork-{number}"],
            ["compare", run, a_run, "--out", tmp_path / f"comparison-{number}"],
            ["record", run, "--out", tmp_path / f"table-{number}.jsonl"],
            ["evaluate", checkpoint],
            ["export", run / "genotypes" / "evolution-0.json", "--checkpoint", checkpoint, "--to", "stablehlo"],
        ):
            status = main([str(part) for part in argv])
            told = capsys.readouterr()
            assert status == 2, (name, argv, told)
            assert len(told.err.splitlines()) == 1, (name, argv, told.err)
        after = digests(outside) if target.is_dir() else hashlib.sha256(target.read_bytes()).hexdigest()
        assert after == before, name
        assert not (tmp_path / f"fork-{number}").exists() and not Path(f"evolution-0.{number}").exists()
