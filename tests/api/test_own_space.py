"""A space with operators of one's own, from Python: searched by gradient and otherwise, reported, gone on with."""

import json
import subprocess
import sys

import numpy as np
import pytest

import tvnjax as tvn
from tests.api.tiny import OWN_OPTIONS as OPTIONS
from tests.api.tiny import OWN_SIZES
from tests.export.test_own_layers import NEEDED, installed
from tests.own_layers import Shift, Shuffled
from tvnjax.core.errors import InvalidInputError


def make_space():
    return tvn.ChainSpace(
        frames=3,
        size=8,
        positions=[
            [tvn.conv(4, 3, stride=2), tvn.maxpool(3, stride=2)],
            [Shift(), Shuffled(groups=1), tvn.temporal_conv(4, 3), tvn.identity()],
            [tvn.conv(6, 3, stride=2), tvn.conv(4, 3, stride=2)],
        ],
    )


def arrays():
    rng, labels = np.random.default_rng(0), np.arange(48) % 2
    clips = rng.integers(0, 40, (48, 3, 8, 8, 3)) + 120 * labels[:, None, None, None, None]
    return tvn.Arrays(clips.astype(np.uint8), labels)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("own") / "run"
    return tvn.run(make_space(), data=arrays(), out=out, quiet=True, **OPTIONS)


def test_every_strategy_ends_with_a_network_of_the_space(run):
    rows = run.rows()
    assert [row["strategy"] for row in rows] == list(OPTIONS["strategies"])
    for found in run.networks():
        assert found.genotype.space is not None and found.network.head.num_classes == 2
    assert len(repr(make_space())) <= 200


def test_the_report_shows_layers_and_drawings(run):
    page = (run.path / "report.html").read_text()
    assert "Left out: a drawing" not in page and "made in Python" in page
    assert "position" in (run.path / "report.md").read_text()
    named = [option for options in make_space().options for option in options]
    assert any(option.name.split(" ")[0] in page for option in named)


def test_files_hold_what_the_space_is_and_the_run_goes_on_with_it(run, tmp_path):
    config = json.loads((run.path / "config.json").read_text())["config"]
    assert config["own"]["digest"] == make_space().digest and len(json.dumps(config["own"])) < 400
    again = tvn.run(resume=run.path, data=arrays(), quiet=True)
    assert again.rows() == run.rows()
    other = tvn.ChainSpace(frames=3, size=8, positions=[[tvn.conv(4, 3)]])
    with pytest.raises(InvalidInputError, match="own"):
        tvn.run(other, resume=run.path, data=arrays(), quiet=True, **OPTIONS)


INSIDE = {
    "shapes": OWN_SIZES,
    "operators": {
        "spatial_type": (Shuffled, Shuffled(groups=2)),
        "spatial_kernel": 3,
        "temporal_type": (Shift, Shift(fold=4)),
        "temporal_kernel": 3,
        "width": 1.0,
        "expand": 1,
        "squeeze": 0.0,
        "context_gate": False,
        "skip": False,
    },
}
"""Of the TVN space: every network has a shift and a grouped convolution with a shuffle in each block."""


@pytest.fixture(scope="module")
def inside(tmp_path_factory):
    out = tmp_path_factory.mktemp("inside") / "run"
    options = OPTIONS | {"strategies": ("differentiable", "evolution")}
    return tvn.run("clips", data=arrays(), out=out, quiet=True, **options, **INSIDE)


def test_own_operators_are_searched_and_drawn_inside_the_tvn_space(inside):
    assert [row["strategy"] for row in inside.rows()] == ["differentiable", "evolution"]
    page = (inside.path / "report.html").read_text()
    assert "Left out: a drawing" not in page and "shuffled(groups=" in page and "shift(fold=" in page
    for found in inside.networks():
        names = [type(layer).__name__ for layer in found.network.layers()]
        assert names.count("Shift") == names.count("Shuffled") == 2
    operators = json.loads((inside.path / "config.json").read_text())["config"]["operators"]
    assert operators["temporal_type"] == ["Shift", "Shift(fold=4)"]
    trace = (inside.path / "events.jsonl").read_text()
    assert '"Shift(fold=4)":' in trace and '"Shuffled(groups=2)":' in trace


def test_such_a_run_goes_on_and_its_networks_answer(inside):
    again = tvn.run(resume=inside.path, data=arrays(), quiet=True)
    assert again.rows() == inside.rows()
    clips = np.random.default_rng(0).integers(0, 255, (4, 3, 8, 8, 3)).astype(np.uint8)
    assert len(inside.model("differentiable").predict(clips)) == 4


@pytest.mark.parametrize("kind", list(NEEDED))
@pytest.mark.parametrize("where", ["run", "inside"])
def test_the_networks_found_are_exported(where, kind, request, tmp_path):
    if not installed(*NEEDED[kind]):
        pytest.skip(f"{' and '.join(NEEDED[kind])} not installed")
    model = request.getfixturevalue(where).model("differentiable")
    exported = model.export(tmp_path / f"net.{kind}")
    assert exported.difference < 1e-5 and exported.path.stat().st_size > 0 and exported.description.is_file()
    exported.path.write_bytes(b"another")
    with pytest.raises(InvalidInputError, match="net"):
        model.export(tmp_path / f"net.{kind}")
    assert exported.path.read_bytes() == b"another"
    with pytest.raises(InvalidInputError, match=r"an export is of stablehlo, onnx, tflite.*got .*net.bin"):
        model.export(tmp_path / "net.bin")


ELSEWHERE = """
import sys, tvnjax
run = tvnjax.open_run(sys.argv[1])
for ask in (run.networks, run.model, lambda: tvnjax.run(resume=sys.argv[1], quiet=True)):
    try:
        ask()
    except ValueError as error:
        print(error)
    else:
        print("nothing said")
print(len(run.rows()), run)
"""


def test_elsewhere_it_is_said_which_class_is_missing(inside):
    command = [sys.executable, "-c", ELSEWHERE, str(inside.path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(told) == 4 and all("is of no class of this process: from Python import" in line for line in told[:3])
    assert told[3].startswith("2 Run(")


def test_a_layer_whose_module_gives_another_shape_is_refused_before_anything_is_measured(tmp_path):
    class Wider(Shift):
        @property
        def out_shape(self):
            return self.in_shape._replace(c=self.in_shape.c + 1)

    space = tvn.ChainSpace(frames=3, size=8, positions=[[tvn.conv(4, 3)], [Wider()]])
    with pytest.raises(InvalidInputError, match=r"Wider says \(3, 8, 8, 5\) for \(3, 8, 8, 4\), and its module gives"):
        tvn.run(space, data=arrays(), out=tmp_path / "run", quiet=True, **OPTIONS)


@pytest.mark.parametrize("name", ["shapes", "operators"])
def test_choices_that_an_own_space_would_ignore_are_refused(name, tmp_path):
    with pytest.raises(InvalidInputError, match=f"got {name} for ChainSpace"):
        tvn.run(make_space(), data=arrays(), out=tmp_path / "run", **{name: {}})


def test_a_layer_without_a_module_is_named(tmp_path):
    class Nothing(tvn.Layer):
        pass

    space = tvn.ChainSpace(frames=3, size=8, positions=[[tvn.conv(4, 3), tvn.conv(5, 3)], [Nothing()]])
    with pytest.raises(InvalidInputError, match="Nothing has none: give it a method build"):
        tvn.run(space, data=arrays(), out=tmp_path / "run", quiet=True, **OPTIONS)
