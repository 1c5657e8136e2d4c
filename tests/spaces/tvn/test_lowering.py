"""Counts of the released networks, shapes, and what each gene lowers to."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tvnjax.graph import ContextGate, Conv, NonLocal, Pool, SqueezeExcite
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.lowering import lower, smallest_pool, squeeze_hidden
from tvnjax.spaces.tvn.search_space import paper_space
from tvnjax.zoo.tvn import TVN1, TVN3

LAYERS = Path(__file__).parents[3] / "shared/reference/tvn/layers.csv"


@pytest.mark.parametrize(
    ("genotype", "params", "macs"), [(TVN1, 26_414_721, 4_326_160_640), (TVN3, 67_709_221, 53_639_220_992)]
)
def test_released_networks_are_counted_exactly(genotype, params, macs):
    network = lower(genotype, 339)
    assert network.params == params
    assert network.macs == macs


@pytest.mark.skipif(not LAYERS.exists(), reason="reference counts are not beside this checkout")
@pytest.mark.parametrize(("name", "genotype"), [("TVN1", TVN1), ("TVN3", TVN3)])
def test_every_layer_of_the_released_networks(name, genotype):
    rows = [row for row in csv.DictReader(LAYERS.open()) if row["net"] == name]
    ours = {}
    for unit in lower(genotype, 339).units:
        for layer in unit.all_layers:
            totals = ours.setdefault((unit.block, unit.repeat), [0, 0])
            totals[0] += layer.params
            totals[1] += layer.macs
    theirs = {}
    for row in rows:
        if row["block"].isdigit():
            totals = theirs.setdefault((int(row["block"]), int(row["sub"])), [0, 0])
            totals[0] += int(row["weights"]) + int(row["bn_affine"])
            totals[1] += int(row["macs"])
    assert theirs and ours == theirs


def network(size=9, frames=4, **genes):
    return lower(Genotype(image_size=size, num_frames=frames, blocks=(Block(**genes),)), 5)


def test_a_standard_unit_is_the_released_chain():
    unit = network(
        spatial_kernel=3,
        spatial_stride=2,
        temporal_kernel=2,
        filters=8,
        expand=2,
        squeeze=0.5,
        context_gate=True,
        skip=True,
    ).units[0]
    assert [type(layer) for layer in unit.layers] == [Conv, Conv, Conv, Conv, SqueezeExcite, ContextGate]
    assert [layer.kernel for layer in unit.layers[:4]] == [(1, 1, 1), (1, 3, 3), (2, 1, 1), (1, 1, 1)]
    assert [layer.act for layer in unit.layers[:4]] == ["relu", "relu", "relu", None]
    assert unit.shortcut is not None and unit.shortcut[0].stride == (1, 2, 2)
    assert tuple(unit.out_shape) == (4, 5, 5, 16)


@pytest.mark.parametrize("kernel", range(2, 9))
@pytest.mark.parametrize("stride", range(1, 9))
@pytest.mark.parametrize("kind", ["std", "1std", "depth", "maxpool", "avgpool"])
def test_every_spatial_gene_gives_the_same_padding_size(kind, kernel, stride):
    unit = network(size=13, spatial_type=kind, spatial_kernel=kernel, spatial_stride=stride, filters=6).units[0]
    assert unit.out_shape.h == unit.out_shape.w == -(-13 // stride)
    spatial = next(layer for layer in unit.layers if isinstance(layer, Pool) or layer.kernel != (1, 1, 1))
    width = 3 if kind.endswith("pool") else 6
    assert spatial.out_shape.c == width
    if isinstance(spatial, Conv):
        assert spatial.groups == (6 if kind == "depth" else 1)
        assert spatial.macs == spatial.out_shape.size * kernel**2 * (1 if kind == "depth" else spatial.in_shape.c)


def test_temporal_layers_stand_in_even_repeats_and_need_two_frames():
    temporal = [
        any(isinstance(layer, Conv) and layer.kernel[0] > 1 for layer in unit.layers)
        for unit in network(spatial_kernel=3, temporal_kernel=3, repeats=4).units
    ]
    assert temporal == [True, False, True, False]
    assert not any(
        layer.kernel[0] > 1 for layer in network(frames=1, spatial_kernel=3, temporal_kernel=3).units[0].layers
    )


def test_strides_act_in_the_first_repeat_only():
    shapes = [tuple(unit.out_shape) for unit in network(spatial_kernel=3, spatial_stride=2, repeats=3, filters=4).units]
    assert shapes == [(4, 5, 5, 4)] * 3


def test_a_skip_is_dropped_where_the_frame_count_changes():
    units = network(spatial_kernel=3, temporal_kernel=3, temporal_stride=2, skip=True, repeats=2).units
    assert units[0].shortcut is None and units[1].shortcut is not None


def test_inverted_bottleneck_widens_first_and_ends_narrow():
    unit = network(spatial_type="depth", spatial_kernel=3, filters=8, expand=3, inverted_bottleneck=True).units[0]
    assert [layer.out_shape.c for layer in unit.layers] == [24, 24, 24, 8]


def test_expand_zero_keeps_the_channels_of_a_pool():
    unit = network(spatial_type="avgpool", spatial_kernel=3, expand=0, filters=8, context_gate=True).units[0]
    assert unit.out_shape.c == 3 and unit.layers[-1] == ContextGate(in_shape=unit.out_shape)


def test_non_local_counts_projections_and_attention():
    layer = next(
        found
        for found in network(spatial_kernel=3, non_local=4, filters=8).units[0].layers
        if isinstance(found, NonLocal)
    )
    tokens = 4 * 9 * 9
    assert layer.macs == 4 * tokens * 8 * 4 + 2 * tokens**2 * 4


def test_squeeze_has_at_least_eight_hidden_channels():
    assert squeeze_hidden(16, 0.01) == 8 and squeeze_hidden(64, 0.5) == 32


def test_the_per_frame_head_multiplies_once_a_frame():
    genotype = Genotype(image_size=8, num_frames=4, blocks=(Block(spatial_kernel=3, filters=8),))
    assert lower(genotype, 5, head="softmax_time").head.macs == 4 * lower(genotype, 5).head.macs


def naive_pool(x, window, stride):
    """Max over every SAME window of one axis, padding left out."""
    count = -(-len(x) // stride)
    low = max((count - 1) * stride + window - len(x), 0) // 2
    return [max(x[max(i * stride - low, 0) : i * stride - low + window]) for i in range(count)]


@pytest.mark.parametrize("size", range(1, 10))
def test_a_smaller_equal_pool_is_the_same_pool(size):
    x = list(np.random.default_rng(size).standard_normal(size))
    for window in range(1, 9):
        for stride in range(1, 9):
            small = smallest_pool(size, window, stride)
            assert naive_pool(x, *small) == naive_pool(x, window, stride)
            assert smallest_pool(size, *small) == small


def test_shapes_chain_through_any_network_of_the_paper_space():
    rng, space = np.random.default_rng(0), paper_space(mobile=True)
    for _ in range(60):
        lowered = lower(space.sample(rng), 7)
        shape = lowered.input_shape
        for unit in lowered.units:
            assert unit.in_shape == shape
            for layer in unit.layers:
                assert layer.in_shape == shape
                shape = layer.out_shape
            if unit.shortcut is not None:
                assert unit.shortcut[-1].out_shape == shape
            assert unit.out_shape == shape
        assert lowered.head.in_shape == shape
