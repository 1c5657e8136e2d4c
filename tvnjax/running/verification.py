"""Predicted against measured latencies of networks that no cost model was fitted to."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tvnjax.core.monitor import Monitor
from tvnjax.graph import Network
from tvnjax.latency.gate import SELECTED_NETWORKS, Gate
from tvnjax.latency.measure import DriftError, ReferenceNetwork, measure
from tvnjax.latency.profile import Profile
from tvnjax.latency.runtimes import Runtime
from tvnjax.latency.timer import Timer
from tvnjax.running.config import RunConfig
from tvnjax.running.problem import Problem, filter_timer
from tvnjax.search.base import SearchResult
from tvnjax.search.budget import Costs
from tvnjax.search.registry import facts_of
from tvnjax.spaces.base import Genotype, Space

_BATCH = 10
_SEED = 101
"""Of the networks drawn to verify; a profile draws its own with another."""


def verify_random(
    config: RunConfig,
    space: Space,
    num_classes: int,
    runtime: Runtime,
    profile: Profile,
    count: int,
    monitor: Monitor,
) -> Gate:
    """Measures further random networks and compares them with the profile's predictions."""
    rng = np.random.default_rng(_SEED)
    networks: dict[str, Network] = {}
    for _ in range(20 * count):
        if len(networks) == count:
            break
        genotype = space.sample(rng)
        networks.setdefault(genotype.id, genotype.lower(num_classes, head=config.head))
    chosen = list(networks.values())
    timer = Timer(repeats=config.profile.repeats)
    measured = measure_all(chosen, runtime, timer, profile.reference, "verifying", monitor)
    predicted = [profile.model.predict(network) for network in chosen]
    rows = [
        {"kind": "network", "key": key, "measured_ms": ms, "predicted_ms": guess}
        for key, ms, guess in zip(networks, measured, predicted)
    ]
    monitor.event("verified", points=rows)
    return Gate.of(predicted, measured, [network.macs for network in chosen])


def gate_of_searches(
    problem: Problem,
    profile: Profile,
    costs: Costs,
    reference: ReferenceNetwork,
    found: Sequence[SearchResult],
    monitor: Monitor,
) -> Gate:
    """The profile's gate with the networks the searches proposed beside it.

    These are all that were measured for a strategy that chooses (``Registered.chooses``), topped up to the number the
    gate asks for by networks one mutation away from them, where the profile's own gate is of full size.
    """
    chosen: dict[str, tuple[Genotype, float, float]] = {}
    for result in found:
        for candidate in result.candidates:
            verdict = candidate.verdict
            if verdict.latency_ms is not None and facts_of(result.name).chooses:
                chosen.setdefault(candidate.id, (candidate.genotype, verdict.predicted_ms, verdict.latency_ms))
    proposed = len(chosen)
    more = SELECTED_NETWORKS - proposed
    if chosen and more > 0 and profile.gate.random["count"] >= 3 * SELECTED_NETWORKS:
        near = _neighbours(problem, [genotype for genotype, _, _ in chosen.values()], set(chosen), more)
        networks = [problem.lower(genotype) for genotype in near]
        timer = filter_timer(problem, costs)
        try:
            times = measure_all(networks, problem.runtime, timer, reference, "verifying", monitor)
        except DriftError as error:
            # The gate then rests on fewer, and says so; a finished search is not lost to a busy machine.
            monitor.event("unverified", reason=str(error))
            times = []
        for genotype, network, ms in zip(near, networks, times):
            chosen[genotype.id] = (genotype, profile.model.predict(network), ms)
    rows = [
        {"kind": "selected", "key": key, "measured_ms": ms, "predicted_ms": predicted}
        for key, (_, predicted, ms) in chosen.items()
    ]
    gate = profile.gate
    if rows:
        pairs = [row["predicted_ms"] for row in rows], [row["measured_ms"] for row in rows]
        gate = dataclasses.replace(gate, selected=Gate.of(*pairs, macs=pairs[1]).random)
    monitor.event("gate", **gate.as_json(), proposed=proposed, points=rows)
    return gate


def _neighbours(problem: Problem, starts: Sequence[Genotype], known: set[str], count: int) -> list[Genotype]:
    """Up to ``count`` new networks one mutation away from given ones."""
    rng, near = np.random.default_rng(_SEED), {}
    for attempt in range(50 * count):
        if len(near) == count:
            break
        genotype = problem.space.mutate(starts[attempt % len(starts)], rng)
        if genotype.id not in known:
            near[genotype.id] = genotype
    return list(near.values())


def measure_all(
    networks: Sequence[Network],
    runtime: Runtime,
    timer: Timer,
    reference: ReferenceNetwork,
    stage: str,
    monitor: Monitor,
) -> list[float]:
    """Milliseconds of each, in batches that are timed in turns."""
    times: list[float] = []
    for first in range(0, len(networks), _BATCH):
        batch = networks[first : first + _BATCH]
        prepared = {}
        for index, network in enumerate(batch):
            monitor.progress(stage, first + index, len(networks), f"network {first + index + 1} of {len(networks)}")
            prepared[index] = runtime.network(network)
        measured = measure(prepared, timer, reference)
        times += [measured[index].latency_ms for index in range(len(batch))]
    monitor.progress(stage, 1, 1, f"{len(networks)} networks")
    return times
