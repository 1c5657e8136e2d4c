"""A one-hot supernet is the child; a fused mixture is the sum of its candidates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.nn.naive_mixture import naive_spatial, naive_temporal
from tvnjax.core.variables import ArchParam
from tvnjax.nn.convolution import conv
from tvnjax.nn.inherit import subnet
from tvnjax.nn.layers import Initializer
from tvnjax.nn.mixed import MixedSpatial, MixedTemporal, kernel_windows, prefix_mask, subkernel_offset
from tvnjax.nn.supernet import Supernet, one_hot
from tvnjax.space.network import Shape
from tvnjax.space.relaxed import GENES, OperatorChoices, relax_plan
from tvnjax.space.shapes import BlockPlan, Plan

# Odd and even sizes, a stride above 1 in space and in time, repeats, and every kind with an even kernel.
PLAN = Plan(
    image_size=9,
    num_frames=3,
    blocks=(
        BlockPlan(spatial_stride=2, filters=8, repeats=2),
        BlockPlan(spatial_stride=1, temporal_stride=2, filters=12),
    ),
)
OPERATORS = OperatorChoices(
    spatial_kernel=(1, 2, 3, 4), temporal_kernel=(1, 2, 3), width=(0.5, 1.0), expand=(1, 2), squeeze=(0.0, 0.4, 0.8)
)


@pytest.fixture(scope="module")
def supernet():
    """A supernet with statistics, scales and biases away from 0 and 1, and compiled evaluation and training calls."""
    rng = np.random.default_rng(0)
    model = Supernet(relax_plan(PLAN, OPERATORS), 4)
    for path, variable in nnx.to_flat_state(nnx.state(model, nnx.Not(ArchParam))):
        noise = jnp.asarray(rng.standard_normal(variable.shape), jnp.float32)
        if path[-1] == "var":
            variable[...] = jnp.exp(0.3 * noise)
        elif path[-1] in ("scale", "bias", "mean"):
            variable[...] = variable[...] + 0.3 * noise
    graph, state = nnx.split(model)

    @jax.jit
    def evaluate(clip, weights):
        return nnx.merge(graph, state, copy=True)(clip, weights)

    @jax.jit
    def train(clip, weights):
        return nnx.merge(graph, state, copy=True)(clip, weights, train=True)

    return model, evaluate, train


def networks_with_every_value():
    """Networks in which every candidate of every choice of every block occurs."""
    plan, rng = relax_plan(PLAN, OPERATORS), np.random.default_rng(1)
    most = max(len(block.candidates(gene)) for block in plan.blocks for gene in GENES)
    columns = [
        {gene: rng.permutation(np.arange(most) % len(block.candidates(gene))) for gene in GENES}
        for block in plan.blocks
    ]
    return [
        plan.decode(tuple({gene: int(column[gene][row]) for gene in GENES} for column in columns))
        for row in range(most)
    ]


@pytest.mark.parametrize("genotype", networks_with_every_value(), ids=lambda genotype: "")
def test_one_hot_equals_the_child_with_the_same_weights(supernet, genotype):
    model, evaluate, train = supernet
    clip = np.random.default_rng(2).standard_normal((2, 3, 9, 9, 3)).astype(np.float32)
    weights, child = one_hot(model.plan, genotype), subnet(model, genotype)
    graph, state = nnx.split(child)
    both = jax.jit(
        lambda clip: [nnx.merge(graph, state, copy=True)(clip, train=training) for training in (False, True)]
    )(clip)
    for ours, theirs in zip((evaluate(clip, weights), train(clip, weights)), both):
        assert float(jnp.abs(theirs).max()) > 0.1
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(jnp.abs(theirs).max()))


def operators(kinds, kernels):
    return (("identity", 1), *((kind, k) for kind in kinds for k in kernels))


SPATIAL = operators(("std", "depth", "maxpool", "avgpool"), (2, 3, 5))


@pytest.mark.parametrize(
    ("kind", "stride", "size"), [("spatial", 1, 7), ("spatial", 2, 8), ("temporal", 1, 5), ("temporal", 2, 4)]
)
def test_the_fused_mixture_equals_the_naive_sum(kind, stride, size):
    """Values, and gradients for the input, the weights and the candidates' weights, to 1e-5."""
    rng = np.random.default_rng(3)
    init = Initializer(0)
    if kind == "spatial":
        candidates = SPATIAL if stride == 1 else SPATIAL[1:]
        shape, naive = Shape(2, size, size, 5), naive_spatial
        mixed = MixedSpatial(candidates, shape, 4, stride, init, "shifted")
    else:
        candidates = operators(("1d", "maxpool", "avgpool"), (2, 3))[0 if stride == 1 else 1 :]
        shape, naive = Shape(size, 3, 3, 5), naive_temporal
        mixed = MixedTemporal(candidates, shape, 4, stride, init, "shifted")
    graph, params, stats = nnx.split(mixed, nnx.Param, ...)
    x = jnp.asarray(rng.standard_normal((2, *shape)), jnp.float32)
    weights = jax.nn.softmax(jnp.asarray(rng.standard_normal(len(candidates)), jnp.float32))
    keep = prefix_mask((2, 4), jnp.array([0.3, 0.7]), 4)
    probe = None

    def loss(form, x, params, weights):
        module = nnx.merge(graph, params, stats, copy=True)
        y = naive(module, x, weights, keep) if form == "naive" else module(x, weights, keep, train=True, momentum=0.9)
        return (y * probe).sum() if probe is not None else y

    probe_shape = jax.eval_shape(lambda: loss("fused", x, params, weights)).shape
    probe = jnp.asarray(rng.standard_normal(probe_shape), jnp.float32)
    fused, naive_result = (
        jax.jit(jax.value_and_grad(lambda *a, form=form: loss(form, *a), argnums=(0, 1, 2)))(x, params, weights)
        for form in ("fused", "naive")
    )
    for ours, theirs in zip(jax.tree.leaves(fused), jax.tree.leaves(naive_result)):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(float(jnp.abs(theirs).max()), 1.0))


@pytest.mark.parametrize("size", [1, 2, 5, 8])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_window_of_the_superkernel_is_the_smaller_convolution(size, stride):
    rng = np.random.default_rng(size)
    x = jnp.asarray(rng.standard_normal((1, 1, size, size, 2)), jnp.float32)
    big = rng.standard_normal((1, 8, 8, 2, 3)).astype(np.float32)
    for k in range(1, 9):
        (window,) = kernel_windows([k], size, stride, 8)
        masked = big * np.outer(window, window)[None, :, :, None, None]
        at = subkernel_offset(size, stride, 8, k)
        small = big[:, at : at + k, at : at + k]
        assert small.shape[1] == k
        ours = conv(x, jnp.asarray(masked), (1, stride, stride), form="plain")
        theirs = conv(x, jnp.asarray(small), (1, stride, stride), form="plain")
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_logits_stand_apart_from_weights_and_only_for_active_choices():
    model = Supernet(relax_plan(Plan(num_frames=1, image_size=8), OPERATORS), 3)
    alphas = nnx.to_flat_state(nnx.state(model, ArchParam))
    assert {path[-1] for path, _ in alphas} == set(GENES) - {"temporal"}
    assert not any("alphas" in path for path, _ in nnx.to_flat_state(nnx.state(model, nnx.Param)))
    for block, p in zip(model.plan.blocks, model.probabilities(0.5)):
        for gene in GENES:
            np.testing.assert_allclose(p[gene].sum(), 1, atol=1e-6)
            assert p[gene].shape == (len(block.candidates(gene)),)
