"""Cost model, table, profile and gate on an accelerator whose latencies are known."""

import dataclasses
import json

import numpy as np
import pytest

from tests.latency.accelerator import GIGAMAC_MS, KERNEL_MS, PlantedAccelerator, kernels_of, milliseconds
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Silent
from tvnjax.latency.cost_model import UNIT, CostModel, Measured, fit
from tvnjax.latency.gate import fit_quality
from tvnjax.latency.layer_regressor import CANDIDATES
from tvnjax.latency.profile import Profiling, SpaceProfiler
from tvnjax.latency.table import LatencyTable
from tvnjax.latency.timer import Timer
from tvnjax.spaces.tvn.costs.sampling_design import covering_genotypes
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.relaxation.relaxation import TvnRelaxation
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.search_space import search_space
from tvnjax.spaces.tvn.shapes import BlockShapes, ShapeChoices, ShapeSpace

CHOICES = ShapeChoices(
    image_size=(16, 32),
    num_frames=(2, 4),
    num_blocks=(1, 2, 3),
    blocks=(BlockShapes(filters=(16, 20), repeats=(1, 2)), *[BlockShapes(filters=(24, 36), spatial_stride=(1, 2))] * 2),
)
SPACE = (ShapeSpace(CHOICES), OperatorChoices())


def planted(count):
    """Networks and units with their counts; latencies are a kernel's times those, and so much a multiply-add."""
    networks = [lower(genotype, 4) for genotype in covering_genotypes(*SPACE, count, np.random.default_rng(0))]
    units = list({unit.key: unit for network in networks for unit in network.units}.values())
    return Measured(
        units=tuple((unit, milliseconds(unit)) for unit in units),
        networks=tuple((network, milliseconds(network)) for network in networks),
        kernels={what: kernels_of(what) for what in [*units, *networks]},
    )


MEASURED = planted(90)
TOLD = dataclasses.replace(MEASURED, networks=MEASURED.networks[:60])
REST = MEASURED.networks[60:]


def test_kernels_times_a_plus_multiply_adds_times_b_are_recovered():
    """A kernel's milliseconds to 2 %, networks that no model was fitted to within 4 % each and 1 % in the mean; without
    the term the physical costs alone miss them by more than twice as much."""
    model = fit(TOLD, CANDIDATES[0])
    assert model.kernels is not None and model.kernels[1] == pytest.approx(KERNEL_MS, rel=0.02)
    errors = [abs(model.predict(network) / ms - 1) for network, ms in REST]
    assert max(errors) < 0.04 and np.mean(errors) < 0.01
    physical = CostModel(model.coefficients, model.network_ms, kernels=model.kernels)
    blind = fit(dataclasses.replace(TOLD, kernels=None), CANDIDATES[0])
    without = CostModel(blind.coefficients, blind.network_ms)
    assert without.kernels is None
    missed = [np.mean([abs(m.predict(n) / ms - 1) for n, ms in REST]) for m in (physical, without)]
    assert missed[0] < 0.015 and missed[1] > 2 * missed[0], missed


def test_a_large_multiply_add_coefficient_is_told_from_kernels():
    """The other end: where a kernel takes next to nothing, it is given next to nothing."""
    ms = {what: 1e-6 * kernels_of(what) + 1e3 * GIGAMAC_MS * what.macs / 1e9 for what in MEASURED.kernels}
    measured = Measured(
        units=tuple((unit, ms[unit]) for unit, _ in TOLD.units),
        networks=tuple((network, ms[network]) for network, _ in TOLD.networks),
        kernels=MEASURED.kernels,
    )
    model = fit(measured, CANDIDATES[0])
    errors = [abs(model.predict(network) / ms[network] - 1) for network, _ in REST]
    assert np.mean(errors) < 0.05


def test_a_network_is_the_sum_of_its_layers_where_kernels_count():
    model = fit(TOLD, CANDIDATES[0])
    for network, _ in REST[:5]:
        by_layer = sum(model.layer_ms(layer) for layer in network.layers()) + model.layer_ms(network.head)
        assert model.predict(network) == pytest.approx(by_layer + len(network.units) * model.unit_ms + model.network_ms)


def test_extremes_of_the_expected_cost_are_those_of_predictions_where_kernels_count():
    """Expected costs, made of the same numbers of layers and units, find networks beyond all that were drawn."""
    relaxation, model = TvnRelaxation(*SPACE), fit(TOLD, CANDIDATES[0])
    expected = relaxation.expected(model.layer_ms, 4, unit_cost=model.unit_ms, constant=model.network_ms)
    for which in ("cheapest", "most_expensive"):
        network = lower(relaxation.extreme(expected, which), 4)
        others = [model.predict(other) for other, _ in MEASURED.networks]
        ms = model.predict(network)
        assert ms <= min(others) + 1e-9 if which == "cheapest" else ms >= max(others) - 1e-9


def test_where_no_kernels_are_counted_the_model_is_what_it_was():
    """To the bit: a count of 0 for everything, which fits no coefficient, changes nothing either."""
    plain = dataclasses.replace(TOLD, kernels=None)
    none = dataclasses.replace(TOLD, kernels=dict.fromkeys(MEASURED.kernels, 0.0))
    one, other = fit(plain, CANDIDATES[0]), fit(none, CANDIDATES[0])
    assert one.kernels is None and other.kernels[1] == 0
    assert one.coefficients.tobytes() == other.coefficients.tobytes() and one.network_ms == other.network_ms
    assert [one.predict(network) for network, _ in REST] == [other.predict(network) for network, _ in REST]
    assert one.unit_ms == one.coefficients[UNIT]


def profile_of(path, runtime, profiling):
    about = (search_space(*SPACE), TvnRelaxation(*SPACE), 4, runtime, LatencyTable(path, runtime), profiling, Silent())
    return SpaceProfiler(*about, timer=Timer(repeats=30, clock=runtime.clock)).run()


@pytest.fixture(scope="module")
def profiled(tmp_path_factory):
    path = tmp_path_factory.mktemp("accelerator") / "table.json"
    profiling = Profiling(units=10, networks=6, chosen=0, repeats=30)
    profile, again = (profile_of(path, PlantedAccelerator(), profiling) for _ in range(2))
    return path, profile, again


@pytest.mark.slow
def test_the_gate_of_an_accelerator_is_that_of_a_cpu(tmp_path):
    """Nothing in it knows a device: the planted one passes, with its counts; and fails where predictions are off."""
    profiling = Profiling(units=20, networks=100, chosen=8, repeats=30)
    profile = profile_of(tmp_path / "table.json", PlantedAccelerator(), profiling)
    assert profile.gate.passes, profile.gate.failures
    assert profile.gate.random["count"] >= 100 and profile.gate.random["mape"] < 0.02
    assert profile.gate.flops_kendall_tau < 0.9, "what multiply-adds alone would reach"
    assert profile.model.kernels[1] == pytest.approx(KERNEL_MS, rel=0.05)
    off = fit_quality([1.1 * ms for _, ms in profile.networks], [ms for _, ms in profile.networks])
    assert not dataclasses.replace(profile.gate, random=off).passes


def test_a_table_keeps_counts_and_clocks(profiled):
    path, profile, again = profiled
    data = json.loads(path.read_text())
    assert all(entry["kernels"] >= 1 for entry in data["entries"])
    clocks = data["environment"]["clocks"]
    assert clocks["before"]["sm_mhz"] == clocks["after"]["sm_mhz"] == 1980.0 and clocks["slowed"] == 0
    assert again.measured == 0 and again.environment["clocks"] == clocks, "kept, though nothing was timed"
    assert again.model.coefficients.tobytes() == profile.model.coefficients.tobytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kernels": "by another rule; 0"}, "kernels: by another rule; 0 there"),
        ({"kernels": None}, "kernels: None there"),
        ({"batch": 8}, "batch: 8 there, 1 here"),
    ],
)
def test_a_table_of_other_counts_or_of_another_batch_is_refused(profiled, tmp_path, change, words):
    data = json.loads(profiled[0].read_text())
    data["environment"] |= change
    other = tmp_path / "table.json"
    other.write_text(json.dumps(data))
    with pytest.raises(InvalidInputError, match=words) as error:
        LatencyTable(other, PlantedAccelerator())
    assert "\n" not in str(error.value)


def test_clocks_are_no_part_of_what_tells_environments_apart(profiled, tmp_path):
    data = json.loads(profiled[0].read_text())
    data["environment"]["clocks"] = {"before": {"sm_mhz": 345.0}}
    other = tmp_path / "table.json"
    other.write_text(json.dumps(data))
    table = LatencyTable(other, PlantedAccelerator())
    assert table.entries and table.environment["clocks"] == {"before": {"sm_mhz": 345.0}}


def test_an_entry_without_its_count_is_a_damage(profiled, tmp_path):
    table = LatencyTable(tmp_path / "table.json", PlantedAccelerator())
    path, _, _ = profiled
    entry = next(iter(LatencyTable(path, PlantedAccelerator()).entries.values()))
    table.entries = {("unit", "a"): dataclasses.replace(entry, kind="unit", key="a", kernels=None)}
    table.copy_to(table.path)
    with pytest.warns(UserWarning, match=r"damaged \(a has no count of its kernels\)"):
        assert not LatencyTable(table.path, PlantedAccelerator()).entries


def test_batches_have_tables_of_their_own(tmp_path):
    paths = {
        batch: LatencyTable.for_this_environment(tmp_path, PlantedAccelerator(batch=batch)).path for batch in (1, 8, 16)
    }
    assert len(set(paths.values())) == 3
