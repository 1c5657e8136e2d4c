"""What people met with version 0.1.0, by the command line and the files alone, so that it can be asked of any version.

Each case says what is right now; on 0.1.0 every one of them fails. The kinds they are of have tests of their own.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import av
import numpy as np
import pytest

from tests.data.pictures import patch_matrix, stored
from tests.grey_video import write_video
from tests.report.fabricated_run import make_run
from tvnjax.cli import main
from tvnjax.running.config import PRESETS
from tvnjax.running.continuing import begin
from tvnjax.spaces.tvn.genotype import Block, Genotype

BLOCKS = (Block(spatial_kernel=3, spatial_stride=2, filters=8), Block(spatial_kernel=3, spatial_stride=2, filters=16))
NETWORK = Genotype(image_size=32, num_frames=2, frame_stride=3, blocks=BLOCKS)
STEPS = ["--batch-size", "16", "--learning-rate", "0.02"]
FEW = ["--steps", "1", "--batch-size", "2"]


def write_network(path, network=NETWORK):
    path.write_text(json.dumps(network.to_json()))
    return path


def write_frames(path, frames, codec="ffv1", pix_fmt="bgr0"):
    """Frames uint8 [t, h, w, 3], without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pix_fmt
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pix_fmt)))
        container.mux(stream.encode())
    return path


def call(capsys, *argv):
    """Status, standard output and standard error of a command."""
    status = main([*map(str, argv)])
    return status, *capsys.readouterr()


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """Squares of two sizes, as 32 to 38: a shift of 3 stores 38 pixels and reads 32 of them."""
    folder, rng = tmp_path_factory.mktemp("squares") / "sizes", np.random.default_rng(0)
    for label, share in (("small", 0.34), ("large", 0.34 * 38 / 32)):
        for number in range(24):
            frames = rng.integers(0, 60, (10, 76, 76, 1), np.uint8).repeat(3, 3)
            side, (x, y) = share * 76, 38 + rng.uniform(-4, 4, 2)
            rows, columns = (slice(round(c - side / 2), round(c + side / 2)) for c in (y, x))
            frames[:, rows, columns] = 220
            write_frames(folder / label / f"{number:02d}.mkv", frames)
    return folder


@pytest.fixture(scope="module")
def trained(squares, tmp_path_factory):
    """A training with a shift, and its accuracy on test."""
    folder = tmp_path_factory.mktemp("trained")
    network, out = write_network(folder / "net.json"), folder / "run"
    options = ["--data", squares, "--shift", "3", "--steps", "120", *STEPS, "--out", out]
    assert main([*map(str, ["train", network, *options])]) == 0
    return out, json.loads((out / "results.json").read_text())["scores"]["test"]["top1"]


def test_evaluate_gives_the_accuracy_of_the_training(trained, squares, capsys):
    """On 0.1.0: 50 %, chance."""
    out, accuracy = trained
    assert accuracy >= 0.9
    status, said, _ = call(capsys, "evaluate", out / "checkpoints" / "net", "--data", squares)
    assert status == 0 and float(said.split("top-1 ")[1].split("%")[0]) / 100 == pytest.approx(accuracy, abs=1e-3)


def test_a_description_says_at_what_size_frames_are_stored_and_what_is_cut(trained, tmp_path, capsys):
    """On 0.1.0 only 32 is said."""
    out, _ = trained
    network, weights = out / "genotypes" / "net.json", out / "checkpoints" / "net"
    if not network.exists():
        network = write_network(tmp_path / "net.json")
    options = ["--checkpoint", weights, "--to", "stablehlo", "--out", tmp_path / "net.bin"]
    assert call(capsys, "export", network, *options, "--classes", "large", "small")[0] == 0
    told = (tmp_path / "net.bin.json").read_text()
    assert "38" in told and '"squash"' in told


def test_colours_of_neighbouring_pixels_are_their_own(tmp_path):
    """On 0.1.0 two pixels shared one colour where the side was even: 42 levels off."""
    colours = np.array([[200, 40, 40], [40, 130, 41]], np.uint8)
    stripes = np.broadcast_to(colours[np.arange(32) % 2].repeat(10, 0), (2, 240, 320, 3))
    path = write_frames(tmp_path / "stripes.mkv", np.ascontiguousarray(stripes), "ffv1", "yuv420p")
    seen = stored(path, 32)[0]
    assert np.abs(seen - colours[np.arange(32) % 2]).mean() < 3


def test_a_phone_video_stands(tmp_path):
    """On 0.1.0 it lay on its side."""
    frames = np.zeros((2, 64, 64, 3), np.uint8)
    frames[:, :32, :32], frames[:, :32, 32:], frames[:, 32:, :32] = 250, 170, 90
    path = write_frames(tmp_path / "phone.mp4", frames, "mpeg4", "yuv420p")
    patch_matrix(path, (0, 1, -1, 0))
    means = stored(path, 2)[0].mean(-1)
    assert np.abs(means - [[90, 250], [0, 170]]).max() < 20, "turned by a quarter, clockwise"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("path,label,split\n0.mp4,x,train\n0.mp4,x,test\n1.mp4,y,train\n2.mp4,y,val\n", "train and in test"),
        ("path,label,split\n0.mp4,x,train\n0.mp4,y,train\n1.mp4,x,val\n2.mp4,y,test\n", "'x'"),
        (
            "path,label,start_frame,end_frame,split\n0.mp4,x,0,10,train\n0.mp4,x,2,12,test\n1.mp4,y,,,train\n2.mp4,y,,,val\n",
            "half",
        ),
    ],
    ids=["two splits", "two labels", "overlap"],
)
def test_leaking_rows_are_refused(rows, words, tmp_path, capsys):
    for number in range(3):
        write_video(tmp_path / f"{number}.mp4", 60 * number)
    (tmp_path / "clips.csv").write_text(rows)
    network = write_network(tmp_path / "net.json")
    status, _, error = call(capsys, "train", network, "--data", tmp_path / "clips.csv", *FEW, "--out", tmp_path / "run")
    assert status == 2 and words in error and len(error.splitlines()) == 1


def test_a_column_in_other_letters_is_read(tmp_path, capsys):
    """On 0.1.0 ``Split`` was no column, and test clips were trained on."""
    names = [write_video(tmp_path / f"{i}.mp4", 20 * i) or f"{i}.mp4" for i in range(8)]
    splits = ["train", "train", "train", "train", "val", "val", "test", "test"]
    rows = "".join(f"{n},{'xy'[i % 2]},{s}\n" for i, (n, s) in enumerate(zip(names, splits)))
    (tmp_path / "clips.csv").write_text("path,label,Split\n" + rows)
    network, out = write_network(tmp_path / "net.json"), tmp_path / "run"
    assert call(capsys, "train", network, "--data", tmp_path / "clips.csv", *FEW, "--out", out)[0] == 0
    scores = json.loads((out / "results.json").read_text())["scores"]
    assert {split: scores[split]["clips"] for split in ("val", "test")} == {"val": 2, "test": 2}


def test_splits_without_classes_are_no_classes(tmp_path, capsys):
    """On 0.1.0: two classes, named ``test`` and ``train``."""
    for split in ("train", "test"):
        for number in range(4):
            write_video(tmp_path / "clips" / split / f"{number}.mp4", 30 * number)
    network = write_network(tmp_path / "net.json")
    status, _, error = call(capsys, "train", network, "--data", tmp_path / "clips", *FEW, "--out", tmp_path / "run")
    assert status == 2 and "class" in error


@pytest.fixture
def mostly_damaged(tmp_path):
    """Of 24 videos 16 are no videos."""
    for label, brightness in (("dark", 20), ("light", 150)):
        for number in range(12):
            path = tmp_path / "clips" / label / f"{number:02d}.mp4"
            write_video(path, brightness + 5 * number)
            if number % 3:
                path.write_bytes(os.urandom(2000))
    return tmp_path / "clips"


def test_two_thirds_damaged_is_an_error(mostly_damaged, tmp_path, capsys):
    """On 0.1.0: status 0 and not a word."""
    network = write_network(tmp_path / "net.json")
    status, _, error = call(capsys, "train", network, "--data", mostly_damaged, *FEW, "--out", tmp_path / "run")
    assert status == 2 and "max-skipped" in error and "16" in error


def test_videos_that_change_places_are_decoded_again(tmp_path, capsys):
    """Same sizes, same times: on 0.1.0 the old clips, with the wrong labels."""
    splits = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    pairs = [(tmp_path / f"dark{i}.mp4", tmp_path / f"light{i}.mp4") for i in range(len(splits))]
    for number, (dark, light) in enumerate(pairs):
        write_video(dark, 20 + 5 * number)
        write_video(light, 180 + 5 * number)
    videos = [path for pair in pairs for path in pair]
    size = max(path.stat().st_size for path in videos)
    for path in videos:
        path.write_bytes(path.read_bytes().ljust(size, b"\0"))
        os.utime(path, (10**9, 10**9))
    rows = [f"{path.name},{path.name[:4]},{split}" for pair, split in zip(pairs, splits) for path in pair]
    manifest = tmp_path / "clips.csv"
    manifest.write_text("path,label,split\n" + "\n".join(rows) + "\n")
    network, out = write_network(tmp_path / "net.json"), tmp_path / "run"
    assert call(capsys, "train", network, "--data", manifest, "--steps", "60", *STEPS, "--out", out)[0] == 0
    assert json.loads((out / "results.json").read_text())["scores"]["test"]["top1"] == 1.0
    for one, other in pairs:
        kept = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(kept)
        for path in (one, other):
            os.utime(path, (10**9, 10**9))
    status, said, error = call(capsys, "evaluate", out / "checkpoints" / "net", "--data", manifest)
    assert status == 0 and "top-1 0.0%" in said, error


def test_weights_of_another_network_are_refused_where_shapes_agree(trained, tmp_path, capsys):
    """On 0.1.0 with other activations: 'differ by 0.0e+00'."""
    out, _ = trained
    blocks = tuple(dataclasses.replace(block, spatial_act="hswish") for block in BLOCKS)
    other = write_network(tmp_path / "other.json", Genotype(image_size=32, num_frames=2, frame_stride=3, blocks=blocks))
    options = ["--checkpoint", out / "checkpoints" / "net", "--to", "stablehlo", "--out", tmp_path / "net.bin"]
    status, _, error = call(capsys, "export", other, *options, "--classes", "large", "small")
    assert status == 2 and "network" in error and not (tmp_path / "net.bin").exists()


@pytest.mark.parametrize("name", [".lock", "report.html", "report.md", "figures"])
def test_links_in_a_run_are_not_written_through(name, tmp_path, capsys):
    """On 0.1.0 a ``.lock`` that is a link emptied its target, ``report.html`` and ``figures`` were written through."""
    run, target = tmp_path / "run", tmp_path / "target"
    make_run(run, candidates=5, strategies=("evolution",))
    begin(PRESETS["quick"][1], run, "tvnjax run quick", ["quick"])
    if name == "figures":
        target.mkdir()
        (target / "mine").write_text("mine")
    else:
        target.write_text("mine")
    shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(target)
    before = sorted((p.name, p.read_text()) for p in ([target] if target.is_file() else target.iterdir()))
    argv = ["run", "--resume", run] if name == ".lock" else ["report", run]
    status, _, error = call(capsys, *argv)
    after = sorted((p.name, p.read_text()) for p in ([target] if target.is_file() else target.iterdir()))
    assert after == before and status == 2 and "link" in error


@pytest.mark.parametrize("name", ["thesis.svg", "thesis.png"])
def test_a_drawing_replaces_no_file_unasked(name, tmp_path, capsys):
    """On 0.1.0 without a word."""
    (tmp_path / name).write_text("mine")
    status, _, error = call(capsys, "show", "tvn1", "--out", tmp_path / name)
    assert status == 2 and "--force" in error and (tmp_path / name).read_text() == "mine"
    assert call(capsys, "show", "tvn1", "--out", tmp_path / name, "--force")[0] == 0


def test_a_file_size_limit_destroys_no_report(tmp_path):
    """On 0.1.0 the old one was gone."""
    make_run(tmp_path / "run", candidates=5, strategies=("evolution",))
    code = "import sys; from tvnjax.cli import main; sys.exit(main(sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", code, "report", tmp_path / "run"], check=True, capture_output=True)
    before = (tmp_path / "run" / "report.html").read_bytes()
    limit = len(before) - 1
    assert all(path.stat().st_size < limit for path in (tmp_path / "run" / "figures").iterdir())
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); " + code
    argv = [sys.executable, "-c", limited, "report", tmp_path / "run"]
    assert subprocess.run(argv, capture_output=True, check=False).returncode
    assert (tmp_path / "run" / "report.html").read_bytes() == before


def test_a_full_disk_is_no_traceback():
    code = "import sys; from tvnjax.cli import main; sys.exit(main(sys.argv[1:]))"
    with open("/dev/full", "w") as full:
        argv = [sys.executable, "-c", code, "show", "tvn1"]
        ended = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode and len(ended.stderr.splitlines()) == 1


def test_a_number_beyond_all_bounds_is_one_line(tmp_path, capsys):
    network = write_network(tmp_path / "net.json")
    steps = "1" + "0" * 400
    argv = ["train", network, "--data", "texture", "--steps", steps, "--out", tmp_path / "run"]
    status, _, error = call(capsys, *argv)
    assert status == 2 and len(error.splitlines()) == 1
