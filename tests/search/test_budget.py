"""Budgets: what is refused, and how expected costs compare with them."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.latency.cost_model import FEATURE_NAMES, CostModel
from tvnjax.latency.measure import ReferenceNetwork
from tvnjax.latency.memory import memory_mb
from tvnjax.latency.runtimes import Prepared
from tvnjax.latency.timer import Timer, Timing
from tvnjax.search.budget import Budget, Costs
from tvnjax.search.constraint import RuntimeFilter
from tvnjax.spaces.tvn.costs.expected import ExpectedCost
from tvnjax.spaces.tvn.costs.memory import ExpectedMemory
from tvnjax.spaces.tvn.genotype import Block, Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.relaxed import GENES, OperatorChoices, relax_plan
from tvnjax.spaces.tvn.shapes import BlockPlan, Plan

GENOTYPE = Genotype(image_size=8, num_frames=2, blocks=(Block(spatial_kernel=3, spatial_stride=2, filters=16),))
NETWORK = lower(GENOTYPE, 4)


@pytest.mark.parametrize("field", ["ms", "params", "memory_mb"])
def test_a_budget_is_above_zero(field):
    with pytest.raises(InvalidInputError, match=f"budget.{field} is above 0; got 0"):
        Budget(**{field: 0})


def test_counted_budgets_are_exact_to_the_last_parameter():
    assert Budget(params=NETWORK.params).exceeded(NETWORK) is None
    assert "parameters" in (Budget(params=NETWORK.params - 1).exceeded(NETWORK) or "")
    assert Budget(memory_mb=memory_mb(NETWORK)).exceeded(NETWORK) is None
    assert "MiB" in (Budget(memory_mb=0.999 * memory_mb(NETWORK)).exceeded(NETWORK) or "")


def test_the_filter_refuses_what_is_over_a_counted_budget_unmeasured():
    class NoTimer:
        def __getattr__(self, name):
            raise AssertionError("nothing is measured")

    class Free(CostModel):
        def predict(self, network):
            return 0.0

    free = Free(coefficients=jnp.zeros(1), network_ms=0.0)
    budget = Budget(ms=1.0, params=NETWORK.params - 1)
    check = RuntimeFilter(
        budget=budget, model=free, margin=0.1, lower=lambda g: lower(g, 4), runtime=NoTimer(), timer=NoTimer()
    ).check
    verdict, _ = check(GENOTYPE)
    assert not verdict.feasible and "parameters" in (verdict.reason or "") and verdict.latency_ms is None


def test_parts_are_expected_costs_over_budgets():
    plan = Plan(image_size=8, num_frames=2, blocks=(BlockPlan(filters=16),))
    operators = OperatorChoices(
        spatial_type=("std",),
        spatial_kernel=(3,),
        temporal_kernel=(1,),
        width=(1.0,),
        expand=(1,),
        squeeze=(0.0,),
        context_gate=(False,),
        skip=(False,),
    )
    only = [{gene: jnp.ones(1) for gene in GENES}]
    network = lower(relax_plan(plan, operators).decode((dict.fromkeys(GENES, 0),)), 4)
    macs = ExpectedCost.of_plan(plan, operators, 4, lambda layer: float(layer.macs))
    params = ExpectedCost.of_plan(plan, operators, 4, lambda layer: float(layer.params))
    memory = ExpectedMemory(macs.shapes, operators, 4)
    budget = Budget(ms=2.0 * network.macs, params=network.params // 2, memory_mb=memory_mb(network))
    costs = Costs(ms=macs, predict=lambda network: float(network.macs), budget=budget, params=params, memory_mb=memory)
    assert costs.names == ("ms", "params", "memory_mb")
    assert costs.parts(only, None) == pytest.approx([0.5, network.params / (network.params // 2), 1.0], rel=1e-5)
    assert all(cost(network) == pytest.approx(most, rel=1) for cost, most in costs.counted())
    assert dataclasses.replace(costs, budget=Budget(ms=1.0)).counted() == []


def instant_filter(timer, reference=None):
    """A filter of 1 ms whose networks take no time; what they are said to take is the timer's."""

    class Instant:
        def network(self, network):
            return Prepared(call=lambda: None, compile_seconds=0.25)

    return RuntimeFilter(
        budget=Budget(ms=1.0),
        model=CostModel(coefficients=np.zeros(len(FEATURE_NAMES)), network_ms=0.1),
        margin=0.1,
        lower=lambda g: lower(g, 4),
        runtime=Instant(),
        timer=timer,
        reference=reference,
    )


def test_a_machine_too_busy_to_measure_on_refuses_the_proposal_and_ends_nothing():
    class Busy(Timer):
        def interleave(self, calls, watch=None):
            return {
                name: Timing(samples_ms=(1.0, 2.0, 4.0) if name == "the reference network" else (1.0,) * 3)
                for name in calls
            }

    runtime = instant_filter(Busy(), ReferenceNetwork(call=lambda: None, reference_ms=1.0))
    for verdict, _ in (runtime.check(GENOTYPE), runtime.confirm(GENOTYPE)):
        assert not verdict.feasible and verdict.latency_ms is None and "not measured" in (verdict.reason or "")
        assert verdict.predicted_ms == runtime.model.predict(lower(GENOTYPE, 4))
    assert not runtime.measured, "so that it may be proposed again"


def test_a_network_is_measured_once_for_all_who_propose_it_and_anew_where_it_is_confirmed():
    moments = iter([0.5, 2.0])

    class Slower(Timer):
        def interleave(self, calls, watch=None):
            return {name: Timing(samples_ms=(next(moments),) * 3) for name in calls}

    runtime = instant_filter(Slower())
    first, compiling = runtime.check(GENOTYPE)
    assert first.feasible and first.latency_ms == 0.5 and not first.known and compiling == 0.25
    second, compiling = runtime.check(GENOTYPE)
    assert second == dataclasses.replace(first, known=True) and compiling == 0
    again, compiling = runtime.confirm(GENOTYPE)
    assert not again.feasible and again.latency_ms == 2.0 and compiling == 0.25
    assert again.reason == "measured again 2 ms, over 1"
    assert runtime.check(GENOTYPE)[0] == second, "what was measured first stands for those who propose it"
