"""The presets for accelerators: what they range over, and that their largest plan has room."""

import json
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from experiments.accelerator.preset_step import CLASSES
from tvnjax.cli import main
from tvnjax.running.config import PRESETS
from tvnjax.running.problem import relaxation_of, space_of
from tvnjax.spaces.tvn.costs.expected import ExpectedCost
from tvnjax.spaces.tvn.search_space import paper_space

COUNTS = Path(__file__).parents[2] / "experiments/accelerator/compiled_for_h200.json"
NAMES = ("tvn-gpu", "tvn-tpu")


@pytest.mark.parametrize("name", NAMES)
def test_ranges_are_those_of_the_paper_at_the_sizes_of_an_accelerator(name):
    config, paper = PRESETS[name][1], paper_space()
    space = space_of(config)
    assert (min(space.image_size), max(space.image_size)) == (160, 224)
    assert (min(space.num_frames), max(space.num_frames)) == (16, 32)
    assert space.num_blocks == (5, 6, 7, 8)
    assert max(max(block.filters) for block in space.blocks) == 512
    for gene in ("image_size", "num_frames", "frame_stride"):
        assert set(getattr(space, gene)) <= set(getattr(paper, gene))
    for block, of_paper in zip(space.blocks, paper.blocks):
        for gene in ("spatial_stride", "temporal_stride", "repeats", "spatial_kernel", "temporal_kernel", "expand"):
            assert set(getattr(block, gene)) <= set(getattr(of_paper, gene))
    search = config.search
    assert 16 <= search.working_set <= 32 and search.precision == "bfloat16" and search.remat


@pytest.mark.parametrize("name", NAMES)
def test_what_a_search_needs_of_the_space_is_made_at_once(name):
    relaxation = relaxation_of(space_of(PRESETS[name][1]))
    expected = relaxation.expected(lambda layer: float(layer.macs), 10)
    assert isinstance(expected, ExpectedCost)  # by tables, exactly
    plans = relaxation.working_set(16, np.random.default_rng(0))
    plans.fill(relaxation.uniform())
    assert len(plans.programs) == 16


def test_widths_of_a_tpu_fill_its_lanes():
    space = space_of(PRESETS["tvn-tpu"][1])
    assert all(max(block.filters) % 128 == 0 for block in space.blocks)


@pytest.mark.parametrize("name", NAMES)
def test_help_lists_them(name, capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert f"\n  {name}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["run", name, "--help"])
    told = capsys.readouterr().out
    assert "--data.folder" in told and "160 192 224" in told


def test_the_largest_plans_step_has_room_on_a_gpu():
    """Compiled for an H200; the weights say that it is the preset as it stands."""
    row = json.loads(COUNTS.read_text())["programs"]["tvn-gpu search step"]
    assert row["needed_gib"] <= 120 and row["bfloat16_share"] >= 0.95
    relaxation = relaxation_of(space_of(PRESETS["tvn-gpu"][1]))
    params = nnx.state(nnx.eval_shape(lambda: relaxation.supernet(relaxation.largest(), CLASSES)), nnx.Param)
    weights = sum(int(np.prod(leaf.shape)) for leaf in nnx.to_flat_state(params).leaves)
    assert row["weights_m"] == pytest.approx(weights / 1e6, abs=1e-3)
