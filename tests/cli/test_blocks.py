"""The number of blocks: fewer than listed leave out the last ones, more are listed first."""

import dataclasses
import warnings

import pytest

from tests.cli.told import configured, refused, said
from tvnjax.core.errors import InvalidInputError
from tvnjax.running.config import PRESETS, RunConfig
from tvnjax.spaces.tvn.shapes import BlockShapes, ShapeChoices, ShapeSpace


def blocks_of(capsys, *argv):
    shapes = configured(capsys, *argv)["shapes"]
    return shapes["num_blocks"], [block["filters"] for block in shapes["blocks"]]


def test_fewer_blocks_than_listed_leave_out_the_last(capsys):
    assert blocks_of(capsys, "clips") == (None, [[16], [32], [48], [64]])
    assert blocks_of(capsys, "clips", "--shapes.num-blocks", 1, 2, 3) == ([1, 2, 3], [[16], [32], [48]])
    assert blocks_of(capsys, "clips", "--shapes.num-blocks", 2) == ([2], [[16], [32]])
    assert blocks_of(capsys, "planted", "--shapes.num-blocks", "None") == (None, [[16], [24], [24]])


@pytest.mark.parametrize("numbers", [(1,), (3,), (2, 1), (1, 2, 3, 4)])
def test_such_a_configuration_is_a_space(numbers):
    shapes = dataclasses.replace(PRESETS["clips"][1].shapes, num_blocks=numbers)
    config = RunConfig(shapes=shapes)
    space = ShapeSpace(config.shapes)
    assert {len(plan.blocks) for plan in space.plans()} == set(numbers)


def test_more_blocks_than_listed_say_how_to_list_another(capsys):
    line = refused(capsys, "run", "clips", "--shapes.num-blocks", 3, 5)
    assert line.startswith(
        "shapes.num_blocks is at most the 4 blocks that shapes.blocks lists; got 5: list another with"
    )
    assert "--shapes.blocks.4.filters 32" in line and "[[shapes.blocks]]" in line
    with pytest.raises(InvalidInputError, match="at most the 1 blocks"):
        RunConfig(shapes=ShapeChoices(num_blocks=(2,), blocks=(BlockShapes(),)))


def test_a_block_that_is_named_is_added_as_a_copy_of_the_last(capsys):
    told = configured(capsys, "clips", "--shapes.blocks.4.filters", 96, "--shapes.blocks.4.repeats", 1, 2)["shapes"]
    assert told["blocks"][4] == {**told["blocks"][3], "filters": [96], "repeats": [1, 2]}
    numbers = ["--shapes.num-blocks", 4, 5]
    assert blocks_of(capsys, "clips", "--shapes.blocks.4.filters", 96, *numbers)[0] == [4, 5]
    # A run that goes on says all its options again, in whatever order.
    assert blocks_of(capsys, "clips", *numbers, "--shapes.blocks.4.filters=96")[1][4] == [96]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--shapes.blocks.5.filters", "8"], "the next is shapes.blocks.4, got shapes.blocks.5"),
        (["--shapes.blocks.8.filters", "8"], "1 to 8 blocks, counted from 0; got shapes.blocks.8"),
        (["--shapes.blocks.999999.filters", "8"], "1 to 8 blocks"),
        (["--shapes.blocks.4.filter", "8"], "there is no option --shapes.blocks.4.filter (did you mean"),
        (["--shapes.blocks.4.filters", "8", "--shapes.num-blocks", "3"], "shapes.blocks.4 was added, and"),
        (["--shapes.num-blocks", "0"], "blocks"),
        (["--shapes.num-blocks", "-1"], "num_blocks"),
        (["--shapes.num-blocks"], "num_blocks"),
    ],
)
def test_blocks_that_cannot_be(argv, says, capsys, tmp_path):
    assert says in refused(capsys, "run", "clips", *argv, "--data.folder", tmp_path, "--out", tmp_path / "run")


def test_options_of_a_block_that_is_left_out_are_said(capsys):
    argv = ["run", "clips", "--shapes.blocks.2.filters", 8, "--shapes.num-blocks", 2, "--print-config"]
    assert said(capsys, *argv)[1] == "warning: shapes.num_blocks leaves out shapes.blocks.2, which has options\n"
    assert not said(capsys, "run", "clips", "--shapes.num-blocks", 2, "--print-config")[1]


@pytest.mark.parametrize(
    ("preset", "text", "numbers", "filters"),
    [
        ("clips", "[[shapes.blocks]]\n[[shapes.blocks]]\nfilters = [8]", [2], [[16], [8]]),
        ("clips", "[[shapes.blocks]]\n" * 5, None, [[16], [32], [48], [64], [64]]),
        (
            "clips",
            "[[shapes.blocks]]\n" * 4 + "[[shapes.blocks]]\nfilters = [99]",
            None,
            [[16], [32], [48], [64], [99]],
        ),
        ("clips", "shapes.num_blocks = [2, 3]", [2, 3], [[16], [32], [48]]),
        ("clips", "[shapes]\nnum_blocks = [1, 2]\n" + "[[shapes.blocks]]\n" * 3, [1, 2], [[16], [32]]),
        ("clips", "[shapes]\nnum_blocks = 2\n" + "[[shapes.blocks]]\n" * 3, [2], [[16], [32]]),
        ("clips", '[shapes]\nnum_blocks = "None"\n' + "[[shapes.blocks]]\n" * 3, [3], [[16], [32], [48]]),
        ("planted", "[[shapes.blocks]]\n" * 2, [1, 2], [[16], [24]]),
        ("planted", "[shapes]\nnum-blocks = [2, 4]\n" + "[[shapes.blocks]]\n" * 4, [2, 4], [[16], [24], [24], [24]]),
    ],
)
def test_blocks_of_a_file(preset, text, numbers, filters, capsys, tmp_path):
    (tmp_path / "my.toml").write_text(text)
    assert blocks_of(capsys, preset, "--config", tmp_path / "my.toml") == (numbers, filters)


def test_a_file_that_adds_a_block_its_numbers_leave_out(capsys, tmp_path):
    (tmp_path / "my.toml").write_text("[[shapes.blocks]]\n" * 4)
    line = refused(capsys, "run", "planted", "--config", tmp_path / "my.toml")
    assert "shapes.blocks.3 was added" in line and "--shapes.num-blocks 4" in line


def test_options_beside_a_file_choose_among_its_blocks(capsys, tmp_path):
    (tmp_path / "my.toml").write_text("[[shapes.blocks]]\nfilters = [8]\n" * 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = blocks_of(capsys, "clips", "--config", tmp_path / "my.toml", "--shapes.num-blocks", 1, 2)
    assert told == ([1, 2], [[8], [8]])
