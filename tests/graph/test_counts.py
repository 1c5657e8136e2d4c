"""Parameters and multiply-adds of networks that are no chains, against formulas of their own and published numbers."""

import numpy as np
import pytest

from tests.graph.example_networks import assemblenet_like, evanet_like
from tests.graph.published import ASN50, assemblenet_50, evanet_a, itgm_params
from tests.graph.random_graphs import draw_graph
from tvnjax.graph import Branches, Conv, Fuse, Merge, Pool, Shape


def normed(taps: int, taken: int, given: int) -> int:
    """Parameters of a convolution without bias and of its normalisation."""
    return taps * taken * given + 2 * given


def test_a_module_of_branches_by_hand():
    network = evanet_like()
    first = normed(1, 8, 10) + normed(1, 8, 5) + normed(27, 5, 10) + normed(1, 8, 10)
    later = normed(1, 30, 10) + normed(1, 30, 5) + normed(9, 5, 10) + normed(1, 30, 10)
    sizes = [unit.params for unit in network.units]
    assert sizes == [normed(9, 3, 8), 0, first + normed(1, 8, 30), later, later]
    assert network.params == sum(sizes) + 31 * 4
    places = 4 * 3 * 3
    assert [unit.macs for unit in network.units] == [
        4 * 6 * 6 * 9 * 3 * 8,
        0,
        places * (8 * 10 + 8 * 5 + 27 * 5 * 10 + 8 * 10 + 8 * 30),
        *[places * (30 * 10 + 30 * 5 + 9 * 5 * 10 + 30 * 10)] * 2,
    ]
    assert [unit.out_shape.c for unit in network.units[2:]] == [30, 30, 30], "3 · ⌊32 / 3⌋, not 32"


def test_fusions_of_two_streams_by_hand():
    network = assemblenet_like()
    fuses = [unit.join for unit in network.units if type(unit.join) is Fuse]
    # A gate for each input, and a product for each channel count below the largest: inputs of one count share it.
    assert [fuse.params for fuse in fuses] == [2 + 4 * 6, 4 + (6 + 4) * 16, 3 + (2 + 4) * 16]
    assert [fuse.macs for fuse in fuses] == [3 * 64 * 4 * 6, 3 * 16 * (6 + 4) * 16, 3 * 16 * (2 + 4) * 16]
    assert [fuse.windows for fuse in fuses] == [
        ((1, 1, 1),) * 2,
        ((1, 2, 2), (1, 2, 2), (1, 1, 1), (1, 1, 1)),
        ((1, 4, 4), (1, 2, 2), (1, 1, 1)),
    ]
    block = [normed(3, c, 8) + normed(9, 8, 16) + normed(1, c, 16) for c in (6, 6, 16, 16)]
    stems = [normed(9, 3, 6), normed(9, 2, 4)]
    assert network.params == sum(stems) + sum(block) + sum(fuse.params for fuse in fuses) + 17 * 4


def test_one_input_is_fused_with_nothing():
    fuse = Fuse(in_shapes=(Shape(2, 5, 5, 3),))
    assert (fuse.params, fuse.macs, fuse.gates, fuse.out_shape) == (0, 0, 0, (2, 5, 5, 3))


@pytest.mark.parametrize(("sizes", "smallest"), [((5, 3), 3), ((9, 5), 5), ((7, 4), 4), ((56, 7), 7), ((6, 6), 6)])
def test_what_is_fused_has_the_smallest_size(sizes, smallest):
    """Odd sizes too: ⌈5 / 2⌉ is 3, where a window of 5 // 3 would leave 5."""
    fuse = Fuse(in_shapes=tuple(Shape(1, size, size, 4) for size in sizes))
    assert fuse.out_shape == (1, smallest, smallest, 4)


@pytest.mark.parametrize(("classes", "params"), [(157, 36_900_957), (339, 37_273_875)])
def test_assemblenet_50_has_the_published_parameters(classes, params):
    """Trainable ones without gates, of the released code, for Charades and for Moments in Time; 28 gates; 500.906 G
    multiply-adds at 64×224²."""
    network = assemblenet_50(classes, 64, 224)
    fuses = [layer for layer in network.layers() if type(layer) is Fuse]
    assert sum(fuse.gates for fuse in fuses) == 28 and network.params - 28 == params
    assert network.macs == pytest.approx(500.906e9, abs=1e6)
    ends = [
        unit.out_shape
        for unit, after in zip(network.units, [*network.units[1:], None])
        if after is None or after.repeat == 0
    ][1:]  # the four stems are one block
    sizes = {0: (128, 56), 1: (256, 28), 2: (1024, 14), 3: (2048, 7)}
    assert [(shape.c, shape.h) for shape in ends] == [sizes[level] for level, _, _ in ASN50.values()]
    assert {shape.t for shape in ends} == {64}


def test_evanets_first_network_has_the_published_parameters():
    network = evanet_a(400, 64, 224)
    assert network.params + itgm_params() == 32_804_188
    widths = list(dict.fromkeys(unit.out_shape.c for unit in network.units if unit.repeat))
    assert widths == [256, 510, 1024, 2046]
    assert evanet_a(400, 16, 64).params == network.params


def test_leaves_hold_everything_that_is_counted():
    rng = np.random.default_rng(3)
    for network in [evanet_like(), assemblenet_like(), *(draw_graph(rng) for _ in range(40))]:
        leaves = list(network.layers())
        assert not any(layer.inside for layer in leaves)
        assert sum(layer.params for layer in leaves) + network.head.params == network.params
        assert sum(layer.macs for layer in leaves) + network.head.macs == network.macs
        for unit in network.units:
            for layer in unit.layers:
                assert layer.params == sum(leaf.params for leaf in layer.leaves)
                assert layer.macs == sum(leaf.macs for leaf in layer.leaves)


def test_nested_layers_are_found():
    kinds = [type(layer) for layer in evanet_like().units[2].all_layers]
    assert kinds == [Conv, Conv, Conv, Pool, Conv, Merge, Conv]
    shape = Shape(1, 4, 4, 2)
    inner = Branches(in_shape=shape, branches=((), ()))
    outer = Branches(in_shape=shape, branches=((inner,), ()))
    assert outer.out_shape.c == 6 and [type(leaf) for leaf in outer.leaves] == [Merge, Merge]
