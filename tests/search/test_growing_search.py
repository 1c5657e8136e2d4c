"""A search by gradient of a space whose largest plan has no room: it runs on the weights of the plans it trains."""

import json

import jax
import numpy as np
import pytest

from tests.search.test_going_on import Killed, Telling
from tests.search.test_supernet_goes_on import Numbers
from tests.trainers.test_growing_weights import ALL, LONG, RELAXATION, SHAPES, WIDE, sketched
from tests.trainers.test_supernet_trainer import OPERATORS, view_of
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Silent
from tvnjax.core.run_dir import RunDir, jsonable
from tvnjax.core.stages import Stage
from tvnjax.report.record import read_events
from tvnjax.search.base import Evaluation, SearchTask, Verdict
from tvnjax.search.budget import Budget, Costs
from tvnjax.search.gradient import differentiable
from tvnjax.search.gradient.config import DifferentiableConfig
from tvnjax.search.gradient.data import Data
from tvnjax.search.gradient.differentiable import DifferentiableSearch
from tvnjax.search.gradient.projection import ProjectionConfig
from tvnjax.search.results import result_to_json
from tvnjax.spaces.tvn.search_space import search_space
from tvnjax.trainers.outline import count, union
from tvnjax.trainers.supernet_trainer import SupernetTrainer

STEPS, SEED = 12, 4
MACS = RELAXATION.expected(lambda layer: layer.macs / 1e5, 3)


class Clips(Numbers):
    def __next__(self):
        rng = np.random.default_rng(super().__next__()["number"])
        return {
            "clip": rng.integers(0, 255, (4, 1, 8, 8, 3)).astype(np.uint8),
            "label": rng.integers(0, 3, 4).astype(np.int32),
            "weight": np.ones(4, np.float32),
        }


def search(most, run_dir=None, kill_at=None, monitor=None, **changes):
    """Runs or goes on; returns the result as JSON, the state, and how many steps were done."""
    calls = []

    class Trainer(SupernetTrainer):
        def weight_step(self, *args, **options):
            calls.append(1)
            if len(calls) == kill_at:
                raise Killed
            return super().weight_step(*args, **options)

        def search_steps(self, *args, **options):
            calls.append(1)
            if len(calls) == kill_at:
                raise Killed
            return super().search_steps(*args, **options)

    def check(genotype):
        ms = MACS.of_genotype(genotype)
        return Verdict(predicted_ms=ms, latency_ms=ms, feasible=True, seconds=0.25), 0.0

    def evaluate(genotype, seed, part):
        return Evaluation(top1=0.5, top5=1.0, compile_seconds=0.0, seconds=0.5)

    task = SearchTask(
        space=search_space(SHAPES, OPERATORS), budget_ms=1e6, check=check, evaluate=evaluate, clocked=False
    )
    data = Data(
        train=Clips(0),
        val=Clips(1000),
        scoring=Clips(2000),
        val_once=lambda: [next(Clips(3000))],
        read=lambda batch, plan, rng: jax.device_put(batch),
        view_of=view_of,
    )
    projection = ProjectionConfig(
        plans=1,
        top_k=1,
        draws=0,
        neighbours=0,
        rank_steps=0,
        racers=1,
        finalists=1,
        fine_tune_steps=1,
        recalibration_batches=1,
    )
    options = {"steps": STEPS, "working_set": 1, "redraws": 2, "batch_size": 4, "score_clips": 4} | changes
    config = DifferentiableConfig(projection=projection, **options)
    costs = Costs(ms=MACS, predict=lambda network: MACS.of_network(network), budget=Budget(ms=1e6))
    stage = Stage(monitor or Silent(), run_dir, "differentiable", checkpoint_s=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(differentiable, "SupernetTrainer", Trainer)
        patch.setattr(differentiable, "most_weights", lambda programs: most)
        try:
            result, state = DifferentiableSearch(config, RELAXATION, costs, 3, SEED).run(task, data, stage)
        finally:
            stage.checkpoints.flush()
            stage.close()
    return json.loads(json.dumps(jsonable(result_to_json(result)))), jax.device_get(state), len(calls)


def events(folder, kind):
    return [event for event in read_events(folder) if event["event"] == kind]


@pytest.fixture(scope="module")
def room():
    """For any two plans but not for the largest."""
    return count(union([sketched(LONG), sketched(WIDE)]))


@pytest.fixture(scope="module")
def whole(room, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    run_dir = RunDir(folder)
    with pytest.warns(UserWarning, match="the largest plan of the space has .* weights, and .* have room"):
        found = search(room, run_dir, monitor=Telling(run_dir))
    run_dir.close()
    return folder, found


def test_it_says_what_it_holds_and_never_trains_what_has_no_room(whole, room):
    folder, (result, state, calls) = whole
    told = events(folder, "weights")
    assert calls == STEPS and len(told) >= 2, "it grew or changed at a redraw"
    assert told[0]["before"] == 0 and all(event["weights"] <= event["most"] == room for event in told)
    assert told[-1]["weights"] == state.params.size and told[0]["of_largest"] == count(sketched(ALL)) > room
    assert not any("40/2 40/2" in event["plan"] for event in events(folder, "plan")), "the largest plan"
    assert result["best"] is not None
    losses = [event["loss"] for event in events(folder, "search_step")]
    assert len(losses) == STEPS and np.isfinite(losses).all()


@pytest.mark.slow
@pytest.mark.parametrize("kill_at", [2, 7, 9, STEPS])
def test_killed_before_or_behind_a_growth_it_ends_with_the_same_numbers(kill_at, whole, room, tmp_path):
    folder, (result, state, _) = whole
    grown = [event["weights"] for event in events(folder, "weights")]
    assert len(grown) >= 2
    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(Killed), pytest.warns(UserWarning, match="have room"):
        search(room, run_dir, kill_at=kill_at, monitor=Telling(run_dir))
    run_dir.close()
    run_dir = RunDir(tmp_path / "run", resume=True)
    with pytest.warns(UserWarning, match="have room"):
        again, other, calls = search(room, run_dir, monitor=Telling(run_dir))
    run_dir.close()
    assert calls == STEPS - (kill_at - 1)
    assert [one["genotype"] for one in again["candidates"]] == [one["genotype"] for one in result["candidates"]]
    assert [event["weights"] for event in events(tmp_path / "run", "weights")] == grown
    for kind, field in (("search_step", "loss"), ("plan", "plan")):
        assert [e[field] for e in events(tmp_path / "run", kind)] == [e[field] for e in events(folder, kind)]
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_where_no_plan_has_room_it_ends_in_one_line(room):
    least = min(count(sketched(plan)) for plan in (LONG, WIDE))
    with (
        pytest.warns(UserWarning, match="have room"),
        pytest.raises(InvalidInputError, match=r"and of weights \d+ have room; none .*: give smaller images"),
    ):
        search(least // 20)
