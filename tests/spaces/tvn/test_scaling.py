"""Relatives of a genotype, and what tells them apart."""

import dataclasses

import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.tvn.difference import differences
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.scaling import compound_scale, scale_genotype
from tvnjax.zoo.tvn import TVN1

SMALL = Genotype(image_size=32, num_frames=4, blocks=(Block(spatial_kernel=3, filters=20, repeats=2),) * 2)


def test_every_factor_moves_its_own_gene():
    scaled = scale_genotype(SMALL, width=2, depth=1.5, image_size=64, num_frames=8)
    assert (scaled.image_size, scaled.num_frames) == (64, 8)
    assert [(block.filters, block.repeats) for block in scaled.blocks] == [(40, 3), (40, 3)]
    assert scale_genotype(SMALL) == SMALL
    assert scale_genotype(SMALL, depth=0.1).blocks[0].repeats == 1
    assert lower(scaled, 3).macs > 10 * lower(SMALL, 3).macs


def test_compound_scaling_by_hand():
    """TVN-1 at phi 1: 1.15 * 224 = 257.6 px on a grid of 32, 1.1 * 64 = 70.4 filters in eights, 1.2 * 2 repeats."""
    scaled = compound_scale(TVN1, 1)
    assert scaled.image_size == 256
    assert [(block.filters, block.repeats) for block in scaled.blocks] == [(72, 3), (144, 2), (144, 3), (280, 3)]
    assert compound_scale(TVN1, 0) == TVN1
    assert compound_scale(dataclasses.replace(SMALL, image_size=20), 1).image_size == 23
    side = [compound_scale(TVN1, phi).image_size for phi in (-2, -1, 0, 1, 2)]
    assert side == sorted(side)


@pytest.mark.parametrize("options", [{"width": 0}, {"width": 200}, {"depth": 5}, {"depth": float("nan")}])
def test_scaling_out_of_range_is_refused(options):
    with pytest.raises(InvalidInputError, match=r"width|depth"):
        scale_genotype(SMALL, **options)


def test_differences_name_genes_and_say_which_do_nothing():
    idle = SMALL.replace_block(0, spatial_kernel=1, spatial_stride=1)
    other = dataclasses.replace(idle.replace_block(0, spatial_stride=3).replace_block(1, filters=24), num_frames=2)
    found = {(row.where, row.gene): row for row in differences(idle, other)}
    assert set(found) == {("input", "num_frames"), ("block 1", "spatial_stride"), ("block 2", "filters")}
    assert not found["block 1", "spatial_stride"].active and found["block 2", "filters"].active
    assert (found["block 2", "filters"].first, found["block 2", "filters"].second) == ("20", "24")
    assert differences(SMALL, SMALL) == []
    shorter = dataclasses.replace(SMALL, blocks=SMALL.blocks[:1])
    assert [(row.gene, row.first, row.second) for row in differences(SMALL, shorter)] == [("block", "there", "none")]
