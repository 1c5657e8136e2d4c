"""A strategy of one's own in a run: beside others, stopped, gone on with, by entry point, and on the pages."""

import json
import shutil
import sys

import numpy as np
import pytest

import tvnjax
from tests.api.conftest import stopping_at
from tests.api.tiny import TINY_RUN
from tests.cli.told import refused as told_in_one_line
from tests.fabricated_table import make_table
from tests.search.hill_climb import hill_climb, install
from tvnjax.api import progress
from tvnjax.cli import main
from tvnjax.core.errors import InvalidInputError
from tvnjax.report.record import read_events
from tvnjax.search import own

OPTIONS = {"baseline_networks": 4, "seed": 5, "retrain": {"steps": 6, "batch_size": 4}}


@pytest.fixture(scope="module")
def climb(tmp_path_factory):
    return hill_climb(tmp_path_factory.mktemp("climb"))


@pytest.fixture(scope="module")
def run(climb, tmp_path_factory):
    out = tmp_path_factory.mktemp("own strategy") / "run"
    return tvnjax.run(TINY_RUN, strategies=(climb(), "random"), out=out, quiet=True, **OPTIONS)


@pytest.fixture(scope="module")
def stopped(climb, tmp_path_factory):
    """As the one above, stopped where the first network had been told of."""
    out = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch().context() as patch:
        patch.setattr(progress.RunMonitor, "progress", stopping_at("HillClimb"))
        with pytest.raises(KeyboardInterrupt):
            tvnjax.run(TINY_RUN, strategies=(climb, "random"), out=out, quiet=True, **OPTIONS)
    return out


def found(run):
    """What a run found, without what clocks told."""
    timed = ("latency_ms", "latency_iqr_ms", "seconds", "compile_seconds", "retrain_seconds", "predicted_ms")
    return [{key: value for key, value in row.items() if key not in timed} for row in run.rows()]


def test_it_has_a_row_candidates_figures_and_a_model(run):
    rows = {row["strategy"]: row for row in run.rows()}
    assert list(rows) == ["HillClimb", "random"] and rows["HillClimb"]["evaluations"] == 4
    assert rows["HillClimb"]["top1"] is not None and rows["HillClimb"]["budget_ms"] == rows["random"]["budget_ms"]
    proposed = [row for row in run.candidates() if row["strategy"] == "HillClimb"]
    assert len(proposed) >= 4 and run.figure("best_so_far")._repr_png_()
    model = run.model("HillClimb")
    assert model.name == "HillClimb-5" and model.network.params == rows["HillClimb"]["params"]
    assert [network.strategy for network in run.networks()] == ["HillClimb", "random"]
    assert "HillClimb" in repr(run) and "HillClimb" in run._repr_html_()


def test_it_stands_in_files_and_on_pages(run, tmp_path):
    results = json.loads((run.path / "results.json").read_text())
    assert [row["name"] for row in results["strategies"]] == ["HillClimb", "random"]
    page, config = (run.path / "report.html").read_text(), json.loads((run.path / "config.json").read_text())
    assert "HillClimb" in page and " object at 0x" not in page
    assert config["command"] == "tvnjax.run(RunConfig(...), strategies=(HillClimb(), 'random'), " + (
        "baseline_networks=4, seed=5, retrain={'steps': 6, 'batch_size': 4})"
    )
    assert config["config"]["strategies"][0]["of"] == "documented_hill_climb.HillClimb"
    compared = tvnjax.compare([run], out=tmp_path / "compared", reference="HillClimb")
    assert "HillClimb" in compared.path.read_text() and "HillClimb" in repr(compared)
    assert {row["strategy"] for row in compared.rows()} == {"HillClimb", "random"}
    assert main(["record", str(run.path), "--out", str(tmp_path / "table.jsonl")]) == 0


def test_python_goes_on_with_it_in_the_same_process(run, stopped, climb, tmp_path, refused):
    out = tmp_path / "run"
    shutil.copytree(stopped, out)
    assert not (out / "results.json").exists() and (out / "stages" / "HillClimb-5" / "journal.jsonl").exists()
    again = tvnjax.run(resume=out, quiet=True)
    assert found(again) == found(run)
    told = [event for event in read_events(out) if event["event"] == "candidate"]
    assert [event["id"] for event in told] == [row["id"] for row in run.candidates()], "each is told of once"
    # A finished one needs no strategy any more.
    own._GIVEN.clear()
    assert found(tvnjax.run(resume=out, quiet=True)) == found(run)


def test_another_process_says_what_to_give_or_finds_it_by_entry_point(
    run, stopped, climb, tmp_path, refused, capsys, monkeypatch
):
    out = tmp_path / "run"
    shutil.copytree(stopped, out)
    own._GIVEN.clear()
    # The object of the fixture's configuration is gone; that of another process never was there.
    words = ("HillClimb (documented_hill_climb.HillClimb)", "strategies=(...)", "tvnjax.strategies")
    refused(lambda: tvnjax.run(resume=out), *words)
    refused(lambda: tvnjax.run(resume=out, fork=tmp_path / "copy"), *words)
    assert not (tmp_path / "copy").exists()
    line = told_in_one_line(capsys, "run", "--resume", out)
    assert "HillClimb()" in line and "begun from Python" in line and "strategies given again" in line
    line = told_in_one_line(capsys, "run", "quick", "--config", out / "config.json")
    assert "strategies has HillClimb, which was given from Python" in line

    class Other(climb):
        name = "HillClimb"

    refused(lambda: tvnjax.run(resume=out, strategies=(Other, "random")), "strategies.0.of", "Other")
    refused(lambda: tvnjax.run(resume=out, strategies=("random",)), "strategies.0.name is 'HillClimb'")
    own._GIVEN.clear()
    packages = tmp_path / "packages"
    install(packages, "documented_hill_climb", {"hills": "documented_hill_climb:HillClimb"})
    monkeypatch.syspath_prepend(packages)
    monkeypatch.delitem(sys.modules, "documented_hill_climb", raising=False)
    assert main(["run", "--resume", str(out), "--quiet"]) == 0
    assert found(tvnjax.open_run(out)) == found(run)


def test_one_that_breaks_keeps_the_run_and_goes_on_when_it_is_correct(run, climb, tmp_path, refused):
    class HillClimb(climb):
        broken = True

        def tell(self, candidate):
            if self.best is not None and self.broken:
                raise ZeroDivisionError("no slope\nhere")
            super().tell(candidate)

    out = tmp_path / "run"
    given = {"strategies": (HillClimb, "random"), "out": out, "quiet": True}
    refused(lambda: tvnjax.run(TINY_RUN, **given, **OPTIONS), "HillClimb broke in tell", "no slope", "go on with")
    assert len((out / "stages" / "HillClimb-5" / "journal.jsonl").read_text().splitlines()) >= 2
    HillClimb.broken = False
    assert found(tvnjax.run(resume=out, quiet=True)) == found(run)


def test_one_that_changes_its_mind_is_refused_by_name(climb, tmp_path, refused):
    class Unsteady(climb):
        draws = 0

        def start(self, space, rng):
            Unsteady.draws += 1
            super().start(space, np.random.default_rng(Unsteady.draws))

    out = tmp_path / "run"
    with pytest.MonkeyPatch().context() as patch:
        patch.setattr(progress.RunMonitor, "progress", stopping_at("Unsteady"))
        with pytest.raises(KeyboardInterrupt):
            tvnjax.run(TINY_RUN, strategies=(Unsteady,), out=out, quiet=True, **OPTIONS)
    refused(lambda: tvnjax.run(resume=out), "told the same proposes the same; Unsteady did not", "self.rng")


def test_one_that_proposes_a_network_for_ever_ends_by_counts(climb, tmp_path):
    class Repeats(climb):
        def ask(self):
            return self.space.sample(np.random.default_rng(0))

    repeated = tvnjax.run(TINY_RUN, strategies=(Repeats,), out=tmp_path / "run", quiet=True, **OPTIONS)
    assert len({row["id"] for row in repeated.candidates()}) == 1 and repeated.rows()[0]["evaluations"] == 4


def test_a_replay_from_python_is_a_run_of_it(climb, tmp_path):
    table = make_table(tmp_path / "table.jsonl", count=60)
    replayed = tvnjax.replay(
        table, strategies=(climb(), "random"), seeds=(0, 1), seconds=200, out=tmp_path / "run", quiet=True
    )
    assert [(row["strategy"], row["seed"]) for row in replayed.rows()] == [
        (name, seed) for name in ("HillClimb", "random") for seed in (0, 1)
    ]
    assert all(row["top1"] is not None for row in replayed.rows())
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert config["strategies"][0]["name"] == "HillClimb"
    with pytest.raises(InvalidInputError, match=r"strategies\.0 is one of .*'evolution'"):
        tvnjax.replay(table, strategies="evoluton")
    single = tvnjax.replay(table, strategies=climb, seeds=0, seconds=100, out=tmp_path / "one", quiet=True)
    assert [row["strategy"] for row in single.rows()] == ["HillClimb"]


@pytest.mark.slow
def test_it_proposes_to_workers(climb, tmp_path):
    """Its class is of no module that a worker could import: it stays in this process."""

    class HillClimb(climb):
        pass

    config = {"reproducible": False, "workers": {"engine": "pool", "count": 2}, "baseline_seconds": 20}
    ran = tvnjax.run(TINY_RUN, strategies=(HillClimb,), out=tmp_path / "run", quiet=True, **config)
    (row,) = ran.rows()
    assert row["evaluations"] >= 2 and row["top1"] is not None
    assert not any("failed" in str(candidate["reason"]) for candidate in ran.candidates())
