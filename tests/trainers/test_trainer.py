"""Training a child and a supernet: they learn, compile once, and repeat themselves."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.trainers.compilation import no_compilation
from tests.trainers.drawn_clips import batches
from tvnjax.core.checkpoint import load_state, save_state
from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.trainers.layerwise import make_programs
from tvnjax.trainers.objective import count_correct, cross_entropy
from tvnjax.trainers.optim import Optimizer
from tvnjax.trainers.trainer import ChildTrainer, Training

GENOTYPE = Genotype(
    image_size=8,
    num_frames=2,
    blocks=(Block(spatial_kernel=3, spatial_stride=2, temporal_kernel=2, filters=8, context_gate=True, skip=True),),
)


@pytest.fixture(scope="module")
def child():
    return ChildTrainer(
        lower(GENOTYPE, 3), Training(steps=40, batch_size=16, optimizer=Optimizer(learning_rate=0.02)), 0
    )


def test_a_child_learns_and_repeats_itself(child):
    first, second = child.train(batches(0)), child.train(batches(0))
    few = [next(iter(batches(9))) for _ in range(4)]
    score = child.score(first.state, few)
    assert score.top1 > 0.9 and score.clips == 64 and score.fitness == score.top1 + score.top5
    for a, b in zip(jax.tree.leaves(first.state), jax.tree.leaves(second.state)):
        np.testing.assert_array_equal(a, b)
    assert first.history[-1]["loss"] < first.history[0]["loss"] and first.history[-1]["step"] == 40


def test_a_training_can_be_continued(child):
    """What was trained in part goes on as if it had not stopped."""
    stream = batches(0)
    part = child.train(stream, until=15)
    assert int(part.state.step) == 15
    rest, whole = child.train(stream, state=part.state), child.train(batches(0))
    for a, b in zip(jax.tree.leaves(rest.state), jax.tree.leaves(whole.state)):
        np.testing.assert_array_equal(a, b)


def test_the_second_training_step_compiles_nothing(child):
    stream = batches(1)
    state, _ = child.step(child.init(), next(stream))
    with no_compilation():
        child.step(state, next(stream))


def test_trainings_that_differ_in_the_seed_alone_are_one_program(child):
    """The seed is an argument: JAX's cache on disk then has the program of a second training of a network."""
    stream = batches(1)
    batch, texts = next(stream), []
    for seed in (0, 3):
        trainer = ChildTrainer(child.network, child.training, seed)
        texts.append(jax.jit(trainer._step).lower(trainer.init(), batch["clip"], batch["label"], trainer._key))
    first, second = (lowered.as_text() for lowered in texts)
    assert first == second


def trained_states(steps, **options):
    """States after each batch, with plain gradient steps of a constant size."""
    optimizer = Optimizer(learning_rate=0.01, warmup=0.0, schedule="step", drop=1.0)
    training = Training(steps=steps, batch_size=4, dropout=False, optimizer=optimizer, **options)
    trainer = ChildTrainer(lower(GENOTYPE, 3), training, 0)
    stream, state = batches(3, 4), trainer.init()
    states = [state]
    for _ in range(steps * training.accumulate):
        state, _ = trainer.step(state, next(stream))
        states.append(state)
    return trainer, states


def test_accumulated_gradients_move_weights_with_the_last_of_their_batches():
    _, states = trained_states(2, accumulate=2)
    moved = [
        any(np.abs(a - b).max() > 0 for a, b in zip(jax.tree.leaves(old.params), jax.tree.leaves(new.params)))
        for old, new in itertools.pairwise(states)
    ]
    assert moved == [False, True, False, True]


def test_the_average_follows_its_recurrence_and_is_what_is_scored():
    trainer, states = trained_states(4, ema=0.3, accumulate=2)
    average = jax.tree.leaves(states[0].params)
    for update, state in enumerate(states[2::2], 1):
        decay = min(0.3, (1 + update) / (10 + update))
        average = [decay * old + (1 - decay) * new for old, new in zip(average, jax.tree.leaves(state.params))]
    kept, stats = trainer.kept(states[-1])
    for ours, theirs in zip(jax.tree.leaves(kept), average, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    few = [next(iter(batches(9)))]
    raw = states[-1]._replace(average=(states[-1].params, states[-1].stats))
    assert trainer.score(states[-1], few).loss != trainer.score(raw, few).loss
    assert any(np.abs(a - b).max() > 0 for a, b in zip(jax.tree.leaves(stats), jax.tree.leaves(states[-1].stats)))


def test_bfloat16_learns_with_float32_weights():
    optimizer = Optimizer(learning_rate=0.02)
    training = Training(steps=40, batch_size=16, precision="bfloat16", optimizer=optimizer)
    trainer = ChildTrainer(lower(GENOTYPE, 3), training, 0)
    trained = trainer.train(batches(0))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((trained.state.params, trained.state.stats)))
    assert trainer.score(trained.state, [next(iter(batches(9)))]).top1 > 0.9


def test_units_computed_again_train_the_same():
    plain, again = (ChildTrainer(lower(GENOTYPE, 3), Training(steps=6, remat=remat), 0) for remat in (False, True))
    ours, theirs = (trainer.train(batches(0)) for trainer in (again, plain))
    for one, other in zip(jax.tree.leaves(ours.state), jax.tree.leaves(theirs.state)):
        np.testing.assert_allclose(one, other, atol=1e-4)
    with pytest.raises(InvalidInputError, match=r"remat True: give --evaluation whole"):
        make_programs(Training(remat=True))


@pytest.mark.parametrize("field", ["steps", "batch_size", "accumulate", "ema", "label_smoothing"])
def test_a_training_out_of_range_is_refused(field):
    with pytest.raises(InvalidInputError, match=field):
        Training(**{field: -1})


def test_padding_does_not_count():
    logits = jnp.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [5.0, 5.0, 5.0]])
    sums = count_correct(logits, jnp.array([0, 0, 0]), jnp.array([1.0, 1.0, 0.0]))
    assert float(sums["clips"]) == 2 and float(sums["top1"]) == 1 and float(sums["top5"]) == 2
    tied = count_correct(logits, jnp.array([0, 0, 0]), jnp.array([0.0, 0.0, 1.0]))
    assert float(tied["top1"]) == 0


def test_cross_entropy_against_its_definition():
    logits, labels = np.random.default_rng(0).standard_normal((4, 3)), np.array([0, 1, 2, 1])
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(
        cross_entropy(jnp.asarray(logits), jnp.asarray(labels)), -log_p[np.arange(4), labels].mean(), rtol=1e-5
    )
    smooth = 0.9 * -log_p[np.arange(4), labels] + 0.1 * -log_p.mean(1)
    np.testing.assert_allclose(
        cross_entropy(jnp.asarray(logits), jnp.asarray(labels), smoothing=0.1), smooth.mean(), rtol=1e-5
    )


def test_a_loss_that_is_not_finite_stops_the_training():
    training = Training(steps=5, batch_size=4, optimizer=Optimizer(learning_rate=1e30, warmup=0.0, clip_norm=1e30))
    trainer = ChildTrainer(lower(GENOTYPE, 3), training, 0)
    with pytest.raises(FloatingPointError, match="steps"):
        trainer.train(batches(0, 4))


@pytest.mark.parametrize("schedule", ["cosine", "step"])
def test_schedules_warm_up_and_fall(schedule):
    tx = Optimizer(learning_rate=1.0, schedule=schedule, warmup=0.1, weight_decay=0.0, clip_norm=1e9).build(100)
    params = {"w": jnp.zeros((1, 1))}
    state, sizes = tx.init(params), []
    for _ in range(100):
        updates, state = tx.update({"w": jnp.ones((1, 1))}, state, params)
        sizes.append(float(jnp.abs(updates["w"]).sum()))
    assert sizes[0] == 0 and sizes[10] == pytest.approx(1, rel=1e-3) and sizes[-1] < 0.02


def test_a_checkpoint_reads_back_equal(child, tmp_path):
    state = child.init()
    parts = {"params": state.params, "stats": state.stats}
    save_state(tmp_path / "one", parts)
    loaded = load_state(tmp_path / "one", parts)
    for a, b in zip(jax.tree.leaves(parts), jax.tree.leaves(loaded)):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(InvalidInputError, match="none at"):
        load_state(tmp_path / "two", parts)
    with pytest.raises(InvalidInputError, match="fits the network"):
        load_state(tmp_path / "one", {"params": state.params, "others": state.stats})
