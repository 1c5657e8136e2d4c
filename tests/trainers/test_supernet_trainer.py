"""Steps of a supernet over several plans: what moves, what does not, and by how much."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.trainers.compilation import no_compilation
from tvnjax.spaces.tvn.relaxation.relaxation import TvnRelaxation
from tvnjax.spaces.tvn.relaxed import GENES, OperatorChoices
from tvnjax.spaces.tvn.shapes import BlockPlan, BlockShapes, Plan, ShapeChoices, ShapeKey, ShapeSpace
from tvnjax.trainers.gene_weights import one_hot
from tvnjax.trainers.search_steps import Settings
from tvnjax.trainers.second_order import second_order
from tvnjax.trainers.supernet_settings import SupernetTraining
from tvnjax.trainers.supernet_trainer import SupernetTrainer

SHAPES = ShapeSpace(
    ShapeChoices(
        image_size=(4, 8),
        num_frames=(1, 2),
        frame_stride=(1, 2),
        num_blocks=(1, 2),
        blocks=(BlockShapes(spatial_stride=(2,), filters=(8,)), BlockShapes(spatial_stride=(1, 2), filters=(8,))),
    ),
    clip_frames=4,
)
OPERATORS = OperatorChoices(
    spatial_kernel=(3,),
    spatial_type=("std", "maxpool"),
    temporal_type=("1d",),
    width=(0.5, 1.0),
    expand=(1,),
    squeeze=(0.0, 0.5),
    context_gate=(False,),
)
SMALL = Plan(image_size=4, num_frames=1, blocks=(BlockPlan(filters=8),))
LARGE = Plan(
    image_size=8, num_frames=2, frame_stride=2, blocks=(BlockPlan(filters=8), BlockPlan(spatial_stride=1, filters=8))
)
FRAMES = ShapeKey("num_frames")
TRAINING = SupernetTraining(
    steps=40,
    learning_rate=0.02,
    schedule="step",
    drop=0.1,
    arch_learning_rate=0.1,
    arch_schedule="temperature",
    bilevel="first",
    mode="mixture",
    draw_sharpness=1.0,
    target=1.0,
    logit_penalty=0.0,
    latency_weight=0.0,
    penalty=1.0,
    multiplier_rate=0.2,
)


def view_of(plan):
    step = 8 // plan.image_size

    def view(batch):
        return batch["clip"][:, : plan.num_frames, ::step, ::step].astype(jnp.float32), batch["label"]

    return view


def nothing(weights, shapes):
    """Costs that depend on nothing, well within the budget."""
    return jnp.full(1, 0.5)


def wide_and_long(weights, shapes):
    """Wide first blocks and two frames cost; the budget is a part of both."""
    return jnp.stack([(0.1 + weights[0]["filters"][1] + shapes[FRAMES][1]) / 0.6])


def make(constraint=nothing, shapes=SHAPES, programs=None, **changes):
    training = SupernetTraining(**{**vars(TRAINING), **changes})
    relaxation = TvnRelaxation(shapes, OPERATORS)
    return SupernetTrainer(relaxation, 3, view_of, constraint, 1, training, seed=0, programs=programs)


def batches(seed, size=8):
    """Brightness tells the class."""
    rng = np.random.default_rng(seed)
    while True:
        label = rng.integers(0, 3, size).astype(np.int32)
        clip = rng.integers(0, 40, (size, 4, 8, 8, 3)) + 80 * label[:, None, None, None, None]
        yield {
            "clip": clip.astype(np.uint8),
            "label": label,
            "times": np.zeros((size, 1), np.int32),
            "weight": np.ones(size, np.float32),
        }


def changed(before, after):
    return any(not np.array_equal(a, b) for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after)))


@functools.cache
def layout():
    return make().layout


def logits(state, block, gene):
    return np.asarray(layout().unpack(state.alphas)[block][gene])


def named(trainer, state):
    """Weights by their names."""
    return trainer.weights_layout.unflatten(state.params)


def with_logits(state, block, gene, values):
    rows = jax.tree.map(np.array, layout().unpack(np.asarray(state.alphas)))
    rows[block][gene][:] = values
    return state._replace(alphas=jnp.asarray(layout().pack(rows)))


def gradients(trainer, plan, params, weights, batch, parts=None):
    """Loss, gradients for the weights and for the gene weights (by block and choice)."""
    supernet = trainer.supernet(plan)
    parts = np.eye(len(supernet.lengths), dtype=np.float32)[-1] if parts is None else np.array(parts, np.float32)
    arguments = (params, jnp.asarray(trainer.layout.pack(weights)), batch, parts)
    loss, grads, by_gene = trainer._run((supernet, "gradients"), supernet.gradients, *arguments)
    return loss, trainer.weights_layout.unflatten(grads), trainer.layout.unpack(by_gene, len(supernet.plan.blocks))


def drawn(trainer, state, plan, purpose, progress=1.0, temperature=1.0):
    """Gene weights of a step, by block and choice."""
    supernet = trainer.supernet(plan)
    settings = jnp.asarray(Settings.of(trainer.training, temperature, progress).array())
    packed = trainer._steps.weights(trainer._run, state, jnp.asarray(supernet.mask), settings, purpose)
    return trainer.layout.unpack(np.asarray(packed))


@pytest.fixture(scope="module")
def trainer():
    return make()


def test_every_step_of_every_plan_compiles_once(trainer):
    stream, state = batches(2), trainer.init()

    def steps(state):
        for plan in (SMALL, LARGE):
            state, _ = trainer.weight_step(state, plan, next(stream), 1.0)
            state, _, _ = trainer.arch_step(state, plan, next(stream), next(stream), 0.9, 0.1)
        return state

    state = steps(state)
    with no_compilation():
        steps(state)
    assert trainer.compile_seconds > 0


def test_weight_steps_move_weights_and_arch_steps_logits(trainer):
    stream = batches(3)
    start, _ = trainer.weight_step(trainer.init(), LARGE, next(stream), 1.0)  # the warm-up's first rate is 0
    after_weights, _ = trainer.weight_step(start, LARGE, next(stream), 1.0)
    batch = next(stream)
    after_arch, _, _ = trainer.arch_step(after_weights, LARGE, batch, batch, 1.0, 0.0)
    assert changed(start.params, after_weights.params) and not changed(start.alphas, after_weights.alphas)
    assert changed(after_weights.alphas, after_arch.alphas) and not changed(after_weights.params, after_arch.params)
    assert not changed(after_weights.shapes, after_arch.shapes)


def test_genes_that_do_nothing_in_a_plan_get_no_gradient(trainer):
    stream, state = batches(4), trainer.init()
    batch = next(stream)
    after, _, _ = trainer.arch_step(state, SMALL, batch, batch, 1.0, 0.0)
    assert not logits(after, 0, "temporal").any(), "one frame: no temporal layer"
    assert not any(logits(after, 1, gene).any() for gene in GENES), "the plan has no second block"
    assert logits(after, 0, "spatial").any() and logits(after, 0, "filters").any()


def masks(*plans):
    made = [SHAPES.equivalent(plan) for plan in plans]
    return {
        key: (
            np.stack([m[key] for m in made]).astype(np.float32),
            np.ones((len(plans), len(SHAPES.values(key))), np.float32),
        )
        for key in SHAPES.searched
    }


def test_shape_genes_that_do_nothing_get_no_gradient(trainer):
    """Between plans of one frame nothing is learned of the frame stride, nor of blocks they do not have."""
    other = Plan(image_size=8, num_frames=1, blocks=SMALL.blocks)
    state = trainer.init()
    after = trainer.shape_step(
        state, np.array([0.2, 0.9], np.float32), masks(SMALL, other), 1.0, 0.0, rate=1.0, decay=0.0
    )
    moved = {key: bool(np.abs(after.shapes[key]).max() > 1e-7) for key in SHAPES.searched}
    assert moved == {key: key.gene == "image_size" for key in SHAPES.searched}
    assert after.shapes[ShapeKey("image_size")][0] > after.shapes[ShapeKey("image_size")][1]


def test_the_policy_gradient_is_that_of_the_expected_loss_over_the_set(trainer):
    plans, losses = (SMALL, LARGE), np.array([0.3, 1.1], np.float32)
    state = trainer.init()
    rng = np.random.default_rng(0)
    shapes = {key: jnp.asarray(rng.standard_normal(len(SHAPES.values(key))), jnp.float32) for key in SHAPES.searched}
    state = state._replace(shapes=shapes)
    after = trainer.shape_step(state, losses, masks(*plans), 1.0, 0.0, rate=1.0, decay=0.0)

    def expected_loss(shapes):
        weights = jax.device_get(trainer.shape_weights(shapes))
        p = np.array([SHAPES.probability(plan, weights) for plan in plans])
        return float((p / p.sum()) @ losses)

    for key in SHAPES.searched:
        for index in range(len(shapes[key])):
            step = jnp.zeros(len(shapes[key])).at[index].set(0.02)
            sides = [expected_loss({**shapes, key: shapes[key] + sign * step}) for sign in (1, -1)]
            slope = (sides[0] - sides[1]) / 0.04
            assert float(shapes[key][index] - after.shapes[key][index]) == pytest.approx(slope, abs=2e-3)


def test_the_multiplier_pushes_operators_and_shapes_to_the_budget():
    trainer, stream = make(wide_and_long), batches(5)
    state = trainer.init()
    before = float(trainer.parts(state, 1.0)[0])
    equal = np.zeros(2, np.float32)
    for _ in range(40):
        batch = next(stream)
        state, _, parts = trainer.arch_step(state, SMALL, batch, batch, 1.0, 0.0)
        state = trainer.shape_step(state, equal, masks(SMALL, LARGE), 1.0, 0.0, rate=1.0, decay=0.0)
    assert before > 1.5 and float(parts[0]) < 1.1
    assert logits(state, 0, "filters")[1] < 0 and state.shapes[FRAMES][1] < 0


def test_second_order_agrees_with_exact_differentiation():
    """The finite difference against reverse-over-reverse through the look-ahead step."""
    one = ShapeSpace(ShapeChoices.fixed(SMALL))
    trainer, stream = make(bilevel="second", shapes=one), batches(6)
    state = trainer.init()
    for _ in range(3):
        state, _ = trainer.weight_step(state, SMALL, next(stream), 1.0)
    train, val = next(stream), next(stream)
    supernet = trainer.supernet(SMALL)
    weights = jnp.asarray(trainer.layout.pack(trainer.weights(supernet.plan, state, 1.0)))

    def loss(*arguments):
        return supernet.losses(*arguments)[-1]

    rate = trainer.training.learning_rate

    @jax.jit
    def exact(weights):
        def behind_a_step(weights):
            grads = jax.grad(loss)(state.params, weights, train)
            moved = jax.tree.map(lambda p, g: p - rate * g, state.params, grads)
            return loss(moved, weights, val)

        return jax.grad(behind_a_step)(weights)

    def by_gradients(params, weights, batch):
        return trainer._run((supernet, "gradients"), supernet.gradients, params, weights, batch, np.ones(1, np.float32))

    theirs = exact(weights)
    assert not np.allclose(theirs, by_gradients(state.params, weights, val)[2], atol=1e-6)
    _, ours = second_order(trainer._run, by_gradients, state.params, weights, train, val, rate)
    np.testing.assert_allclose(ours, theirs, atol=0.02 * float(jnp.abs(theirs).max()))


def test_one_level_steps_read_the_training_clips():
    stream = batches(7)
    train, val = next(stream), next(stream)
    one = ShapeSpace(ShapeChoices.fixed(SMALL))
    losses = {}
    for bilevel in ("first", "one-level"):
        trainer = make(bilevel=bilevel, shapes=one)
        _, losses[bilevel], _ = trainer.arch_step(trainer.init(), SMALL, train, val, 1.0, 0.0)
        _, on_train, _ = trainer.arch_step(trainer.init(), SMALL, train, train, 1.0, 0.0)
    assert losses["one-level"] == on_train and losses["first"] != on_train


def test_sampled_steps_take_one_path_for_weights_and_two_for_logits():
    trainer, stream = make(mode="sampled"), batches(8)
    state = trainer.init()
    for purpose, paths in (("weights", 1), ("logits", 2)):
        used = [(weights > 0).sum() for weights in drawn(trainer, state, LARGE, purpose)[0].values()]
        assert set(used) <= {1, paths}
        assert (drawn(trainer, state, LARGE, purpose)[0]["spatial"] > 0).sum() == min(paths, 2)
    batch = next(stream)
    state, loss = trainer.weight_step(state, LARGE, batch, 1.0)
    state, val_loss, _ = trainer.arch_step(state, LARGE, batch, batch, 1.0, 0.0)
    assert np.isfinite([float(loss), float(val_loss)]).all()
    steps = (state._replace(step=jnp.int32(number)) for number in range(200))
    share = np.mean([drawn(trainer, one, LARGE, "weights")[0]["spatial"][0] > 0 for one in steps])
    p = float(trainer.weights(trainer.relaxed(LARGE), state, 1.0)[0]["spatial"][0])
    assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / 200)


def test_relaxed_and_single_networks_are_scored_by_one_program(trainer):
    stream, state = batches(9), trainer.init()
    for _ in range(30):
        state, _ = trainer.weight_step(state, SMALL, next(stream), 1.0)
    plan, batch = trainer.supernet(SMALL).plan, [next(stream)]
    relaxed = trainer.weights(plan, state, 1.0)
    train = [next(stream) for _ in range(3)]
    stats = trainer.recalibrate(state, SMALL, relaxed, train)
    assert trainer.score(state, SMALL, stats, relaxed, batch).top1 > 0.9
    single = one_hot(
        plan,
        plan.decode(
            tuple({gene: block.default(gene) for gene in weights} for block, weights in zip(plan.blocks, relaxed))
        ),
    )
    with no_compilation():
        stats = trainer.recalibrate(state, SMALL, single, train)
        assert trainer.score(state, SMALL, stats, single, batch).clips == 8
        again = trainer.recalibrate(state, SMALL, single, train)
    assert not changed(stats, again), "recalibrating starts from nothing"


def test_fine_tuning_improves_one_network_and_leaves_the_logits(trainer):
    """The first block of a two-block program, whose second block has no part in it."""
    stream, state = batches(13), trainer.init()
    state, _ = trainer.weight_step(state, LARGE, next(stream), 1.0)
    prefix = SHAPES.prefixes(LARGE)[0]
    plan, batch = trainer.relaxed(prefix), [next(stream)]
    single = one_hot(plan, plan.decode(tuple({gene: b.default(gene) for gene in GENES} for b in plan.blocks)))
    tuned = trainer.fine_tune(state, prefix, single, [next(stream) for _ in range(30)])
    before, after = (
        trainer.score(s, prefix, trainer.recalibrate(s, prefix, single, batch), single, batch) for s in (state, tuned)
    )
    assert after.loss < before.loss, (after.loss, before.loss)
    assert not changed(state.alphas, tuned.alphas)


def test_plans_share_their_weights(trainer):
    """A step on the small plan moves what the large one runs on, and leaves alone what the small one has not."""
    stream, state = batches(10), trainer.init()
    state, _ = trainer.weight_step(state, SMALL, next(stream), 1.0)
    batch = next(stream)
    before = trainer.plan_losses(state, {LARGE: batch}, 1.0)[LARGE][2]
    after_state, _ = trainer.weight_step(state, SMALL, next(stream), 1.0)
    assert before != trainer.plan_losses(after_state, {LARGE: batch}, 1.0)[LARGE][2]
    weights = trainer.weights(trainer.relaxed(SMALL), state, 1.0)
    _, grads, _ = gradients(trainer, SMALL, state.params, weights, batch)
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(grads["blocks"][1]))


@pytest.mark.parametrize("mode", ["mixture", "sampled"])
def test_weights_that_a_step_has_no_part_in_stay_where_they_are(mode):
    """Blocks the plan lacks, heads of other lengths and paths that were not drawn, behind steps that moved them all:
    neither they nor their moments change, by momentum or decay."""
    trainer, stream = make(mode=mode), batches(14)
    state = trainer.init()
    for _ in range(6):
        state, _ = trainer.weight_step(state, LARGE, next(stream), 1.0, lengths={1: 0.5, 2: 0.5})
    assert all(np.asarray(leaf).any() for leaf in jax.tree.leaves(named(trainer, state)["blocks"][1]))
    for plan, lengths, gone in (
        (SMALL, None, [("blocks", 1), ("heads", 1)]),
        (LARGE, {1: 1.0}, [("blocks", 1), ("heads", 1)]),
        (LARGE, None, [("heads", 0)]),
    ):
        before = state
        for _ in range(3):
            state, _ = trainer.weight_step(state, plan, next(stream), 1.0, lengths=lengths)
        for kind, number in gone:
            one, other = (named(trainer, some)[kind][number] for some in (before, state))
            assert not changed(one, other), (plan, kind)
        assert changed(*(named(trainer, some)["blocks"][0] for some in (before, state)))
    assert _moved_moments(trainer, before, state) == _moved(before.params, state.params)


def _moved(before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    return np.concatenate([(np.asarray(a) != np.asarray(b)).ravel() for a, b in pairs]).tolist()


def _moved_moments(trainer, before, after):
    """Of each weight: whether any of what the optimizer holds of it changed."""
    size = sum(leaf.size for leaf in jax.tree.leaves(before.params))
    vectors = [
        np.asarray(a) != np.asarray(b)
        for a, b in zip(jax.tree.leaves(before.opt), jax.tree.leaves(after.opt))
        if a.shape == (size,)
    ]
    assert len(vectors) == 3
    return np.any(vectors, axis=0).tolist()


def test_the_look_ahead_step_has_the_weights_present_rate(monkeypatch):
    """Behind the drop of the schedule, and behind a search that went back and lowered its rate."""
    one = ShapeSpace(ShapeChoices.fixed(SMALL))
    trainer, stream = make(bilevel="second", shapes=one, steps=10, drop=0.5), batches(15)
    rates = []

    def spy(run, gradients, params, weights, train, val, rate):
        rates.append(float(rate))
        return second_order(run, gradients, params, weights, train, val, rate)

    monkeypatch.setattr("tvnjax.trainers.search_steps.second_order", spy)
    state = trainer.init()
    for step in range(8):
        if step == 7:
            trainer.lower_rate(0.1)
        state, _ = trainer.weight_step(state, SMALL, next(stream), 1.0)
        state, _, _ = trainer.arch_step(state, SMALL, next(stream), next(stream), 1.0, 0.0)
    np.testing.assert_allclose(rates, [0.02] * 5 + [0.01] * 2 + [0.0005], rtol=1e-5)


def test_a_plan_and_its_prefixes_are_one_program(trainer):
    """Losses and gradients of a prefix on the way through a longer plan are those of the prefix alone."""
    stream, state = batches(12), trainer.init()
    for _ in range(3):
        state, _ = trainer.weight_step(state, LARGE, next(stream), 1.0, lengths={1: 0.5, 2: 0.5})
    prefix = SHAPES.prefixes(LARGE)[0]
    assert len(prefix.blocks) == 1 and trainer.supernet(prefix) is trainer.supernet(LARGE)
    alone = make()
    batch = next(stream)
    own, along = (one.plan_losses(state, {plan: batch}, 1.0)[plan] for one, plan in ((alone, prefix), (trainer, LARGE)))
    assert list(own) == [1] and list(along) == [1, 2] and along[1] != along[2]
    assert float(along[1]) == pytest.approx(float(own[1]), rel=1e-5)
    both, first, second = (
        gradients(trainer, LARGE, state.params, trainer.weights(trainer.relaxed(LARGE), state, 1.0), batch, parts)
        for parts in ([0.3, 0.7], [1, 0], [0, 1])
    )
    assert float(both[0]) == pytest.approx(float(0.3 * along[1] + 0.7 * along[2]), rel=1e-5)
    for mean, one, two in zip(*(jax.tree.leaves(grads) for grads in (both, first, second))):
        np.testing.assert_allclose(mean, 0.3 * one + 0.7 * two, atol=1e-5)
    weights = alone.weights(alone.relaxed(prefix), state, 1.0)
    _, grads, by_gene = gradients(alone, prefix, state.params, weights, batch)
    for ours, theirs in zip(jax.tree.leaves(first[1]), jax.tree.leaves(grads)):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    for gene, grad in by_gene[0].items():
        np.testing.assert_allclose(first[2][0][gene], grad, atol=1e-5)
    assert not any(np.asarray(grad).any() for grad in jax.tree.leaves(first[2][1])), "nothing of the second block"


def test_concrete_weights_are_draws_from_the_softmax_of_the_logits():
    """Each candidate is the likeliest as often as its probability says; no noise in the warm-up."""
    trainer = make(mode="concrete")
    state = with_logits(trainer.init(), 0, "spatial", [0.08, -0.04])
    plan = trainer.relaxed(LARGE)
    p = float(trainer.weights(plan, state, 0.1)[0]["spatial"][0])
    assert p == pytest.approx(1 / (1 + np.exp(-1.2)), rel=1e-4)
    steps = [state._replace(step=jnp.int32(number)) for number in range(400)]
    draws = np.array([drawn(trainer, one, LARGE, "weights", temperature=0.1)[0]["spatial"][0] for one in steps])
    assert abs(np.mean(draws > 0.5) - p) < 4 * np.sqrt(p * (1 - p) / 400)
    assert draws.std() > 0.1
    still = drawn(trainer, state, LARGE, "weights", progress=0.0, temperature=0.1)
    assert float(still[0]["spatial"][0]) == pytest.approx(p, rel=1e-5)
    kinds = {float(drawn(trainer, state, LARGE, one)[0]["spatial"][0]) for one in ("weights", "logits", "scoring")}
    assert len(kinds) == 3, "each has draws of its own"


def test_sharp_draws_are_nearly_one_hot_and_as_likely():
    """The likeliest candidate of a draw is the same whatever the sharpness."""
    soft, sharp = make(mode="concrete"), make(mode="concrete", draw_sharpness=20.0)
    of = Settings.of
    assert (of(sharp.training, 1.0, 0.5).sharpness, of(sharp.training, 1.0, 1.0).sharpness) == (20, 20)
    assert of(sharp.training, 1.0, 0.25).sharpness == pytest.approx(np.sqrt(20))
    assert of(sharp.training, 1.0, 0.25).noise == 0.5 and of(make().training, 1.0, 1.0).noise == 0
    state = with_logits(soft.init(), 0, "spatial", [0.08, -0.04])
    steps = [state._replace(step=jnp.int32(number)) for number in range(100)]
    rows = [
        [float(drawn(trainer, one, LARGE, "weights", temperature=0.1)[0]["spatial"][0]) for one in steps]
        for trainer in (sharp, soft)
    ]
    hard, mild = np.array(rows)
    np.testing.assert_array_equal(hard > 0.5, mild > 0.5)
    assert np.abs(hard - 0.5).mean() > 0.45 > 1.2 * np.abs(mild - 0.5).mean()


def test_a_search_in_bfloat16_with_units_computed_again():
    """The state stays float32, the loss is float32's to a few per cent, and weights learn."""
    stream, plain = batches(16), make()
    trainer = make(precision="bfloat16", remat=True)
    state, batch = trainer.init(), next(stream)
    weights = trainer.weights(trainer.relaxed(LARGE), state, 1.0)
    packed = jnp.asarray(trainer.layout.pack(weights))
    jaxpr = jax.make_jaxpr(trainer.supernet(LARGE).losses)(state.params, packed, batch)
    units = [equation for equation in jaxpr.eqns if equation.primitive.name == "remat2"]
    assert len(units) == 2 and all(unit.outvars[0].aval.dtype == jnp.bfloat16 for unit in units)
    losses = [gradients(one, LARGE, state.params, weights, batch)[0] for one in (trainer, plain)]
    assert losses[0] != losses[1] and float(losses[0]) == pytest.approx(float(losses[1]), rel=0.03)
    for _ in range(30):
        state, loss = trainer.weight_step(state, LARGE, next(stream), 1.0)
    after, _, _ = trainer.arch_step(state, LARGE, next(stream), next(stream), 1.0, 0.0)
    floating = [leaf.dtype for leaf in jax.tree.leaves(after) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert set(floating) == {jnp.dtype(jnp.float32)}
    assert float(loss) < 0.7 * float(losses[1])
    stats = trainer.recalibrate(after, LARGE, weights, [next(stream) for _ in range(3)])
    assert {leaf.dtype for leaf in jax.tree.leaves(stats)} == {jnp.dtype(jnp.float32)}
    assert trainer.score(after, LARGE, stats, weights, [next(stream)]).top1 > 0.5


def test_nearly_one_hot_weights_have_finite_gradients(trainer):
    state, batch = trainer.init(), next(batches(11))
    for tiny in (0.0, 1e-45, 1e-38, 1e-20):
        weights = tuple(
            {gene: jnp.where(jnp.arange(len(w)) == 0, 1.0, tiny).astype(jnp.float32)[::-1] for gene, w in block.items()}
            for block in trainer.weights(trainer.relaxed(LARGE), state, 1.0)
        )
        loss, *grads = gradients(trainer, LARGE, state.params, weights, batch)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((loss, grads))), tiny
