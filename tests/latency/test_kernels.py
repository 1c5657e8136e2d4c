"""Kernels of compiled programs, counted; and what layers are worth in kernels."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.latency.accelerator import kernels_of
from tvnjax.latency.kernel_terms import fit_kernels, network_classes
from tvnjax.latency.kernels import Kernels, count_kernels
from tvnjax.latency.measure import measure
from tvnjax.latency.runtimes.chains import SHORT
from tvnjax.latency.runtimes.xla import Xla
from tvnjax.latency.timer import Timer
from tvnjax.spaces.tvn.costs.sampling_design import covering_genotypes
from tvnjax.spaces.tvn.genotype import Block, Genotype, genotype_from_json
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.shapes import BlockShapes, ShapeChoices, ShapeSpace

RECORDED = Path(__file__).parent / "recorded"
"""Texts of XLA's compiler for an H200 (jaxlib 0.10.2, no autotuning), without metadata."""
SMALL = lower(
    Genotype(image_size=8, num_frames=4, blocks=(Block(filters=8, temporal_kernel=3, squeeze=0.25),) * 2), num_classes=3
)


def test_kernels_of_a_network_that_was_compiled_for_an_h200():
    """By hand: the entry has 4 convolutions of cuDNN and 13 fusions, four of which transpose the weights."""
    text = (RECORDED / "h200_network.hlo").read_text()
    entry = text[text.index("ENTRY") :]
    assert entry.count(" custom-call(") == 4 and entry.count(" fusion(") == 13
    assert count_kernels(text) == Kernels(17, 0)


def test_kernels_of_a_chain_that_was_compiled_for_an_h200():
    """By hand: two copies, two transposes and a slice around twenty turns of eleven kernels: two convolutions, four
    fusions behind them, two of the mean, the sum, the reduction under the gate, and the count of the turns."""
    text = (RECORDED / "h200_chain_of_20.hlo").read_text()
    assert count_kernels(text) == Kernels(5 + 20 * 11, 0)
    unknown = text.replace('"known_trip_count":{"n":"20"}', "")
    assert unknown != text and count_kernels(unknown) == Kernels(5 + 11, 1)


PARTS = """HloModule made

%inner (p: f32[2]) -> f32[2] {
  %p = f32[2]{0} parameter(0)
  ROOT %add.1 = f32[2]{0} fusion(%p), kind=kLoop, calls=%never_counted
}

%never_counted (p.1: f32[2]) -> f32[2] {
  %p.1 = f32[2]{0} parameter(0)
  %two = f32[2]{0} add(%p.1, %p.1)
  ROOT %three = f32[2]{0} add(%two, %p.1)
}

%body (p.2: (s32[], f32[2])) -> (s32[], f32[2]) {
  %p.2 = (s32[], f32[2]{0}) parameter(0)
  %x = f32[2]{0} get-tuple-element(%p.2), index=1
  %c = f32[2]{0} call(%x), to_apply=%inner
  %d = f32[2]{0} copy(%c)
  ROOT %t = (s32[], f32[2]{0}) tuple(%d)
}

%outer (p.3: (s32[], f32[2])) -> (s32[], f32[2]) {
  %p.3 = (s32[], f32[2]{0}) parameter(0)
  ROOT %w = (s32[], /*index=1*/f32[2]{0}) while(%p.3), condition=%cond, body=%body, TRIPS={"known_trip_count":{"n":"3"}}
}

ENTRY %main (a: f32[2]) -> f32[2] {
  %a = f32[2]{0} parameter(0)
  INSTRUCTION
}
""".replace("TRIPS", "backend_config")


@pytest.mark.parametrize(
    ("instruction", "launched", "open_loops"),
    [
        ("ROOT %r = f32[2]{0} bitcast(%a)", 0, 0),
        ("ROOT %r = f32[2]{0} fusion(%a), kind=kLoop, calls=%never_counted", 1, 0),
        ('ROOT %r = (f32[2]{0}, u8[0]{0}) custom-call(%a), custom_call_target="__cublas$gemm"', 1, 0),
        ('ROOT %r = f32[2]{0} custom-call(%a), custom_call_target="Sharding"', 0, 0),
        ("ROOT %r = (s32[], f32[2]{0}) while(%a), condition=%cond, body=%body", 2, 1),
        (
            "ROOT %r = (s32[], f32[2]{0}) while(%a), condition=%cond, body=%outer, "
            'backend_config={"known_trip_count":{"n":"4"},"x":{"init":"0"}}',
            4 * 3 * 2,
            0,
        ),
        ("ROOT %r = (s32[], f32[2]{0}) while(%a), condition=%cond, body=%outer", 3 * 2, 1),
        ("ROOT %r = f32[2]{0} conditional(%i, %a, %a), branch_computations={%inner, %outer}", 6, 0),
        ("ROOT %r = f32[2]{0} conditional(%i, %a), true_computation=%inner, false_computation=%body", 2, 0),
        ("ROOT %r = f32[2]{0} async-start(%a), calls=%body", 2, 0),
        ("ROOT %r = f32[2]{0} async-done(%a)", 0, 0),
        ('ROOT %r = f32[2]{0} call(%a), to_apply=%body, metadata={op_name="while(x)"}', 2, 0),
        ("ROOT %r = f32[2]{0} sort(%a), dimensions={0}, to_apply=%never_counted", 1, 0),
    ],
)
def test_kernels_by_the_rule(instruction, launched, open_loops):
    assert count_kernels(PARTS.replace("INSTRUCTION", instruction)) == Kernels(launched, open_loops)


def test_a_text_without_an_entry_is_refused():
    with pytest.raises(ValueError, match="entry computation"):
        count_kernels("HloModule empty")


@pytest.fixture(scope="module")
def accelerated():
    return Xla(accelerator=True)


def test_a_chain_of_fixed_length_leaves_no_loop_of_open_length(accelerated):
    """On 0.1 every chain's length was free: on a GPU the host then reads a condition every turn."""
    chain = accelerated.chain(SMALL.units[0])
    free = count_kernels(chain.compile().as_text())
    assert free.open_loops == 1, "which the count sees"
    counts = {turns: count_kernels(chain.compile(turns).as_text()) for turns in (SHORT, 5, 8)}
    assert all(count.open_loops == 0 for count in counts.values())
    turn = (counts[5].launched - counts[SHORT].launched) / (5 - SHORT)
    assert turn == (counts[8].launched - counts[5].launched) / 3 >= 3, "every turn stays one"


def test_chains_of_both_kinds_take_a_unit_equally_long(accelerated):
    unit = SMALL.units[0]
    prepared = {"fixed": accelerated.unit(unit), "free": Xla().unit(unit)}
    assert prepared["free"].kernels is None and prepared["fixed"].kernels >= 3
    with pytest.warns(UserWarning, match="clocks and power of the device are unknown: a cpu tells none"):
        times = measure(prepared, Timer(repeats=30))
    assert times["fixed"].latency_ms == pytest.approx(times["free"].latency_ms, rel=0.5)
    record = accelerated.conditions
    assert record["before"] == record["after"] == "unknown: a cpu tells none" and record["slowed"] == 0


def test_an_accelerator_says_that_its_kernels_are_counted(accelerated):
    assert "kernels" in accelerated.description and "kernels" not in Xla().description and not Xla().conditions
    prepared = accelerated.network(SMALL)
    assert prepared.kernels == int(prepared.kernels) >= 5 and prepared.watch is accelerated.watch


CHOICES = ShapeChoices(
    image_size=(16, 32),
    num_frames=(2, 4),
    num_blocks=(1, 2, 3),
    blocks=(BlockShapes(filters=(16, 20), repeats=(1, 2)), *[BlockShapes(filters=(24, 36), spatial_stride=(1, 2))] * 2),
)
NETWORKS = [
    lower(genotype, 4)
    for genotype in covering_genotypes(ShapeSpace(CHOICES), OperatorChoices(), 90, np.random.default_rng(0))
]


def test_planted_kernels_of_layers_are_recovered():
    counts = [kernels_of(network) for network in NETWORKS]
    terms = fit_kernels(NETWORKS[:60], counts[:60])
    rest = [terms.of(network_classes(network)) for network in NETWORKS[60:]]
    assert rest == pytest.approx(counts[60:], rel=0.04) and terms.missed < 0.01
    assert np.mean(np.abs(np.array(rest) / counts[60:] - 1)) < 0.01
    # Counting layers does not tell them apart.
    layers = np.array(
        [sum(Counter(network_classes(network)[: -len(network.units) - 1]).values()) for network in NETWORKS]
    )
    scaled = layers[60:] * np.sum(counts[:60]) / layers[:60].sum()
    assert np.abs(scaled / counts[60:] - 1).max() > 0.03


def test_kernels_add_up_over_layers_units_and_the_network():
    terms = fit_kernels(NETWORKS[:60], [kernels_of(network) for network in NETWORKS[:60]])
    for network in NETWORKS[60:70]:
        by_name = Counter(network_classes(network))
        assert by_name["network"] == 1 and by_name["unit"] == len(network.units)
        total = sum(times * terms.by_class.get(name, 0) for name, times in by_name.items())
        assert terms.of(network_classes(network)) == pytest.approx(total)


def test_kernels_of_networks_that_were_compiled_for_an_h200():
    """96 networks of the ``clips`` space with 10 classes: numbers fitted to 80 tell the rest to 3 %, fitted to 12 to
    5 %; layers alone, to no better than 5 %."""
    rows = [json.loads(line) for line in (RECORDED / "h200_kernels.jsonl").read_text().splitlines()]
    networks = [genotype_from_json(row["genotype"]).lower(10) for row in rows]
    counts, order = np.array([row["kernels"] for row in rows], float), np.random.default_rng(0).permutation(len(rows))
    layers = np.array([sum(len(layer.leaves) for layer in network.layers()) for network in networks])

    def missed(fitted):
        known, rest = order[:fitted], order[fitted:]
        terms = fit_kernels([networks[index] for index in known], list(counts[known]))
        told = np.array([terms.of(network_classes(networks[index])) for index in rest])
        scaled = layers[rest] * counts[known].sum() / layers[known].sum()
        return [float(np.mean(np.abs(guess / counts[rest] - 1))) for guess in (told, scaled)]

    many, few = missed(80), missed(12)
    assert len(rows) == 96 and many[0] < 0.03 and few[0] < 0.05
    assert many[1] > 0.05 and few[1] > 0.05


def test_a_kind_no_network_had_is_worth_a_layer():
    terms = fit_kernels(NETWORKS[:60], [kernels_of(network) for network in NETWORKS[:60]])
    assert terms.of(["Own"]) == terms.usual > 1 and terms.of(["Own with strides"]) == 0
