"""The child module holds what the lowering counted, whatever the genes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tvnjax import graph
from tvnjax.graph import Shape
from tvnjax.nn.child import Child
from tvnjax.nn.layers import NonLocal
from tvnjax.nn.parts import BatchNorm, Initializer, normalize
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.search_space import BlockChoices, SearchSpace

SMALL = SearchSpace(
    image_size=(6, 9),
    num_frames=(1, 3),
    frame_stride=(1,),
    num_blocks=(1, 2),
    blocks=(
        BlockChoices(
            spatial_type=("std", "1std", "depth", "maxpool", "avgpool"),
            spatial_kernel=(1, 2, 3),
            spatial_stride=(1, 2),
            spatial_act=("relu", "hswish"),
            temporal_type=("1d", "maxpool", "avgpool"),
            temporal_kernel=(1, 2, 3),
            temporal_stride=(1, 2),
            filters=(4, 6),
            expand=(0, 1, 2),
            repeats=(1, 2),
            squeeze=(0.0, 0.5),
            context_gate=(False, True),
            skip=(False, True),
            non_local=(0, 4),
            inverted_bottleneck=(False, True),
        ),
    )
    * 2,
)


def test_parameters_and_shapes_are_those_of_the_lowering():
    rng = np.random.default_rng(0)
    for _ in range(40):
        lowered = lower(SMALL.sample(rng), 3)
        child = Child(lowered)
        params = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(child, nnx.Param)))
        assert params == lowered.params
        graph, state = nnx.split(child)
        clip = jax.ShapeDtypeStruct((2, *lowered.input_shape), jnp.float32)
        x = clip
        for index, unit in enumerate(lowered.units):
            x = jax.eval_shape(unit_call(graph, index), state, x)
            assert x.shape == (2, *unit.out_shape)


def unit_call(graph, index):
    return lambda state, x: nnx.merge(graph, state).units[index](x, train=False)


@pytest.mark.parametrize("head", ["mean", "softmax_time", "max_time"])
def test_dropout_only_with_a_key(head):
    child = Child(
        lower(Genotype(image_size=4, num_frames=2, blocks=(Block(spatial_kernel=3, filters=64),)), 3, head=head)
    )
    clip = jnp.asarray(np.random.default_rng(0).standard_normal((2, 2, 4, 4, 3)), jnp.float32)
    plain, dropped = child(clip), child(clip, dropout_key=jax.random.key(0))
    assert plain.shape == dropped.shape == (2, 3)
    np.testing.assert_array_equal(plain, child(clip))
    assert not np.allclose(plain, dropped)


def test_batch_norm_keeps_the_unbiased_variance():
    norm, x = BatchNorm(3), np.random.default_rng(0).standard_normal((2, 1, 2, 2, 3)).astype(np.float32)
    y = norm(jnp.asarray(x), train=True, momentum=0.0)
    rows = x.reshape(-1, 3)
    np.testing.assert_allclose(norm.mean[...], rows.mean(0), atol=1e-6)
    np.testing.assert_allclose(norm.var[...], rows.var(0, ddof=1), rtol=1e-4)
    np.testing.assert_allclose(np.asarray(y).reshape(-1, 3).std(0), 1, atol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 30.0], ids=["one deviation", "an outlier where the shift is taken"])
@pytest.mark.parametrize("ratio", [0, 1, 1e3, -1e4])
def test_batch_norm_against_float64_however_far_the_mean_is(ratio, scale):
    """What it gives, its gradients and its running statistics; channels far from 0 and others."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((4, 2, 6, 6, 3))
    x[0, 1, 3, 3] *= scale
    x = (x * [1.0, 0.1, 5.0] + ratio * np.array([1.0, 0.1, 0.0])).astype(np.float32)
    g = rng.standard_normal(x.shape).astype(np.float32)
    norm = BatchNorm(3)
    norm.scale[...], norm.bias[...] = jnp.array([0.5, 1.0, 2.0]), jnp.array([0.0, 1.0, -1.0])

    exact = x.reshape(-1, 3).astype(np.float64)
    mean, var = exact.mean(0), exact.var(0)
    normal = (exact - mean) / np.sqrt(var + norm.epsilon)
    deviation = np.sqrt(var + norm.epsilon)
    flat = g.reshape(-1, 3).astype(np.float64)
    dx = (flat - flat.mean(0) - normal * (flat * normal).mean(0)) * np.asarray(norm.scale[...]) / deviation

    graphdef, state = nnx.split(norm)
    y = norm(jnp.asarray(x), train=True, momentum=0.0)
    _, pull = jax.vjp(lambda x: nnx.merge(graphdef, state, copy=True)(x, train=True), jnp.asarray(x))
    atol = 1e-6 * max(1, abs(ratio))  # of the order of what float32 knows of x itself, in deviations
    scaled = normal * norm.scale[...] + norm.bias[...]
    rtol = 3e-4 if scale > 1 else 1e-5
    np.testing.assert_allclose(np.asarray(y).reshape(-1, 3), scaled, rtol=rtol, atol=rtol + atol)
    by_x = np.asarray(pull(jnp.asarray(g))[0]).reshape(-1, 3)
    np.testing.assert_allclose(by_x * deviation, dx * deviation, atol=rtol + atol)
    np.testing.assert_allclose(norm.mean[...], mean, rtol=1e-6, atol=3e-5)
    np.testing.assert_allclose(norm.var[...], var * len(exact) / (len(exact) - 1), rtol=rtol)


def test_batch_norm_of_one_element_and_of_equal_ones():
    for x in (np.full((1, 1, 1, 1, 2), 3e4, np.float32), np.full((2, 1, 2, 2, 2), 3e4, np.float32), np.ones((5, 2))):
        norm = BatchNorm(2)
        np.testing.assert_array_equal(norm(jnp.asarray(x), train=True, momentum=0.0), np.zeros_like(x))
        np.testing.assert_array_equal(norm.var[...], 0)


def test_batch_norm_differentiates_twice():
    """The shift is a constant of the arithmetic, not of the function."""
    x = jnp.asarray(np.random.default_rng(4).standard_normal((2, 1, 3, 3, 2)), jnp.float32)
    graphdef, state = nnx.split(BatchNorm(2))

    def ours(x):
        return jnp.sin(nnx.merge(graphdef, state, copy=True)(x, train=True)).sum()

    def plain(x):
        axes = (0, 1, 2, 3)
        return jnp.sin((x - x.mean(axes)) / jnp.sqrt(x.var(axes) + BatchNorm(2).epsilon)).sum()

    for one, other in zip(*(jax.tree.leaves((jax.grad(f)(x), jax.hessian(f)(x))) for f in (ours, plain))):
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_attention_in_bfloat16_weighs_large_scores_as_float32_does():
    """Scores around 80, two of them 0.3 apart; in bfloat16 they would be one number."""
    shape = Shape(1, 1, 2, 64)
    layer = NonLocal(graph.NonLocal(in_shape=shape, bottleneck=64), Initializer(0), "plain")
    for part in (layer.query, layer.key, layer.value, layer.out):
        part.kernel[...] = jnp.eye(64)
    tokens = np.full((2, 64), 1.125, np.float32)
    tokens[1, 0] = 1.375
    x = jnp.asarray(tokens.reshape(1, *shape), jnp.bfloat16)
    added = np.asarray(layer.attention(x), np.float32).reshape(2, 64)[:, 0]
    scores = tokens.astype(np.float64) @ tokens.T
    share = 1 / (1 + np.exp(scores[:, 0] - scores[:, 1]))
    assert 0.25 < scores[0, 1] - scores[0, 0] < 0.5 and scores[0, 0] > 64
    np.testing.assert_allclose((added - 1.125) / 0.25, share, atol=0.02)


def test_non_local_starts_as_the_identity_and_attends_over_all_positions():
    shape = Shape(2, 2, 2, 4)
    layer = NonLocal(graph.NonLocal(in_shape=shape, bottleneck=4), Initializer(0), "plain")
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, *shape)), jnp.float32)
    np.testing.assert_array_equal(layer(x, train=False), x)
    layer.out.kernel[...] = jnp.eye(4)
    tokens = np.asarray(x).reshape(8, 4)
    q, k, v = (tokens @ np.asarray(part.kernel[...]) for part in (layer.query, layer.key, layer.value))
    scores = np.exp(q @ k.T)
    expected = tokens + scores / scores.sum(1, keepdims=True) @ v
    np.testing.assert_allclose(np.asarray(layer(x, train=False)).reshape(8, 4), expected, atol=1e-5)


def test_pixels_are_normalised():
    np.testing.assert_allclose(normalize(jnp.array([0, 255], jnp.uint8)), [-2.0, (1 - 0.45) / 0.225], rtol=1e-6)
