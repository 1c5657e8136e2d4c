"""The command line: help, bad input in one line, and a whole run on small clips."""

import json
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.grey_video import write_video
from tvnjax.cli import main

TINY = [
    "--shapes.image-size 8 16 --shapes.num-frames 1 4 --shapes.num-blocks 3 --shapes.blocks.0.filters 4",
    "--shapes.blocks.1.filters 8 --shapes.blocks.2.filters 8 --operators.spatial-kernel 3",
    "--operators.spatial-type std maxpool",
    "--operators.temporal-type 1d --operators.squeeze 0.0 --operators.width 0.5 1.0 --operators.expand 1",
    "--profile.units 10 --profile.networks 3 --profile.chosen 2 --profile.repeats 30",
    "--search.steps 6 --search.batch-size 8",
    "--search.projection.top-k 2 --search.projection.finalists 1 --search.projection.recalibration-batches 2",
    "--search.projection.plans 1 --search.projection.draws 1 --search.projection.neighbours 1",
    "--search.projection.rank-steps 2 --search.projection.racers 2",
    "--search.working-set 2 --search.score-clips 16 --search.score-every 1",
    "--shapes.frame-stride 1 --evolution.population 2",
    "--proxy.steps 3 --proxy.batch-size 8 --retrain.steps 4 --retrain.batch-size 8 --baseline-seconds 1",
]
TINY_OPTIONS = " ".join(TINY).split()
TINY_CLIPS = ["--data.train-clips", "24", "--data.val-clips", "16", "--data.test-clips", "16", "--data.size", "16"]


def error_line(capsys, *argv):
    """Runs a command that must fail; returns its one line."""
    status = main([str(part) for part in argv])
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert status == 2 and len(lines) == 1 and "Traceback" not in captured.err
    return lines[0]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["runn"], ["runn", "did you mean 'run'"]),
        (["run", "quik"], ["quik", "did you mean 'quick'"]),
        (["run", "quick", "--serch.steps", "3"], ["--serch.steps", "did you mean --search.steps"]),
        (["run", "quick", "--search.steps", "many"], ["--search.steps", "many"]),
        (["run", "quick", "--search.steps", "0"], ["steps", "0"]),
        (["run", "quick", "--data.manifest", "x.csv"], ["--data.manifest"]),
        (["run", "quick", "--retrain-seeds", "0"], ["retrain_seeds", "at least 1"]),
        (["run", "quick", "--baseline-ratio", "0"], ["baseline_ratio", "above 0", "0.0"]),
        (["run", "quick", "--baseline-ratio", "5", "--baseline-seconds", "9"], ["baseline_ratio", "9", "give one"]),
        (["run", "quick", "--strategies", "evolution"], ["--baseline-seconds"]),
        (["run", "quick", "--budget.ms", "-1"], ["budget.ms", "-1"]),
        (["run", "quick", "--budget.params", "0"], ["budget.params", "0"]),
        (["run", "quick", "--shapes.image-size"], ["image_size", "at least one value"]),
        (["run", "quick", "--operators.spatial-type"], ["spatial_type", "at least one value"]),
        (["run", "quick", "--shapes.frame-stride", "40"], ["num_frames", "nearest legal value"]),
        (["run", "quick", "--shapes.frame-stride", "1", "40"], ["frame_stride", "40", "nearest legal value is 2"]),
        (["run", "quick", "--shapes.image-size", "8", "--shapes.blocks.2.spatial-stride", "8"], ["nothing", "is 2"]),
        (
            ["run", "quick", "--operators.non-local", "8", "--operators.non-local-tokens", "1"],
            ["non_local", "nearest legal value is 0"],
        ),
        (["run", "quick", "--runtime", "tflight"], ["--runtime", "tflight"]),
        (["run", "quick", "--device", "abacus"], ["'abacus'", "one JAX has here"]),
        (["run", "quick", "--runtime", "xla", "--threads", "4096"], ["threads", "4096"]),
        (["profile", "--verify", "-1"], ["verify is 0 or above", "-1"]),
        (["profile", "quick", "--classes", "1"], ["classes 2 or above"]),
        (["compare", "x"], ["tvnjax compare needs --out PATH (where to write"]),
        (["train"], ["needs a name", "and --data STR (a manifest"]),
        (["zoo", "--format", "xml"], ["error: --format is one of table, json, csv; got 'xml'"]),
        (["measure"], ["at least one genotype"]),
        (["measure", "no/such.json"], ["no/such.json"]),
        (["run", "clips"], ["--data.manifest", "--data.folder"]),
        (["run", "clips", "--data.manifest", "no/such.csv"], ["no/such.csv"]),
        (["run", "clips", "--data.folder", "no/such"], ["no/such"]),
        (["report", "no/such"], ["no/such"]),
    ],
)
def test_bad_input_is_one_line_that_names_it(argv, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = error_line(capsys, *argv)
    assert all(word in line for word in words), line
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").iterdir())


def test_ray_that_is_missing_is_named_before_anything_is_measured(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(
        "tvnjax.running.pipeline.profile_run", lambda *arguments: pytest.fail("the device was profiled")
    )
    out = tmp_path / "run"
    line = error_line(capsys, "run", "quick", *TINY_OPTIONS, "--workers.engine", "ray", "--out", out)
    assert "pip install 'tvnjax[ray]'" in line and not out.exists()


@pytest.mark.parametrize("argv", [["--help"], ["run", "--help"], ["run", "quick", "--help"], ["profile", "--help"]])
def test_help_explains_and_succeeds(argv, capsys):
    try:
        status = main(argv)
    except SystemExit as exit:
        status = exit.code or 0
    assert status == 0 and "quick" in capsys.readouterr().out


def test_a_directory_that_holds_a_run_is_left_alone(capsys, tmp_path):
    (tmp_path / "results.json").write_text("{}")
    line = error_line(capsys, "run", "quick", "--out", tmp_path)
    assert str(tmp_path) in line and "--out" in line
    assert (tmp_path / "results.json").read_text() == "{}"


def test_a_budget_no_network_meets_names_the_smallest_possible(capsys, tmp_path):
    out = tmp_path / "run"
    line = error_line(capsys, "run", "quick", *TINY_OPTIONS, *TINY_CLIPS, "--budget.ms", "0.000001", "--out", out)
    assert "smallest possible" in line and "--budget.ms" in line
    assert not out.exists(), "a run that could not begin leaves nothing behind"


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (["--budget.params", "10"], ["budget.params", "nearest legal value is"]),
        (["--budget.memory-mb", "0.001"], ["budget.memory_mb", "smallest plan", "nearest legal value is"]),
    ],
)
def test_a_budget_under_the_smallest_network_names_the_nearest_legal_one(budget, words, quick_run, capsys, tmp_path):
    options = [*TINY_OPTIONS, *TINY_CLIPS, "--budget.ms", "1000", *budget]
    line = error_line(capsys, "run", "quick", *options, "--out", tmp_path / "deep" / "run")
    assert all(word in line for word in words), line
    assert not (tmp_path / "deep").exists(), "folders made for the run are gone"


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "quick"
    # A budget everything meets: which network a short search ends with is not the question here.
    strategies = ["--strategies", "differentiable", "hybrid", "evolution", "random"]
    assert (
        main(["run", "quick", *TINY_OPTIONS, *TINY_CLIPS, "--budget.ms", "1000", *strategies, "--out", str(out)]) == 0
    )
    return out


def test_a_run_leaves_what_it_promises(quick_run):
    for name in ("config.json", "events.jsonl", "results.json", "report.md", "report.html", "checkpoints", "genotypes"):
        assert (quick_run / name).exists(), name
    results = json.loads((quick_run / "results.json").read_text())
    rows = {row["name"]: row for row in results["strategies"]}
    assert list(rows) == ["differentiable", "hybrid", "evolution", "random"]
    assert rows["hybrid"]["seconds"] > rows["differentiable"]["seconds"], "hybrid is charged for both searches"
    assert rows["hybrid"]["evaluations"] > rows["differentiable"]["evaluations"]
    for row in results["strategies"]:
        assert {"seed", "top5", "params", "macs", "seconds", "compile_seconds", "evaluations", "infeasible"} <= set(row)
        assert row["genotype"] == json.loads((quick_run / "genotypes" / f"{row['name']}-0.json").read_text())
        assert 0 <= row["top1"] <= row["top5"] <= 1
        assert 0 < row["latency_ms"] <= row["budget_ms"]
        assert 0 < row["compile_seconds"] < row["seconds"]
    assert results["environment"]["device"] and results["environment"]["jax"]
    kinds = {json.loads(line)["event"] for line in (quick_run / "events.jsonl").read_text().splitlines()}
    assert {
        "data",
        "profile",
        "plan",
        "search_step",
        "marginals",
        "candidate",
        "ledger",
        "confirmed",
        "retrained",
    } <= kinds


@pytest.mark.slow
@pytest.mark.parametrize("more", [["--evaluation", "layers"], ["--workers.engine", "pool", "--workers.count", "2"]])
def test_every_other_strategy_runs_and_is_charged_for_what_it_builds_on(more, tmp_path):
    strategies = ["random_weight_sharing", "evolution_weight_sharing", "successive_halving", "regularized_evolution"]
    sizes = ["--sharing.candidates", "4", "--sharing.finalists", "1", "--halving.networks", "3", "--halving.rungs", "2"]
    options = [*TINY_OPTIONS, *TINY_CLIPS, "--budget.ms", "1000", *sizes, "--baseline-seconds", "100", *more]
    out = tmp_path / "run"
    assert main(["run", "quick", *options, "--strategies", *strategies, "--out", str(out)]) == 0
    rows = {row["name"]: row for row in json.loads((out / "results.json").read_text())["strategies"]}
    assert list(rows) == strategies
    for name, row in rows.items():
        assert row["top1"] is not None and row["evaluations"] >= 1, name
        assert sum(row["spent"].values()) == pytest.approx(row["seconds"]) and row["spent"]["compile"] > 0
        assert ("supernet" in row["spent"]) == name.endswith("weight_sharing")
    candidates = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    candidates = [event for event in candidates if event["event"] == "candidate"]
    scored = [event for event in candidates if event["scoring"] == "inherited"]
    assert len(scored) == 8 and all(0 <= event["top1"] <= 1 for event in scored)
    assert {event["part"] for event in candidates if event["strategy"] == "successive_halving"} > {1.0}
    assert main(["compare", str(out), "--out", str(tmp_path / "comparison")]) == 0


def test_a_report_is_written_again_from_the_directory_alone(quick_run, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(quick_run, copy)
    (copy / "report.html").unlink()
    assert main(["report", str(copy)]) == 0
    assert "differentiable" in (copy / "report.html").read_text()


def unfinished(run, out, *left_out):
    """A copy of a run that was killed while it retrained."""
    shutil.copytree(run, out)
    for name in ("results.json", "report.html", *left_out):
        (out / name).unlink()
    return out


def rows(run):
    """What a run came to, without its seconds (``spent`` holds them by kind)."""
    found = json.loads((run / "results.json").read_text())["strategies"]
    timed = ("seconds", "spent")
    return [{key: value for key, value in row.items() if not key.endswith(timed)} for row in found]


def test_an_unfinished_run_is_offered_and_gone_on_with(quick_run, tmp_path, capsys):
    out = unfinished(quick_run, tmp_path / "run", "stages/retrained-evolution-0.json")
    options = [*TINY_OPTIONS, *TINY_CLIPS, "--budget.ms", "1000"]
    options += ["--strategies", "differentiable", "hybrid", "evolution", "random"]
    line = error_line(capsys, "run", "quick", *options, "--out", out)
    assert f"tvnjax run --resume {out}" in line
    line = error_line(capsys, "run", "quick", *options, "--seed", "3", "--out", out)
    assert "seed is 0, now 3" in line and "--resume" in line
    line = error_line(capsys, "run", "--resume", out, "--proxy.steps", "9")
    assert "proxy.steps is 3, now 9" in line and "--fork" in line
    events = (out / "events.jsonl").read_text()
    assert main(["run", "--resume", str(out)]) == 0
    assert rows(out) == rows(quick_run)
    told = (out / "events.jsonl").read_text()
    assert told.startswith(events), "the log is only added to"
    added = [json.loads(line)["event"] for line in told[len(events) :].splitlines()]
    assert added == ["resumed", "retrained"], "nothing else is done again"
    assert main(["run", "--resume", str(out)]) == 0, "of a finished run the report is written again"


def test_a_full_disk_and_a_damaged_result_cost_no_more_than_a_stage(quick_run, tmp_path, capsys, monkeypatch):
    from tvnjax.core import jsonl as lines

    out = unfinished(quick_run, tmp_path / "run", "stages/retrained-evolution-0.json")
    plain = lines.Lines.add

    def full(self, line, **options):
        if line.get("event") == "retrained":
            raise OSError(28, "No space left on device", "events.jsonl")
        plain(self, line, **options)

    with monkeypatch.context() as patch:
        patch.setattr(lines.Lines, "add", full)
        line = error_line(capsys, "run", "--resume", out)
    assert "events.jsonl: No space left" in line and f"tvnjax run --resume {out}" in line
    evolution = out / "stages" / "evolution-0.json"
    evolution.write_text(evolution.read_text().replace('"top1": ', '"top1": 1', 1))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["run", "--resume", str(out)]) == 0
    assert "evolution-0 came to is damaged" in capsys.readouterr().err
    assert rows(out) == rows(quick_run), "its journal says the same"


def test_sigterm_keeps_the_place_says_how_to_go_on_and_ends_in_time(quick_run, tmp_path):
    out = unfinished(quick_run, tmp_path / "run", "stages/retrained-evolution-0.json")
    root = Path(__file__).parent.parent
    code = "import sys; from tvnjax.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "run", "--resume", str(out)]
    begun = subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True)
    for line in begun.stderr:
        if line.startswith("retraining"):
            break
    start = time.monotonic()
    begun.terminate()
    _, err = begun.communicate(timeout=60)
    assert begun.returncode == 143 and f"go on with: tvnjax run --resume {out}" in err
    assert time.monotonic() - start < 10
    assert main(["run", "--resume", str(out)]) == 0 and rows(out) == rows(quick_run)


def test_a_finished_run_is_told_as_json_or_quietly(quick_run, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(quick_run, copy)
    assert main(["run", "--resume", str(copy), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop("run") == str(copy) and told == json.loads((copy / "results.json").read_text())
    assert main(["run", "--resume", str(copy), "--quiet"]) == 0
    quiet = capsys.readouterr()
    assert main(["run", "--resume", str(copy)]) == 0
    assert capsys.readouterr().out.startswith(quiet.out) and "differentiable" in quiet.out and not quiet.err
    assert "report:" not in quiet.out


@pytest.mark.slow
def test_a_run_begun_with_a_config_file_goes_on_without_it(quick_run, tmp_path, capsys):
    assert main(["run", "--resume", str(quick_run), "--print-config"]) == 0
    file, out = tmp_path / "quick.toml", tmp_path / "run"
    file.write_text(capsys.readouterr().out)
    # The same run but for what is named beside it: compiled programs and clips are there.
    beside = ["--strategies", "differentiable", "--out", str(out), "--quiet", "--json"]
    assert main(["run", "--config", str(file), *beside]) == 0
    told = capsys.readouterr()
    results = json.loads(told.out)
    assert [row["name"] for row in results["strategies"]] == ["differentiable"] and not told.err
    file.unlink()
    (out / "results.json").unlink()
    assert main(["run", "--resume", str(out)]) == 0
    before, now = (json.loads((path / "config.json").read_text())["config"] for path in (quick_run, out))
    assert {key for key in now if now[key] != before[key]} == {"out", "strategies"}
    assert "search.steps is 6, now 7" in error_line(capsys, "run", "--resume", out, "--search.steps", "7")


def test_a_fork_goes_on_with_other_options_and_leaves_the_run_alone(quick_run, tmp_path, capsys):
    before = sorted((path, path.stat().st_mtime_ns) for path in quick_run.rglob("*"))
    new = tmp_path / "new"
    assert main(["run", "--resume", str(quick_run), "--fork", str(new), "--retrain.steps", "2"]) == 0
    assert "other retrain.steps" in capsys.readouterr().err
    ours, theirs = rows(new), rows(quick_run)
    assert [row["genotype"] for row in ours] == [row["genotype"] for row in theirs], "the searches are kept"
    assert json.loads((new / "config.json").read_text())["config"]["retrain"]["steps"] == 2
    assert before == sorted((path, path.stat().st_mtime_ns) for path in quick_run.rglob("*"))
    assert "--resume needs a value" in error_line(capsys, "run", "--resume")
    assert "is none" in error_line(capsys, "run", "--resume", quick_run, "--fork", new)
    assert "--resume DIR --fork" in error_line(capsys, "run", "quick", "--fork", tmp_path / "x")
    assert "holds none" in error_line(capsys, "run", "--resume", tmp_path / "nothing")


def test_a_fork_trains_the_networks_found_again_with_other_seeds(quick_run, tmp_path):
    new = tmp_path / "more"
    assert main(["run", "--resume", str(quick_run), "--fork", str(new), "--retrain-seeds", "3"]) == 0
    for row, before in zip(rows(new), rows(quick_run), strict=True):
        told = row.pop("top1_runs")
        assert told[0] == before.pop("top1") and len(told) == 3
        assert row.pop("top1") == pytest.approx(np.mean(told))
        assert row.pop("top1_sd") == pytest.approx(np.std(told, ddof=1))
        del row["top5"], before["top5"]
        assert row == before, "nothing but the accuracies is another"
    events = [json.loads(line) for line in (new / "events.jsonl").read_text().splitlines()]
    again = [event["number"] for event in events if event["event"] == "retrained" and "number" in event]
    assert again == [1, 2] * len(rows(quick_run))
    assert "sd between its trainings" in (new / "report.md").read_text()


def test_the_retrained_checkpoint_holds_the_network(quick_run):
    from tvnjax.core.checkpoint import load_state
    from tvnjax.spaces.registry import genotype_from_text
    from tvnjax.spaces.tvn.lowering import lower
    from tvnjax.trainers.trainer import ChildTrainer, Training

    genotype = genotype_from_text((quick_run / "genotypes" / "differentiable-0.json").read_text())
    state = ChildTrainer(lower(genotype, 4), Training(), 0).init()
    loaded = load_state(quick_run / "checkpoints" / "differentiable-0", {"params": state.params, "stats": state.stats})
    leaves = jax.tree.leaves(loaded)
    assert leaves and all(np.isfinite(np.asarray(leaf)).all() for leaf in leaves)
    assert any(not np.array_equal(a, b) for a, b in zip(leaves, jax.tree.leaves({"params": state.params})))


@pytest.mark.slow
def test_a_folder_of_videos_is_searched_and_a_broken_one_is_named(tmp_path, capsys):
    for label, brightness in (("dark", 20), ("light", 220)):
        for index in range(8):
            write_video(tmp_path / "videos" / label / f"{index}.mp4", brightness + index)
    (tmp_path / "videos" / "dark" / "broken.mp4").write_bytes(b"no video")
    options = [
        *TINY_OPTIONS,
        *("--shapes.image-size", "8", "--shapes.num-frames", "4"),
        *("--shapes.num-blocks", "2", "--operators.spatial-type", "std", "--operators.width", "1.0"),
        *("--budget.ms", "1000", "--strategies", "differentiable"),
    ]
    call = ["run", "clips", "--data.folder", str(tmp_path / "videos"), *options, "--out", str(tmp_path / "run")]
    assert main(call) == 2
    assert "of the clips may be skipped, but 1 of 17 " in capsys.readouterr().err
    options += ["--data.max-skipped", "0.1"]
    assert (
        main(["run", "clips", "--data.folder", str(tmp_path / "videos"), *options, "--out", str(tmp_path / "run")]) == 0
    )
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["data"]["class_names"] == ["dark", "light"]
    assert [skipped["path"] for skipped in results["data"]["skipped"]] == ["dark/broken.mp4"]
    assert "warning: 1 of 17 clips (5.88%) of videos skipped: 1 " in capsys.readouterr().err
    assert "broken.mp4" in (tmp_path / "run" / "report.md").read_text()
    (row,) = results["strategies"]
    assert main(["evaluate", str(tmp_path / "run" / "checkpoints" / "differentiable-0")]) == 0
    assert f"top-1 {row['top1']:.1%}" in capsys.readouterr().out
