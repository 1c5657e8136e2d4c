"""Measuring a device for a search space: units and whole networks, and the cost model fitted to them."""

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Monitor
from tvnjax.graph import HeadKind, Network, Unit
from tvnjax.latency.cost_model import CostModel, Measured, cross_validated, fit
from tvnjax.latency.gate import Gate
from tvnjax.latency.layer_regressor import Constants
from tvnjax.latency.measure import ReferenceNetwork, measure
from tvnjax.latency.promising import promising_genotype
from tvnjax.latency.runtimes import Runtime
from tvnjax.latency.table import Key, LatencyTable
from tvnjax.latency.timer import Timer
from tvnjax.spaces.base import Genotype, Space
from tvnjax.spaces.relaxing import ExpectedCost, Relaxation
from tvnjax.zoo.reference import REFERENCE

_BATCH = 12
"""Programs kept compiled and timed in turns."""
_ROUNDS, _CLIMB = 2, 150
"""Times the model is fitted again before further networks are chosen by it; mutations tried for each."""
_POOL = 300
"""Networks whose units may be measured next."""

DEFAULT_CLASSES = 10
"""Of the reference network, and of networks that are profiled without data."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profiling:
    """How much is measured before a search."""

    units: int = 80
    """Distinct units: half spread so that every candidate of every choice is met, half where predictions are least
    certain."""
    networks: int = 160
    """Random whole networks, beside the cheapest and the most expensive one. The gate rests on them, by
    cross-validation."""
    chosen: int = 60
    """Further networks, of the kind a search would choose by the latency model so far: most multiply-adds for the
    milliseconds it predicts. Without them a model is too low just where searches end."""
    repeats: int = 40
    """Timed calls of each, and more where the fastest one stays alone."""

    def __post_init__(self) -> None:
        if self.units < 10 or self.networks < 3 or self.chosen < 0 or self.repeats < 30:
            raise InvalidInputError(
                f"a profile takes at least 10 units, 3 networks, 0 chosen ones and 30 repeats; got {self.units}, "
                f"{self.networks}, {self.chosen} and {self.repeats}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """What a search knows about the device."""

    model: CostModel
    gate: Gate
    """Of the random networks, cross-validated."""
    margin: float
    """Relative error that nine in ten cross-validated predictions stay within."""
    uncertainty: float
    """Of a unit nobody measured: the median standard deviation, as a part of its milliseconds."""
    points: tuple[dict[str, Any], ...]
    """Everything measured: kind, key, measured and predicted milliseconds; networks' predictions cross-validated."""
    expected: ExpectedCost
    """Expected milliseconds of the relaxed space."""
    cheapest: Genotype
    cheapest_ms: float
    """Measured."""
    most_expensive: Genotype
    most_expensive_ms: float
    """Measured: the largest network's latency."""
    networks: tuple[tuple[Network, float], ...]
    """Every whole network of the profile, with its measured milliseconds."""
    reference: ReferenceNetwork
    """What further measurements are compared with, so that they are of the profile's conditions."""
    environment: dict[str, Any]
    """Runtime, device, threads, versions."""
    measured: int
    reused: int
    seconds: float

    def key_of(self, identity: str) -> str:
        """What a network of the profile's classes is called in a table."""
        return network_key(identity, self.expected.num_classes, self.expected.head_kind)

    def nearest(self, ms: float) -> Network:
        """The profiled network whose latency is nearest."""
        return min(self.networks, key=lambda pair: abs(math.log(max(pair[1], 1e-9) / ms)))[0]


class SpaceProfiler:
    """Measures what a table lacks for a space, fits the cost model, and measures the space's extreme networks.

    Everything measured is saved at once, so that an interrupted profile goes on where it was.
    """

    def __init__(
        self,
        space: Space,
        relaxation: Relaxation,
        num_classes: int,
        runtime: Runtime,
        table: LatencyTable,
        profiling: Profiling,
        monitor: Monitor,
        head: HeadKind = "mean",
        timer: Timer | None = None,
    ):
        self._space, self._relaxation, self._num_classes = space, relaxation, num_classes
        self._head: HeadKind = head
        self._constants: Constants | None = None
        self._runtime, self._table, self._profiling, self._monitor = runtime, table, profiling, monitor
        self._timer = timer or Timer(repeats=profiling.repeats)
        self._wanted: dict[Key, Unit | Network] = {}
        self._total = profiling.units + profiling.networks + profiling.chosen + 2
        self._chosen = 0
        self._measured, self._start = 0, time.monotonic()

    def run(self) -> Profile:
        profiling, rng = self._profiling, np.random.default_rng(0)
        covering = [self._lower(g) for g in self._relaxation.covering(max(profiling.units, 16), rng)]
        self._make_reference()
        space = self._space
        drawn: dict[str, Network] = {}
        # A small space may not hold as many different networks.
        for _ in range(20 * profiling.networks):
            if len(drawn) == profiling.networks:
                break
            genotype = space.sample(rng)
            drawn.setdefault(self._network_key(genotype), self._lower(genotype))
        units = {unit.key: unit for network in covering for unit in network.units}
        first = list(units.items())[: (profiling.units + 1) // 2]
        self._measure({("unit", key): unit for key, unit in first})
        self._measure({("network", key): network for key, network in drawn.items()})
        pool = covering + [self._lower(space.sample(rng)) for _ in range(_POOL)]
        units |= {unit.key: unit for network in pool for unit in network.units}
        while missing := profiling.units - sum(kind == "unit" for kind, _ in self._wanted):
            unmeasured = [(key, unit) for key, unit in units.items() if ("unit", key) not in self._wanted]
            if not unmeasured:
                break
            model = self._model()
            assert model.regressor is not None
            programs = [model.program(unit) for _, unit in unmeasured]
            chosen = model.regressor.least_known(programs, min(missing, _BATCH))
            self._measure({("unit", unmeasured[index][0]): unmeasured[index][1] for index in chosen})
        for round_ in range(_ROUNDS):
            self._measure_chosen(space, profiling.chosen * (round_ + 1) // _ROUNDS, rng)
        random = [("network", key) for key in drawn]
        extremes = {which: self._extreme(which) for which in ("cheapest", "most_expensive")}
        return self._profile(random, extremes, list(units.values()))

    def _profile(
        self, random: Sequence[Key], extremes: Mapping[str, tuple[Genotype, float]], units: Sequence[Unit]
    ) -> Profile:
        self._monitor.progress("profile", 1, 1, "fitting")
        samples = self._samples()
        model = fit(samples)
        assert model.regressor is not None
        predicted = cross_validated(samples, model.regressor.constants)
        keys = [key for key in self._wanted if key[0] == "network"]
        by_key = dict(zip(keys, predicted))
        ms = {key: self._table.entries[key].latency_ms for key in self._wanted}
        networks = [self._wanted[key] for key in random]
        errors = [abs(by_key[key] - ms[key]) / ms[key] for key in random]
        unmeasured = [model.program(unit) for unit in units if ("unit", unit.key) not in self._wanted]
        unsure = model.regressor.uncertainty(unmeasured) if unmeasured else np.zeros(1)
        points = []
        for (kind, key), what in self._wanted.items():
            guess = model.unit(what) if isinstance(what, Unit) else by_key[kind, key]
            points.append({"kind": kind, "key": key, "measured_ms": ms[kind, key], "predicted_ms": float(guess)})
        known = len(self._wanted) - self._measured
        self._monitor.progress("profile", 1, 1, f"{self._measured} measured, {known} known")
        return Profile(
            model=model,
            gate=Gate.of(
                [by_key[key] for key in random], [ms[key] for key in random], [network.macs for network in networks]
            ),
            margin=float(np.quantile(errors, 0.9)),
            uncertainty=float(np.median(unsure)),
            points=tuple(points),
            expected=self._expected(model),
            cheapest=extremes["cheapest"][0],
            cheapest_ms=extremes["cheapest"][1],
            most_expensive=extremes["most_expensive"][0],
            most_expensive_ms=extremes["most_expensive"][1],
            networks=tuple((what, ms[key]) for key, what in self._wanted.items() if isinstance(what, Network)),
            reference=self._reference_network,
            environment=self._table.environment,
            measured=self._measured,
            reused=known,
            seconds=time.monotonic() - self._start,
        )

    def _measure(self, wanted: Mapping[Key, Unit | Network]) -> None:
        """Measures what the table lacks, in batches that are timed in turns, and saved each."""
        self._wanted |= wanted
        missing = [key for key in wanted if key not in self._table.entries]
        for first in range(0, len(missing), _BATCH):
            prepared = {}
            for key in missing[first : first + _BATCH]:
                done = len(self._wanted) - len(missing) + first + len(prepared)
                self._monitor.progress("profile", done, self._total, f"{key[0]} {key[1][:48]}")
                what = wanted[key]
                make = self._runtime.unit if isinstance(what, Unit) else self._runtime.network
                prepared[key] = make(what)  # type: ignore[arg-type]
            for key, measured in measure(prepared, self._timer, self._reference_network).items():
                self._table.add(key, measured, prepared[key].kernels)
            self._table.settle()
            self._table.save()
            self._measured += len(prepared)

    @property
    def _reference_network(self) -> ReferenceNetwork:
        """Its reference is the quietest moment so far."""
        return ReferenceNetwork(
            call=self._reference.call, reference_ms=self._table.entries[self._reference_key].latency_ms
        )

    def _measure_chosen(self, space: Space, total: int, rng: np.random.Generator) -> None:
        """Measures networks of the kind searches choose, until there are ``total``; spread over all latencies."""
        count = total - self._chosen
        if count <= 0:
            return
        model = self._model()

        def costs(genotype: Genotype) -> tuple[float, int]:
            network = self._lower(genotype)
            return model.predict(network), network.macs

        networks = [(key, self._table.entries[key].latency_ms) for key in self._wanted if key[0] == "network"]
        start = space.sample(rng)
        limits = np.quantile([ms for _, ms in networks], np.linspace(0.1, 0.95, count))
        found = [promising_genotype(space, start, costs, float(limit), _CLIMB, rng) for limit in limits]
        self._measure({("network", self._network_key(genotype)): self._lower(genotype) for genotype in found})
        self._chosen += count

    def _make_reference(self) -> None:
        """The network all of a table's entries are compared with, whatever space they are of."""
        self._reference = self._runtime.network(REFERENCE.lower(DEFAULT_CLASSES))
        self._reference_key = ("sentinel", REFERENCE.id)
        if self._reference_key not in self._table.entries:
            measured = measure({"network": self._reference}, self._timer)["network"]
            self._table.add(self._reference_key, measured, self._reference.kernels)
            self._table.save()

    def _extreme(self, which: Any) -> tuple[Genotype, float]:
        genotype = self._relaxation.extreme(self._expected(self._model()), which)
        key = ("network", self._network_key(genotype))
        self._measure({key: self._lower(genotype)})
        return genotype, self._table.entries[key].latency_ms

    def _model(self) -> CostModel:
        """A model of what is measured so far; the regressor's constants are chosen once, and again in the end."""
        model = fit(self._samples(), self._constants)
        assert model.regressor is not None
        self._constants = model.regressor.constants
        return model

    def _samples(self) -> Measured:
        pairs = [(what, self._table.entries[key].latency_ms) for key, what in self._wanted.items()]
        counts = {what: self._table.entries[key].kernels for key, what in self._wanted.items()}
        counted = {what: count for what, count in counts.items() if count is not None}
        return Measured(
            kernels=counted or None,
            units=tuple((what, ms) for what, ms in pairs if isinstance(what, Unit)),
            networks=tuple((what, ms) for what, ms in pairs if isinstance(what, Network)),
        )

    def _expected(self, model: CostModel) -> ExpectedCost:
        return self._relaxation.expected(
            model.layer_ms,
            self._num_classes,
            unit_cost=model.unit_ms,
            constant=model.network_ms,
            head=self._head,
        )

    def _lower(self, genotype: Genotype) -> Network:
        return genotype.lower(self._num_classes, head=self._head)

    def _network_key(self, genotype: Genotype) -> str:
        return network_key(genotype.id, self._num_classes, self._head)


def network_key(identity: str, classes: int, head: HeadKind) -> str:
    """What a network is called in a table."""
    return f"{identity} {classes} classes" + ("" if head == "mean" else f" {head}")
