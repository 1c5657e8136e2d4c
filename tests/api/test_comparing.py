"""Runs compared, and strategies replayed, from Python: what the command line comes to."""

import json

import pytest

import tvnjax
from tests.fabricated_table import make_table
from tests.report.fabricated_run import make_run
from tvnjax.cli import main


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return make_table(tmp_path_factory.mktemp("table") / "table.jsonl")


def test_a_replay_is_the_run_of_the_command_line(table, tmp_path, capsys):
    path = tmp_path / "table.jsonl"
    make_table(path)
    options = ["--strategies", "evolution", "random", "--seeds", "0", "1", "--seconds", "400"]
    assert main(["replay", str(path), *options, "--out", str(tmp_path / "theirs")]) == 0
    given = {"strategies": ("evolution", "random"), "seeds": (0, 1), "seconds": 400}
    for source, name in ((table, "ours"), (path, "from_file")):
        run = tvnjax.replay(source, **given, out=tmp_path / name, quiet=True)
        assert run.finished and run.rows() == tvnjax.open_run(tmp_path / "theirs").rows()
        assert run.figure("best_so_far")._repr_png_() and run._repr_html_()
    configs = [json.loads((tmp_path / name / "config.json").read_text())["config"] for name in ("ours", "theirs")]
    assert all(configs[0][key] == configs[1][key] for key in ("strategies", "seeds", "seconds", "evolution"))


def test_options_of_a_replay_are_checked(table, tmp_path, refused):
    refused(lambda: tvnjax.replay(table, sconds=1, out=tmp_path / "run"), "sconds", "'seconds'")
    refused(lambda: tvnjax.replay(table, evolution={"popultion": 1}), "'evolution.population'")
    refused(lambda: tvnjax.replay(table, strategies=("differentiable",), out=tmp_path / "run"), "differentiable")
    refused(lambda: tvnjax.replay(tmp_path / "none.jsonl", out=tmp_path / "run"), "none.jsonl")
    assert not (tmp_path / "run").exists()


def test_a_table_is_one_short_line(table):
    assert repr(table) == "Table('made up', 256 networks, seeds 0, 1)"


def test_a_comparison_shows_and_leaves_what_the_command_line_does(tmp_path, refused):
    runs = [tvnjax.open_run(make_run(tmp_path / name, seeds=(seed,))) for seed, name in enumerate("ab")]
    shown = tvnjax.compare(runs)
    assert shown.path is None and {path.name for path in tmp_path.iterdir()} == {"a", "b"}
    kept = tvnjax.compare([tmp_path / "a", str(tmp_path / "b")], out=tmp_path / "compared")
    assert kept.path == tmp_path / "compared" / "compare.html" and kept._repr_html_() == shown._repr_html_()
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "theirs")]) == 0
    assert kept.path.read_text() == (tmp_path / "theirs" / "compare.html").read_text()
    assert "points of top-1" in shown._repr_html_() and "<table" in shown._repr_html_()
    assert len(shown.rows()) == 6 and {row["run"] for row in shown.rows()} == {str(run.path) for run in runs}
    assert len(repr(kept)) <= 200 and "\n" not in repr(kept)
    refused(lambda: tvnjax.compare(runs, reference="evoluton"), "'evoluton'")
    refused(lambda: tvnjax.compare([]), "at least one")
    refused(lambda: tvnjax.compare([runs[0], runs[0]]), "twice")
    refused(lambda: tvnjax.compare(runs[0]), "in a list")
