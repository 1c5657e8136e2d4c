"""Counts read from optimized programs, and programs compiled for an H200 where its compiler is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.accelerator.h200 import PLUGINS
from experiments.accelerator.hlo import Convolution, convolutions, kernels, share_of

ROOT = Path(__file__).parents[2]
PROGRAM = """HloModule jit_step, is_scheduled=true

%fused (p: bf16[8,6,6,4]) -> bf16[8,6,6,4] {
  ROOT %negate.1 = bf16[8,6,6,4]{3,2,1,0} negate(%p)
}

ENTRY %main (x: bf16[8,6,6,4], w: bf16[16,3,3,4]) -> bf16[8,6,6,16] {
  %x = bf16[8,6,6,4]{3,2,1,0} parameter(0)
  %w = bf16[16,3,3,4]{3,2,1,0} parameter(1)
  %loop_fusion = bf16[8,6,6,4]{3,2,1,0} fusion(%x), kind=kLoop, calls=%fused
  %forward.0 = (bf16[8,6,6,16]{3,2,1,0}, u8[0]{0}) custom-call(%loop_fusion, %w), window={size=3x3 pad=1_1x1_1}, \
dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convForward", metadata={op_name="conv"}
  %y = bf16[8,6,6,16]{3,2,1,0} get-tuple-element(%forward.0), index=0
  %by_w = (bf16[16,3,3,4]{3,2,1,0}, u8[64]{0}) custom-call(%loop_fusion, %y), window={size=3x3 pad=1_1x1_1}, \
dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convBackwardFilter"
  %by_x = (bf16[8,6,6,4]{3,2,1,0}, u8[0]{0}) custom-call(%y, %w), window={size=3x3 pad=1_1x1_1}, \
dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convBackwardInput"
  %a = f32[2,10,12]{2,1,0} constant({...})
  %k = f32[5,3,12]{2,1,0} constant({...})
  %grouped = f32[2,10,12]{2,1,0} convolution(%a, %k), window={size=5 pad=2_2}, dim_labels=b0f_0io->b0f, \
feature_group_count=4
  ROOT %copy.1 = bf16[8,6,6,16]{3,2,1,0} copy(%y)
}
"""


def test_products_of_convolutions_are_counted_by_hand():
    """Forward and both gradients of one convolution, and a grouped one in another dtype."""
    dense = 8 * 6 * 6 * 16 * 3 * 3 * 4
    grouped = 2 * 10 * 12 * 5 * (12 // 4)
    found = convolutions(PROGRAM)
    assert found == [Convolution("bf16", dense)] * 3 + [Convolution("f32", grouped)]
    assert share_of("bf16", found) == pytest.approx(3 * dense / (3 * dense + grouped))


def test_kernels_are_what_the_entry_launches():
    assert kernels(PROGRAM) == {"fusion": 1, "custom-call": 3, "convolution": 1, "copy": 1}


def test_the_committed_counts_hold_what_is_asked_of_them():
    rows = json.loads((ROOT / "experiments/accelerator/compiled_for_h200.json").read_text())["programs"]
    assert all(row["bfloat16_share"] >= 0.95 for name, row in rows.items() if name != "clips")
    assert rows["clips"]["bfloat16_share"] == 0
    plain, inverted = rows["scale bfloat16 remat"], rows["scale bfloat16 remat inverted"]
    assert plain["temporaries_gib"] <= 60 < rows["scale bfloat16"]["temporaries_gib"]
    assert inverted["convolution_tflop"] <= 1.5 * plain["convolution_tflop"]
    # Temporaries beside those of the largest single network, which has wide arrays of its own.
    for supernet, network in ((plain, "one network"), (inverted, "one inverted network")):
        assert supernet["temporaries_gib"] <= 1.5 * rows[network]["temporaries_gib"]


def few_kernels(rows):
    """A step of the weights, and one of weights and logits, which is two dispatches: no branch, no loop."""
    for row in rows.values():
        assert row["case"] == row["while"] == row["while of unknown length"] == 0 and len(row["from_host"]) <= 5
    assert rows["weights"]["kernels"] <= 360
    assert rows["weights and gene gradient"]["kernels"] + rows["logits"]["kernels"] <= 450


def test_steps_of_clips_are_few_kernels():
    few_kernels(json.loads((ROOT / "experiments/accelerator/steps_for_h200.json").read_text())["programs"])


@pytest.mark.slow
@pytest.mark.skipif(
    PLUGINS not in os.environ, reason=f"XLA's CUDA plugins are not here (name their folder in {PLUGINS})"
)
def test_steps_of_clips_compiled_again(tmp_path):
    command = [sys.executable, "-m", "experiments.accelerator.steps_for_h200", "--json", str(tmp_path / "o")]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    few_kernels(json.loads((tmp_path / "o").read_text())["programs"])


@pytest.mark.slow
@pytest.mark.skipif(
    PLUGINS not in os.environ, reason=f"XLA's CUDA plugins are not here (name their folder in {PLUGINS})"
)
def test_an_eighth_of_the_size_compiled_again(tmp_path):
    command = [
        sys.executable,
        "-m",
        "experiments.accelerator.compiled_for_h200",
        "--small",
        "--json",
        str(tmp_path / "o"),
    ]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    rows = json.loads((tmp_path / "o").read_text())["programs"]
    assert rows["small"]["bfloat16_share"] == 0 and rows["small bfloat16"]["bfloat16_share"] >= 0.95
    again, kept = rows["small bfloat16 remat"], rows["small bfloat16"]
    assert again["bfloat16_share"] >= 0.95 and again["temporaries_gib"] < 0.8 * kept["temporaries_gib"]
    assert rows["small bfloat16 remat inverted"]["convolution_tflop"] <= 1.6 * again["convolution_tflop"]
