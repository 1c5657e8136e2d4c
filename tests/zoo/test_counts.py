"""Parameters and multiply-adds of every network, pinned.

Sources: torchvision (R(2+1)D-18; MobileNetV3 on one frame and 1000 classes: it documents 5,483,032 and 2,542,856
parameters), pytorchvideo (X3D: 3.79M and 6.15M), MoViNet's published definition. The networks of torchvision and
pytorchvideo are counted again there in ``test_torch_outputs``.
"""

import csv
import io
import json

import pytest

from tvnjax.cli import main
from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Conv, Head, Pool, Scale, Shape, SqueezeExcite
from tvnjax.zoo.registry import ZOO, zoo_entry
from tvnjax.zoo.x3d import x3d

COUNTS = {
    "tvn1": (26_414_721, 4_326_160_640),
    "tvn2": (109_438_487, 34_613_795_640),
    "tvn3": (67_709_221, 53_639_220_992),
    "tvn4": (43_669_005, 25_918_137_344),
    "tvn-mobile-1": (7_352_607, 5_349_648_768),
    "tvn-mobile-2": (5_528_460, 5_032_828_800),
    "r2plus1d-18": (31_505_325, 40_519_080_960),
    "r2plus1d-34": (61_831_661, 75_200_732_160),
    "r2plus1d-50": (53_949_691, 65_232_579_584),
    "mobilenetv3-small": (1_865_331, 444_238_336),
    "mobilenetv3-large": (4_636_291, 1_722_912_000),
    "x3d-xs": (3_794_274, 605_256_512),
    "x3d-s": (3_794_274, 1_962_892_112),
    "x3d-m": (3_794_274, 4_732_468_736),
    "x3d-l": (6_153_384, 18_367_710_176),
    "movinet-a0": (3_111_799, 2_630_733_808),
    "movinet-a1": (4_690_296, 5_865_612_704),
    "movinet-a2": (5_249_562, 11_558_071_168),
    "movinet-a3": (7_397_545, 55_593_197_440),
    "movinet-a4": (11_349_463, 103_338_794_368),
    "movinet-a5": (18_650_523, 276_334_081_024),
}


@pytest.mark.parametrize("name", ZOO)
def test_every_network_has_its_counts(name):
    network = zoo_entry(name).network()
    assert (network.params, network.macs) == COUNTS[name]


def test_the_zoo_is_what_the_counts_name():
    assert list(ZOO) == list(COUNTS)


@pytest.mark.parametrize(
    ("variant", "params", "macs"), [("small", 2_542_856, 56_510_400), ("large", 5_483_032, 216_589_760)]
)
def test_mobilenetv3_on_one_frame_is_the_image_network(variant, params, macs):
    network = zoo_entry(f"mobilenetv3-{variant}").network(1000, num_frames=1)
    assert network.params == params
    assert network.macs == macs


def test_the_seed_of_x3d():
    """X2D (table 1 of the paper): one frame, no expansion of depth, bottlenecks as wide as their unit."""
    seed = x3d(num_frames=1, image_size=112, num_classes=400, depth_factor=1.0, bottleneck_width=1.0)
    assert (seed.params, seed.macs) == (1_633_512, 20_662_304)


@pytest.mark.parametrize("name", ZOO)
def test_shapes_chain(name):
    network = zoo_entry(name).network(5, num_frames=5, image_size=75)
    shape = network.input_shape
    for unit in network.units:
        assert unit.in_shape == shape
        for chain in (unit.layers, unit.shortcut or ()):
            inner = shape
            for layer in chain:
                assert layer.in_shape == inner
                inner = layer.out_shape
            if chain:
                assert inner == unit.out_shape
        if unit.shortcut == ():
            assert unit.in_shape == unit.out_shape
        shape = unit.out_shape
    assert network.head.in_shape == shape and network.head.num_classes == 5


def test_movinet_details():
    """Every unit ends with a scalar; squeeze widths are quarters; a shortcut pools where it strides."""
    network = zoo_entry("movinet-a0").network()
    units = [unit for unit in network.units if any(isinstance(layer, SqueezeExcite) for layer in unit.layers)]
    assert len(units) == 15 and all(isinstance(unit.layers[-1], Scale) for unit in units)
    hidden = [layer.hidden for unit in units for layer in unit.layers if isinstance(layer, SqueezeExcite)]
    assert hidden[:5] == [8, 24, 24, 24, 48]
    strided = [unit for unit in units if unit.in_shape.h != unit.out_shape.h]
    assert len(strided) == 4
    assert all([type(layer) for layer in unit.shortcut or ()] == [Pool, Conv] for unit in strided)


def test_max_features_needs_a_hidden_layer():
    with pytest.raises(ValueError, match="hidden"):
        Head(in_shape=Shape(1, 1, 1, 4), num_classes=3, pool="max_features")


def test_zoo_as_json_and_csv(capsys):
    assert main(["zoo", "--format", "json"]) == 0
    output = capsys.readouterr()
    rows = json.loads(output.out)
    assert {row["name"]: (row["params"], row["macs"]) for row in rows} == COUNTS
    keys = {"name", "params", "macs", "num_frames", "image_size", "num_classes", "source"}
    assert all(set(row) == keys for row in rows)
    assert "padding taps counted" in output.err
    sizes = {row["name"]: (row["num_frames"], row["image_size"], row["num_classes"]) for row in rows}
    assert (
        sizes["x3d-s"] == (13, 160, 400) and sizes["movinet-a5"] == (120, 320, 600) and sizes["tvn1"] == (2, 224, 339)
    )
    assert main(["zoo", "x3d-xs", "tvn4", "--format", "csv"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["name"], int(row["params"])) for row in table] == [("x3d-xs", 3_794_274), ("tvn4", 43_669_005)]


def test_zoo_as_a_table_states_its_rule(capsys):
    assert main(["zoo"]) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "276,334,081,024" in output and "TVN-5 and TVN-6" in output and "padding taps counted" in output


def test_unknown_names(capsys):
    assert main(["zoo", "x3d-x"]) == 2
    assert "did you mean 'x3d-xs'" in capsys.readouterr().err
    assert main(["zoo", "tvn5"]) == 2
    assert "never published" in capsys.readouterr().err
    with pytest.raises(InvalidInputError, match="head"):
        zoo_entry("x3d-s").network(head="max_time")
