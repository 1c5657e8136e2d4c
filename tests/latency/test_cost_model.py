"""The fitted cost of layers, and the table it is fitted to."""

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
    fit_quality,
    network_features,
    unit_features,
)
from tvnjax.latency.measure import Measurement, measure
from tvnjax.latency.profile import Profiling, covering_genotypes, profile_space
from tvnjax.latency.runtimes import load_runtime
from tvnjax.latency.table import LatencyTable, fit_entries
from tvnjax.latency.timer import Timer
from tvnjax.space.lowering import lower
from tvnjax.space.relaxed import GENES, OperatorChoices, relax_plan
from tvnjax.space.shapes import BlockPlan, BlockShapes, Plan, ShapeChoices, ShapeSpace

PLAN = Plan(image_size=8, num_frames=2, blocks=(BlockPlan(filters=8), BlockPlan(spatial_stride=1, filters=12)))
XLA = load_runtime("xla")
RELAXED = relax_plan(PLAN, OperatorChoices())
SPACE = (ShapeSpace(ShapeChoices.fixed(PLAN)), OperatorChoices())


def planted(count):
    """Networks and units timed by a known device: every coefficient of the model has a true value."""
    rng = np.random.default_rng(0)
    truth, fixed_ms, factor = rng.uniform(0.01, 1.0, len(FEATURE_NAMES)), 0.7, 1.3
    networks = [lower(genotype, 4) for genotype in covering_genotypes(*SPACE, count, rng)]
    units = {unit.key: unit for network in networks for unit in network.units}
    rows = [unit_features(unit) for unit in units.values()] + [network_features(network) for network in networks]
    rows = np.array(rows)
    is_network = np.arange(len(rows)) >= len(units)
    return Measured(
        features=rows,
        ms=np.where(is_network, fixed_ms + factor * rows @ truth, rows @ truth),
        spread_ms=np.zeros(len(rows)),
        is_network=is_network,
    )


def test_a_planted_device_is_recovered():
    measured = planted(60)
    model = fit(measured)
    assert model.network_ms == pytest.approx(0.7, rel=0.02)
    sums = measured.features @ model.coefficients
    np.testing.assert_allclose(
        np.where(measured.is_network, sums + model.network_ms, sums / 1.3), measured.ms, rtol=5e-3
    )
    quality = fit_quality(cross_validated(measured), measured.ms)
    assert quality["mape"] < 0.02 and quality["kendall_tau"] > 0.98


def test_a_network_is_the_sum_of_its_layers():
    network = lower(covering_genotypes(*SPACE, 1, np.random.default_rng(0))[0], 4)
    model = CostModel(coefficients=np.arange(1.0, len(FEATURE_NAMES) + 1), network_ms=0.5)
    by_layer = sum(model.layer_ms(layer) for layer in network.layers()) + model.layer_ms(network.head)
    assert model.predict(network) == pytest.approx(by_layer + len(network.units) * model.unit_ms + model.network_ms)


def test_quality_counts_what_it_says():
    quality = fit_quality([1.0, 2.1, 2.0], [1.0, 2.0, 4.0])
    assert quality["mape"] == pytest.approx((0 + 0.05 + 0.5) / 3)
    assert quality["bias"] == pytest.approx((0 + 0.05 - 0.5) / 3)
    assert quality["within_10pct"] == pytest.approx(2 / 3) and quality["count"] == 3


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


@pytest.fixture(scope="module")
def profiled(tmp_path_factory):
    path = tmp_path_factory.mktemp("latency") / "table.json"
    profiling = Profiling(units=10, networks=3, repeats=30)
    first = profile_space(*SPACE, 4, XLA, LatencyTable(path, XLA), profiling, Silent())
    second = profile_space(*SPACE, 4, XLA, LatencyTable(path, XLA), profiling, Silent())
    return path, first, second


def test_a_second_profile_measures_only_what_is_missing(profiled):
    _, first, second = profiled
    assert first.measured >= 13 and second.measured == 0 and second.reused == first.measured + first.reused
    assert second.dearest == first.dearest and second.dearest_ms == first.dearest_ms
    assert 0 < first.cheapest_ms < first.dearest_ms


def test_a_table_of_another_environment_is_refused_with_the_reason(profiled, tmp_path):
    data = json.loads(profiled[0].read_text())
    data["environment"]["device"] = "abacus"
    other = tmp_path / "table.json"
    other.write_text(json.dumps(data))
    with pytest.raises(InvalidInputError, match=r"abacus there.*tvnjax profile") as error:
        LatencyTable(other, XLA)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["{}", '{"format": 0}', "not json"])
def test_a_table_that_is_none_is_refused(text, tmp_path):
    (tmp_path / "table.json").write_text(text)
    with pytest.raises(InvalidInputError, match=r"table\.json"):
        LatencyTable(tmp_path / "table.json", XLA)


def test_too_few_measurements_fit_nothing(tmp_path):
    with pytest.raises(InvalidInputError, match="at least 10 measurements"):
        fit_entries([])


def test_units_and_networks_are_timed_in_turns():
    network = lower(covering_genotypes(*SPACE, 1, np.random.default_rng(1))[0], 4)
    prepared = {"network": XLA.network(network), "unit": XLA.unit(network.units[0])}
    measured = measure(prepared, Timer(warmup=1, repeats=30))
    assert prepared["unit"].turns >= 6
    for result in measured.values():
        assert isinstance(result, Measurement)
        assert result.latency_ms > 0 and result.repeats == 30 and result.compile_seconds > 0
