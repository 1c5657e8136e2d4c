"""A network is scored, joined, exported and trained further on clips that are cut, stored, timed, ordered and split as
those it was trained on.

Two classes: a square a bit smaller and a bit larger. A training whose crops move by 3 pixels stores 38 and reads the
middle 32 of them; where the 32 are stored instead, the small square has the size of the large one.
"""

import dataclasses
import json
import shutil

import av
import numpy as np
import pytest

from tvnjax.cli import main
from tvnjax.core.monitor import Silent
from tvnjax.data.picture import describe_picture
from tvnjax.spaces.base import Reads
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.trainers.optim import Optimizer
from tvnjax.trainers.trainer import Training
from tvnjax.training.clips import ClipOptions, ScoredClips, scored_clips
from tvnjax.training.saved import open_saved
from tvnjax.training.training import Fit, FitConfig
from tvnjax.zoo.resolve import of_genotype

BLOCKS = (Block(spatial_kernel=3, spatial_stride=2, filters=8), Block(spatial_kernel=3, spatial_stride=2, filters=16))
NETWORK = Genotype(image_size=32, num_frames=2, frame_stride=3, blocks=BLOCKS)
FRAME, FRAMES = 76, 10


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """``small`` and ``large``, whose sides are as 32 to 38."""
    folder, rng = tmp_path_factory.mktemp("squares") / "sizes", np.random.default_rng(0)
    for label, share in (("small", 0.34), ("large", 0.34 * 38 / 32)):
        (folder / label).mkdir(parents=True)
        for number in range(24):
            side, (x, y) = share * FRAME, FRAME / 2 + rng.uniform(-4, 4, 2)
            rows, columns = (slice(round(c - side / 2), round(c + side / 2)) for c in (y, x))
            with av.open(folder / label / f"{number:02d}.mkv", "w") as container:
                stream = container.add_stream("ffv1", rate=10)
                stream.width = stream.height = FRAME
                stream.pix_fmt = "bgr0"
                for _ in range(FRAMES):
                    picture = rng.integers(0, 60, (FRAME, FRAME, 1), np.uint8).repeat(3, 2)
                    picture[rows, columns] = 220
                    container.mux(
                        stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="bgr0"))
                    )
                container.mux(stream.encode())
    return folder


def trained(folder, out, **clips):
    config = FitConfig(
        entry=of_genotype("net", NETWORK),
        clips=ClipOptions(data=str(folder), **{"shift": 3, "split_seed": 5, "test_fraction": 0.3} | clips),
        training=Training(steps=120, batch_size=16, optimizer=Optimizer(learning_rate=0.02)),
    )
    return Fit(config, out, Silent()).run()


@pytest.fixture(scope="module")
def run(squares, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    results = trained(squares, out)
    assert results["scores"]["test"]["top1"] >= 0.9, "what follows would say nothing"
    return out, results


def scored(capsys, *argv):
    """The accuracy that a command prints, and its warnings."""
    status = main([*map(str, argv)])
    told = capsys.readouterr()
    assert status == 0, told.err
    return float(told.out.split("top-1 ")[1].split("%")[0]) / 100, told.err


def test_evaluate_gives_the_accuracy_that_the_training_reported(run, squares, capsys, tmp_path):
    """On 0.1: 50 %, chance, unless told of the shift."""
    out, results = run
    top1 = pytest.approx(results["scores"]["test"]["top1"], abs=6e-4)
    assert scored(capsys, "evaluate", out) == (top1, "")
    assert scored(capsys, "evaluate", out, "--data", squares)[0] == top1
    assert scored(capsys, "evaluate", out / "checkpoints" / "net", "--split", "test")[0] == top1
    moved = tmp_path / "alone"
    shutil.copytree(out / "checkpoints" / "net", moved)
    assert scored(capsys, "evaluate", moved)[0] == top1, "weights say themselves how their clips are made"
    val = pytest.approx(results["scores"]["val"]["top1"], abs=6e-4)
    assert scored(capsys, "evaluate", out, "--split", "val")[0] == val


def test_what_is_asked_for_and_differs_is_said(run, capsys):
    out, results = run
    accuracy, warned = scored(capsys, "evaluate", out, "--shift", "0")
    assert accuracy < results["scores"]["test"]["top1"] - 0.2 and "shift 0 instead of 3, as asked" in warned
    _, warned = scored(capsys, "evaluate", out, "--fit", "crop", "--short-spans", "error")
    assert "fit crop instead of squash" in warned and "short_spans error instead of hold" in warned
    _, warned = scored(capsys, "evaluate", out, "--split", "train")
    assert "was trained on the split train" in warned


def test_a_split_with_clips_that_were_trained_on_is_not_scored_unasked(run, squares, capsys, tmp_path):
    """On 0.1 'test' was drawn anew: 11 of 18 clips had been trained on."""
    out, _ = run
    for more in (["--split-seed", "0"], ["--test-fraction", "0.5"]):
        assert main(["evaluate", str(out), *more]) == 2
        assert "was trained on" in capsys.readouterr().err
        _, warned = scored(capsys, "evaluate", out, *more, "--allow-trained")
        assert "clips of test" in warned and "instead of" in warned
    # The content of videos decides, not what they are called.
    renamed = tmp_path / "renamed"
    for number, video in enumerate(sorted(squares.rglob("*.mkv"))):
        target = renamed / "test" / video.parent.name / f"other-{number}.mkv"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(video, target)
    (renamed / "train").mkdir()
    shutil.copytree(renamed / "test" / "small", renamed / "train" / "small")
    manifest = renamed / "all.csv"
    rows = [
        f"{path.relative_to(renamed)},{path.parent.name},test" for path in sorted((renamed / "test").rglob("*.mkv"))
    ]
    manifest.write_text("path,label,split\n" + "\n".join(rows))
    assert main(["evaluate", str(out), "--data", str(manifest)]) == 2
    assert "of the 48 clips of test" in capsys.readouterr().err


def test_clips_that_were_changed_since_the_training_are_said(run):
    trained = open_saved(run[0]).trained
    assert trained.clips is not None
    for fingerprint, words in (("0" * 64, "was changed since the training"), ("", "the weights are of version 0.1")):
        before = dataclasses.replace(trained, clips={**trained.clips, "fingerprint": fingerprint})
        with pytest.warns(UserWarning, match=words):
            scored_clips(ScoredClips(), before, "test")


def test_an_ensemble_reads_for_each_network_the_clips_it_knows(run, squares, capsys, tmp_path):
    out, results = run
    trained(squares, tmp_path / "other", shift=0)
    other = open_saved(tmp_path / "other")
    assert main(["ensemble", str(out), str(tmp_path / "other")]) == 0
    lines = capsys.readouterr().out.splitlines()
    alone = [f"top-1 {results['scores']['test']['top1']:.1%}", f"{other.entry.name}"]
    assert alone[0] in lines[0]
    assert scored(capsys, "evaluate", tmp_path / "other")[0] == pytest.approx(
        float(lines[1].split("top-1 ")[1][:4]) / 100, abs=0.01
    )
    trained(squares, tmp_path / "third", split_seed=6)
    assert main(["ensemble", str(out), str(tmp_path / "third")]) == 2
    assert "scored on the same clips" in capsys.readouterr().err


def test_following_an_exports_description_gives_the_accuracy_that_was_reported(run, squares, tmp_path, capsys):
    """In ONNX Runtime, with nothing but the file, its description and the videos. On 0.1: 50 %, chance."""
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    out, results = run
    file = tmp_path / "net.onnx"
    call = ["export", str(out / "genotypes" / "net.json"), "--checkpoint", str(out / "checkpoints" / "net")]
    assert main([*call, "--to", "onnx", "--out", str(file)]) == 0
    told = json.loads((tmp_path / "net.onnx.json").read_text())
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert told["clips"]["pixels"]["picture"] == describe_picture("squash") and "squash" in str(told["clips"]["source"])
    names = [json.loads(line) for line in (out / "clips.jsonl").read_text().splitlines()[1:]]
    tested = [name for split, name, _ in names if split == "test"]
    right = 0
    for name in tested:
        scores = session.run(None, {given.name: follow(told, squares / name)})[0]
        right += told["classes"][int(scores.argmax())] == name.split("/")[0]
    assert len(tested) == results["scores"]["test"]["clips"]
    assert right / len(tested) == pytest.approx(results["scores"]["test"]["top1"], abs=0.5 / len(tested))


def follow(told, video):
    """What the description says, in another's words: float32 ``[1, t, s, s, 3]`` of a whole video."""
    with av.open(video) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    times, pixels, count = told["clips"]["frames"], told["clips"]["pixels"], len(frames)
    assert count >= times["set_window"] and times["short_spans"] == "hold"
    start, end, length = 0, count, times["set_window"] + 2 * times["jitter"]
    first = min(max((start + end - times["set_window"]) // 2, 0), count - times["set_window"]) - times["jitter"]
    a, b = max(start - first, 0), min(end - first, length)
    begin = min(max(first + (a + b - times["window"]) // 2, 0), count - times["window"])
    read = [frames[begin + i * times["stride"]] for i in range(times["count"])]
    stored = [area_mean(frame, pixels["stored_side"]) for frame in read]
    crop = pixels["crop"]
    rows, columns = (slice(crop[edge], crop[edge] + crop["side"]) for edge in ("top", "left"))
    cut = [frame[rows, columns] for frame in stored]
    small = [
        frame if frame.shape[0] == pixels["resize"]["to"] else area_mean(frame, pixels["resize"]["to"]) for frame in cut
    ]
    return ((np.stack(small)[None] / 255 - told["input"]["mean"]) / told["input"]["scale"]).astype(np.float32)


def area_mean(frame, size):
    """Sums up to every border, whose differences are the sums between borders."""
    for _ in range(2):
        side = len(frame)
        sums = np.concatenate([np.zeros((1, *frame.shape[1:])), np.cumsum(frame.astype(float), 0)])
        borders = np.arange(size + 1) * side / size
        whole = np.minimum(borders.astype(int), side - 1)
        at = sums[whole] + (borders - whole)[:, None, None] * (sums[whole + 1] - sums[whole])
        frame = (np.diff(at, axis=0) * size / side).swapaxes(0, 1)
    return np.rint(frame)


def test_a_network_that_reads_less_than_its_set_is_described_as_it_reads(run):
    """A search stores clips for its largest network; a smaller one reads part of them."""
    from tvnjax.data.preparation import Preparation
    from tvnjax.export.metadata import describe_clips

    clips = Preparation.from_json(open_saved(run[0]).trained.clips, "here")
    assert clips is not None
    larger = dataclasses.replace(clips, num_frames=9, image_size=48)
    told = describe_clips(larger, Reads(num_frames=2, frame_stride=3, image_size=24))
    assert told["pixels"]["stored_side"] == 54 and told["pixels"]["crop"] == {"top": 3, "left": 3, "side": 48}
    assert told["pixels"]["resize"]["from"] == 48 and told["pixels"]["resize"]["to"] == 24
    assert (told["frames"]["set_window"], told["frames"]["window"]) == (9, 4)
