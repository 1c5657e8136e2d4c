"""Networks that are no chains are trained, as one program and by programs of single layers; several streams are not."""

import itertools

import jax
import numpy as np
import pytest

from tests.graph.example_networks import assemblenet_like, conv, network, unit
from tests.graph.published import pool
from tests.trainers.compilation import no_compilation
from tests.trainers.drawn_clips import batches
from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Branches, Fuse, Network, Shape
from tvnjax.trainers.layerwise import LayerwiseTrainer, make_programs
from tvnjax.trainers.optim import Optimizer
from tvnjax.trainers.trainer import ChildTrainer, Training

TRAINING = Training(steps=6, batch_size=8, optimizer=Optimizer(learning_rate=0.02, clip_norm=0.5))


def graph() -> Network:
    """A stem that two units read; a pool that branches read, and a fusion of all three, with a shortcut behind it."""
    clip = Shape(2, 8, 8, 3)
    stem = unit(0, 0, (conv(clip, 4, (1, 3, 3), act="relu"),))
    down = unit(0, 1, (pool(stem.out_shape, (1, 2, 2), (1, 2, 2)),), inputs=(0,))
    shape = down.out_shape
    branches = Branches(in_shape=shape, branches=((conv(shape, 4),), (conv(shape, 2, (2, 1, 1)),)))
    side = unit(0, 2, (branches,), inputs=(1,), act="relu")
    fuse = Fuse(in_shapes=(stem.out_shape, shape, side.out_shape))
    fused = unit(1, 0, (conv(fuse.out_shape, 6, act="relu"),), shortcut=(), inputs=(0, 1, 2), join=fuse)
    return network(clip, [stem, down, side, fused], 3)


def test_layer_by_layer_is_the_same_training():
    """Gradients of arrays with several readers add up; all is compiled ahead."""
    programs = make_programs(TRAINING)
    whole, parts = ChildTrainer(graph(), TRAINING, 5), LayerwiseTrainer(graph(), TRAINING, 5, programs)
    parts.compile(8, 8)
    count = len(programs)
    state, pieces = whole.init(), parts.init()
    losses = []
    for batch in itertools.islice(batches(size=8), TRAINING.steps):
        state, loss = whole.step(state, batch)
        pieces, other = parts.step(pieces, batch)
        losses.append((float(loss), float(other)))
    np.testing.assert_allclose(*zip(*losses), rtol=1e-4)
    assert len({loss for loss, _ in losses}) == TRAINING.steps
    sums = lambda arrays: sorted(float(np.abs(array).sum()) for array in jax.tree.leaves(arrays))  # noqa: E731
    np.testing.assert_allclose(sums(state.params), sums(pieces.params), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(sums(state.stats), sums(pieces.stats), rtol=1e-3, atol=1e-3)
    few = list(itertools.islice(batches(9, size=8), 2))
    first, second = whole.score(state, few), parts.score(pieces, few)
    assert first.top1 == second.top1 and first.loss == pytest.approx(second.loss, rel=1e-3)
    assert len(programs) == count
    again = LayerwiseTrainer(graph(), TRAINING, 7, programs)
    with no_compilation():
        again.compile(8, 8)


@pytest.mark.parametrize("make", [ChildTrainer, lambda *given: LayerwiseTrainer(*given, make_programs(TRAINING))])
def test_several_streams_are_refused(make):
    with pytest.raises(InvalidInputError, match="a training reads clips, one stream; this network reads 2: take"):
        make(assemblenet_like(), TRAINING, 0)
