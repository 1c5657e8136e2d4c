"""Weights of their own by what a layer reads: a single network has exactly the copies of its own sources."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.nn.one_hots import networks_with_every_value
from tvnjax.nn.split_weights import joined, split
from tvnjax.nn.supernet import Supernet, one_hot, softmax_weights
from tvnjax.space.relaxed import OperatorChoices, relax_plan
from tvnjax.space.shapes import BlockPlan, Plan

OPERATORS = OperatorChoices(
    spatial_type=("std", "depth", "maxpool"),
    spatial_kernel=(1, 3),
    temporal_type=("1d", "avgpool"),
    temporal_kernel=(1, 3),
    width=(0.5, 1.0),
    expand=(1, 2),
    inverted_bottleneck=(False, True),
)


def plan(frames=2, repeats=2):
    blocks = (BlockPlan(filters=6, repeats=repeats), BlockPlan(spatial_stride=1, filters=4))
    return Plan(image_size=6, num_frames=frames, blocks=blocks)


def supernet(frames=2, repeats=2, operators=OPERATORS):
    return Supernet(relax_plan(plan(frames, repeats), operators), 4)


def flat(params):
    return {path: np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(params)}


def random_copies(model, seed=0):
    rng, copies = np.random.default_rng(seed), split(nnx.state(model, nnx.Param), model)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.standard_normal(leaf.shape), jnp.float32), copies)


@pytest.mark.parametrize("frames", [1, 2])
def test_a_single_network_has_the_copies_of_its_sources(frames):
    """A plan as large as the split one, and one of a single frame."""
    copies, model = random_copies(supernet()), supernet(frames)
    apart, seen = flat(copies), set()
    for genotype in networks_with_every_value(model.plan):
        rows, made = {}, "clip"
        for index, block in enumerate(genotype.blocks):
            for repeat in range(block.repeats):
                space = "convolved" if block.spatial_kernel > 1 and block.spatial_type in ("std", "depth") else "passed"
                timed = frames > 1 and repeat % 2 == 0
                convolves = timed and block.temporal_kernel > 1 and block.temporal_type == "1d"
                given, made = made, f"{space}, {'convolved' if convolves else 'passed'}"
                first = dict.fromkeys(("spatial", "widen", "shortcut"), given)
                last = dict.fromkeys(("expand", "gates", "narrow"), made)
                rows |= {(index, repeat, part): name for part, name in {**first, "temporal": space, **last}.items()}
            rows["heads", index] = made
        for path, array in flat(joined(copies, model, one_hot(model.plan, genotype))).items():
            name = rows[path[1:4] if path[0] == "blocks" else path[:2]]
            np.testing.assert_array_equal(array, apart[*path, name], err_msg=f"{path} {name}")
            seen.add(name)
    every = {f"{s}, {t}" for s in ("convolved", "passed") for t in ("convolved", "passed")[frames % 2 :]}
    assert seen == every | {"clip"} | ({"convolved", "passed"} if frames > 1 else set())


def test_alike_copies_are_the_weights_they_were_made_of():
    model = supernet()
    params = nnx.state(model, nnx.Param)
    rng = np.random.default_rng(1)
    logits = [{gene: rng.standard_normal(np.shape(w)) for gene, w in row.items()} for row in model.probabilities()]
    weights = softmax_weights(model.plan, jax.tree.map(jnp.asarray, logits), 1.0)
    back = flat(joined(split(params, model), model, weights))
    for path, array in flat(params).items():
        np.testing.assert_allclose(back[path], array, rtol=1e-6, atol=1e-7)


def test_a_mixture_has_the_expected_copy():
    """Halfway between two networks that differ in one operator: the mean of what the two have."""
    model = supernet()
    copies = random_copies(model)
    first = next(g for g in networks_with_every_value(model.plan) if g.blocks[0].spatial_type == "std")
    other = first.replace_block(0, spatial_type="maxpool")
    ends = [one_hot(model.plan, genotype) for genotype in (first, other)]
    halfway = jax.tree.map(lambda a, b: (a + b) / 2, *ends)
    ours, *theirs = (flat(joined(copies, model, weights)) for weights in (halfway, *ends))
    for path, array in ours.items():
        np.testing.assert_allclose(array, (theirs[0][path] + theirs[1][path]) / 2, atol=1e-6, err_msg=str(path))
    changed = [path for path in ours if (theirs[0][path] != theirs[1][path]).any()]
    assert changed and ("blocks", 0, 0, "spatial", "std_kernel") not in changed


def test_a_smaller_plan_has_leading_corners():
    copies, small = random_copies(supernet()), supernet(repeats=1)
    apart = flat(copies)
    weights = small.probabilities()
    for path, array in flat(joined(copies, small, weights)).items():
        if path[:3] == ("blocks", 0, 0) and path[3] == "spatial":
            whole = apart[*path, "clip"]
            np.testing.assert_array_equal(array, whole[tuple(slice(size) for size in array.shape)])


def test_what_no_network_can_have_has_no_copy():
    operators = OperatorChoices(spatial_type=("std",), spatial_kernel=(3,), temporal_kernel=(3,))
    model = supernet(operators=operators)
    names = {path[-1] for path in flat(split(nnx.state(model, nnx.Param), model))}
    # In one frame, and in every second repeat, time is passed on.
    assert names == {"clip", "convolved", "convolved, convolved", "convolved, passed"}
