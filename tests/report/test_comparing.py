"""Comparisons over runs: the statistics by their definitions, and the page from run directories alone."""

import itertools
import json
import shutil

import numpy as np
import pytest

from tests.fabricated_table import make_table
from tests.report.fabricated_run import make_run
from tvnjax.cli import main
from tvnjax.report.comparing.evidence import Evidence
from tvnjax.report.comparing.figures import on_common_times
from tvnjax.report.comparing.statistics import (
    gene_correlation,
    hypervolume,
    mean_interval,
    pareto_front,
    probability_of_improvement,
    rank_correlation,
)
from tvnjax.report.record import read_run
from tvnjax.running.replay import ReplayConfig, replay


def test_an_interval_covers_the_mean_as_often_as_it_says():
    """Of 20 values each, with a mean of 1: about 95 in 100."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        interval = mean_interval(rng.normal(1, 2, 20))
        covered += interval.low <= 1 <= interval.high
    assert 50 <= covered <= 60


def test_an_interval_of_one_or_of_equal_values():
    one, equal = mean_interval([0.3]), mean_interval([0.2, 0.2, 0.2])
    assert one.low is None and one.mean == 0.3 and not one.excludes_zero
    assert (equal.low, equal.high) == (0.2, 0.2) and equal.excludes_zero


def test_probability_of_improvement_counts_pairs():
    ours, theirs = [0.9, 0.5, 0.7], [0.5, 0.6]
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(ours, theirs)]
    assert probability_of_improvement(ours, theirs) == pytest.approx(np.mean(wins))


def test_hypervolume_is_the_part_of_the_rectangle_dominated():
    points = [(2.0, 0.5), (1.0, 0.3), (3.0, 0.4), (9.0, 1.0)]
    rng = np.random.default_rng(0)
    ms, accuracy = rng.uniform(0, 4, 40000), rng.uniform(0, 1, 40000)
    dominated = np.any([(ms >= m) & (accuracy <= a) for m, a in points if m < 4], axis=0)
    assert hypervolume(points, 4.0) == pytest.approx(dominated.mean(), abs=0.01)
    assert hypervolume([], 4.0) == 0 and hypervolume([(5.0, 0.9)], 4.0) == 0
    assert pareto_front(points) == [(1.0, 0.3), (2.0, 0.5), (9.0, 1.0)]


def test_rank_correlation_of_all_and_of_the_best():
    """Scores that order everything but the best fifth, which they turn round."""
    truth = np.arange(50.0)
    scores = np.concatenate([truth[:40], truth[40:][::-1]])
    correlation = rank_correlation(scores, truth)
    pairs = 50 * 49 / 2
    assert correlation.tau == pytest.approx(1 - 2 * 45 / pairs)
    assert correlation.top_tau == pytest.approx(-1) and correlation.count == 50
    assert rank_correlation([1, 2], [1, 2]).tau is None and rank_correlation([1.0] * 9, truth[:9]).tau is None


def test_a_gene_that_scores_misjudge_is_told_from_one_they_do_not():
    rng = np.random.default_rng(0)
    genes = [{"kernel": int(rng.integers(3)), "skip": bool(rng.integers(2)), "fixed": 1} for _ in range(200)]
    truth = [0.2 * row["kernel"] + 0.1 * row["skip"] for row in genes]
    scores = [0.2 * row["kernel"] - 0.1 * row["skip"] for row in genes]
    table = gene_correlation(genes, scores, truth)
    assert set(table) == {"kernel", "skip"}
    assert table["kernel"][0] > 0.95 and table["skip"][0] < -0.9
    assert table["skip"][1] == pytest.approx(0.05, abs=0.01) and table["kernel"][2] == 3


def test_curves_meet_from_the_last_first_value_on():
    early, late = (np.array([1.0, 5.0]), np.array([0.2, 0.6])), (np.array([3.0, 4.0]), np.array([0.4, 0.5]))
    times, values = on_common_times([early, late])
    assert times.tolist() == [3, 4, 5] and values.tolist() == [[0.2, 0.2, 0.6], [0.4, 0.5, 0.5]]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A replayed run: five seeds of four strategies, two of them scoring with inherited weights."""
    folder = tmp_path_factory.mktemp("compare")
    table = make_table(folder / "table.jsonl", noise=0.03, inherited_noise=0.08)
    strategies = ("evolution", "random", "successive_halving", "random_weight_sharing")
    replay(table, ReplayConfig(strategies=strategies, seconds=300), out=folder / "run")
    return folder / "run"


def test_the_evidence_is_what_the_run_holds(run):
    evidence = Evidence([read_run(run)])
    rows = json.loads((run / "results.json").read_text())["strategies"]
    top1 = {(row["name"], row["seed"]): row["top1"] for row in rows}
    differences = [top1["evolution", seed] - top1["random", seed] for seed in range(5)]
    pair = evidence.pair("evolution", "random")
    assert pair.difference.mean == pytest.approx(np.mean(differences)) and pair.difference.count == 5
    assert pair.difference.low <= pair.difference.mean <= pair.difference.high
    ranks = evidence.inherited()
    # Few networks both scored and trained: the finalists, and what the others trained of the same.
    assert ranks.supernet.count >= 5 and ranks.ceiling.count >= 5
    assert ranks.ceiling.tau > 0.5 and "image_size" in ranks.genes


def test_the_page_says_what_was_found_and_is_redrawn_from_the_directory_alone(run, tmp_path, capsys):
    copy = tmp_path / "elsewhere"
    shutil.copytree(run, copy)
    assert main(["compare", str(copy), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "compare.md").read_text()
    page = (tmp_path / "out" / "compare.html").read_text()
    for words in ("random against evolution", "95 % interval", "reference point", "ceiling", "hypervolume"):
        assert words in text, words
    assert "probability of improvement" in page and "<svg" in page and "http" not in page
    assert {"anytime.png", "fronts.png"} <= {path.name for path in (tmp_path / "out" / "figures").iterdir()}


def test_runs_of_a_seed_each_are_paired_by_seed(tmp_path):
    runs = [make_run(tmp_path / f"run-{seed}", seeds=(seed,), candidates=20) for seed in (0, 1)]
    records = [read_run(run) for run in runs]
    assert {search.key for search in Evidence(records).searches} == {("", 0), ("", 1)}
    assert Evidence(records).pair("evolution", "random").difference.count == 2
    # The same seed twice is two pairs, each within its run.
    shutil.copytree(runs[0], tmp_path / "again")
    doubled = Evidence([records[0], read_run(tmp_path / "again")])
    assert doubled.pair("evolution", "random").difference.count == 2


def test_names_from_outside_are_escaped(tmp_path):
    evil = "<script>alert(1)</script>"
    run = make_run(tmp_path / "run", candidates=20)
    path = run / "results.json"
    results = json.loads(path.read_text())
    results["strategies"][1]["name"] = evil
    results["data"]["name"] = evil
    path.write_text(json.dumps(results))
    (run / "config.json").write_text(json.dumps({"command": f"tvnjax {evil}"}))
    assert main(["compare", str(run), "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "<script>" not in (tmp_path / "out" / "compare.md").read_text()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["RUN", "RUN"], ["twice"]),
        (["no/such"], ["no/such", "results.json"]),
        (["RUN", "--reference", "annealing"], ["annealing", "evolution"]),
    ],
)
def test_bad_input_is_one_line(argv, words, run, tmp_path, capsys):
    argv = [str(run) if part == "RUN" else part for part in argv]
    assert main(["compare", *argv, "--out", str(tmp_path / "out")]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and all(word in line for word in words), line
