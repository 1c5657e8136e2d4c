"""Equivalent genotypes have one form and one id; different networks have different ones."""

import dataclasses

import numpy as np
import pytest

from tvnjax.spaces.tvn.canonical import canonicalize, genotype_id
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.search_space import paper_space, space_at_plan
from tvnjax.spaces.tvn.shapes import Plan


def genotype(*blocks, size=32, frames=4, stride=1):
    return Genotype(image_size=size, num_frames=frames, frame_stride=stride, blocks=blocks)


CONV = Block(spatial_kernel=3, spatial_stride=2, filters=8)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Block(spatial_kernel=1, spatial_type="depth", spatial_stride=3), Block(spatial_kernel=1)),
        (dataclasses.replace(CONV, temporal_type="avgpool"), CONV),
        (dataclasses.replace(CONV, temporal_stride=4), CONV),
        (dataclasses.replace(CONV, temporal_act="hswish"), CONV),
        (dataclasses.replace(CONV, squeeze=0.01), dataclasses.replace(CONV, squeeze=0.2)),
        (
            Block(spatial_type="maxpool", spatial_kernel=3, spatial_act="hswish"),
            Block(spatial_type="maxpool", spatial_kernel=3),
        ),
        (
            Block(spatial_kernel=3, temporal_kernel=3, temporal_stride=2, skip=True),
            Block(spatial_kernel=3, temporal_kernel=3, temporal_stride=2),
        ),
        (
            Block(inverted_bottleneck=True, expand=0, spatial_kernel=3),
            Block(inverted_bottleneck=True, expand=1, spatial_kernel=3),
        ),
    ],
)
def test_inactive_genes_do_not_tell_networks_apart(first, second):
    assert genotype_id(genotype(first)) == genotype_id(genotype(second))


def test_frame_stride_means_nothing_for_one_frame():
    assert genotype_id(genotype(CONV, frames=1, stride=5)) == genotype_id(genotype(CONV, frames=1))
    assert genotype_id(genotype(CONV, stride=5)) != genotype_id(genotype(CONV))


def test_pools_of_a_single_pixel_and_idle_blocks_vanish():
    to_one_pixel = Block(spatial_kernel=3, spatial_stride=8, filters=8)
    pool = Block(spatial_type="avgpool", spatial_kernel=5, expand=0)
    two = genotype(to_one_pixel, pool, size=8)
    assert lower(two, 3) == lower(genotype(to_one_pixel, size=8), 3)
    assert canonicalize(two) == canonicalize(genotype(to_one_pixel, size=8))


def test_canonical_form_is_the_same_network_and_its_own_canonical_form():
    rng, space = np.random.default_rng(1), paper_space(mobile=True)
    for _ in range(40):
        drawn = space.sample(rng)
        canonical = canonicalize(drawn)
        assert lower(canonical, 5) == lower(drawn, 5)
        assert canonicalize(canonical) == canonical


def test_one_gene_away_is_the_same_id_exactly_where_it_is_the_same_network():
    rng, space = np.random.default_rng(2), space_at_plan(Plan(num_frames=2), OperatorChoices())
    same = different = 0
    for _ in range(150):
        drawn = space.sample(rng)
        gene, values = list(space.blocks[0].items())[rng.integers(17)]
        other = drawn.replace_block(0, **{gene: values[rng.integers(len(values))]})
        equal = lower(other, 5) == lower(drawn, 5)
        assert (genotype_id(other) == genotype_id(drawn)) == equal
        same, different = same + equal, different + (not equal)
    assert same > 10 and different > 10
