"""Genes, validation and JSON."""

import json

import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.registry import genotype_from_text
from tvnjax.spaces.tvn.genotype import Block, Genotype, genotype_from_json

GENOTYPE = Genotype(
    image_size=64,
    num_frames=4,
    frame_stride=2,
    blocks=(Block(spatial_kernel=3, filters=348, squeeze=0.9067600752736579, skip=True), Block(expand=0)),
)


def test_json_round_trip():
    assert genotype_from_text(json.dumps(GENOTYPE.to_json())) == GENOTYPE


def test_json_of_the_released_networks_uses_zero_and_one():
    data = {"name": "N", "image_size": 32, "num_frames": 2, "blocks": [{"skip": 1, "context_gate": 0, "squeeze": 0}]}
    block = genotype_from_json(data).blocks[0]
    assert block.skip is True and block.context_gate is False and block.squeeze == 0.0


@pytest.mark.parametrize(
    ("genes", "words"),
    [
        ({"spatial_kernel": 9}, ["spatial_kernel", "1 to 8", "9"]),
        ({"spatial_kernel": True}, ["spatial_kernel", "True"]),
        ({"temporal_stride": 0}, ["temporal_stride", "0"]),
        ({"filters": 4096}, ["filters", "4096"]),
        ({"expand": 9}, ["expand", "9"]),
        ({"squeeze": 1.0}, ["squeeze", "1.0"]),
        ({"squeeze": "half"}, ["squeeze", "half"]),
        ({"non_local": 3}, ["non_local", "or 0", "3"]),
        ({"spatial_type": "dept"}, ["spatial_type", "dept", "did you mean 'depth'"]),
        ({"act": "swish"}, ["act", "hswish"]),
        ({"skip": 2}, ["skip", "2"]),
        ({"repeats": 2.0}, ["repeats", "2.0"]),
    ],
)
def test_a_gene_out_of_range_is_named_with_its_value(genes, words):
    with pytest.raises(InvalidInputError) as error:
        Block(**genes)
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ["JSON", "line 1"]),
        ("[]", ["object", "list"]),
        ('{"image_size": 32, "num_frames": 2, "blocks": [{"filter": 3}]}', ["block 0", "filter", "filters"]),
        ('{"image_size": 32, "blocks": [{}]}', ["num_frames", "missing"]),
        ('{"image_size": 32, "num_frames": 2, "blocks": []}', ["1 to 8 blocks", "0"]),
        ('{"image_size": 32, "num_frames": 2, "blocks": {}}', ["list", "dict"]),
        ('{"image_size": 0, "num_frames": 2, "blocks": [{}]}', ["image_size", "0"]),
    ],
)
def test_bad_json_is_refused_in_one_line(text, words):
    with pytest.raises(InvalidInputError) as error:
        genotype_from_text(text)
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value)
