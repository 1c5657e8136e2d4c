"""Costs of networks that are no chains: memory by hand, features of what they are made of, and units that are timed."""

import dataclasses
import importlib.util

import numpy as np
import pytest

from tests.graph.example_networks import assemblenet_like, conv, evanet_like, network, unit
from tests.latency.test_runtimes import PACKAGES
from tvnjax.graph import Branches, Fuse, Head, Layer, Merge, Network, Pool, Scale, Shape, Stream
from tvnjax.latency.cost_model import (
    FEATURE_NAMES,
    CostModel,
    Measured,
    fit,
    layer_features,
    network_features,
    unit_features,
)
from tvnjax.latency.layer_regressor import layer_point
from tvnjax.latency.measure import measure, measure_networks
from tvnjax.latency.memory import memory_mb, peak_activation_bytes, working_set
from tvnjax.latency.per_block import block_milliseconds
from tvnjax.latency.runtimes import load_runtime
from tvnjax.latency.timer import Timer

CLIP = Shape(1, 8, 8, 3)


@pytest.fixture(params=PACKAGES, scope="module")
def runtime(request):
    if not all(importlib.util.find_spec(package) for package in PACKAGES[request.param]):
        pytest.skip(f"{request.param} is not installed")
    return load_runtime(request.param)


def test_units_and_networks_of_several_inputs_are_timed(runtime):
    lowered = assemblenet_like()
    fused, branched = lowered.units[4], evanet_like().units[2]
    prepared = {"fused": runtime.unit(fused), "branched": runtime.unit(branched)}
    measured = measure(prepared, Timer(repeats=30))
    assert all(measurement.latency_ms > 0 for measurement in measured.values())
    (row,) = measure_networks({"net": lowered}, runtime, Timer(repeats=30))
    assert row["latency_ms"] > 0 and row["params"] == lowered.params
    larger = dataclasses.replace(
        fused.join, in_shapes=tuple(s._replace(h=16 * s.h, w=16 * s.w) for s in fused.in_shapes)
    )
    many = unit(0, 0, (), inputs=(0, 1, 2, 3), join=larger)
    few = unit(0, 0, (), inputs=(0, 1, 2, 3), join=fused.join)
    both = measure({"many": runtime.unit(many), "few": runtime.unit(few)}, Timer(repeats=30))
    assert both["many"].latency_ms > both["few"].latency_ms


def test_a_loop_of_turns_works_on_every_input():
    """The second input takes nearly all of the work; were it the same in all turns, a compiler would do that once."""
    xla, small = load_runtime("xla"), Shape(1, 4, 4, 8)
    units = [
        unit(0, 0, (), inputs=(0, 1), join=Fuse(in_shapes=(small, small._replace(h=size, w=size, c=16))))
        for size in (4, 256)
    ]
    few, many = (measure({"unit": xla.unit(u)}, Timer(repeats=30))["unit"].latency_ms for u in units)
    assert many > 10 * few


def test_every_block_of_a_graph_has_a_share():
    blocks = block_milliseconds(assemblenet_like(), load_runtime("xla"), Timer(repeats=30))
    assert sorted(blocks) == [0, 1, 2, 3] and all(spent > 0 for spent in blocks.values())


def residual(*, tapped: bool) -> Network:
    """A stem, two units, and a join of the last with the stem where ``tapped``."""
    stem = unit(0, 0, (conv(CLIP, 8),))
    wide = unit(0, 1, (conv(stem.out_shape, 16), conv(stem.out_shape._replace(c=16), 4)))
    end = unit(0, 2, (conv(wide.out_shape, 4),))
    units = [stem, wide, end]
    if tapped:
        join = Merge(in_shapes=(stem.out_shape, end.out_shape), how="concat")
        units.append(unit(0, 3, (), inputs=(0, 2), join=join))
    return network(CLIP, units, 2)


def test_what_is_read_later_stays_in_memory():
    """Values of 64 pixels: clip 3, stem 8, wide 16 then 4, end 4, joined 12."""
    assert peak_activation_bytes(residual(tapped=False)) == 4 * 64 * (8 + 16)
    # The stem's 8 are read by the first layer of the unit, and wait behind it: 16 in, 4 out, 8 waiting.
    assert peak_activation_bytes(residual(tapped=True)) == 4 * 64 * (16 + 4 + 8)


def test_streams_wait_for_their_reader_and_shortcuts_do_not_count_twice():
    """The second stream of 5 channels waits while the first is worked on; the unit's own input, which its shortcut adds
    and which is read again later, waits once."""
    flow = Shape(1, 8, 8, 5)
    stem = unit(0, 0, (conv(CLIP, 4),), inputs=(Stream(0),))
    block = unit(0, 1, (conv(stem.out_shape, 20), conv(stem.out_shape._replace(c=20), 4)), shortcut=(), inputs=(0,))
    join = Merge(in_shapes=(stem.out_shape, block.out_shape, flow), how="concat")
    lowered = network(
        CLIP, [stem, block, unit(0, 2, (), inputs=(0, 1, Stream(1)), join=join)], 2, further_inputs=(flow,)
    )
    # Largest while the second layer of the block runs: 20 in, 4 out, 4 of the stem, 5 of the flow.
    assert peak_activation_bytes(lowered) == 4 * 64 * (20 + 4 + 4 + 5)
    alone = dataclasses.replace(lowered.units[1], shortcut=None)
    assert peak_activation_bytes(dataclasses.replace(lowered, units=(stem, alone, lowered.units[2]))) == 4 * 64 * 33
    assert memory_mb(lowered) == (4 * lowered.params + 4 * 64 * 33) / 2**20


def test_what_others_wait_for_counts_while_it_is_not_read():
    """The stem's 4 wait while the second unit, which reads the clip, runs its one layer; and while a join runs."""
    stem = unit(0, 0, (conv(CLIP, 4),))
    aside = unit(0, 1, (conv(CLIP, 30),), inputs=(Stream(0),))
    pair = (CLIP, aside.out_shape)
    joined = unit(0, 2, (), inputs=(Stream(0), 1), join=Merge(in_shapes=pair, how="concat"))
    back = unit(0, 3, (conv(joined.out_shape, 1),), inputs=(2,))
    end = unit(0, 4, (), inputs=(0, 3), join=Merge(in_shapes=(stem.out_shape, back.out_shape), how="concat"))
    assert peak_activation_bytes(network(CLIP, [stem, aside, joined, back, end], 2)) == 4 * 64 * (3 + 30 + 33 + 4)
    back = unit(0, 2, (conv(aside.out_shape, 1),), inputs=(1,))
    end = dataclasses.replace(end, inputs=(0, 2))
    assert peak_activation_bytes(network(CLIP, [stem, aside, back, end], 2)) == 4 * 64 * (3 + 30 + 4)


def test_behind_a_join_its_result_waits_for_the_shortcut():
    stems = [unit(0, index, (conv(CLIP, 4),), inputs=(Stream(0),)) for index in range(2)]
    shape = stems[0].out_shape
    layers = (conv(shape, 30), conv(shape._replace(c=30), 4))
    join = Merge(in_shapes=(shape, shape), how="sum")
    plain = unit(0, 2, layers, inputs=(0, 1), join=join)
    assert peak_activation_bytes(network(CLIP, [*stems, plain], 2)) == 4 * 64 * (30 + 4)
    added = dataclasses.replace(plain, shortcut=())
    assert peak_activation_bytes(network(CLIP, [*stems, added], 2)) == 4 * 64 * (30 + 4 + 4)


def test_branches_run_one_after_the_other():
    """64 pixels; input 3. First branch 20 then 4; second 10; an empty one passes the input on."""
    wide = conv(CLIP, 20)
    first, second = (wide, conv(wide.out_shape, 4)), (conv(CLIP, 10),)

    def values(*branches):
        return working_set(Branches(in_shape=CLIP, branches=branches)) / 64

    assert values(first) == 20 + 4
    assert values(first, second) == max(20 + 4 + 3, 3 + 10 + 4, 2 * 14)
    assert values(second, first) == 20 + 4 + 10
    assert values(first, ()) == 20 + 4 + 3
    assert values((), second) == max(3 + 10, 2 * 13)


def test_branches_cost_what_is_inside_of_them():
    branched = evanet_like().units[2]
    (layer,) = branched.layers
    inside = np.sum([layer_features(leaf) for leaf in layer.leaves], axis=0)
    np.testing.assert_array_equal(layer_features(layer), inside)
    np.testing.assert_array_equal(unit_features(branched)[:-1], (inside + layer_features(branched.shortcut[0]))[:-1])
    counted = dict(zip(FEATURE_NAMES, inside))
    assert counted["pointwise.fixed"] == 3 and counted["temporal.fixed"] == counted["pool.fixed"] == 1
    assert counted["gate.fixed"] == 1, "where they meet"
    model = CostModel(np.arange(1.0, len(FEATURE_NAMES) + 1), 0.5)
    assert model.layer_ms(layer) == pytest.approx(sum(model.layer_ms(leaf) for leaf in layer.leaves))
    lowered = evanet_like()
    assert model.predict(lowered) == pytest.approx(network_features(lowered) @ model.coefficients + 0.5)
    assert model.predict(lowered) == pytest.approx(sum(map(model.unit, lowered.units)) + 0.5)


def test_a_fusion_counts_all_of_its_inputs():
    shapes = (Shape(2, 8, 8, 16), Shape(2, 4, 4, 32), Shape(2, 4, 4, 16))
    row = dict(zip(FEATURE_NAMES, layer_features(Fuse(in_shapes=shapes))))
    assert row["pointwise.macs"] == pytest.approx(2 * 16 * 16 * 32 / 1e6)
    moved = 2 * (64 * 16 + 16 * 32 + 16 * 16) + 2 * 16 * 32
    assert row["pointwise.moved"] == pytest.approx(moved / 1e6)
    same = dict(zip(FEATURE_NAMES, layer_features(Fuse(in_shapes=shapes[1:2] * 3))))
    assert same["gate.fixed"] == 1 and same["gate.moved"] == pytest.approx(4 * 2 * 16 * 32 / 1e6)


def test_every_input_tells_layers_apart():
    shapes = (Shape(2, 4, 4, 64), Shape(2, 4, 4, 8))
    points = [
        layer_point(Fuse(in_shapes=given))
        for given in (shapes, (shapes[0], shapes[1]._replace(c=24)), (shapes[0],), (shapes[0], Shape(2, 8, 8, 8)))
    ]
    assert len({(kind, tuple(point)) for kind, point in points}) == len(points)
    assert all(np.isfinite(point).all() for _, point in points)
    kinds = [layer_point(Merge(in_shapes=shapes[:1] * 2, how=how))[0] for how in ("sum", "mean", "concat")]
    assert len(set(kinds)) == 3


def test_a_model_is_fitted_to_graphs_and_predicts_them():
    """Planted costs of layers; networks of branches and fusions are predicted though only units were measured."""
    rng = np.random.default_rng(0)

    def cost(layer: Layer | Head) -> float:
        return float(layer_features(layer) @ np.linspace(0.02, 0.08, len(FEATURE_NAMES)))

    def planted(*layers: Layer) -> float:
        return sum(map(cost, layers)) + 0.01

    units = []
    for _ in range(40):
        shape = Shape(2, *(int(rng.choice([4, 8])),) * 2, int(rng.choice([8, 16, 32])))
        pooled = Pool(in_shape=shape, out_shape=shape, kind="max", window=(1, 3, 3), stride=(1, 1, 1))
        chains = ((conv(shape, 16),), (pooled, conv(shape, 8, (1, 3, 3))), (Scale(in_shape=shape),))
        units.append(unit(0, 0, (Branches(in_shape=shape, branches=chains[: rng.integers(1, 4)]),)))
        half = shape._replace(h=shape.h // 2, w=shape.w // 2, c=int(rng.choice([8, 16])))
        units.append(
            unit(
                0,
                0,
                (conv(half._replace(c=max(half.c, shape.c)), 8),),
                inputs=(0, 1),
                join=Fuse(in_shapes=(shape, half)),
            )
        )
    graphs = [assemblenet_like(), evanet_like()]
    measured = Measured(
        units=tuple((unit, planted(*unit.all_layers)) for unit in units),
        networks=tuple((graph, sum(planted(*unit.all_layers) for unit in graph.units) + 0.1) for graph in graphs),
    )
    model = fit(measured)
    for graph, ms in measured.networks:
        assert model.predict(graph) == pytest.approx(ms, rel=0.05)
