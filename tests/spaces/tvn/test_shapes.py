"""Plans: canonical forms, which values make them, sampling, refusals."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.tvn.canonical import genotype_id
from tvnjax.spaces.tvn.relaxed import GENES, OperatorChoices, relax_plan
from tvnjax.spaces.tvn.search_space import search_space
from tvnjax.spaces.tvn.shapes import BlockPlan, BlockShapes, Plan, ShapeChoices, ShapeKey, ShapeSpace

CHOICES = ShapeChoices(
    image_size=(4, 9),
    num_frames=(1, 2, 3),
    frame_stride=(1, 2, 5),
    num_blocks=(1, 2),
    blocks=(
        BlockShapes(spatial_stride=(1, 2, 4), temporal_stride=(1, 2), filters=(8,)),
        BlockShapes(spatial_stride=(1, 3), temporal_stride=(1, 2), repeats=(1, 2), filters=(8, 16)),
    ),
)
SPACE = ShapeSpace(CHOICES, clip_frames=8)


def random_weights(seed):
    rng = np.random.default_rng(seed)
    return {key: rng.dirichlet(np.ones(len(SPACE.values(key)))) for key in SPACE.keys}


def draw(relaxed, rng):
    """Legal candidates of every choice."""
    return tuple(
        {gene: int(rng.choice(np.flatnonzero(block.legal(gene)))) for gene in GENES} for block in relaxed.blocks
    )


def test_probabilities_of_all_plans_sum_to_one():
    weights = random_weights(0)
    assert sum(SPACE.probability(plan, weights) for plan in SPACE.plans()) == pytest.approx(1)


def test_plans_are_drawn_as_often_as_their_probability_says():
    weights, rng = random_weights(1), np.random.default_rng(1)
    counts = Counter(SPACE.sample(weights, rng) for _ in range(4000))
    for plan, count in counts.most_common(20):
        p = SPACE.probability(plan, weights)
        assert abs(count / 4000 - p) < 5 * np.sqrt(p * (1 - p) / 4000)


def test_genes_that_do_nothing_are_covered_by_all_their_values():
    single = SPACE.equivalent(Plan(image_size=4, num_frames=1, blocks=(BlockPlan(spatial_stride=4, filters=8),)))
    assert single[ShapeKey("frame_stride")].all() and single[ShapeKey("temporal_stride", 0)].all()
    assert all(single[ShapeKey(gene, 1)].all() for gene in ("spatial_stride", "repeats", "filters"))
    assert single[ShapeKey("spatial_stride", 0)].tolist() == [False, False, True]


def test_a_stride_past_the_side_is_one_as_long_as_the_side():
    plan = Plan(
        image_size=4,
        num_frames=1,
        blocks=(BlockPlan(spatial_stride=2, filters=8), BlockPlan(spatial_stride=3, filters=8)),
    )
    assert SPACE.canonical(plan).blocks[1].spatial_stride == 2
    masks = SPACE.equivalent(plan)
    assert masks[ShapeKey("spatial_stride", 1)].tolist() == [False, True]


def test_canonical_plans_are_the_networks_they_were():
    """Drawn genotypes of a raw plan and of its canonical form have one id."""
    operators, rng = OperatorChoices(spatial_kernel=(2, 3), temporal_kernel=(2,)), np.random.default_rng(2)
    for _ in range(40):
        plan = SPACE.sample(SPACE.uniform(), rng)
        relaxed = relax_plan(plan, operators)
        chosen = draw(relaxed, rng)
        genotype = relaxed.decode(chosen)
        far = dataclasses.replace(
            genotype,
            frame_stride=genotype.frame_stride if genotype.num_frames > 1 else 5,
            blocks=tuple(
                dataclasses.replace(
                    block,
                    spatial_stride=8 if block.spatial_stride == side and side > 1 else block.spatial_stride,
                    temporal_stride=2 if frames == 1 else block.temporal_stride,
                )
                for block, (frames, side) in zip(genotype.blocks, plan.sizes())
            ),
        )
        assert genotype_id(far) == genotype_id(genotype)


def test_frame_strides_keep_within_the_clip():
    assert SPACE.legal_strides(3).tolist() == [True, True, False]
    drawn = {SPACE.sample(SPACE.uniform(), np.random.default_rng(seed)).window for seed in range(60)}
    assert max(drawn) <= 8


def test_every_plan_s_networks_are_in_the_search_space():
    operators, rng = OperatorChoices(), np.random.default_rng(3)
    space = search_space(SPACE, operators)
    for _ in range(60):
        plan = SPACE.sample(SPACE.uniform(), rng)
        relaxed = relax_plan(plan, operators)
        chosen = draw(relaxed, rng)
        genotype = relaxed.decode(chosen)
        inside = all(
            getattr(block, gene) in values
            for block, choices in zip(genotype.blocks, space.blocks)
            for gene, values in choices.items()
            if gene not in ("spatial_stride", "temporal_stride")  # canonical ones may be shorter than those listed
        )
        assert inside and relaxed.encode(genotype) == chosen


def test_a_refined_space_holds_the_values_between():
    coarse = search_space(SPACE, OperatorChoices(squeeze=(0.0, 0.25, 0.75)))
    fine = coarse.refined()
    assert fine.blocks[0].spatial_kernel == (1, 2, 3, 4, 5)
    assert fine.blocks[0].squeeze == (0.0, 0.25, 0.375, 0.5, 0.625, 0.75)
    assert fine.num_frames == (1, 2, 3) and set(coarse.blocks[1].filters) < set(fine.blocks[1].filters)
    rng = np.random.default_rng(4)
    assert all(fine.contains(coarse.sample(rng)) for _ in range(50))


def blocks(**values):
    return (BlockShapes(**values),)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"image_size": ()}, ["image_size", "at least one value"]),
        ({"num_frames": (4, 4)}, ["num_frames", "each once"]),
        ({"blocks": blocks(spatial_stride=(9,))}, ["spatial_stride", "1 to 8", "9"]),
        ({"blocks": blocks(repeats=(0,))}, ["repeats", "0"]),
        ({"image_size": (4,), "blocks": blocks(spatial_stride=(8,))}, ["spatial_stride of block 0", "nearest", "4"]),
        (
            {"image_size": (16,), "blocks": blocks(spatial_stride=(8,)) + blocks(spatial_stride=(2, 4))},
            ["spatial_stride of block 1", "nothing", "nearest legal value is 2"],
        ),
        (
            {"num_frames": (2,), "blocks": blocks(temporal_stride=(4,))},
            ["temporal_stride of block 0", "nearest legal value is 2"],
        ),
        ({"num_frames": (4,), "frame_stride": (1, 8)}, ["frame_stride", "8", "nearest legal value is 5"]),
        ({"num_frames": (4, 20)}, ["num_frames", "20", "nearest legal value is 16"]),
        ({"num_blocks": (1, 3)}, ["num_blocks", "3"]),
    ],
)
def test_what_no_plan_can_have_is_refused(choices, words):
    with pytest.raises(InvalidInputError) as error:
        ShapeSpace(ShapeChoices(**choices), clip_frames=16)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_non_local_layer_over_its_cap_is_illegal_or_refused():
    plan = Plan(image_size=16, num_frames=4, blocks=(BlockPlan(spatial_stride=1), BlockPlan(spatial_stride=4)))
    relaxed = relax_plan(plan, OperatorChoices(non_local=(0, 8), non_local_tokens=64))
    assert relaxed.blocks[0].legal("non_local").tolist() == [True, False]
    assert "non_local" not in relaxed.blocks[0].active and "non_local" in relaxed.blocks[1].active
    with pytest.raises(InvalidInputError, match="nearest legal value is 0"):
        relax_plan(plan, OperatorChoices(non_local=(8,), non_local_tokens=64))
