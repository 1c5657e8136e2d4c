"""What a person writes, as it is documented: the presets are as small as they can be, and nothing else is changed."""

import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest

import tvnjax as tvn
from tests.api.test_own_space import OPTIONS
from tests.api.tiny import CLASSES, TINY_RUN, dark_halves
from tests.own_layers import Shift
from tvnjax.data.procedural import ProceduralData
from tvnjax.running.config import PRESETS
from tvnjax.running.config_values import changed

CLIPS = changed(
    dataclasses.replace(TINY_RUN, data=ProceduralData()),
    {
        **{name: value for name, value in OPTIONS.items() if name not in ("budget", "strategies")},
        "shapes": {"num_frames": 4},
        "operators": {"temporal_kernel": (1, 3)},
        "strategies": ("differentiable", "evolution", "random"),
    },
)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Small presets, and a working directory with videos of two classes and a clip."""
    for name, config in (("quick", TINY_RUN), ("clips", CLIPS)):
        monkeypatch.setitem(PRESETS, name, (PRESETS[name][0], config))
    monkeypatch.chdir(tmp_path)
    for number, (clip, label) in enumerate(zip(*dark_halves(24, frames=12, size=40))):
        if label < 2:
            write(Path("videos") / CLASSES[label] / f"{number}.mp4", clip)
    write(Path("clip.mp4"), dark_halves(1, frames=12, size=40)[0][0])


def write(path, clip):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = clip.shape[2], clip.shape[1], "yuv420p"
        for picture in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.slow  # so does that of a first search
def test_a_run_in_a_notebook(small):
    run = tvn.run("quick", search={"steps": 100})
    assert (run.path / "events.jsonl").read_text().count("marginals") > 0
    run = tvn.run(
        "clips", data=tvn.VideoFolder("videos/"), budget={"ms": 2.0}, strategies=("differentiable", "evolution")
    )
    assert run.path.parent.name == "runs" and run.path.name.startswith("clips-")
    run = tvn.open_run(run.path)
    assert "top-1" in run._repr_html_()
    assert [row["strategy"] for row in run.candidates()][-1] == "evolution"
    assert run.figure("accuracy_latency")._repr_png_()
    model = run.model("differentiable")
    assert set(dict(model.predict("clip.mp4"))) == set(CLASSES[:2])
    model.module.train()
    assert model.module(np.zeros((2, *model.clip_shape), np.uint8)).shape == (2, 2)
    model.module.eval()
    assert tvn.load(model.weights).classes == model.classes


@pytest.mark.slow  # the notebook of one's own space, which the default suite runs, does the same
def test_an_own_operator_inside_the_space(small):
    clips, labels = dark_halves(48)
    run = tvn.run("clips", operators={"temporal_type": ("1d", "maxpool", Shift)}, data=tvn.Arrays(clips, labels))
    assert '"Shift":' in (run.path / "events.jsonl").read_text()
    assert [row["strategy"] for row in run.rows()] == ["differentiable", "evolution", "random"]


@pytest.mark.slow
def test_an_own_space(small):
    clips, labels = dark_halves(48)
    space = tvn.ChainSpace(
        frames=8,
        size=32,
        positions=[
            [tvn.conv(16, 3, stride=2), tvn.depthwise(16, 5, stride=2), tvn.maxpool(3, stride=2)],
            [Shift(), tvn.temporal_conv(16, 3), tvn.identity()],
            [tvn.conv(32, 3, stride=2), tvn.conv(48, 3, stride=2)],
        ],
    )
    run = tvn.run(space, data=tvn.Arrays(clips, labels), budget={"ms": 5.0})  # gradient search, evolution, random
    assert [row["strategy"] for row in run.rows()] == ["differentiable", "evolution", "random"]
    assert "Left out: a drawing" not in (run.path / "report.html").read_text()
