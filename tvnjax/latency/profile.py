"""Measuring a device for a search space: units and a few whole networks, then the cost model fitted to them."""

import dataclasses
import math
import time
from collections.abc import Mapping

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Monitor
from tvnjax.latency.cost_model import CostModel, network_features, unit_features
from tvnjax.latency.expected import ExpectedCost
from tvnjax.latency.extremes import extreme_genotype
from tvnjax.latency.measure import Sentinel, measure
from tvnjax.latency.runtimes import Prepared, Runtime
from tvnjax.latency.table import Fit, LatencyTable, fit_entries
from tvnjax.latency.timer import Timer
from tvnjax.space.canonical import genotype_id
from tvnjax.space.genotype import Genotype
from tvnjax.space.lowering import lower
from tvnjax.space.network import HeadKind, Network, Unit
from tvnjax.space.relaxed import GENES, OperatorChoices, relax_plan
from tvnjax.space.shapes import BLOCK_SHAPE_GENES, BlockPlan, Plan, ShapeKey, ShapeSpace

Key = tuple[str, str]
"""Kind (``unit`` or ``network``) and key of an entry of the table."""

_BATCH = 16
"""Programs kept compiled and timed in turns."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profiling:
    """How much is measured before a search."""

    units: int = 60
    """Distinct units, spread so that every candidate of every choice is met."""
    networks: int = 12
    """Whole networks, beside the cheapest and the dearest."""
    repeats: int = 40
    """Timed calls of each."""

    def __post_init__(self) -> None:
        if self.units < 10 or self.networks < 3 or self.repeats < 30:
            raise InvalidInputError(
                f"a profile takes at least 10 units, 3 networks and 30 repeats; got {self.units}, {self.networks} and "
                f"{self.repeats}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """What a search knows about the device."""

    fit: Fit
    expected: ExpectedCost
    """Expected milliseconds of the relaxed space."""
    cheapest: Genotype
    cheapest_ms: float
    """Measured."""
    dearest: Genotype
    dearest_ms: float
    """Measured: the largest network's latency."""
    networks: tuple[tuple[Network, float], ...]
    """Every whole network of the profile, with its measured milliseconds."""
    measured: int
    reused: int
    seconds: float

    def nearest(self, ms: float) -> Network:
        """The profiled network whose latency is nearest."""
        return min(self.networks, key=lambda pair: abs(math.log(max(pair[1], 1e-9) / ms)))[0]


def profile_space(
    shapes: ShapeSpace,
    operators: OperatorChoices,
    num_classes: int,
    runtime: Runtime,
    table: LatencyTable,
    profiling: Profiling,
    monitor: Monitor,
    head: HeadKind = "mean",
) -> Profile:
    """Measures what the table lacks for a space, fits the cost model, and measures the space's extreme networks."""
    start = time.monotonic()
    timer = Timer(repeats=profiling.repeats)
    count = max(profiling.networks, profiling.units)
    genotypes = covering_genotypes(shapes, operators, count, np.random.default_rng(0))
    lowered = [lower(genotype, num_classes, head=head) for genotype in genotypes]
    units = {unit.key: unit for network in lowered for unit in network.units}
    chosen = list(units.items())[: profiling.units]
    wanted: dict[Key, Unit | Network] = {("unit", key): unit for key, unit in chosen}
    for genotype, network in list(zip(genotypes, lowered))[: profiling.networks]:
        wanted["network", _network_key(genotype, num_classes, head)] = network
    missing = [key for key in wanted if key not in table.entries]
    total = len(missing) + 2
    sentinel = _sentinel(lowered[0], runtime, table, timer)
    # In batches, so that an interrupted profile keeps what it has; inside a batch everything is timed in turns.
    for first in range(0, len(missing), _BATCH):
        prepared = {}
        for done, key in enumerate(missing[first : first + _BATCH], first):
            monitor.progress("profile", done, total, f"{key[0]} {key[1][:48]}")
            prepared[key] = _prepare(wanted[key], runtime)
        _measure(table, prepared, wanted, timer, sentinel)
    keys = set(wanted)
    model = fit_entries(table.rows(keys)).model
    measured = len(missing)
    extremes: dict[str, tuple[Genotype, float]] = {}
    for done, which in enumerate(("cheapest", "dearest")):
        monitor.progress("profile", len(missing) + done, total, f"the {which} network")
        costs = _expected(shapes, operators, num_classes, model, head)
        genotype = extreme_genotype(costs, which)  # type: ignore[arg-type]
        key = ("network", _network_key(genotype, num_classes, head))
        network = lower(genotype, num_classes, head=head)
        if key not in table.entries:
            _measure(table, {key: _prepare(network, runtime)}, {key: network}, timer, sentinel)
            measured += 1
        wanted[key] = network
        keys.add(key)
        extremes[which] = (genotype, table.entries[key].latency_ms)
    fitted = fit_entries(table.rows(keys))
    monitor.progress("profile", 1, 1, f"{measured} measured, {len(keys) - measured} known")
    return Profile(
        fit=fitted,
        expected=_expected(shapes, operators, num_classes, fitted.model, head),
        cheapest=extremes["cheapest"][0],
        cheapest_ms=extremes["cheapest"][1],
        dearest=extremes["dearest"][0],
        dearest_ms=extremes["dearest"][1],
        networks=tuple(
            (what, table.entries[key].latency_ms) for key, what in wanted.items() if isinstance(what, Network)
        ),
        measured=measured,
        reused=len(keys) - measured,
        seconds=time.monotonic() - start,
    )


def covering_genotypes(
    shapes: ShapeSpace, operators: OperatorChoices, count: int, rng: np.random.Generator
) -> list[Genotype]:
    """Networks in which every value of every gene, of shapes and operators, occurs about equally often (a Latin
    hypercube, over the candidates each plan can have)."""

    def column(size: int) -> np.ndarray:
        return rng.permutation(np.arange(count) % size)

    sizes = {key: column(len(shapes.values(key))) for key in shapes.keys}
    orders = [{gene: rng.permutation(count) for gene in GENES} for _ in shapes.choices.blocks]
    genotypes = []
    for row in range(count):
        plan = relax_plan(_plan(shapes, {key: int(values[row]) for key, values in sizes.items()}), operators)
        chosen = []
        for block, genes in zip(plan.blocks, orders):
            indices = {}
            for gene in GENES:
                legal = np.flatnonzero(block.legal(gene))
                index = int(legal[genes[gene][row] % len(legal)]) if gene in block.active else block.default(gene)
                indices[gene] = index
            chosen.append(indices)
        genotypes.append(plan.decode(tuple(chosen)))
    return genotypes


def _plan(shapes: ShapeSpace, indices: Mapping[ShapeKey, int]) -> Plan:
    """The plan of given values; the longest frame stride that fits where the one asked for does not."""

    def value(gene: str, block: int | None = None) -> int:
        key = ShapeKey(gene, block)
        return shapes.values(key)[indices[key]]

    frames, stride = value("num_frames"), value("frame_stride")
    fitting = [s for s, fits in zip(shapes.choices.frame_stride, shapes.legal_strides(frames)) if fits]
    return shapes.canonical(
        Plan(
            image_size=value("image_size"),
            num_frames=frames,
            frame_stride=stride if stride in fitting else max(fitting),
            blocks=tuple(
                BlockPlan(**{gene: value(gene, index) for gene in BLOCK_SHAPE_GENES})
                for index in range(value("num_blocks"))
            ),
        )
    )


def _expected(
    shapes: ShapeSpace, operators: OperatorChoices, num_classes: int, model: CostModel, head: HeadKind
) -> ExpectedCost:
    return ExpectedCost(
        shapes,
        operators,
        num_classes,
        model.layer_ms,
        unit_cost=model.unit_ms,
        constant=model.network_ms,
        head=head,
    )


def _prepare(what: Unit | Network, runtime: Runtime) -> Prepared:
    return runtime.unit(what) if isinstance(what, Unit) else runtime.network(what)


def _sentinel(network: Network, runtime: Runtime, table: LatencyTable, timer: Timer) -> Sentinel:
    """The network all of a table's entries are compared with; its own latency is measured once, and kept."""
    prepared = runtime.network(network)
    key = ("sentinel", " | ".join(unit.key for unit in network.units))
    if key not in table.entries:
        table.add(key, network_features(network), measure({"network": prepared}, timer)["network"])
        table.save()
    return Sentinel(call=prepared.call, reference_ms=table.entries[key].latency_ms)


def _measure(
    table: LatencyTable,
    prepared: Mapping[Key, Prepared],
    wanted: Mapping[Key, Unit | Network],
    timer: Timer,
    sentinel: Sentinel,
) -> None:
    for key, measured in measure(prepared, timer, sentinel).items():
        what = wanted[key]
        features = unit_features(what) if isinstance(what, Unit) else network_features(what)
        table.add(key, features, measured)
    table.save()


def _network_key(genotype: Genotype, num_classes: int, head: HeadKind) -> str:
    return f"{genotype_id(genotype)} {num_classes} classes" + ("" if head == "mean" else f" {head}")
