"""A supernet trained for scoring alone: every network is scored from the same weights."""

import dataclasses

import numpy as np
import pytest

from tests.trainers.test_supernet_trainer import OPERATORS, SMALL, batches, view_of
from tvnjax.core.monitor import Silent
from tvnjax.search.gradient.config import DifferentiableConfig
from tvnjax.search.gradient.data import Data
from tvnjax.search.gradient.projection import ProjectionConfig
from tvnjax.search.shared_weights import SharedWeights
from tvnjax.spaces.tvn.relaxation.relaxation import TvnRelaxation
from tvnjax.spaces.tvn.search_space import search_space
from tvnjax.spaces.tvn.shapes import ShapeChoices, ShapeSpace


@pytest.fixture(scope="module")
def shared():
    """One plan of one frame, hardly trained: there is much to be gained."""
    shapes = ShapeSpace(ShapeChoices.fixed(SMALL))
    operators = dataclasses.replace(OPERATORS, squeeze=(0.0,), temporal_kernel=(1,))
    val = [next(batches(3)) for _ in range(4)]
    data = Data(
        train=batches(1),
        val=batches(2),
        scoring=batches(2),
        val_once=lambda: val,
        read=lambda batch, plan, rng: batch,
        view_of=view_of,
    )
    projection = ProjectionConfig(recalibration_batches=2)
    config = DifferentiableConfig(steps=3, learning_rate=0.02, working_set=1, projection=projection)
    space = search_space(shapes, operators)
    return SharedWeights(config, TvnRelaxation(shapes, operators), space, 3, data, 0, Silent(), fine_tune_steps=30)


def test_a_network_is_tuned_for_itself_and_for_no_other(shared):
    first, second = (shared.covered.sample(np.random.default_rng(seed)) for seed in (0, 1))
    assert first != second
    plain, tuned = shared.score(first, fine_tune_steps=0), shared.score(first)
    assert tuned.loss < plain.loss / 2, (tuned.loss, plain.loss)
    assert shared.score(second).loss != tuned.loss
    assert shared.score(first, fine_tune_steps=0) == plain and shared.score(first) == tuned
    assert shared.inherit(first).top1 == tuned.top1


def test_fewer_steps_are_the_first_of_them(shared):
    network = shared.covered.sample(np.random.default_rng(0))
    losses = [shared.score(network, fine_tune_steps=steps).loss for steps in (0, 10, 30)]
    assert losses == sorted(losses, reverse=True) and len(set(losses)) == 3
