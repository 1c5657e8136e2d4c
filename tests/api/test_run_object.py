"""What a run shows of itself: rows, figures, networks, a page in a notebook; nothing is written, locked or obeyed."""

import os
import shutil

import pytest

import tvnjax
from tests.report.fabricated_run import make_run
from tvnjax.core.run_dir import RunDir
from tvnjax.report.figures.by_name import FIGURES
from tvnjax.report.figures.canvas import report_style
from tvnjax.report.record import read_run
from tvnjax.report.sections import build_document

EVIL = "<script>alert(1)<"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of made-up numbers with everything a report can draw, in a directory with a hostile name."""
    return tvnjax.open_run(make_run(tmp_path_factory.mktemp("made") / EVIL, seeds=(0, 1)))


def test_rows_are_flat_and_all_alike(finished, made):
    for run in (finished, made):
        for rows in (run.rows(), run.candidates()):
            assert rows and all(list(row) == rows.columns for row in rows)
            assert all(isinstance(value, str | int | float | None) for row in rows for value in row.values())
            assert isinstance(rows, list)
    assert {row["strategy"] for row in made.rows()} == {"differentiable", "evolution", "random"}
    assert len(made.rows()) == 6


def test_rows_say_what_the_results_say(finished):
    results = finished.results["strategies"]
    for row, result in zip(finished.rows(), results, strict=True):
        for key in ("top1", "latency_ms", "params", "macs", "evaluations", "seconds", "seed"):
            assert row[key] == result[key], key
        assert (row["strategy"], row["id"], row["error"]) == (result["name"], result["genotype_id"], None)
        assert isinstance(row["params"], int) and isinstance(row["evaluations"], int)


def test_candidates_are_those_of_the_log(made):
    logged = read_run(made.path).select("candidate")
    assert [row["id"] for row in made.candidates()] == [event["id"] for event in logged]
    assert [row["latency_ms"] for row in made.candidates()] == [event.get("latency_ms") for event in logged]


def test_networks_are_those_found(finished):
    results = finished.results["strategies"]
    for network, result in zip(finished.networks(), results, strict=True):
        assert (network.strategy, network.seed, network.id) == (result["name"], result["seed"], result["genotype_id"])
        assert (network.params, network.macs) == (result["params"], result["macs"])
        assert network.genotype.to_json() == result["genotype"]
        assert "data:image/png;base64," in network._repr_html_()


def test_every_figure_of_the_report_has_a_name(made):
    with report_style():
        document = build_document(read_run(made.path))
    drawn = {p.name.replace("-", "_") for p in document.pictures() if not p.name.startswith("network")}
    assert drawn == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_show_themselves(name, made):
    figure = made.figure(name)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert len(repr(figure)) <= 200


def test_a_figure_can_be_kept(made, tmp_path, refused):
    figure = made.figure("accuracy-latency")
    for ending, first in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        assert figure.save(tmp_path / f"figure.{ending}").read_bytes().startswith(first)
    refused(lambda: made.figure("best_so_far").save(tmp_path / "figure.png"), "figure.png", "there already")
    refused(lambda: figure.save(tmp_path / "figure.jpg"), "figure.jpg", "png, svg, pdf")


def test_figures_that_are_not_there(finished, made, refused):
    refused(lambda: made.figure("acuracy_latency"), "acuracy_latency", "'accuracy_latency'")
    refused(lambda: finished.figure("costs"), "nothing for costs")


def test_no_backend_is_touched(made):
    import sys

    made.figure()._repr_png_()
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_every_repr_is_one_short_line(finished, made):
    model = finished.model()
    things = [finished, made, finished.rows(), finished.candidates(), *finished.networks(), made.networks()[0], model]
    things += [model.network, finished.figure(), made.networks()[0].network]
    for thing in things:
        assert len(repr(thing)) <= 200 and "\n" not in repr(thing), repr(thing)


def test_a_notebook_shows_the_finding_and_no_markup_from_outside(finished, made):
    shown = finished._repr_html_()
    assert "top-1 on the test split" in shown and "<table" in shown and "data:image/png;base64," in shown
    assert EVIL not in made._repr_html_() and "&lt;script&gt;" in made._repr_html_()


def test_the_report_is_found_or_written(finished, tmp_path):
    assert finished.report() == finished.path / "report.html"
    copy = tmp_path / "copy"
    shutil.copytree(finished.path, copy)
    (copy / "report.html").unlink()
    assert tvnjax.open_run(copy).report().read_text() == finished.report().read_text().replace("arrays</", "copy</")


def test_models_are_chosen_by_strategy_and_seed(finished, made, refused):
    assert finished.model("evolution").name == "evolution-3"
    assert finished.model("differentiable", seed=3).name == "differentiable-3"
    best = max(finished.rows(), key=lambda row: row["top1"])
    assert finished.model().name == f"{best['strategy']}-3"
    refused(lambda: finished.model("evoluton"), "'evoluton'", "'evolution'")
    refused(lambda: finished.model("evolution", seed=9), "seeds 3", "9")
    refused(lambda: made.model(), "checkpoints")


def test_opening_takes_no_lock_and_writes_nothing(stopped_run):
    run_dir = RunDir(stopped_run.stopped, resume=True)  # as the process that goes on with it
    try:
        before = {path: path.stat().st_mtime_ns for path in stopped_run.stopped.rglob("*")}
        run = tvnjax.open_run(stopped_run.stopped)
        assert run.candidates() is not None and run.rows() and run._repr_html_() and repr(run)
        assert {path: path.stat().st_mtime_ns for path in stopped_run.stopped.rglob("*")} == before
    finally:
        run_dir.close()


def test_a_run_that_is_not_finished(stopped_run, refused):
    run = tvnjax.open_run(stopped_run.stopped)
    assert not run.finished and "not finished" in repr(run) and len(repr(run)) <= 200
    assert [(row["strategy"], row["top1"]) for row in run.rows()] == [("differentiable", None), ("evolution", None)]
    assert run.figure("search_trace")._repr_png_()
    assert "Not finished" in run._repr_html_()
    for call in (lambda: run.results, run.report, run.model):
        refused(call, "when it is finished", f"tvnjax.run(resume={str(stopped_run.stopped)!r})")


def test_what_a_run_comes_to_is_read_again(made, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(made.path, copy)
    results = (copy / "results.json").read_text()
    (copy / "results.json").unlink()
    run = tvnjax.open_run(copy)
    assert not run.finished and all(row["top1"] is None for row in run.rows())
    (copy / "results.json").write_text(results)
    assert run.finished and run.rows() == made.rows()


def test_links_and_places_without_a_run(finished, tmp_path, refused):
    refused(lambda: tvnjax.open_run(tmp_path / "nowhere"), "nowhere")
    refused(lambda: tvnjax.open_run(tmp_path), "config.json")
    copy = tmp_path / "copy"
    shutil.copytree(finished.path, copy)
    (copy / "events.jsonl").unlink()
    os.symlink("/etc/passwd", copy / "events.jsonl")
    refused(lambda: tvnjax.open_run(copy), "is a link")


def test_a_damaged_run_shows_its_line_in_a_notebook(made, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(made.path, copy)
    run = tvnjax.open_run(copy)
    (copy / "results.json").write_text("{}")
    assert "at least one strategy" in run._repr_html_() and "at least one strategy" in repr(run)
