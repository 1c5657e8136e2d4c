"""Trained networks from Python: they read clips as they were scored, whether from a video or an array."""

import av
import jax
import numpy as np
import pytest
from flax import nnx

import tvnjax
from tests.api.tiny import CLASSES, dark_halves
from tvnjax.cli import main
from tvnjax.core.environment import cache_dir
from tvnjax.core.monitor import Silent
from tvnjax.core.run_dir import RunDir
from tvnjax.core.stages import Stages
from tvnjax.data.clips import prepare
from tvnjax.data.loader import eval_batches
from tvnjax.export.metadata import ExportMetadata
from tvnjax.nn.child import Child
from tvnjax.nn.saved_weights import save_weights
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.trainers.trainer import Training
from tvnjax.training.clips import ClipOptions, ScoredClips, scored_clips
from tvnjax.training.saved import open_saved
from tvnjax.training.training import Fit, FitConfig
from tvnjax.zoo.resolve import find_network, of_genotype
from tvnjax.zoo.trained import TrainedNetwork

NETWORK = Genotype(image_size=16, num_frames=2, frame_stride=3, blocks=(Block(spatial_stride=2, filters=8),))


def softmax(logits):
    shares = np.exp(np.asarray(logits, np.float64))
    return shares / shares.sum(-1, keepdims=True)


def of_classes(prediction, classes):
    return [prediction[name] for name in classes]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Lossless videos of two classes, 40 × 32 pixels and 12 frames, and their frames by path."""
    folder, frames = tmp_path_factory.mktemp("videos") / "sides", {}
    clips, labels = dark_halves(24, frames=12, size=40)
    for i, (clip, label) in enumerate(zip(clips[:, :, :32], labels % 2)):
        path = folder / CLASSES[label] / f"{i}.mkv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(path, "w") as container:
            stream = container.add_stream("ffv1", rate=10)
            stream.width, stream.height, stream.pix_fmt = 40, 32, "bgr0"
            for picture in clip:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                container.mux(stream.encode(frame.reformat(format="bgr0")))
            container.mux(stream.encode())
        frames[path] = clip
    return folder, frames


@pytest.fixture(scope="module")
def trained(videos, tmp_path_factory):
    """A run of ``tvnjax train`` on them, whose frames are stored with a margin."""
    out = tmp_path_factory.mktemp("trained") / "run"
    config = FitConfig(
        entry=of_genotype("small", NETWORK),
        clips=ClipOptions(data=str(videos[0]), shift=3, fit="crop", test_fraction=0.3),
        training=Training(steps=10, batch_size=8),
    )
    stages = Stages(RunDir(out), Silent(), 0.0)
    Fit(config, out, stages.stage("training")).run()
    stages.close()
    return out


def test_a_video_is_read_as_where_the_network_is_scored(trained, videos):
    folder, frames = videos
    saved, model = open_saved(trained), tvnjax.load(trained)
    clips = scored_clips(ScoredClips(), saved.trained, "test")
    (batch,) = eval_batches(clips, "test", batch_size=32, num_frames=2, frame_stride=3, image_size=16)
    names = clips.names("test")
    assert len(names) >= 6 and model.classes == CLASSES[:2]
    scores = softmax(model.module(batch["clip"]))
    for i, name in enumerate(names):
        path = folder / name
        ours = model._maker.of_video(path, (0, None))
        np.testing.assert_array_equal(ours, batch["clip"][i])
        np.testing.assert_allclose(of_classes(model.predict(path), model.classes), scores[i], rtol=1e-4)
        # The frames of the same video as an array come to the same pixels.
        array, single = model._maker.of_array(frames[path])
        assert single
        np.testing.assert_array_equal(array[0], ours)
        assert model.predict(str(path)) == model.predict(frames[path])


def test_part_of_a_video(trained, videos, refused):
    model = tvnjax.load(trained)
    path, frames = next(iter(videos[1].items()))
    assert model.predict(path, span=(8, 12)) == model.predict(frames[8:12])
    assert model.predict(path, span=(8, None)) == model.predict(frames[8:])
    for span, words in (((8, 20), ["20"]), ((3, 3), ["(3, 3)"]), ((-1, 3), ["(-1, 3)"])):
        refused(lambda span=span: model.predict(path, span=span), *words)
    refused(lambda: model.predict(frames, span=(0, 3)), "clip[first:last]")


def test_files_that_are_no_video(trained, tmp_path, refused):
    model = tvnjax.load(trained)
    (tmp_path / "text.mp4").write_text("no video")
    refused(lambda: model.predict(tmp_path / "text.mp4"), "text.mp4", "cannot be decoded")
    refused(lambda: model.predict(tmp_path / "none.mp4"), "none.mp4", "no such file")
    refused(lambda: model.predict(tmp_path), "is no file")


def test_predictions_on_the_arrays_of_a_run_come_to_its_accuracy(stopped_run, finished):
    data = stopped_run.data()
    clips = prepare(data, num_frames=2, frame_stride=1, image_size=8, cache_dir=cache_dir() / "datasets")
    tested = [int(name.removeprefix("clip ")) for name in clips.names("test")]
    (batch,) = eval_batches(clips, "test", batch_size=1024, num_frames=2, frame_stride=1, image_size=8)
    for row in finished.rows():
        model = finished.model(row["strategy"])
        found = model.predict(stopped_run.clips[tested])
        right = [one.top == CLASSES[stopped_run.labels[i]] for one, i in zip(found, tested, strict=True)]
        assert np.mean(right) == pytest.approx(row["top1"], abs=1e-6)
        scores = softmax(model.module(batch["clip"][: len(tested)]))
        np.testing.assert_allclose([of_classes(one, CLASSES) for one in found], scores, atol=1e-5)
    assert max(row["top1"] for row in finished.rows()) > 0.5, "it learned something, so the order of classes counts"


def test_a_prediction_is_sorted_and_sums_to_one(finished, stopped_run):
    one = finished.model().predict(stopped_run.clips[0])
    shares = list(one.values())
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1) and one.top == next(iter(one))
    assert set(one) == set(CLASSES) and one.top in repr(one) and one.top in one._repr_html_()
    several = finished.model().predict(stopped_run.clips[:40])
    assert len(several) == 40 and several[0].top == one.top
    for thing in (one, several):
        assert len(repr(thing)) <= 200 and "\n" not in repr(thing)


def test_floats_and_grey_are_read_as_pixels(finished, stopped_run):
    model, clip = finished.model(), stopped_run.clips[1]
    grey = clip[..., 0]
    assert (
        model.predict(clip / 255) == model.predict((clip / np.float32(255)).astype(np.float32)) == model.predict(clip)
    )
    assert (
        model.predict(grey)
        == model.predict(np.repeat(grey[..., None], 3, -1))
        == model.predict(grey[None, ..., None])[0]
    )


def test_as_many_frames_as_it_reads_are_read_as_they_are(trained, videos):
    model, frames = tvnjax.load(trained), next(iter(videos[1].values()))
    # 12 frames: those in the middle, 3 apart, are 4 and 7.
    assert model.predict(frames[[4, 7]]) == model.predict(frames)


WRONG = [
    (np.zeros((8, 8, 8, 3), int), ["int64"]),
    (np.full((8, 8, 8, 3), 2.0), ["2 to 2", "255"]),
    (np.zeros((8, 8, 3), np.uint8), ["(1, 8, 8, 3)", "frames"]),
    (np.zeros((8, 8), np.uint8), ["(1, 8, 8)"]),
    (np.zeros((2, 2, 8, 8, 8, 3), np.uint8), ["(2, 2, 8, 8, 8, 3)"]),
    (np.zeros((8, 8, 8, 2), np.uint8), ["2 channels"]),
    (np.zeros((1, 8, 8, 3), np.uint8), ["2 frames", "got 1"]),
    (np.zeros((0, 8, 8, 3), np.uint8), ["(1, 0, 8, 8, 3)"]),
    (3, ["int64"]),
]


@pytest.mark.parametrize(("clip", "words"), WRONG, ids=[" ".join(words) for _, words in WRONG])
def test_what_is_no_clip_is_one_line(clip, words, finished, refused):
    refused(lambda: finished.model("evolution").predict(clip), *words)


def test_a_network_of_arrays_says_that_it_does_not_know_how_to_cut_a_video(finished, videos):
    path = next(iter(videos[1]))
    with pytest.warns(UserWarning, match="do not say how a video is cut"):
        assert set(finished.model().predict(path)) == set(CLASSES)


def test_the_module_is_one_of_flax(finished, stopped_run):
    model = finished.model("differentiable")
    module, clips = model.module, stopped_run.clips[:8, 3:5, ::4, ::4]
    assert isinstance(module, nnx.Module)
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param))) == model.params
    before = np.asarray(module(clips))
    assert before.shape == (8, 4)
    np.testing.assert_allclose(module(clips / np.float32(255)), before, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(module(clips), before)
    module.train()
    for _ in range(5):
        moved = np.asarray(module(clips))
    module.eval()
    assert not np.allclose(moved, before), "statistics of the batch are used"
    after = np.asarray(module(clips))
    assert not np.allclose(after, before), "running statistics have moved"
    # What is trained further counts where the model predicts.
    np.testing.assert_allclose(of_classes(model.predict(clips[0]), CLASSES), softmax(after[0]), rtol=1e-4)


def test_the_module_refuses_other_shapes(finished, refused):
    module = finished.model("differentiable").module
    refused(lambda: module(np.zeros((1, 3, 8, 8, 3), np.uint8)), "(2, 8, 8, 3)", "(3, 8, 8, 3)")
    refused(lambda: module(np.zeros((1, 2, 8, 8, 3), np.int32)), "int32")


def test_what_a_model_says_of_itself(finished):
    model = finished.model("evolution")
    (row,) = [row for row in finished.rows() if row["strategy"] == "evolution"]
    assert (model.params, model.macs, model.classes) == (row["params"], row["macs"], CLASSES)
    assert model.clip_shape == (2, 8, 8, 3) and model.network.params == row["params"]
    assert "data:image/png;base64," in model._repr_html_() and "above" in model._repr_html_()


def test_networks_are_loaded_by_path(finished, trained, stopped_run):
    weights = finished.path / "checkpoints" / "evolution-3"
    genotype = finished.path / "genotypes" / "evolution-3.json"
    clip = stopped_run.clips[2]
    told = finished.model("evolution").predict(clip)
    assert tvnjax.load(weights).predict(clip) == tvnjax.load(genotype, checkpoint=weights).predict(clip) == told
    assert tvnjax.load(str(trained)).name == "small" == tvnjax.load(trained / "checkpoints" / "small").name


def test_a_network_of_the_zoo_with_its_checkpoint(tmp_path, finished, refused):
    entry = find_network("mobilenetv3-small", num_frames=1, image_size=32, frame_stride=1)
    told = TrainedNetwork(entry=entry, classes=("a", "b"))
    _, params, stats = nnx.split(Child(told.network), nnx.Param, ...)
    save_weights(tmp_path / "weights", params, stats, told)
    model = tvnjax.load("mobilenetv3-small", checkpoint=tmp_path / "weights")
    assert (model.name, model.classes, model.clip_shape) == ("mobilenetv3-small", ("a", "b"), (1, 32, 32, 3))
    other = finished.path / "checkpoints" / "evolution-3"
    refused(lambda: tvnjax.load("mobilenetv3-small", checkpoint=other), "evolution-3")
    refused(lambda: tvnjax.load("mobilenetv3-smal", checkpoint=other), "'mobilenetv3-small'")


def test_what_cannot_be_loaded_is_one_line(finished, tmp_path, refused):
    refused(lambda: tvnjax.load("x3d-xs"), "without weights", "checkpoint=")
    refused(lambda: tvnjax.load("x3d-xz"), "'x3d-xs'")
    refused(lambda: tvnjax.load(tmp_path), str(tmp_path))
    refused(lambda: tvnjax.load(finished.path), "differentiable-3, evolution-3")


def test_weights_of_arrays_on_the_command_line(finished, capsys):
    weights = str(finished.path / "checkpoints" / "evolution-3")
    for options, words in (([], "keeps no arrays"), (["--split-seed", "1"], "--split-seed: only clips of videos")):
        assert main(["evaluate", weights, *options]) == 2
        told = capsys.readouterr().err
        assert words in told and "5,000 clips" in told and len(told.splitlines()) == 1


def test_an_export_of_arrays_says_how_they_are_scaled(finished):
    told = ExportMetadata(trained=open_saved(finished.path / "checkpoints" / "evolution-3").trained).as_json()["clips"]
    assert told["arrays"]["source"]["shape"] == [5000, 8, 32, 32, 3] and told["frames"]["set_window"] == 8
    assert told["pixels"]["stored_side"] == 8 and told["pixels"]["picture"]["fit"] == "squash"
