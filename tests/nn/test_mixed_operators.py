"""Every kind, kernel and stride: a one-hot mixture is the lowered layers with the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.nn.naive_mixture import naive_spatial, naive_temporal
from tests.nn.one_hots import FAST_COMPILE, randomise
from tests.nn.reference_layers import convolution, pool
from tvnjax import graph
from tvnjax.graph import Shape
from tvnjax.nn.conditional import branch_conv, run_if
from tvnjax.nn.convolution import conv
from tvnjax.nn.parts import Initializer
from tvnjax.spaces.tvn.genotype import Block
from tvnjax.spaces.tvn.lowering import spatial_layers, temporal_layers
from tvnjax.spaces.tvn.relaxation.masks import kernel_windows, prefix_mask, subkernel_offset
from tvnjax.spaces.tvn.relaxation.mixed_spatial import MixedSpatial
from tvnjax.spaces.tvn.relaxation.mixed_temporal import Dense, MixedTemporal


def operators(kinds, kernels):
    return (("identity", 1), *((kind, k) for kind in kinds for k in kernels))


SPATIAL_KINDS, TEMPORAL_KINDS = ("std", "1std", "depth", "maxpool", "avgpool"), ("1d", "maxpool", "avgpool")
SIZES_AND_STRIDES = [(size, stride) for size in (1, 5, 8) for stride in range(1, size + 1)]


def one_hot_mixtures(mixed, x, keep):
    """``[operators, ...]``: the mixture in evaluation mode for a one-hot weight on each candidate in turn."""
    graph, state = nnx.split(mixed)

    def call(weights):
        return nnx.merge(graph, state, copy=True)(x, weights, keep, train=False, momentum=0.9)

    one_by_one = jax.jit(jax.vmap(call), compiler_options=FAST_COMPILE)
    return np.asarray(one_by_one(jnp.eye(len(mixed.operators))))


def statistics(module):
    return {name: np.asarray(getattr(module.norm, name)[...]) for name in ("mean", "var", "scale", "bias")}


@pytest.mark.parametrize(("side", "stride"), SIZES_AND_STRIDES)
def test_every_spatial_operator(side, stride):
    shape, candidates = Shape(1, side, side, 3), operators(SPATIAL_KINDS, range(2, 9))
    # Plain operations compile quickly; that both forms agree is tested with the convolutions and the pools.
    mixed = MixedSpatial(candidates, shape, 4, stride, Initializer(0), "plain")
    randomise(mixed)
    x = np.random.default_rng(1).standard_normal((2, *shape)).astype(np.float32)
    ours = one_hot_mixtures(mixed, x, jnp.ones(4))
    for (kind, k), mixture in zip(candidates, ours):
        if kind == "identity" and mixture.shape[2] != side:
            continue  # illegal here
        block = Block(**({} if kind == "identity" else {"spatial_type": kind}), spatial_kernel=k, filters=4)
        y = x
        for layer in spatial_layers(block, stride, shape):
            if isinstance(layer, graph.Pool):
                y = pool(layer, y)
            elif layer.kernel == (1, 1, 1):
                y = convolution(layer, y, np.asarray(mixed.pointwise.kernel[...]), statistics(mixed.pointwise))
            else:
                at = subkernel_offset(side, stride, 8, k)
                window = np.asarray(mixed.superkernel(kind))[:, at : at + k, at : at + k]
                y = convolution(layer, y, window, statistics(mixed))
        assert_same_channels(mixture, y, (kind, k))


@pytest.mark.parametrize(("frames", "stride"), SIZES_AND_STRIDES[1:])
def test_every_temporal_operator(frames, stride):
    shape, candidates = Shape(frames, 1, 2, 3), operators(TEMPORAL_KINDS, range(2, 9))
    mixed = MixedTemporal(candidates, shape, 4, stride, Initializer(0), "plain")
    randomise(mixed)
    x = np.random.default_rng(1).standard_normal((2, *shape)).astype(np.float32)
    ours = one_hot_mixtures(mixed, x, jnp.ones(4))
    for (kind, k), mixture in zip(candidates, ours):
        if kind == "identity" and mixture.shape[1] != frames:
            continue  # illegal here
        block = Block(**({} if kind == "identity" else {"temporal_type": kind}), temporal_kernel=k, filters=4)
        y = x
        for layer in temporal_layers(block, stride, shape):
            if isinstance(layer, graph.Pool):
                y = pool(layer, y)
            else:
                at = subkernel_offset(frames, stride, 8, k)
                y = convolution(layer, y, np.asarray(mixed.kernel[...])[at : at + k], statistics(mixed))
        assert_same_channels(mixture, y, (kind, k))


def assert_same_channels(mixture, y, operator):
    width = y.shape[-1]
    assert np.abs(y).max() > 0
    np.testing.assert_allclose(mixture[..., :width], y, atol=1e-5 * np.abs(y).max(), err_msg=str(operator))
    np.testing.assert_array_equal(mixture[..., width:], 0, err_msg=str(operator))


@pytest.mark.parametrize(
    ("kind", "stride", "size", "kinds", "dense"),
    [
        ("spatial", 1, 7, SPATIAL_KINDS, None),
        ("spatial", 2, 8, ("std", "depth", "maxpool", "avgpool"), None),
        ("spatial", 2, 5, ("1std", "depth"), None),
        ("spatial", 1, 7, SPATIAL_KINDS, 2),
        ("spatial", 2, 8, ("std", "avgpool"), 1),
        ("spatial", 2, 5, ("1std", "depth"), 3),
        ("temporal", 1, 5, TEMPORAL_KINDS, None),
        ("temporal", 2, 4, TEMPORAL_KINDS, None),
        ("temporal", 1, 5, TEMPORAL_KINDS, (3, 2)),
        ("temporal", 2, 4, ("1d",), (5, 1)),
    ],
)
def test_the_fused_and_the_sampled_mixture_equal_the_naive_sum(kind, stride, size, kinds, dense):
    """Values, and gradients for the input, the weights and the candidates' weights, to 1e-5."""
    rng = np.random.default_rng(3)
    init = Initializer(0)
    candidates = operators(kinds, (2, 3, 5) if kind == "spatial" else (2, 3))[0 if stride == 1 else 1 :]
    if kind == "spatial":
        shape, naive = Shape(2, size, size, 5), naive_spatial
        mixed = MixedSpatial(candidates, shape, 4, stride, init, "shifted", dense=dense)
    else:
        shape, naive = Shape(size, 3, 3, 5), naive_temporal
        dense = None if dense is None else Dense(*dense)
        mixed = MixedTemporal(candidates, shape, 4, stride, init, "shifted", dense=dense)
    graph, params, stats = nnx.split(mixed, nnx.Param, ...)
    x = jnp.asarray(rng.standard_normal((2, *shape)), jnp.float32)
    weights = jax.nn.softmax(jnp.asarray(rng.standard_normal(len(candidates)), jnp.float32))
    keep = prefix_mask((2, 4), jnp.array([0.3, 0.7]), 4)
    probe = None

    def loss(form, x, params, weights):
        module = nnx.merge(graph, params, stats, copy=True)
        if form == "naive":
            y = naive(module, x, weights, keep)
        else:
            y = module(x, weights, keep, train=True, momentum=0.9, sampled=form == "sampled")
        return (y * probe).sum() if probe is not None else y

    probe_shape = jax.eval_shape(lambda: loss("fused", x, params, weights)).shape
    probe = jnp.asarray(rng.standard_normal(probe_shape), jnp.float32)
    fused, sampled, naive_result = (
        jax.jit(
            jax.value_and_grad(lambda *a, form=form: loss(form, *a), argnums=(0, 1, 2)), compiler_options=FAST_COMPILE
        )(x, params, weights)
        for form in ("fused", "sampled", "naive")
    )
    for *ours, theirs in zip(*map(jax.tree.leaves, (fused, sampled, naive_result))):
        for one in ours:
            np.testing.assert_allclose(one, theirs, atol=1e-5 * max(float(jnp.abs(theirs).max()), 1.0))


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


@pytest.mark.parametrize(
    ("shape", "kernel", "stride"),
    [
        ((2, 2, 7, 6, 4), (1, 3, 3, 4, 5), (1, 1, 1)),
        ((2, 1, 7, 6, 4), (1, 4, 4, 4, 5), (1, 2, 2)),
        ((2, 1, 9, 8, 4), (1, 2, 5, 4, 5), (1, 3, 3)),
        ((2, 1, 2, 3, 4), (1, 5, 5, 4, 5), (1, 1, 1)),
        ((2, 5, 2, 3, 4), (3, 1, 1, 4, 5), (2, 1, 1)),
        ((2, 1, 6, 6, 4), (1, 3, 3, 1, 4), (1, 2, 2)),
    ],
)
def test_a_convolution_in_a_branch_is_the_convolution_or_nothing(shape, kernel, stride):
    rng = np.random.default_rng(0)
    x, w = (jnp.asarray(rng.standard_normal(size), jnp.float32) for size in (shape, kernel))

    def loss(convolve, x, w):
        y = convolve(x, w)
        return (y * jnp.sin(jnp.arange(y.size).reshape(y.shape))).sum()

    def branch(weight, x, w):
        return run_if(weight, lambda x, w: branch_conv(x, w, stride, form="shifted"), x, w)

    theirs = jax.value_and_grad(lambda x, w: loss(lambda *a: conv(*a, stride, form="plain"), x, w), (0, 1))(x, w)
    ours = jax.jit(jax.value_and_grad(lambda p, x, w: loss(lambda *a: branch(p, *a), x, w), (1, 2)))
    for one, other in zip(jax.tree.leaves(ours(0.5, x, w)), jax.tree.leaves(theirs)):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert not any(leaf.any() for leaf in jax.tree.leaves(ours(0.0, x, w)))
