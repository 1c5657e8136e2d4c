"""Sampling, mutation and membership."""

import numpy as np
import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import NonLocal
from tvnjax.spaces.tvn.attention import positions
from tvnjax.spaces.tvn.canonical import genotype_id
from tvnjax.spaces.tvn.enumerating import enumerate_space
from tvnjax.spaces.tvn.reading import space_from_json
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


def attended(genotype):
    """Positions that every non-local layer of a network sees, as it is lowered."""
    layers = (layer for unit in genotype.lower(4).units for layer in unit.layers)
    return [layer.in_shape.t * layer.in_shape.h * layer.in_shape.w for layer in layers if isinstance(layer, NonLocal)]


SMALL_ATTENTION = space_at_plan(
    Plan(image_size=24, num_frames=6, blocks=(BlockPlan(filters=16), BlockPlan(spatial_stride=3, filters=24))),
    OperatorChoices(non_local=(0, 8), non_local_tokens=100),
)


@pytest.mark.parametrize("space", [paper_space(), paper_space(clip_frames=20, mobile=True), SMALL_ATTENTION])
def test_no_network_has_attention_over_more_positions_than_the_space_allows(space):
    rng, seen, mutant = np.random.default_rng(0), 0, None
    limit = space.non_local_tokens
    assert limit == (100 if space is SMALL_ATTENTION else 1024)
    for _ in range(40):
        drawn = space.sample(rng)
        mutant = space.mutate(drawn if mutant is None or rng.random() < 0.3 else mutant, rng)
        for genotype in (drawn, mutant, space.refined().mutate(drawn, rng)):
            met = attended(genotype)
            assert max(met, default=0) <= limit
            seen += len(met)
        assert space.contains(drawn) and space.contains(mutant)
    assert seen > 2


def test_positions_are_those_of_the_lowered_network():
    rng, space = np.random.default_rng(3), paper_space(mobile=True)
    counts = []
    for _ in range(40):
        genotype = space.sample(rng)
        for index, count in enumerate(positions(genotype)):
            alone = genotype.replace_block(index, non_local=8, repeats=2)
            others = [i for i, block in enumerate(alone.blocks) if i != index and block.non_local]
            for other in others:
                alone = alone.replace_block(other, non_local=0)
            assert set(attended(alone)) == {count}
            counts.append(count)
    assert max(counts) > 1e5 and min(counts) == 1


def test_a_network_over_the_limit_leads_back_to_those_that_keep_it():
    """As one that an older run proposed: what it is changed to has the layer no more, or sees less."""
    space, rng = SMALL_ATTENTION, np.random.default_rng(0)
    over = space.sample(rng).replace_block(0, non_local=8)
    assert max(attended(over)) > 100 and not space.contains(over)
    for _ in range(20):
        assert space.contains(space.mutate(over, rng))


def test_the_limit_is_kept_with_a_space_and_absent_where_there_is_no_attention():
    for space in (SMALL_ATTENTION, paper_space()):
        assert space_from_json(space.to_json(), "here") == space
    plain = space_at_plan(PLAN, OperatorChoices())
    assert plain.non_local_tokens is None and "non_local_tokens" not in plain.to_json()
    with pytest.raises(InvalidInputError, match="non_local_tokens"):
        space_from_json({**SMALL_ATTENTION.to_json(), "non_local_tokens": 0}, "here")


def test_an_enumeration_leaves_them_out():
    operators = OperatorChoices(
        spatial_type=("std",),
        spatial_kernel=(3,),
        temporal_kernel=(1,),
        width=(1.0,),
        expand=(1,),
        squeeze=(0.0,),
        context_gate=(False,),
        skip=(False,),
        non_local=(0, 8),
        non_local_tokens=100,
    )
    plan = Plan(image_size=24, num_frames=2, blocks=(BlockPlan(filters=16), BlockPlan(filters=16)))
    found = enumerate_space(space_at_plan(plan, operators))
    assert sorted(tuple(block.non_local for block in genotype.blocks) for genotype in found) == [(0, 0), (0, 8)]
