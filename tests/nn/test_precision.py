"""Networks in bfloat16, and units that are computed again: what is rounded, what is not, and what stays the same."""

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.nn.one_hots import FAST_COMPILE, networks_with_every_value, randomise
from tvnjax.core.variables import ArchParam
from tvnjax.nn.child import Child
from tvnjax.nn.parts import biased, times
from tvnjax.spaces.chain.options import conv, depthwise, maxpool, squeeze_excite
from tvnjax.spaces.chain.relaxation.supernet import ChainSupernet
from tvnjax.spaces.chain.space import ChainSpace
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.relaxation.subnet import subnet
from tvnjax.spaces.tvn.relaxation.supernet import Supernet
from tvnjax.spaces.tvn.relaxed import OperatorChoices, relax_plan
from tvnjax.spaces.tvn.shapes import BlockPlan, Plan
from tvnjax.trainers.gene_weights import one_hot
from tvnjax.trainers.objective import cross_entropy

PLAN = relax_plan(
    Plan(image_size=6, num_frames=2, blocks=(BlockPlan(spatial_stride=2, filters=8, repeats=2),)),
    OperatorChoices(
        spatial_type=("std", "1std", "depth", "maxpool", "avgpool"),
        expand=(0, 2),
        non_local=(0, 4),
        act=("relu", "hswish"),
        inverted_bottleneck=(False, True),
    ),
)
"""Every kind of path."""
CHAIN = ChainSpace(
    frames=2,
    size=6,
    positions=[[conv(8), conv(4)], [depthwise(8), maxpool(3)], [squeeze_excite(0.5), conv(8)]],
)
BF16 = jnp.bfloat16
CLIP = jnp.asarray(np.random.default_rng(2).standard_normal((4, 2, 6, 6, 3)), jnp.float32)
LABEL = jnp.arange(4) % 3


def built(kind, form="plain"):
    """Arrays of a module, and a function of them, the clip and what else it takes to the loss and the statistics."""
    made = {
        "supernet": lambda: Supernet(PLAN, 3, form=form),
        "chain": lambda: ChainSupernet(CHAIN, 3, form=form),
        "child": lambda: Child(lower(networks_with_every_value(PLAN)[1], 3), form=form),
    }[kind]()
    randomise(made)
    graph, alphas, params, stats = nnx.split(made, ArchParam, nnx.Param, ...)
    weights = {"supernet": lambda: (made.probabilities(),), "chain": chain_weights, "child": tuple}[kind]()

    def loss(params, weights, clip, **options):
        model = nnx.merge(graph, alphas, params, stats, copy=True)
        value = cross_entropy(model(clip, *weights, train=True, **options), LABEL)
        return value, nnx.state(model, nnx.BatchStat)

    return loss, params, weights


def chain_weights():
    return (tuple({"layer": jnp.array([0.3, 0.7])} for _ in range(3)),)


def gradients(loss, params, weights, clip, **options):
    function = jax.value_and_grad(lambda *args: loss(*args, **options), argnums=(0, 1), has_aux=True)
    return jax.jit(function, compiler_options=FAST_COMPILE)(params, weights, clip)


@pytest.mark.parametrize("kind", ["supernet", "chain", "child"])
def test_every_convolution_multiplies_bfloat16_and_what_is_kept_is_float32(kind):
    loss, params, weights = built(kind)
    function = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    jaxpr = jax.make_jaxpr(function)(params, weights, CLIP.astype(BF16))
    dtypes = [e.invars[0].aval.dtype for e in equations(jaxpr.jaxpr) if e.primitive.name == "conv_general_dilated"]
    assert len(dtypes) > 8 and set(dtypes) == {jnp.dtype(BF16)}
    (_, stats), grads = jax.eval_shape(function, params, weights, CLIP.astype(BF16))
    assert {leaf.dtype for leaf in jax.tree.leaves((stats, grads))} == {jnp.dtype(jnp.float32)}
    # Sums over positions and batches: of statistics, of gates' means, of gradients for what positions share.
    sums = [e for e in equations(jaxpr.jaxpr) if e.primitive.name == "reduce_sum" and e.invars[0].aval.size > 4096]
    assert {e.invars[0].aval.dtype for e in sums} <= {jnp.dtype(jnp.float32)}


def equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from equations(inner)


@pytest.mark.parametrize("kind", ["supernet", "chain", "child"])
def test_bfloat16_is_float32_rounded(kind):
    """Loss, statistics and gradients, to what 8 bits allow behind a dozen layers."""
    loss, params, weights = built(kind)
    (exact, exact_stats), exact_grads = gradients(loss, params, weights, CLIP)
    (value, stats), grads = gradients(loss, params, weights, CLIP.astype(BF16))
    assert float(value) == pytest.approx(float(exact), rel=0.05)
    for ours, theirs in ((stats, exact_stats), (grads[0], exact_grads[0]), (grads[1], exact_grads[1])):
        ours, theirs = (
            np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(t)] or [[0.0]]) for t in (ours, theirs)
        )
        assert np.linalg.norm(ours - theirs) <= 0.25 * np.linalg.norm(theirs)


@pytest.mark.parametrize("genotype", networks_with_every_value(PLAN), ids=lambda genotype: "")
def test_a_one_hot_supernet_in_bfloat16_is_the_child(genotype):
    """To 4 % of the largest score: the two round at different places (masks and weights of 0 and 1 are exact)."""
    supernet = Supernet(PLAN, 3)
    randomise(supernet)
    clip = CLIP.astype(BF16)
    weights, child = one_hot(PLAN, genotype), subnet(supernet, genotype)
    (graph, state), (child_graph, child_state) = nnx.split(supernet), nnx.split(child)
    for train in (False, True):
        ours = _supernet_scores(graph, train)(state, clip, weights)
        theirs = jax.jit(
            lambda state, clip, train=train: nnx.merge(child_graph, state, copy=True)(clip, train=train),
            compiler_options=FAST_COMPILE,
        )(child_state, clip)
        assert ours.dtype == theirs.dtype == jnp.float32
        np.testing.assert_allclose(ours, theirs, atol=0.04 * float(jnp.abs(theirs).max()))


_scores = {}


def _supernet_scores(graph, train):
    if train not in _scores:

        def scores(state, clip, weights):
            return nnx.merge(graph, state, copy=True)(clip, weights, train=train)

        _scores[train] = jax.jit(scores, compiler_options=FAST_COMPILE)
    return _scores[train]


@pytest.mark.parametrize(("kind", "units"), [("supernet", 2), ("chain", 3), ("child", 2)])
def test_units_that_are_computed_again_give_the_same(kind, units):
    """Loss, gradients and statistics, which move once; between units alone arrays are kept."""
    loss, params, weights = built(kind)
    plain, again = (gradients(loss, params, weights, CLIP, remat=remat) for remat in (False, True))
    for one, other in zip(jax.tree.leaves(plain), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * max(1.0, float(np.abs(one).max())))
    jaxpr = jax.make_jaxpr(lambda *args: loss(*args, remat=True))(params, weights, CLIP).jaxpr
    assert sum(equation.primitive.name == "remat2" for equation in jaxpr.eqns) == units


@pytest.mark.slow
def test_sampled_paths_are_computed_again_too():
    loss, params, _ = built("supernet")
    weights = (one_hot(PLAN, networks_with_every_value(PLAN)[0]),)
    plain, again = (gradients(loss, params, weights, CLIP, sampled=True, remat=remat) for remat in (False, True))
    for one, other in zip(jax.tree.leaves(plain), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * max(1.0, float(np.abs(one).max())))


@pytest.mark.slow
def test_sampled_in_bfloat16_is_the_mixture_in_float32_rounded():
    loss, params, _ = built("supernet")
    weights = (one_hot(PLAN, networks_with_every_value(PLAN)[0]),)
    (exact, _), (grads, _) = gradients(loss, params, weights, CLIP)
    (value, _), (rounded, _) = gradients(loss, params, weights, CLIP.astype(BF16), sampled=True)
    assert float(value) == pytest.approx(float(exact), rel=0.05)
    ours, theirs = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(t)]) for t in (rounded, grads))
    assert ours.dtype == np.float32 and np.linalg.norm(ours - theirs) <= 0.25 * np.linalg.norm(theirs)


def test_what_positions_share_gets_the_whole_sum_of_their_gradients():
    """4,096 equal terms, where a sum in bfloat16 would stand still at 256."""
    x = jnp.ones((4096, 2), BF16)
    for function in (times, lambda x, b: times(b, x), biased):
        assert function(x, jnp.ones(2)).dtype == BF16
        grad = jax.grad(lambda b, f=function: f(x, b).astype(jnp.float32).sum())(jnp.ones(2))
        assert grad.dtype == jnp.float32
        np.testing.assert_array_equal(grad, 4096)
