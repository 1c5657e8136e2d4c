"""Training by programs of single layers: the same training, and what networks share is compiled once."""

import itertools

import jax
import numpy as np
import pytest

from tests.trainers.compilation import no_compilation
from tests.trainers.drawn_clips import batches
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.trainers.layerwise import LayerwiseTrainer, make_programs
from tvnjax.trainers.optim import Optimizer
from tvnjax.trainers.trainer import ChildTrainer, Training

TRAINING = Training(steps=8, batch_size=8, optimizer=Optimizer(learning_rate=0.02, clip_norm=0.5))
WITH_EVERYTHING = Genotype(
    image_size=8,
    num_frames=2,
    blocks=(
        Block(spatial_kernel=3, spatial_stride=2, temporal_kernel=2, filters=8, context_gate=True, skip=True),
        Block(spatial_type="depth", spatial_kernel=3, filters=8, squeeze=0.5, spatial_act="hswish", act="hswish"),
        Block(spatial_type="maxpool", spatial_kernel=2, spatial_stride=2, expand=0, skip=True),
    ),
)


@pytest.fixture(scope="module")
def programs():
    return make_programs(TRAINING)


def test_a_chain_of_layers_trains_as_one_program_does(programs):
    """Losses, weights, statistics and scores, dropout and clipped gradients included; all is compiled ahead."""
    network = lower(WITH_EVERYTHING, 3)
    whole, chain = ChildTrainer(network, TRAINING, 5), LayerwiseTrainer(network, TRAINING, 5, programs)
    chain.compile(8, 8)
    count = len(programs)
    state, parts = whole.init(), chain.init()
    for batch in itertools.islice(batches(size=8), TRAINING.steps):
        state, loss = whole.step(state, batch)
        parts, other = chain.step(parts, batch)
        assert float(loss) == pytest.approx(float(other), rel=1e-4)
    sums = lambda arrays: sorted(float(np.abs(array).sum()) for array in jax.tree.leaves(arrays))  # noqa: E731
    np.testing.assert_allclose(sums(state.params), sums(parts.params), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(sums(state.stats), sums(parts.stats), rtol=1e-3, atol=1e-3)
    few = list(itertools.islice(batches(9, size=8), 2))
    first, second = whole.score(state, few), chain.score(parts, few)
    assert first.top1 == second.top1 and first.loss == pytest.approx(second.loss, rel=1e-3)
    assert len(programs) == count


def test_another_network_of_the_same_layers_compiles_nothing(programs):
    """Two blocks of one kind stand where one stood: other sizes in a row, no new layer."""
    block = Block(filters=8, spatial_kernel=3, skip=True)
    one = Genotype(image_size=8, num_frames=2, blocks=(block, block))
    two = Genotype(image_size=8, num_frames=2, blocks=(*one.blocks, one.blocks[1]))
    stream = batches(size=8)
    for genotype in (one, two):
        trainer = LayerwiseTrainer(lower(genotype, 3), TRAINING, 0, programs)
        trainer.compile(8, 8)
        trainer.score(trainer.train(stream), [next(stream)])
    count = len(programs)
    three = Genotype(image_size=8, num_frames=2, blocks=(*two.blocks, one.blocks[1]))
    trainer = LayerwiseTrainer(lower(three, 3), TRAINING, 1, programs)
    trainer.compile(8, 8, threads=2)
    assert len(programs) == count + 1, "only the sum over a further number of layers is new"
    state, batch = trainer.init(), next(stream)
    with no_compilation():
        trainer.step(state, batch)


def test_a_training_can_be_continued(programs):
    trainer = LayerwiseTrainer(lower(WITH_EVERYTHING, 3), TRAINING, 0, programs)
    whole, stream = trainer.train(batches(size=8)), batches(size=8)
    half = trainer.train(stream, until=3)
    assert half.step == 3
    rest = trainer.train(stream, state=half)
    for a, b in zip(jax.tree.leaves(whole.params), jax.tree.leaves(rest.params)):
        np.testing.assert_array_equal(a, b)


def test_a_loss_that_is_not_finite_stops_the_training():
    training = Training(steps=5, batch_size=8, optimizer=Optimizer(learning_rate=1e30, warmup=0.0, clip_norm=1e30))
    pooled = Genotype(image_size=8, num_frames=2, blocks=(Block(spatial_type="maxpool", spatial_kernel=3, filters=4),))
    trainer = LayerwiseTrainer(lower(pooled, 3), training, 0, make_programs(training))
    with pytest.raises(FloatingPointError, match="between steps"):
        trainer.train(batches(size=8))
