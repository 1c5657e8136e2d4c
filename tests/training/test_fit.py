"""Training, going on, scoring and joining networks, from options to files."""

import dataclasses
import importlib.util
import json
import shutil

import jax
import numpy as np
import pytest
from flax import nnx

from tests.grey_video import write_video
from tvnjax.cli import main
from tvnjax.core.checkpoint import load_state, load_tree, save_tree, stored_shapes
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Silent
from tvnjax.core.run_dir import write_json
from tvnjax.nn.child import Child
from tvnjax.spaces.base import Reads
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.trainers.optim import Optimizer
from tvnjax.trainers.trainer import Training
from tvnjax.trainers.weights import load_start
from tvnjax.training.clips import ClipOptions, ScoredClips, clip_source, scored_clips
from tvnjax.training.saved import open_saved
from tvnjax.training.scoring import score_together
from tvnjax.training.training import Fit, FitConfig
from tvnjax.zoo.resolve import find_network, of_genotype

GENOTYPE = Genotype(image_size=16, num_frames=2, frame_stride=2, blocks=(Block(spatial_kernel=3, spatial_stride=2),))
CLIPS = ClipOptions(data="texture", drawn_clips=48)
CONFIG = FitConfig(
    entry=of_genotype("net", GENOTYPE),
    clips=CLIPS,
    training=Training(steps=12, batch_size=8, accumulate=2, ema=0.5, optimizer=Optimizer(learning_rate=0.01)),
    checkpoint_every=11,
    eval_batch=24,
)


@dataclasses.dataclass
class Watching(Silent):
    """Presses Ctrl-C when a training says that it has reached a step."""

    stop_at: int | None = None
    events: list = dataclasses.field(default_factory=list)

    def event(self, kind, **fields):
        self.events.append({"event": kind, **fields})

    def progress(self, stage, done, total, text=""):
        if stage == "training" and done == self.stop_at:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two trainings in one go, of two seeds."""
    folder = tmp_path_factory.mktemp("fits")
    results = {}
    for seed in (0, 1):
        out = folder / f"run-{seed}"
        results[out] = Fit(dataclasses.replace(CONFIG, seed=seed), out, Silent()).run()
    return results


def weights(run):
    saved = open_saved(run)
    _, params, stats = nnx.split(Child(saved.network), nnx.Param, ...)
    return jax.tree.leaves(load_state(saved.weights, {"params": params, "stats": stats}))


def test_a_training_that_was_stopped_ends_where_one_in_one_go_does(runs, tmp_path):
    out, monitor = tmp_path / "run", Watching(stop_at=10)
    with pytest.raises(KeyboardInterrupt):
        Fit(CONFIG, out, monitor).run()
    assert [path.name for path in (out / "resume").glob("*.json")] == ["step-000000010.json"]
    for other in ({"ema": 0.9}, {"precision": "bfloat16"}, {"remat": True}):
        changed = dataclasses.replace(CONFIG, training=dataclasses.replace(CONFIG.training, **other))
        with pytest.raises(InvalidInputError, match="training differ"):
            Fit(changed, out, Silent()).run(resume=True)
    results = Fit(CONFIG, out, monitor).run(resume=True)
    whole = next(iter(runs))
    for ours, theirs in zip(weights(out), weights(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert results["scores"] == runs[whole]["scores"] and results["steps"] == 2
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["net"]
    steps = [event["step"] for event in monitor.events if event["event"] == "step" and "train/loss" in event]
    assert steps == [10, 12]
    with pytest.raises(InvalidInputError, match="has none"):
        Fit(CONFIG, out, Silent()).run(resume=True)


def test_a_training_whose_newest_checkpoint_is_damaged_goes_on_from_the_one_before(runs, tmp_path):
    out = tmp_path / "run"
    often = dataclasses.replace(CONFIG, checkpoint_every=4)
    with pytest.raises(KeyboardInterrupt):
        Fit(often, out, Watching(stop_at=10)).run()
    newest = out / "resume" / "step-000000010.json"
    newest.write_text(newest.read_text().replace("position", "pos1tion"))
    with pytest.warns(UserWarning, match="step-000000010 is damaged"):
        Fit(often, out, Silent()).run(resume=True)
    for ours, theirs in zip(weights(out), weights(next(iter(runs))), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_training_killed_before_its_first_checkpoint_begins_anew(runs, tmp_path, capsys):
    out = tmp_path / "run"
    write_json(out / "training.json", CONFIG.told())
    Fit(CONFIG, out, Silent()).run(resume=True)
    for ours, theirs in zip(weights(out), weights(next(iter(runs))), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    (out / "results.json").unlink()
    assert main(["train", "tvn1", "--data", "texture", "--out", str(out)]) == 2
    assert "unfinished training" in capsys.readouterr().err
    assert main(["train", "tvn1", "--data", "texture", "--out", str(tmp_path / "no"), "--resume"]) == 2
    assert "there is no" in capsys.readouterr().err and not (tmp_path / "no").exists()


def test_a_training_that_diverges_names_the_steps_and_the_last_good_checkpoint(tmp_path):
    fast = dataclasses.replace(CONFIG.training, steps=40, optimizer=Optimizer(learning_rate=1e30, clip_norm=1e30))
    fit = Fit(dataclasses.replace(CONFIG, training=fast), tmp_path / "run", Silent())
    with pytest.raises(FloatingPointError, match=r"between steps \d+ and \d+ it is not; the last good checkpoint"):
        fit.run()


def test_scores_together_are_those_of_the_mean_of_the_logits(runs, capsys):
    saved = [open_saved(run) for run in runs]
    together = score_together(saved, ScoredClips(), "test", batch_size=10)
    for score, result in zip(together.members, runs.values()):
        assert score.top1 == pytest.approx(result["scores"]["test"]["top1"])
        assert score.loss == pytest.approx(result["scores"]["test"]["loss"], rel=1e-4)
    alone = score_together(saved[:1], ScoredClips(data="texture"), "test", batch_size=7)
    assert alone.together.loss == pytest.approx(alone.members[0].loss)
    # The mean of logits loses no more than the mean member, cross-entropy being convex in them.
    assert together.together.loss <= np.mean([score.loss for score in together.members]) + 1e-6
    assert together.together.loss != pytest.approx(together.members[0].loss)
    data = ("--data", "texture", "--drawn-clips", "48")
    assert main(["ensemble", *map(str, runs), *data, "--measure"]) == 0
    lines = capsys.readouterr().out.splitlines()
    parts = [float(line.split(", ")[-1].removesuffix(" ms")) for line in lines[:3]]
    assert lines[2].startswith("mean of the logits") and parts[2] == pytest.approx(parts[0] + parts[1], rel=0.02)
    checkpoint = next(iter(runs)) / "checkpoints" / "net"
    assert main(["evaluate", str(checkpoint), *data]) == 0
    assert f"top-1 {together.members[0].top1:.1%}" in capsys.readouterr().out
    assert main(["evaluate", str(checkpoint), "--data", "shape", "--drawn-clips", "48"]) == 2
    assert "2 classes (disc, cross), but 3 classes (plain, striped, checked)" in capsys.readouterr().err


def test_a_network_is_scored_on_test_rows_alone(runs, tmp_path, capsys):
    """With its own classes in its own order, some without a clip; a short video ends nothing, and what is refused is
    refused with no option that the command does not have."""
    rows = [("a", "striped", 9), ("b", "plain", 9), ("c", "striped", 1)]
    for name, _, frames in rows:
        write_video(tmp_path / f"{name}.mp4", 90, frames)
    manifest = tmp_path / "clips.csv"

    def evaluate(*more, labels=None, split="test"):
        labels = labels or [label for _, label, _ in rows]
        lines = [f"{name}.mp4,{label},{split}\n" for (name, _, _), label in zip(rows, labels)]
        manifest.write_text("path,label,split\n" + "".join(lines))
        status = main(["evaluate", str(next(iter(runs))), "--data", str(manifest), *more])
        return status, capsys.readouterr()

    status, told = evaluate()
    assert status == 0 and "split test, 3 clips; always naming one class scores 66.7%" in told.out
    clips = scored_clips(ScoredClips(data=str(manifest)), open_saved(next(iter(runs))).trained, "test")
    order = [clips.class_names[clip["label"]] for clip in clips.source("test")]
    assert clips.class_names == ("plain", "striped", "checked") and order == ["striped", "plain", "striped"]
    assert clips.held == 1
    status, told = evaluate(split="val")
    assert status == 2 and "only val is named" in told.err
    assert evaluate("--split", "val", split="val")[0] == 0
    status, told = evaluate(labels=["striped", "dotted", "plain"])
    assert status == 2 and "'dotted' of 'b.mp4'" in told.err
    status, told = evaluate("--short-spans", "error")
    assert status == 2 and "has 1 frames in 'c.mp4'" in told.err and "--data" not in told.err
    manifest.unlink()
    assert main(["evaluate", str(next(iter(runs))), "--data", str(tmp_path)]) == 2
    assert "--data." not in capsys.readouterr().err


def test_weights_of_another_set_keep_all_but_the_scores(runs):
    saved = open_saved(next(iter(runs)))
    same = load_start(saved.weights, saved.network, saved.classes, saved.trained)
    assert same.scores_kept
    network = saved.entry.network(5)
    other = load_start(saved.weights, network, "abcde", saved.trained, seed=4)
    fresh = nnx.state(Child(network, 4), nnx.Param)["head"]["dense"]["kernel"].get_value()
    assert not other.scores_kept
    for ours, theirs in zip(jax.tree.leaves(other.params["units"]), jax.tree.leaves(same.params["units"]), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(other.params["head"]["dense"]["kernel"].get_value(), fresh)
    wider = of_genotype("wide", GENOTYPE.replace_block(0, filters=24)).network(5)
    with pytest.raises(InvalidInputError, match="weights of the same layers"):
        load_start(saved.weights, wider, "abcde", saved.trained)
    with pytest.raises(InvalidInputError, match="fits the network"):
        load_start(saved.weights, wider, "abcde", None)


def test_as_many_other_classes_get_a_fresh_layer_of_scores(runs):
    """Names decide, and their order, not their number."""
    saved = open_saved(next(iter(runs)))
    fresh = nnx.state(Child(saved.network, 4), nnx.Param)["head"]["dense"]["kernel"].get_value()
    for classes, stored in (
        (saved.classes[::-1], saved.trained),
        (("x", "y", "z"), saved.trained),
        (saved.classes, None),  # nobody says which classes the weights know
    ):
        start = load_start(saved.weights, saved.network, classes, stored, seed=4)
        assert not start.scores_kept
        np.testing.assert_array_equal(start.params["head"]["dense"]["kernel"].get_value(), fresh)


def test_weights_of_layers_that_only_look_the_same_are_refused(runs, tmp_path, capsys):
    """Activations, strides and heads leave every shape of the weights as it is."""
    checkpoint, file = open_saved(next(iter(runs))).weights, tmp_path / "other.json"
    options = ["--data", "texture", "--drawn-clips", "48", "--steps", "1", "--out", str(tmp_path / "run")]
    for genes in ({"spatial_act": "hswish"}, {"spatial_stride": 1}):
        file.write_text(json.dumps(GENOTYPE.replace_block(0, **genes).to_json()))
        assert main(["train", str(file), *options, "--init", str(checkpoint)]) == 2
        assert "weights of the same layers" in capsys.readouterr().err
    file.write_text(json.dumps(GENOTYPE.to_json()))
    assert main(["train", str(file), *options, "--init", str(checkpoint), "--head", "max_time"]) == 2
    assert "weights of the same layers" in capsys.readouterr().err


def test_fine_tuning_starts_from_the_weights(runs, tmp_path):
    checkpoint = open_saved(next(iter(runs))).weights
    config = dataclasses.replace(CONFIG, clips=dataclasses.replace(CLIPS, data="shape"), init=checkpoint)
    monitor = Watching()
    fit = Fit(config, tmp_path / "tuned", monitor)
    with pytest.warns(UserWarning, match="for other classes: the layer of scores is a fresh one"):
        state = fit._fresh()
    np.testing.assert_array_equal(
        jax.tree.leaves(state.params["units"])[0],
        jax.tree.leaves(load_start(checkpoint, fit.network, fit.clips.class_names, None).params["units"])[0],
    )
    assert monitor.events[-1]["event"] == "initialised" and monitor.events[-1]["scores"] == "fresh"


def test_networks_of_a_search_are_opened_by_their_checkpoints(runs, tmp_path):
    run, name = tmp_path / "search", "evolution-0"
    weights = open_saved(next(iter(runs))).weights
    shutil.copytree(weights, run / "checkpoints" / name)
    assert open_saved(run / "checkpoints" / name).classes == open_saved(weights).classes, "it says so itself"
    about = run / "checkpoints" / name / "_CHECKPOINT_METADATA"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"custom_metadata": {}}))  # as version 0.1 wrote it
    write_json(run / "genotypes" / f"{name}.json", GENOTYPE.to_json())
    with pytest.raises(InvalidInputError, match="neither"):
        open_saved(run / "checkpoints" / name)
    write_json(run / "results.json", {"data": {"class_names": ["a", "b", "c"]}})
    write_json(run / "config.json", {"config": {"head": "max_time"}})
    saved = open_saved(run / "checkpoints" / name)
    assert saved.entry.genotype == GENOTYPE and saved.classes == ("a", "b", "c")
    assert saved.network.head.pool == "max_time"
    assert load_start(saved.weights, saved.network, saved.classes, saved.trained).scores_kept
    with pytest.raises(InvalidInputError, match="checkpoints/NAME"):
        open_saved(run)


def test_trees_of_arrays_come_back(tmp_path):
    tree = {"a": (np.arange(3), None), "b": [np.float32(2.5)]}
    save_tree(tmp_path / "tree", tree)
    back = load_tree(tmp_path / "tree", jax.tree.map(np.zeros_like, tree))
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    for ours, theirs in zip(jax.tree.leaves(back), jax.tree.leaves(tree)):
        np.testing.assert_array_equal(ours, theirs)
    assert stored_shapes(tmp_path / "tree") == {("0",): (3,), ("1",): ()}
    with pytest.raises(InvalidInputError, match="none at"):
        stored_shapes(tmp_path / "nothing")


def test_drawn_clips_are_as_large_as_the_networks_read():
    source = clip_source(
        ClipOptions(data="motion"),
        [Reads(num_frames=9, frame_stride=3, image_size=50), Reads(num_frames=1, frame_stride=1, image_size=8)],
    )
    assert (source.size, source.num_frames) == (56, 25)
    with pytest.raises(InvalidInputError, match="did you mean 'motion'"):
        clip_source(ClipOptions(data="motoin"), [Reads(num_frames=1, frame_stride=1, image_size=8)])


def test_the_command_trains_logs_and_refuses(tmp_path, capsys):
    file, out = tmp_path / "net.json", tmp_path / "run"
    file.write_text(json.dumps(GENOTYPE.to_json()))
    options = ["--data", "texture", "--drawn-clips", "48", "--steps", "3", "--batch-size", "8", "--out", str(out)]
    tensorboard = importlib.util.find_spec("tensorboardX") is not None
    assert main(["train", str(file), *options, *(["--tensorboard"] if tensorboard else [])]) == 0
    assert "test: top-1" in capsys.readouterr().out
    lines = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert any("train/loss" in line and "train/learning_rate" in line for line in lines)
    if tensorboard:
        (events,) = (out / "tensorboard").iterdir()
        assert b"train/loss" in events.read_bytes()
    results = json.loads((out / "results.json").read_text())
    assert results["scores"]["test"]["clips"] == 24 and "padding taps counted" in results["counting_rule"]
    assert main(["train", str(file), *options]) == 2
    assert "already holds" in capsys.readouterr().err
    assert main(["train", str(file), *options, "--resume"]) == 2
    assert main(["train", "x3d-s", *options[:-1], str(tmp_path / "b"), "--head", "max_time"]) == 2
    assert "leave --head out" in capsys.readouterr().err and not (tmp_path / "b").exists()
    assert main(["train", str(file), "--data", "nothing.csv"]) == 2
    assert main(["evaluate", str(tmp_path), "--data", "texture"]) == 2


def test_a_network_reads_what_it_is_told():
    entry = find_network("tvn1", num_frames=6, image_size=64, frame_stride=3)
    assert entry.genotype is not None and entry.genotype.frame_stride == 3
    assert entry.network(4).input_shape[:2] == (6, 64)
    assert find_network("x3d-xs", frame_stride=2).network().frame_stride == 2
    with pytest.raises(InvalidInputError, match="image_size"):
        find_network("tvn1", image_size=0)
