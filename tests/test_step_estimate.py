"""How long a step takes on a CPU, told before a run for an accelerator begins there."""

import dataclasses
import itertools
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from experiments.reliability.kill_anywhere import TINY
from tvnjax.core.monitor import Silent
from tvnjax.running import pipeline, step_estimate
from tvnjax.running.config import PRESETS, RunConfig
from tvnjax.running.problem import relaxation_of, space_of
from tvnjax.running.step_estimate import costliest_macs_of, flop_per_second, warn_of_long_steps
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.relaxed import OperatorChoices, relax_plan
from tvnjax.spaces.tvn.shapes import BlockPlan, Plan


def told(config: RunConfig) -> list[str]:
    """What is said before a run."""
    space = space_of(config)
    problem: Any = SimpleNamespace(config=config, num_classes=4, space=space, relaxation=relaxation_of(space))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        warn_of_long_steps(problem)
    return [str(one.message) for one in found]


@pytest.fixture
def slow(monkeypatch):
    """A CPU of 1 GFLOP/s, and plans whose costliest networks have 1e9 multiply-adds."""
    monkeypatch.setattr(step_estimate, "flop_per_second", lambda precision: 1e9)
    monkeypatch.setattr(step_estimate, "costliest_macs", lambda relaxation, classes: 1e9)


@pytest.mark.parametrize(
    ("preset", "step", "all_steps"),
    # Two gradients of four passes each (remat), 2 FLOP a multiply-add: 16 GFLOP a clip.
    [("tvn-gpu", 32 * 16, 2000 * 32 * 16), ("tvn-tpu", 64 * 16, 2000 * 64 * 16)],
)
def test_a_preset_for_an_accelerator_says_how_long_a_step_takes(preset, step, all_steps, slow):
    (said,) = told(PRESETS[preset][1])
    assert f"a step of the search takes at least {step / 60:.2g} minutes" in said
    assert f"all 2,000 at least {all_steps / 86400:.2g} days" in said
    assert "bfloat16 is for accelerators" in said and "\n" not in said
    assert f"{step / 1e3:.3g} TFLOP, counted; 1 GFLOP/s, measured" in said


@pytest.mark.parametrize("preset", ["quick", "clips", "planted"])
def test_presets_for_a_cpu_say_nothing(preset, slow):
    assert told(PRESETS[preset][1]) == []


def test_long_steps_in_float32_are_told_too(slow):
    shapes = dataclasses.replace(PRESETS["clips"][1].shapes, image_size=(448,))
    (said,) = told(dataclasses.replace(PRESETS["clips"][1], shapes=shapes))
    # Three passes, nothing being computed again; batches of 16.
    assert f"at least {16 * 12 / 60:.2g} minutes" in said and "bfloat16" not in said


def test_nothing_is_said_without_a_gradient_search_or_with_an_accelerator(slow, monkeypatch):
    config = PRESETS["tvn-gpu"][1]
    assert told(dataclasses.replace(config, strategies=("evolution",), baseline_seconds=1.0)) == []
    assert len(told(dataclasses.replace(config, strategies=("hybrid",)))) == 1
    monkeypatch.setattr(step_estimate.jax, "devices", lambda: [SimpleNamespace(platform="gpu")])
    assert told(config) == []


def test_the_costliest_network_is_that_of_enumeration():
    operators = OperatorChoices(
        spatial_kernel=(1, 3),
        spatial_type=("std", "depth"),
        temporal_type=("1d",),
        width=(0.5, 1.0),
        squeeze=(0.0, 0.5),
        context_gate=(False,),
        skip=(True,),
    )
    plan = relax_plan(Plan(image_size=8, num_frames=2, blocks=(BlockPlan(filters=4), BlockPlan(filters=8))), operators)
    blocks = [
        [
            dict(zip(block.genes, chosen))
            for chosen in itertools.product(*(block.legal(gene).nonzero()[0].tolist() for gene in block.genes))
        ]
        for block in plan.blocks
    ]
    every = [lower(plan.decode(chosen), 4).macs for chosen in itertools.product(*blocks)]
    assert len(every) > 1000
    assert costliest_macs_of(plan, 4) == max(every)


def test_the_rate_is_of_three_passes(monkeypatch):
    monkeypatch.setattr(step_estimate, "_seconds", lambda call: 2.0)
    positions, products = 4 * 2 * 28 * 28 * 64, 3 * 3 * 64
    assert flop_per_second("float32") == 3 * 2 * positions * products / 2.0


def test_a_run_says_it_before_it_profiles(tmp_path, monkeypatch):
    class Profiled(Exception):
        pass

    def profile_run(*_: Any) -> Any:
        raise Profiled

    monkeypatch.setattr(pipeline, "profile_run", profile_run)
    search = dataclasses.replace(TINY.search, precision="bfloat16")
    config = dataclasses.replace(TINY, search=search)
    with pytest.warns(UserWarning, match="a step of the search takes at least") as found, pytest.raises(Profiled):
        pipeline.run(config, tmp_path / "run", "test", lambda run_dir: Silent())
    assert len([one for one in found if "a step of the search" in str(one.message)]) == 1
