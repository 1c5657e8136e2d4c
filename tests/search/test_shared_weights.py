"""A supernet trained for scoring alone: every network is scored from the same weights."""

import dataclasses

import numpy as np
import pytest

from tests.trainers.test_growing_weights import ALL, LONG, RELAXATION, WIDE, sketched
from tests.trainers.test_growing_weights import SHAPES as WIDTHS
from tests.trainers.test_supernet_trainer import OPERATORS, SMALL, batches, view_of
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Silent
from tvnjax.search.gradient.config import DifferentiableConfig
from tvnjax.search.gradient.data import Data
from tvnjax.search.gradient.projection_config import ProjectionConfig
from tvnjax.search.shared_weights import SharedWeights
from tvnjax.spaces.tvn.relaxation.relaxation import TvnRelaxation
from tvnjax.spaces.tvn.search_space import search_space
from tvnjax.spaces.tvn.shapes import ShapeChoices, ShapeSpace
from tvnjax.trainers import supernet_trainer
from tvnjax.trainers.outline import count, union


def made(relaxation, space, *, steps=3, working_set=1, fine_tune_steps=30):
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
    config = DifferentiableConfig(steps=steps, learning_rate=0.02, working_set=working_set, projection=projection)
    return SharedWeights(config, relaxation, space, 3, data, 0, Silent(), fine_tune_steps=fine_tune_steps)


@pytest.fixture(scope="module")
def shared():
    """One plan of one frame, hardly trained: there is much to be gained."""
    shapes = ShapeSpace(ShapeChoices.fixed(SMALL))
    operators = dataclasses.replace(OPERATORS, squeeze=(0.0,), temporal_kernel=(1,))
    return made(TvnRelaxation(shapes, operators), search_space(shapes, operators))


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


def test_where_the_largest_plan_has_no_room_weights_are_those_of_plans_that_have(monkeypatch):
    room = count(union([sketched(LONG), sketched(WIDE)]))
    monkeypatch.setattr(supernet_trainer, "most_weights", lambda programs: room)
    space = search_space(WIDTHS, OPERATORS)
    with pytest.warns(UserWarning, match="weights are shared by 2 plans that have"):
        shared = made(RELAXATION, space, steps=2, working_set=2, fine_tune_steps=0)
    assert 0 < shared._trainer.weights_layout.size <= room < count(sketched(ALL))
    networks = [shared.covered.sample(np.random.default_rng(seed)) for seed in range(2)]
    assert all(np.isfinite(shared.score(network).loss) for network in networks)
    monkeypatch.setattr(supernet_trainer, "most_weights", lambda programs: 10)
    with pytest.raises(InvalidInputError, match="10 have room: give narrower blocks"):
        made(RELAXATION, space)
