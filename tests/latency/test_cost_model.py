"""The fitted cost of layers, and the table it is fitted to."""

import dataclasses
import json

import numpy as np
import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Silent
from tvnjax.latency.cost_model import (
    FEATURE_NAMES,
    CostModel,
    Measured,
    cross_validated,
    fit,
    network_features,
    unit_features,
)
from tvnjax.latency.gate import fit_quality
from tvnjax.latency.layer_regressor import CANDIDATES
from tvnjax.latency.measure import Measurement, measure
from tvnjax.latency.profile import Profiling, SpaceProfiler
from tvnjax.latency.promising import promising_genotype
from tvnjax.latency.runtimes import load_runtime
from tvnjax.latency.table import LatencyTable
from tvnjax.latency.timer import Timer
from tvnjax.spaces.tvn.costs.sampling_design import covering_genotypes
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.relaxation.relaxation import TvnRelaxation
from tvnjax.spaces.tvn.relaxed import GENES, OperatorChoices, relax_plan
from tvnjax.spaces.tvn.search_space import search_space
from tvnjax.spaces.tvn.shapes import BlockPlan, BlockShapes, Plan, ShapeChoices, ShapeSpace

PLAN = Plan(image_size=8, num_frames=2, blocks=(BlockPlan(filters=8), BlockPlan(spatial_stride=1, filters=12)))
XLA = load_runtime("xla")
RELAXED = relax_plan(PLAN, OperatorChoices())
SPACE = (ShapeSpace(ShapeChoices.fixed(PLAN)), OperatorChoices())


def planted(count, factor_of=lambda layer: 1.0):
    """Networks and units timed by a known device: every coefficient has a true value, every layer a true factor."""
    rng = np.random.default_rng(0)
    truth, fixed_ms = rng.uniform(0.01, 1.0, len(FEATURE_NAMES)), 0.7
    device = CostModel(truth, fixed_ms)

    def ms(unit):
        return sum(device.prior_ms(layer) * factor_of(layer) for layer in unit.all_layers) + device.unit_ms

    networks = [lower(genotype, 4) for genotype in covering_genotypes(*SPACE, count, rng)]
    units = {unit.key: unit for network in networks for unit in network.units}
    return Measured(
        units=tuple((unit, ms(unit)) for unit in units.values()),
        networks=tuple((network, fixed_ms + sum(map(ms, network.units))) for network in networks),
    )


def test_a_planted_device_is_recovered():
    measured = planted(60)
    model = fit(measured)
    assert model.network_ms == pytest.approx(0.7, rel=0.05)
    for network, ms in measured.networks:
        assert model.predict(network) == pytest.approx(ms, rel=5e-3)
    quality = fit_quality(cross_validated(measured, model.regressor.constants), [ms for _, ms in measured.networks])
    assert quality["mape"] < 0.02 and quality["kendall_tau"] > 0.98


def test_what_the_physical_terms_miss_is_learnt_layer_by_layer():
    def factor(layer):
        return 1.4 if layer.out_shape.c % 8 else 0.8

    measured = planted(60, factor)
    half = len(measured.networks) // 2
    model = fit(dataclasses.replace(measured, networks=measured.networks[:half]))
    prior = CostModel(model.coefficients, model.network_ms)
    rest = measured.networks[half:]
    errors = [np.mean([abs(m.predict(network) - ms) / ms for network, ms in rest]) for m in (prior, model)]
    assert errors[1] < 0.03 and errors[1] < errors[0] / 2


def test_a_network_is_the_sum_of_its_layers():
    measured = planted(20)
    network = measured.networks[0][0]
    assert np.allclose(sum(unit_features(unit) for unit in network.units), network_features(network))
    for model in (CostModel(np.arange(1.0, len(FEATURE_NAMES) + 1), 0.5), fit(measured, CANDIDATES[0])):
        by_layer = sum(model.layer_ms(layer) for layer in network.layers()) + model.layer_ms(network.head)
        expected = by_layer + len(network.units) * model.unit_ms + model.network_ms
        assert model.predict(network) == pytest.approx(expected)


def test_covering_networks_meet_every_size_equally_often():
    choices = ShapeChoices(
        image_size=(8, 16),
        num_frames=(1, 2, 4),
        frame_stride=(1, 3),
        num_blocks=(1, 2),
        blocks=(BlockShapes(filters=(8, 16)), BlockShapes(spatial_stride=(1, 2), repeats=(1, 2))),
    )
    shapes = ShapeSpace(choices, clip_frames=8)
    genotypes = covering_genotypes(shapes, OperatorChoices(), 24, np.random.default_rng(0))
    for gene, count in (("image_size", 12), ("num_frames", 8)):
        values = [getattr(genotype, gene) for genotype in genotypes]
        assert {values.count(value) for value in values} == {count}
    assert sorted({len(genotype.blocks) for genotype in genotypes}) == [1, 2]
    assert all((g.num_frames - 1) * g.frame_stride < 8 for g in genotypes)


def test_covering_networks_meet_every_candidate_equally_often():
    genotypes = covering_genotypes(*SPACE, 24, np.random.default_rng(0))
    for index, block in enumerate(RELAXED.blocks):
        for gene in GENES:
            chosen = [RELAXED.encode(genotype)[index][gene] for genotype in genotypes]
            counts = np.bincount(chosen, minlength=len(block.candidates(gene)))[block.legal(gene)]
            assert gene not in block.active or counts.max() - counts.min() <= 1


def test_a_promising_network_has_more_multiply_adds_than_random_ones_within_the_limit():
    space, rng = search_space(*SPACE), np.random.default_rng(0)

    def costs(genotype):
        network = lower(genotype, 4)
        return float(sum(layer.in_shape.size for layer in network.layers())), network.macs

    random = [costs(space.sample(rng)) for _ in range(100)]
    limit = float(np.median([ms for ms, _ in random]))
    ms, macs = costs(promising_genotype(space, space.sample(rng), costs, limit, 150, rng))
    assert ms <= limit and macs > np.quantile([macs for ms, macs in random if ms <= limit], 0.9)


@pytest.fixture(scope="module")
def profiled(tmp_path_factory):
    path = tmp_path_factory.mktemp("latency") / "table.json"
    profiling = Profiling(units=10, networks=3, chosen=3, repeats=30)
    first = SpaceProfiler(
        search_space(*SPACE), TvnRelaxation(*SPACE), 4, XLA, LatencyTable(path, XLA), profiling, Silent()
    ).run()
    second = SpaceProfiler(
        search_space(*SPACE), TvnRelaxation(*SPACE), 4, XLA, LatencyTable(path, XLA), profiling, Silent()
    ).run()
    return path, first, second


def test_a_second_profile_measures_only_what_is_missing(profiled):
    _, first, second = profiled
    assert first.measured >= 15 and second.measured == 0 and second.reused == first.measured + first.reused
    assert second.most_expensive == first.most_expensive and second.most_expensive_ms == first.most_expensive_ms
    assert 0 < first.cheapest_ms < first.most_expensive_ms


def test_a_table_of_another_environment_is_refused_with_the_reason(profiled, tmp_path):
    data = json.loads(profiled[0].read_text())
    data["environment"]["device"] = "abacus"
    other = tmp_path / "table.json"
    other.write_text(json.dumps(data))
    with pytest.raises(InvalidInputError, match=r"abacus there.*tvnjax profile") as error:
        LatencyTable(other, XLA)
    assert "\n" not in str(error.value)


def damages(text):
    data = json.loads(text)
    data["entries"][3]["latency_ms"] *= 1.5
    return ["{}", '{"format": 0}', "[]", "not json", text[: len(text) // 2], json.dumps(data)]


def test_a_damaged_table_is_moved_aside_and_never_used(profiled, tmp_path):
    for text in damages(profiled[0].read_text()):
        path = tmp_path / "table.json"
        path.write_text(text)
        with pytest.warns(UserWarning, match=r"table\.json is damaged .*measured again"):
            table = LatencyTable(path, XLA)
        assert not table.entries and not path.exists()
        assert (tmp_path / "table.damaged").read_text() == text


def test_a_busy_first_minute_does_not_stay_in_the_table(tmp_path):
    def measured(ms, drift):
        return Measurement(latency_ms=ms, median_ms=ms, iqr_ms=0.0, repeats=30, compile_seconds=0.0, drift=drift)

    table = LatencyTable(tmp_path / "table.json", XLA)
    table.add(("sentinel", "s"), measured(2.0, 1.0))
    table.add(("unit", "busy"), measured(6.0, 1.0))
    table.add(("unit", "quiet"), measured(8.0, 0.5))
    table.settle()
    assert {key[1]: entry.latency_ms for key, entry in table.entries.items()} == {"s": 1.0, "busy": 3.0, "quiet": 4.0}
    assert min(entry.drift for entry in table.entries.values()) == 1
    before = dict(table.entries)
    table.settle()
    assert table.entries == before


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_measured(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InvalidInputError, match=r"cannot be written to .*TVNJAX_CACHE"):
        LatencyTable(tmp_path / "taken" / "table.json", XLA)


def test_units_and_networks_are_timed_in_turns():
    network = lower(covering_genotypes(*SPACE, 1, np.random.default_rng(1))[0], 4)
    prepared = {"network": XLA.network(network), "unit": XLA.unit(network.units[0])}
    measured = measure(prepared, Timer(warmup=1, repeats=30))
    assert prepared["unit"].turns >= 6
    for result in measured.values():
        assert isinstance(result, Measurement)
        assert result.latency_ms > 0 and result.repeats >= 30 and result.compile_seconds > 0
