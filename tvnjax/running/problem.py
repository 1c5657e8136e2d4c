"""What every strategy of a run shares: clips, space, device profile, budget, and how a network is evaluated."""

import dataclasses
import functools
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from tvnjax.core.environment import cache_dir
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.hosts import ALONE, Hosts
from tvnjax.core.monitor import Monitor
from tvnjax.core.stages import Stage
from tvnjax.data.clips import ClipSet, prepare
from tvnjax.data.loader import TrainLoader, eval_batches
from tvnjax.data.placement import FIRST_DEVICE, Placement
from tvnjax.data.preparation import ClipSizes, Preparation
from tvnjax.data.resident import ResidentClips, ResidentLimit
from tvnjax.data.video_folder import VideoData
from tvnjax.graph import Network
from tvnjax.latency.measure import ReferenceNetwork, make_reference
from tvnjax.latency.memory import memory_mb, working_set
from tvnjax.latency.profile import Profile, SpaceProfiler
from tvnjax.latency.runtimes import Runtime, load_runtime
from tvnjax.latency.table import LatencyTable
from tvnjax.latency.timer import Timer
from tvnjax.running.config import RunConfig
from tvnjax.running.search_devices import search_devices
from tvnjax.search.budget import Costs
from tvnjax.search.gradient.data import Data
from tvnjax.search.gradient.stored_data import hold_clips, stored_data
from tvnjax.search.registry import facts_of, name_of
from tvnjax.spaces.base import Genotype, Space
from tvnjax.spaces.relaxing import Relaxation
from tvnjax.trainers.trainer import Batch
from tvnjax.zoo.resolve import of_genotype
from tvnjax.zoo.trained import TrainedNetwork

EVAL_BATCH = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """The task of one run."""

    config: RunConfig
    clips: ClipSet
    space: Space
    runtime: Runtime
    """Whose latency counts."""

    @functools.cached_property
    def relaxation(self) -> Relaxation:
        """Of the space.

        Raises:
            InvalidInputError: it has none.
        """
        return relaxation_of(self.space)

    @property
    def num_classes(self) -> int:
        return len(self.clips.class_names)

    def lower(self, genotype: Genotype) -> Network:
        return genotype.lower(self.num_classes, head=self.config.head)

    def train_batches(self, genotype: Genotype, split: str, batch_size: int, seed: int) -> TrainLoader:
        """Endless, shuffled, augmented; what the network reads of each clip."""
        sampling = _sampling(genotype)
        return TrainLoader(self.clips, split, batch_size=batch_size, seed=seed, augment=True, **sampling)

    def eval_batches(self, genotype: Genotype, split: str) -> Iterator[Batch]:
        """One pass over a split."""
        return iter(eval_batches(self.clips, split, batch_size=EVAL_BATCH, **_sampling(genotype)))

    def search_data(
        self, monitor: Monitor, placement: Placement = FIRST_DEVICE, devices: int = 1, hosts: Hosts = ALONE
    ) -> Data:
        """Stored clips, from which every plan of a differentiable search cuts its own. Those on the device are shared
        by all searches that read them at the same time, and given up with the last.

        Args:
            monitor: is told which splits live on the device.
            devices: that batches are spread over; a pass over a split fills its batches up to a multiple.
            hosts: that read the same; the least room of all counts.
        """
        search, held = self.config.search, self._held
        resident = held.get(placement)
        if resident is None:
            limit = ResidentLimit.of(search.resident_gb)
            least = hosts.least("room for clips", limit.most)
            if least is not None and least < limit.most:
                limit = ResidentLimit(most=int(least), why="as another process has")
            resident = hold_clips(self.clips, limit, placement, monitor)
            if resident is not None:
                held[placement] = resident
        return stored_data(
            self.clips,
            self.relaxation,
            resident,
            placement,
            batch_size=search.batch_size,
            score_clips=search.score_clips,
            # No more than plans are scored on, which was seen to fit the memory.
            eval_batch=-(-min(EVAL_BATCH, search.score_clips) // devices) * devices,
            seed=self.config.seed,
        )

    @functools.cached_property
    def _held(self) -> weakref.WeakValueDictionary[Placement, ResidentClips]:
        return weakref.WeakValueDictionary()

    def trained(self, name: str, genotype: Genotype) -> TrainedNetwork:
        """What the weights of a network are that is trained to the end; it is kept with them."""
        sizes = clip_sizes(self.config)
        return TrainedNetwork(
            entry=of_genotype(name, genotype),
            classes=tuple(self.clips.class_names),
            head=self.config.head,
            clips=Preparation.of(self.config.data, self.clips, **sizes).as_json(),
            trained_on=self.config.retrain_on,
        )

    def describe_data(self) -> dict[str, Any]:
        """For the report."""
        return self.clips.describe()


def prepare_problem(config: RunConfig, monitor: Monitor, *, told: bool = True) -> Problem:
    """Checks the space, then builds the clips (once; later runs find them).

    Args:
        told: tells the monitor of the clips.

    Raises:
        InvalidInputError: the data or the space break a rule.
    """
    # What cannot be is refused before clips are made, which takes long.
    runtime = runtime_of(config)
    space_of(config)
    if any(facts_of(name_of(choice)).by_gradient for choice in config.strategies):
        search_devices(config)
    sizes = clip_sizes(config)
    clips = prepare(
        config.data,
        **sizes,
        cache_dir=cache_dir() / "datasets",
        progress=lambda done, total, what: monitor.progress("data", done, total, what),
    )
    problem = problem_of(config, clips, runtime)
    if told:
        monitor.event("data", **problem.describe_data())
        for line in clips.said():
            warnings.warn(line, stacklevel=2)
    return problem


def problem_of(config: RunConfig, clips: ClipSet, runtime: Runtime) -> Problem:
    return Problem(config=config, clips=clips, space=space_of(config), runtime=runtime)


def space_of(config: RunConfig) -> Space:
    """The space of a configuration, as long as its clips allow.

    Raises:
        InvalidInputError: a value is one no network can have.
    """
    return config.space(config.data.clip_frames or config.reads.window)


def relaxation_of(space: Space) -> Relaxation:
    """A space as weights.

    Raises:
        InvalidInputError: it has no such form.
    """
    relaxation = space.relax()
    if relaxation is None:
        raise InvalidInputError(
            f"a profile and a search by gradient need a space that can be relaxed; {type(space).__name__} cannot: give "
            "it a method relax"
        )
    return relaxation


def runtime_of(config: RunConfig) -> Runtime:
    """The runtime whose latency counts.

    Raises:
        InvalidInputError: it cannot be had here.
    """
    return load_runtime(config.runtime, config.threads, config.device, config.latency_batch)


def clip_sizes(config: RunConfig) -> ClipSizes:
    """What the clips of a run are prepared for: the longest window and the largest image of its space."""
    longest = config.reads.window
    return {
        "num_frames": min(longest, config.data.clip_frames or longest),
        "frame_stride": 1,
        "image_size": config.reads.image_size,
    }


def profile_problem(problem: Problem, monitor: Monitor) -> Profile:
    """Measures the device for the problem's space, reusing what was measured before."""
    return profile_device(problem.config, problem.space, problem.num_classes, problem.runtime, monitor)


def profile_device(
    config: RunConfig,
    space: Space,
    num_classes: int,
    runtime: Runtime,
    monitor: Monitor,
    table: LatencyTable | None = None,
) -> Profile:
    """Measures a runtime for a configuration's space, reusing what was measured before.

    Args:
        table: where it is kept; default: this environment's.
    """
    if table is None:
        table = LatencyTable.for_this_environment(cache_dir() / "latency", runtime)
    profile = SpaceProfiler(
        space, relaxation_of(space), num_classes, runtime, table, config.profile, monitor, config.head
    ).run()
    monitor.event(
        "profile",
        runtime=runtime.description,
        measured=profile.measured,
        reused=profile.reused,
        took_s=profile.seconds,
        fit=profile.gate.as_json(),
        uncertainty=profile.uncertainty,
        expectation_off=dict(profile.expected.errors),
        points=profile.points,
    )
    return profile


def space_and_classes(
    config: RunConfig, classes: int | None, default: int, monitor: Monitor
) -> tuple[Space, int, Runtime]:
    """What a profile needs of a configuration, without building its clips.

    Args:
        classes: of the networks; ``None`` for those of the data, or ``default`` where no data is named.
    """
    runtime, space = runtime_of(config), space_of(config)
    nameless = isinstance(config.data, VideoData) and config.data.manifest is None and config.data.folder is None
    if classes is None and not nameless:
        if not isinstance(config.data, VideoData):
            config.data.recipe(**clip_sizes(config))  # refuses clips that are drawn too small
        classes = len(config.data.class_names)
    return space, classes or default, runtime


def decide_costs(problem: Problem, profile: Profile) -> Costs:
    """The budgets, with the default filled in, and the expected costs they apply to.

    Raises:
        InvalidInputError: no network of the space can keep a budget.
    """
    given = problem.config.budget
    budget = dataclasses.replace(given, ms=given.ms if given.ms is not None else profile.most_expensive_ms / 2)
    assert budget.ms is not None
    if budget.ms < profile.cheapest_ms:
        raise InvalidInputError(
            f"a budget is one some network can meet; {budget.ms:.3g} ms is below the smallest possible here, "
            f"{profile.cheapest_ms:.3g} ms: raise --budget.ms to at least that"
        )
    relaxation, classes, head = problem.relaxation, problem.num_classes, problem.config.head
    params = relaxation.expected(lambda layer: float(layer.params), classes, head=head) if budget.params else None
    memory = relaxation.expected_memory(classes, head=head) if budget.memory_mb else None
    return Costs(ms=profile.expected, predict=profile.model.predict, budget=budget, params=params, memory_mb=memory)


def check_counted(problem: Problem) -> None:
    """Refuses budgets below the smallest network, which takes no measurement: by parameters exactly; by memory that of
    the cheapest networks.

    Raises:
        InvalidInputError: no network of the space can keep a budget.
    """
    budget = problem.config.budget
    if budget.params is not None:
        relaxation, head = problem.relaxation, problem.config.head
        params = relaxation.expected(lambda layer: float(layer.params), problem.num_classes, head=head)
        least = problem.lower(relaxation.extreme(params, "cheapest")).params
        if least > budget.params:
            raise InvalidInputError(
                f"budget.params is one some network can meet; {budget.params:,} is below the smallest possible here: "
                f"the nearest legal value is {least:,}"
            )
    if budget.memory_mb is not None:
        relaxation = problem.relaxation
        moved = relaxation.expected(lambda layer: float(layer.params + working_set(layer)), problem.num_classes)
        least_mb = memory_mb(problem.lower(relaxation.extreme(moved, "cheapest")))
        if least_mb > budget.memory_mb:
            raise InvalidInputError(
                f"budget.memory_mb is one some network can meet; {budget.memory_mb:.3g} MiB is under the smallest plan "
                f"(image_size, num_frames): the nearest legal value is {least_mb:.3g}"
            )


def filter_timer(problem: Problem, costs: Costs) -> Timer:
    """Repeats for about a second of calls that take as long as the budget, untimed ones and the reference network's
    included: a few dozen short calls are over before the scheduler has changed its mind."""
    assert costs.budget.ms is not None
    return Timer(repeats=int(np.clip(1e3 / (4 * costs.budget.ms), problem.config.profile.repeats, 300)))


def watch_drift(problem: Problem, profile: Profile, costs: Costs, stage: Stage) -> ReferenceNetwork | None:
    """A network of about the budget's latency, whose own latency is that of the profile's conditions. A reproducible
    run measures nothing that decides, and has none."""
    assert costs.budget.ms is not None
    if problem.config.reproducible:
        return None
    network = profile.nearest(costs.budget.ms)
    anchor = problem.lower(profile.most_expensive)
    known = stage.journal.recall("sentinel", "")
    if known is not None:
        return ReferenceNetwork(call=problem.runtime.network(network).call, reference_ms=known)
    reference = make_reference(
        network, anchor, profile.most_expensive_ms, problem.runtime, filter_timer(problem, costs)
    )
    stage.journal.add("sentinel", "", reference.reference_ms)
    return reference


def _sampling(genotype: Genotype) -> dict[str, int]:
    """What a network reads of a clip."""
    return genotype.reads.settled()._asdict()
