"""The gradient search, with arithmetic for a supernet: killed at any step or diverging, it ends as it should."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.search.test_going_on import Killed, Telling
from tests.search.test_projection import MACS, OPERATORS, SHAPES, UndecidedTrainer
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
from tvnjax.search.gradient.projection_config import ProjectionConfig
from tvnjax.search.results import result_to_json
from tvnjax.spaces.tvn.relaxation.relaxation import TvnRelaxation
from tvnjax.spaces.tvn.relaxed import relax_plan
from tvnjax.spaces.tvn.search_space import search_space
from tvnjax.spaces.tvn.shapes import ShapeKey
from tvnjax.trainers.plan_store import Fitted, Working
from tvnjax.trainers.supernet_state import SupernetState

STEPS = 30
SIDE = ShapeKey("image_size")


class ArithmeticTrainer(UndecidedTrainer):
    """Weights are a running sum of what was read and drawn, so that a step left out or done twice shows."""

    breaks_at: tuple = ()
    """Calls of ``weight_step`` whose loss and weights are not finite."""
    full_at: tuple = ()
    """Calls at which the device has no memory left."""
    kill_at = None
    calls = 0

    def __init__(self, *_, seed, **__):
        super().__init__(seed)
        self.largest = relax_plan(SHAPES.largest(), OPERATORS)
        self.compile_seconds, self._rng, self.rate = 0.0, np.random.default_rng(seed), 1.0

    def init(self):
        zeros = jnp.zeros(3)
        shapes = {SIDE: jnp.array([0.5, 0.0])}
        return SupernetState(zeros, zeros, shapes, zeros, zeros, jnp.zeros(1), jnp.int32(0), jnp.zeros(2, jnp.uint32))

    def capture(self):
        split = getattr(self, "split", 1)
        return {"rng": self._rng.bit_generator.state, "rate": self.rate, "compile_seconds": 0.0, "split": split}

    def restore(self, state):
        self._rng.bit_generator.state, self.rate, self.split = state["rng"], state["rate"], state["split"]

    def restore_weights(self, state):
        pass

    def like(self, fresh, state):
        return fresh

    def lower_rate(self, factor):
        self.rate *= factor

    def ready(self, plans, *, learning):
        return True

    def has_room(self, plan):
        return True

    def placed(self, state):
        return jax.tree.map(jnp.asarray, state)

    def copied(self, state):
        return state

    def lessen(self, plan, reason):
        self.split = 2 * getattr(self, "split", 1)
        return Fitted(plan=plan, working=Working(True, self.split), reason=reason)

    def broken_part(self, state):
        return "weights is not finite"

    def shape_weights(self, shapes):
        p = np.exp(np.asarray(shapes[SIDE])) / np.exp(np.asarray(shapes[SIDE])).sum()
        return {key: p if key == SIDE else np.ones(1) for key in SHAPES.keys}

    def probabilities(self, state, temperature):
        return self.genes, self.shape_weights(state.shapes)

    def plan_losses(self, state, batches, temperature, progress):
        return {
            plan: {len(plan.blocks): float(batch["number"] % 7) + self._rng.random()} for plan, batch in batches.items()
        }

    def weight_steps(self, state, plan, batches, temperatures, progress, lengths):
        with jax.transfer_guard("allow"):
            return self._weights(state, plan, batches[0])

    def search_steps(self, state, plan, trains, vals, temperatures, progress, lengths):
        with jax.transfer_guard("allow"):
            state, loss = self._weights(state, plan, trains[0])
            state = state._replace(alphas=state.alphas + vals[0]["number"])
            return state, loss, jnp.float32(1.0), jnp.ones(1)

    def _weights(self, state, plan, batch):
        cls = type(self)
        cls.calls += 1
        if cls.calls == cls.kill_at:
            raise Killed
        if cls.calls in cls.full_at:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes.\nMore of it.")
        bad = np.nan if cls.calls in cls.breaks_at else 0.0
        params = state.params * 1.01 + self.rate * (batch["number"] + self._rng.random() + plan.image_size) + bad
        return state._replace(params=params, step=state.step + 1), jnp.sum(params)

    def shape_step(self, state, losses, members, temperature, progress, *, rate, decay):
        with jax.transfer_guard("allow"):
            return state._replace(shapes={SIDE: state.shapes[SIDE] + 0.01 * float(np.sum(losses))})


class Numbers:
    """A stream whose place can be told."""

    def __init__(self, first):
        self.at = first

    def __next__(self):
        self.at += 1
        return {"number": self.at}

    def get_state(self):
        return {"at": self.at}

    def set_state(self, state):
        self.at = state["at"]


def search(run_dir=None, kill_at=None, breaks_at=(), monitor=None, kill_check=None, full_at=()):
    """Runs or goes on; returns the result as JSON, the state's numbers and how many steps were done."""
    checks = []

    def check(genotype):
        checks.append(genotype)
        if len(checks) == kill_check:
            raise Killed
        ms = MACS.of_genotype(genotype)
        return Verdict(predicted_ms=ms, latency_ms=ms, feasible=ms <= 12, seconds=0.25), 0.0

    def evaluate(genotype, seed, part):
        return Evaluation(top1=0.5, top5=1.0, compile_seconds=0.0, seconds=0.5)

    space = search_space(SHAPES, OPERATORS)
    task = SearchTask(space=space, budget_ms=12.0, check=check, evaluate=evaluate, clocked=False)
    data = Data(
        train=Numbers(0),
        val=Numbers(1000),
        scoring=Numbers(2000),
        val_once=list,
        read=lambda batch, plan, rng: batch if rng is None else {**batch, "drawn": rng.random()},
        view_of=lambda _: None,
    )
    config = DifferentiableConfig(
        steps=STEPS,
        working_set=1,
        redraws=2,
        projection=ProjectionConfig(
            plans=1, top_k=3, draws=2, neighbours=2, rank_steps=1, racers=3, finalists=2, fine_tune_steps=1
        ),
    )
    costs = Costs(ms=MACS, predict=lambda network: MACS.of_network(network), budget=Budget(ms=12.0))
    trainer = type("Trainer", (ArithmeticTrainer,), {"kill_at": kill_at, "breaks_at": breaks_at, "full_at": full_at})
    stage = Stage(monitor or Silent(), run_dir, "differentiable", checkpoint_s=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(differentiable, "SupernetTrainer", trainer)
        try:
            result, state = DifferentiableSearch(config, TvnRelaxation(SHAPES, OPERATORS), costs, 4, 0).run(
                task, data, stage
            )
        finally:
            stage.checkpoints.flush()
            stage.close()
    numbers = [np.asarray(leaf).tolist() for leaf in (state.params, state.alphas, state.shapes[SIDE], state.step)]
    return json.loads(json.dumps(jsonable(result_to_json(result)))), numbers, trainer.calls


@pytest.mark.parametrize("kill_at", [1, 2, 12, 13, 20, STEPS])
def test_killed_at_a_step_it_ends_with_the_same_numbers(kill_at, tmp_path):
    whole, numbers, _ = search()
    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(Killed):
        search(run_dir, kill_at=kill_at, monitor=Telling(run_dir))
    run_dir.close()
    run_dir = RunDir(tmp_path / "run", resume=True)
    result, ours, calls = search(run_dir, monitor=Telling(run_dir))
    run_dir.close()
    assert (result, ours) == (whole, numbers)
    assert calls == STEPS - (kill_at - 1), "the last step before was kept"
    steps = [event["step"] for event in read_events(tmp_path / "run") if event["event"] == "search_step"]
    assert steps == list(range(1, STEPS + 1))


def test_killed_in_the_projection_it_trains_nothing_again(tmp_path):
    whole, numbers, _ = search()
    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(Killed):
        search(run_dir, kill_check=3)
    result, ours, calls = search(run_dir)
    assert (result, ours, calls) == (whole, numbers, 0)


def test_a_loss_that_is_not_finite_takes_it_back_once_at_a_lower_rate(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    _, numbers, calls = search(run_dir, breaks_at=(20,), monitor=Telling(run_dir))
    assert np.isfinite(numbers[0]).all() and calls == STEPS + 1
    (event,) = [event for event in read_events(tmp_path / "run") if event["event"] == "diverged"]
    assert event["steps"] == [20, 20] and event["taken_back"] and "weights" in event["broken"]
    # What was lowered stays so when the run goes on.
    saved = json.loads(max((tmp_path / "run" / "stages" / "differentiable").glob("step-*.json")).read_text())
    assert saved["state"]["trainer"]["rate"] == pytest.approx(0.1)


def test_the_second_time_it_stops_and_says_where(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    words = r"between steps 20 and 20 it is not, on plan .*weights .*not finite.*step-000000019"
    with pytest.raises(FloatingPointError, match=words):
        search(run_dir, breaks_at=(20, 21))
    # The last good checkpoint is still there, and the run goes on from it.
    _, numbers, calls = search(run_dir)
    assert np.isfinite(numbers[0]).all() and calls == STEPS - 19


@pytest.mark.parametrize("full_at", [(1,), (9, 10), (STEPS,)])
def test_a_device_without_memory_ends_nothing(full_at, tmp_path):
    """The window is done again from its beginning, its plan worked on in a smaller way, and that is said."""
    whole, numbers, steps = search()
    run_dir = RunDir(tmp_path / "run")
    said = r"plan .* is now batches in \d parts, units computed again: RESOURCE_EXHAUSTED"
    with pytest.warns(UserWarning, match=said):
        again, same, calls = search(run_dir, monitor=Telling(run_dir), full_at=full_at)
    run_dir.close()
    assert same == numbers and again["candidates"] == whole["candidates"] and calls > steps
    told = [event for event in read_events(tmp_path / "run") if event["event"] == "plan_memory"]
    assert (
        len(told) == len(full_at)
        and "More" not in told[0]["reason"]
        and f"{2 ** len(full_at)} parts" in told[-1]["becomes"]
    )
