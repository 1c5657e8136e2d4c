"""Sampling, mutation and membership."""

import numpy as np
import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.tvn.canonical import genotype_id
from tvnjax.spaces.tvn.relaxed import GENES, OperatorChoices, relax_plan
from tvnjax.spaces.tvn.search_space import BlockChoices, SearchSpace, paper_space, space_at_plan
from tvnjax.spaces.tvn.shapes import BlockPlan, Plan

PLAN = Plan(blocks=(BlockPlan(filters=16), BlockPlan(spatial_stride=1, temporal_stride=2, filters=24, repeats=2)))


def genes(genotype):
    yield from (("image_size", genotype.image_size), ("num_frames", genotype.num_frames))
    yield "frame_stride", genotype.frame_stride
    for index, block in enumerate(genotype.blocks):
        yield from ((f"{index}.{name}", value) for name, value in vars(block).items())


@pytest.mark.parametrize("space", [paper_space(clip_frames=48, mobile=True), space_at_plan(PLAN, OperatorChoices())])
def test_samples_and_mutants_stay_in_the_space(space):
    rng = np.random.default_rng(0)
    for _ in range(25):
        parent = space.sample(rng)
        child = space.mutate(parent, rng)
        assert space.contains(parent) and space.contains(child)
        assert (child.num_frames - 1) * child.frame_stride < space.clip_frames
        assert genotype_id(child) != genotype_id(parent)
        if len(child.blocks) == len(parent.blocks):
            changed = [a for a, b in zip(genes(parent), genes(child)) if a != b]
            assert len(changed) == 1
        else:
            shorter = min(len(child.blocks), len(parent.blocks))
            assert child.blocks[:shorter] == parent.blocks[:shorter]


def test_every_value_is_drawn():
    rng, space = np.random.default_rng(0), space_at_plan(PLAN, OperatorChoices())
    drawn = [space.sample(rng).blocks[1] for _ in range(200)]
    for gene, values in space.blocks[1].items():
        assert {getattr(block, gene) for block in drawn} == set(values)


def test_a_seed_draws_the_same_networks():
    space = paper_space()
    first, second = ([space.sample(np.random.default_rng(7)) for _ in range(1)] for _ in range(2))
    assert first == second


def test_a_striding_block_leaves_out_the_identity():
    space = space_at_plan(PLAN, OperatorChoices())
    assert 1 not in space.blocks[0].spatial_kernel and 1 in space.blocks[1].spatial_kernel
    assert 1 in space.blocks[0].temporal_kernel and 1 not in space.blocks[1].temporal_kernel
    with pytest.raises(InvalidInputError, match="nearest legal kernel is 2"):
        space_at_plan(PLAN, OperatorChoices(spatial_kernel=(1,)))


def test_a_space_of_one_network_cannot_mutate():
    space = SearchSpace(image_size=(32,), num_frames=(2,), frame_stride=(1,), num_blocks=(1,), blocks=(BlockChoices(),))
    with pytest.raises(InvalidInputError, match="second network"):
        space.mutate(space.sample(np.random.default_rng(0)), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_frames": ()}, "num_frames"),
        ({"image_size": (32, 32)}, "each once"),
        ({"num_blocks": (2,)}, "most blocks"),
        ({"num_frames": (8,), "clip_frames": 4}, "4 frames"),
    ],
)
def test_a_broken_space_is_refused(change, words):
    good = {
        "image_size": (32,),
        "num_frames": (2,),
        "frame_stride": (1,),
        "num_blocks": (1,),
        "blocks": (BlockChoices(),),
    }
    with pytest.raises(InvalidInputError, match=words):
        SearchSpace(**{**good, **change})


def test_choices_outside_a_gene_are_refused():
    with pytest.raises(InvalidInputError, match="spatial_kernel"):
        BlockChoices(spatial_kernel=(3, 9))


def test_candidates_encode_and_decode():
    rng, space = np.random.default_rng(3), space_at_plan(PLAN, OperatorChoices())
    plan = relax_plan(PLAN, OperatorChoices())
    for _ in range(50):
        drawn = space.sample(rng)
        assert genotype_id(plan.decode(plan.encode(drawn))) == genotype_id(drawn)
    assert plan.blocks[0].active == GENES[:7]


def test_choices_that_mean_nothing_get_no_logits():
    one_frame = relax_plan(Plan(num_frames=1), OperatorChoices()).blocks[0]
    assert "temporal" not in one_frame.active and "skip" in one_frame.active
    strided = relax_plan(Plan(blocks=(BlockPlan(temporal_stride=2),)), OperatorChoices()).blocks[0]
    assert "skip" not in strided.active and "temporal" in strided.active
    single = relax_plan(Plan(), OperatorChoices(expand=(2,))).blocks[0]
    assert "expand" not in single.active
