"""Training and validation clips in one pass: the numbers of two passes at the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.trainers.test_supernet_trainer import LARGE, SMALL, batches, changed, make
from tvnjax.nn.convolution import conv
from tvnjax.nn.halves import shared_conv
from tvnjax.nn.sums import grouped, sums
from tvnjax.trainers.plan_store import Working
from tvnjax.trainers.programs import Programs


class Plain(Programs):
    """Steps in one program, in an accelerator's forms."""

    platform = "gpu"  # type: ignore[assignment]

    def _compiled(self, function, args, donate):
        return jax.jit(function)


def both(trainer, plan, parts=(0.25, 0.75)):
    """What a joint pass and two passes give under the same draw."""
    supernet, stream, state = trainer.supernet(plan), batches(0), trainer.init()
    rng = np.random.default_rng(3)
    weights = jax.nn.softmax(jnp.asarray(rng.normal(size=trainer.layout.shape)), where=trainer.layout.exists)
    weights = jnp.where(supernet.mask, weights, 0).astype(jnp.float32)
    train, val = next(stream), next(stream)
    parts = jnp.asarray(np.array(parts, np.float32)[-len(supernet.lengths) :])
    found = jax.jit(supernet.gradients_of_both)(state.params, weights, train, val, parts)
    alone = jax.jit(supernet.gradients)
    on_train, grads, _ = alone(state.params, weights, train, parts)
    on_val, _, by_gene = alone(state.params, weights, val, parts)
    return found, (on_train, grads, on_val, by_gene)


def assert_equal(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        scale = np.abs(theirs).max()
        assert scale > 0
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(scale, 1.0))


@pytest.mark.parametrize(
    ("plan", "changes"),
    [
        (SMALL, {}),
        pytest.param(LARGE, {"mode": "concrete"}, marks=pytest.mark.slow),
        pytest.param(LARGE, {"remat": True, "accumulate": 2, "most_parts": 8}, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("programs", [Programs, Plain])
def test_one_pass_gives_what_two_give(plan, changes, programs):
    """In both platforms' forms: parts of a batch are written out on a CPU, and a loop elsewhere."""
    assert_equal(*both(make(programs=programs(fused=True), **changes), plan))


@pytest.mark.parametrize("fused", [False, True])
def test_both_gradients_are_those_at_the_weights_before_the_step(fused):
    """In mode ``mixture``, where nothing is drawn: the logits go where they go without a step of the weights, and the
    weights where they go without a step of the logits."""
    trainer, stream = make(programs=Programs(fused=fused, donate=False)), batches(4)
    state, train, val = trainer.init(), next(stream), next(stream)
    state = state._replace(params=1.5 * state.params)
    moved, loss, val_loss, _ = trainer.search_steps(state, SMALL, [train], [val], [0.9], [0.5])
    by_logits, at_val, _ = trainer.arch_step(state, SMALL, train, val, 0.9, 0.5)
    by_weights, at_train = trainer.weight_step(state, SMALL, train, 0.9, 0.5)
    np.testing.assert_allclose([loss, val_loss], [at_train, at_val], atol=1e-5)
    np.testing.assert_allclose(moved.alphas, by_logits.alphas, atol=1e-5)
    np.testing.assert_allclose(moved.params, by_weights.params, atol=1e-5)
    assert changed(state.alphas, moved.alphas) and int(moved.step) == 1


def test_one_draw_serves_both_gradients(monkeypatch):
    trainer, stream = make(mode="concrete"), batches(5)
    purposes, weights = [], trainer._steps.weights

    def spy(run, state, mask, settings, purpose):
        purposes.append((purpose, int(state.step)))
        return weights(run, state, mask, settings, purpose)

    monkeypatch.setattr(trainer._steps, "weights", spy)
    trainer.search_steps(trainer.init(), SMALL, [next(stream)], [next(stream)], [0.9], [0.5])
    assert purposes == [("weights", 0)]


def test_a_joint_pass_is_for_fused_first_order_steps_of_whole_batches_on_one_device():
    fused, parts, two = Programs(fused=True), Programs(fused=False), Programs(fused=True)
    two.devices = two.devices * 2
    assert make(programs=fused).supernet(SMALL).joint
    cases: list[tuple[Programs, dict]] = [
        (parts, {}),
        (two, {}),
        (fused, {"bilevel": "second"}),
        (fused, {"bilevel": "one-level"}),
        (fused, {"mode": "sampled"}),
        (fused, {"remat": True}),
        (fused, {"accumulate": 2, "most_parts": 4}),
    ]
    for programs, changes in cases:
        assert not make(programs=programs, **changes).supernet(SMALL).joint, (programs, changes)


def test_what_has_no_room_for_a_joint_pass_has_two():
    trainer = make(programs=Programs(fused=True), most_parts=2)
    assert trainer.supernet(SMALL).joint
    told = trainer.lessen(SMALL, "no memory left")
    assert told.working == Working(remat=False, accumulate=1, joint=False)
    assert "one after the other" in str(told.working) and not trainer.supernet(SMALL).joint
    kept = trainer.store.capture()
    assert trainer.lessen(SMALL, "again").working == Working(remat=True, accumulate=1, joint=False)
    again = make(programs=Programs(fused=True), most_parts=2)
    again.store.restore(kept)
    assert not again.supernet(SMALL).joint
    old = {"working": {name: way[:2] for name, way in kept["working"].items()}, "left_out": []}
    again.store.restore(old)
    assert again.supernet(SMALL).joint
    alone = make(programs=Programs(fused=False), most_parts=2)
    told = alone.lessen(SMALL, "no memory left")
    assert told.working == Working(remat=True, accumulate=1) and "one after" not in str(told.working)


@pytest.mark.parametrize("shape", [(1, 3, 3, 4, 6), (3, 1, 1, 4, 5), (1, 3, 3, 1, 4)])
def test_a_shared_kernel_has_a_gradient_for_each_batch(shape):
    """Dense over space, over time, and depthwise: as batch by batch, with no grouped convolution but the depthwise."""
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 3, 4, 6, 6, 4)).astype(np.float32), rng.normal(size=shape).astype(np.float32)
    stride = (1, 2, 2) if shape[0] == 1 else (2, 1, 1)

    def gradients(function, x):
        return jax.grad(lambda x, k: jnp.sin(function(x, k, stride, form="plain")).sum(), (0, 1))(x, kernel)

    by_x, by_kernel = jax.vmap(lambda x: gradients(shared_conv, x))(x)
    for number in range(2):
        expected = gradients(conv, x[number])
        np.testing.assert_allclose(by_x[number], expected[0], atol=1e-5)
        np.testing.assert_allclose(by_kernel[number], expected[1], atol=1e-4)
    if shape[3] > 1:
        text = str(jax.make_jaxpr(jax.vmap(lambda x: gradients(shared_conv, x)))(x))
        assert "feature_group_count=1" in text and "feature_group_count=2" not in text
        assert "batch_group_count=2" not in text


@pytest.mark.parametrize("shape", [(16, 8, 6, 6, 5), (3, 7, 5, 5, 2), (200, 2, 1, 1, 3), (4, 9)])
def test_sums_in_groups_are_sums(shape):
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape).astype(np.float32)
    for form in ("plain", "shifted"):
        wide = grouped(jnp.asarray(x), form)
        for found, expected in zip(sums((wide, wide**2), form), (x, x**2), strict=True):
            np.testing.assert_allclose(
                found, expected.reshape(-1, shape[-1]).sum(0, dtype=np.float64), rtol=1e-4, atol=1e-3
            )
