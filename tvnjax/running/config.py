"""Everything a run can be told, and the presets."""

import dataclasses
from dataclasses import field
from pathlib import Path
from typing import Literal

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.literals import check_literals
from tvnjax.data.arrays import ArrayData
from tvnjax.data.planted import PlantedData
from tvnjax.data.procedural import ProceduralData
from tvnjax.data.video_folder import VideoData
from tvnjax.graph import HeadKind
from tvnjax.latency.profile import Profiling
from tvnjax.latency.runtimes import RuntimeName
from tvnjax.running.distributed import Distributed
from tvnjax.running.preset_lines import PRESET_LINES
from tvnjax.search.budget import Budget
from tvnjax.search.gradient.config import DifferentiableConfig
from tvnjax.search.gradient.projection_config import ProjectionConfig
from tvnjax.search.pools import Workers
from tvnjax.search.registry import StrategyChoice, facts_of, name_of, strategy_choices
from tvnjax.search.strategies.evolution import EvolutionConfig
from tvnjax.search.strategies.optuna_search import OptunaConfig
from tvnjax.search.strategies.successive_halving import HalvingConfig
from tvnjax.search.strategies.weight_sharing import SharingConfig
from tvnjax.spaces.base import Reads, Space
from tvnjax.spaces.own import OwnSpace
from tvnjax.spaces.tvn.making import tvn_space
from tvnjax.spaces.tvn.presets import CLIPS, PLANTED, PLANTED_OPERATORS, QUICK, TVN, TVN_OPERATORS, TVN_TPU
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.shapes import ShapeChoices
from tvnjax.trainers.devices import Devices, check_devices
from tvnjax.trainers.optim import Optimizer
from tvnjax.trainers.trainer import Training


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One search with its baselines."""

    out: Path | None = None
    """Directory to leave the run in; it must be empty. Default: runs/PRESET-DATE-TIME."""
    seed: int = 0
    """Of the strategies, the initial weights and the order of the clips."""
    budget: Budget = field(default_factory=Budget)
    """What a network may cost."""
    runtime: RuntimeName = "xla"
    """Whose latency counts, in the table, the search, the filter and the report: XLA on JAX's device, or the exported
    network on CPU in LiteRT or ONNX Runtime."""
    threads: int | None = None
    """Threads of the runtime. Default: 1 for LiteRT and ONNX Runtime; for XLA all cores of the process."""
    device: str | None = None
    """Device whose latency counts, of XLA: cpu, gpu, tpu. Default: JAX's first."""
    latency_batch: int = 1
    """Clips of a call whose latency counts, of XLA. Budgets in milliseconds are then of such a call; tables of other
    batches are others."""
    devices: Devices = 1
    """Devices of JAX that batches of the gradient search and of the last trainings are spread over: so many, or all; of
    all processes together, for the search. Batch statistics are those of whole batches, so that the numbers are those
    of one device but for rounding; weights are on each. Candidates are trained on one (see ``workers``)."""
    distributed: Distributed = field(default_factory=Distributed)
    """Processes on several hosts that search by gradient together."""
    data: ProceduralData | PlantedData | VideoData | ArrayData = field(default_factory=ProceduralData)
    shapes: ShapeChoices = field(default_factory=ShapeChoices)
    """Values of the genes that decide sizes: image size, frames, frame stride, blocks, strides, repeats, widths."""
    operators: OperatorChoices = field(default_factory=OperatorChoices)
    """Values of the genes that decide what happens inside those sizes."""
    head: HeadKind = "mean"
    """How a clip's scores are pooled: mean over everything; or per frame, then a softmax-weighted mean over time
    (multi-label sets, the released code) or the maximum over time."""
    own: OwnSpace | None = None
    """A space made in Python, in place of ``shapes`` and ``operators``; see ``tvnjax.ChainSpace``."""
    strategies: tuple[StrategyChoice, ...] = ("differentiable", "evolution", "random")
    """Which to run, by name or, from Python, as an object (``tvnjax.Strategy``); the baselines get the seconds the
    differentiable search took. ``hybrid`` is evolution that starts from what the differentiable search found, for as
    long again. Those with ``weight_sharing`` score candidates with the weights of a supernet, whose training is charged
    to each."""
    reproducible: bool = False
    """Decide by counts and by a latency table that stays as it is, not by clocks: the same seed on the same machine
    then gives the same networks and weights, to the bit on a CPU. Baselines train ``baseline_networks`` networks, and
    proposals are filtered by latencies of the table or predicted from it; networks are measured for the report alone.
    On a GPU set XLA_FLAGS=--xla_gpu_deterministic_ops=true; some operations are then slower or refused by XLA."""
    baseline_networks: int = 20
    """Networks each baseline trains in a reproducible run."""
    latency_table: Path | None = None
    """Of a reproducible run: the table to decide by, such as RUN/latency_table.json of another. Default: one that is
    kept for this machine and only ever added to."""
    checkpoint_seconds: float = 30.0
    """Least seconds between two checkpoints; fewer are made where they would take more than 2 % of the time."""
    baseline_seconds: float | None = None
    """Device seconds of each baseline, besides those of the latency table. Default: ``baseline_ratio`` times all those
    of the differentiable search of this run."""
    baseline_ratio: float = 1.0
    """Times the differentiable search's device seconds, the latency table's in both, for the baselines, where
    ``baseline_seconds`` does not say. More than 1 shows how long they need to catch up."""
    profile: Profiling = field(default_factory=Profiling)
    search: DifferentiableConfig = field(default_factory=DifferentiableConfig)
    evolution: EvolutionConfig = field(default_factory=EvolutionConfig)
    regularized: EvolutionConfig = field(
        default_factory=lambda: EvolutionConfig(population=100, tournament=25, leaves="oldest")
    )
    """Evolution whose members grow old; sizes of Real et al. 2019."""
    halving: HalvingConfig = field(default_factory=HalvingConfig)
    sharing: SharingConfig = field(default_factory=SharingConfig)
    """The strategies that score with a supernet's weights."""
    optuna: OptunaConfig = field(default_factory=OptunaConfig)
    """``optuna_tpe`` and ``optuna_nsga2``, samplers of Optuna (an extra)."""
    evaluation: Literal["whole", "layers"] = "whole"
    """What is compiled to train candidates: each network as one program, or single layers, which all networks that
    have them share: worth it from some dozens of candidates on."""
    workers: Workers = field(default_factory=Workers)
    """Where candidates of the strategies that ask for evaluations are trained."""
    proxy: Training = field(default_factory=Training)
    """Short training of a candidate from scratch, scored on the validation split."""
    retrain: Training = field(default_factory=Training)
    """Training of the network each strategy chose, from scratch, scored on the test split."""
    retrain_on: Literal["train", "train+val"] = "train+val"
    """Splits of the last training; choices were made before, on the validation split."""
    retrain_seeds: int = 1
    """Last trainings of each chosen network, each with weights and an order of clips of its own; accuracies are then
    their mean, and the weights kept are the first one's. A comparison that is to be published wants 3."""

    @property
    def reads(self) -> Reads:
        """The most that a network of the space reads."""
        if self.own is not None:
            return self.own.space.reads
        shapes = self.shapes
        return Reads(max(shapes.num_frames), max(shapes.frame_stride), max(shapes.image_size))

    def space(self, clip_frames: int) -> Space:
        """The space of ``shapes`` and ``operators``, or one's own.

        Args:
            clip_frames: of the longest clip.

        Raises:
            InvalidInputError: a value is one no network can have.
        """
        if self.own is None:
            return tvn_space(self.shapes, self.operators, clip_frames)
        space = self.own.space
        if space.reads.window > clip_frames:
            raise InvalidInputError(
                f"what a network reads lies in the clip; {tuple(space.reads)} (frames, stride, pixels) takes "
                f"{space.reads.window} of {clip_frames} frames: give longer clips or a smaller stride"
            )
        return space

    def __post_init__(self) -> None:
        check_literals(self)
        object.__setattr__(self, "shapes", _chosen_blocks(self.shapes))
        check_devices(self.devices)
        if self.seed < 0:
            raise InvalidInputError(f"seed is 0 or above; got {self.seed}")
        object.__setattr__(self, "strategies", strategy_choices(self.strategies))
        shared = self.distributed.processes > 1 or self.distributed.auto
        if shared and not any(facts_of(name_of(choice)).by_gradient for choice in self.strategies):
            raise InvalidInputError(
                "processes search by gradient together, and process 0 does all else alone; strategies "
                f"{tuple(map(name_of, self.strategies))} do not: leave the options of distributed out"
            )
        if self.latency_batch < 1:
            raise InvalidInputError(f"latency_batch is 1 or above; got {self.latency_batch}")
        if self.baseline_seconds is not None and not self.baseline_seconds > 0:
            raise InvalidInputError(f"baseline_seconds is above 0; got {self.baseline_seconds}")
        if not 0 < self.baseline_ratio < float("inf"):
            raise InvalidInputError(f"baseline_ratio is a finite number above 0; got {self.baseline_ratio}")
        if self.baseline_seconds is not None and self.baseline_ratio != 1.0:
            raise InvalidInputError(
                f"baseline_seconds ({self.baseline_seconds}) and baseline_ratio ({self.baseline_ratio}) both say how "
                "long baselines get: give one"
            )
        if not self.checkpoint_seconds >= 0 or self.baseline_networks < 1:
            raise InvalidInputError(
                "checkpoint_seconds is 0 or above and baseline_networks at least 1; got "
                f"{self.checkpoint_seconds} and {self.baseline_networks}"
            )
        if self.retrain_seeds < 1:
            raise InvalidInputError(f"retrain_seeds is at least 1; got {self.retrain_seeds}")
        if self.latency_table is not None and not self.reproducible:
            raise InvalidInputError("a latency table to decide by is one of a reproducible run: give --reproducible")
        if self.reproducible and self.workers.engine != "none":
            raise InvalidInputError(
                "with workers the order of results decides, and it is never the same twice; a reproducible run has "
                f"none: leave out --workers.engine {self.workers.engine}"
            )
        if self.reproducible:
            return
        names = tuple(map(name_of, self.strategies))
        if self.baseline_seconds is None and not any(facts_of(name).by_gradient for name in names):
            raise InvalidInputError(
                f"baselines get the differentiable search's seconds; strategies {names} leave it out: give "
                "--baseline-seconds"
            )


def _chosen_blocks(shapes: ShapeChoices) -> ShapeChoices:
    """The choices without the last blocks, where ``num_blocks`` says that no network has them.

    Raises:
        InvalidInputError: ``num_blocks`` asks for more blocks than are listed.
    """
    listed, most = len(shapes.blocks), max(shapes.lengths, default=0)
    if most > listed:
        raise InvalidInputError(
            f"shapes.num_blocks is at most the {listed} blocks that shapes.blocks lists; got {most}: list another with "
            f"--shapes.blocks.{listed}.filters 32, in a config file with [[shapes.blocks]]"
        )
    return dataclasses.replace(shapes, blocks=shapes.blocks[:most]) if 0 < most < listed else shapes


def _for_accelerators(shapes: ShapeChoices, batch_size: int, accumulate: int, working_set: int) -> RunConfig:
    """A search at the paper's scale. A step of ``tvn-gpu`` is 55 TFLOP on average over plans (counted as in
    ``step_estimate``), tenths of a second at the least, so that steps can be sent one by one; scoring all plans is a
    forward pass of each, four steps' worth, hence at every tenth step."""
    child = {"batch_size": 32, "precision": "bfloat16", "remat": True}
    return RunConfig(
        data=VideoData(shift=8),
        shapes=shapes,
        operators=TVN_OPERATORS,
        search=DifferentiableConfig(
            steps=2000,
            batch_size=batch_size,
            accumulate=accumulate,
            precision="bfloat16",
            remat=True,
            working_set=working_set,
            score_every=10,
            steps_per_dispatch=1,
        ),
        proxy=Training(steps=500, **child),
        retrain=Training(steps=10_000, ema=0.999, **child),
    )


PRESETS: dict[str, tuple[str, RunConfig]] = {
    "quick": (
        PRESET_LINES["quick"],
        RunConfig(
            data=ProceduralData(task="motion", train_clips=1024, val_clips=256, test_clips=512, size=24),
            shapes=QUICK,
            profile=Profiling(units=30, networks=12, chosen=4, repeats=30),
            search=DifferentiableConfig(
                steps=240,
                batch_size=16,
                projection=ProjectionConfig(
                    plans=2, draws=6, neighbours=6, rank_steps=10, racers=5, finalists=2, recalibration_batches=6
                ),
            ),
            evolution=EvolutionConfig(population=4, tournament=2),
            regularized=EvolutionConfig(population=4, tournament=2, leaves="oldest"),
            halving=HalvingConfig(networks=9),
            sharing=SharingConfig(candidates=40, finalists=2),
            proxy=Training(steps=100, batch_size=32, optimizer=Optimizer(learning_rate=6e-3)),
            retrain=Training(steps=300, batch_size=32, optimizer=Optimizer(learning_rate=6e-3)),
        ),
    ),
    "clips": (
        PRESET_LINES["clips"],
        RunConfig(
            data=VideoData(shift=3),
            shapes=CLIPS,
            search=DifferentiableConfig(
                steps=400,
                batch_size=16,
                projection=ProjectionConfig(plans=2, draws=8, neighbours=8, rank_steps=10, racers=6, finalists=2),
            ),
            evolution=EvolutionConfig(population=4, tournament=2),
            regularized=EvolutionConfig(population=4, tournament=2, leaves="oldest"),
            halving=HalvingConfig(networks=9),
            sharing=SharingConfig(candidates=40, finalists=2),
            proxy=Training(steps=80, batch_size=32),
            retrain=Training(steps=350, batch_size=32),
        ),
    ),
    "planted": (
        PRESET_LINES["planted"],
        RunConfig(
            # Several times what the largest network of this space takes: what counts is what a millisecond is worth.
            budget=Budget(ms=5.0),
            data=PlantedData(task="motion_direction"),
            shapes=PLANTED,
            operators=PLANTED_OPERATORS,
            strategies=("differentiable",),
            profile=Profiling(units=60, networks=16, chosen=4, repeats=30),
            search=DifferentiableConfig(
                steps=1000,
                batch_size=16,
                arch_warmup=0.5,
                learning_rate=6e-3,
                drop=0.1,
                working_set=5,
                redraws=3,
                score_every=10,
                score_clips=48,
                latency_weight=0.3,
                projection=ProjectionConfig(finalists=1, racers=4, recalibration_batches=6),
            ),
            proxy=Training(steps=100, batch_size=32, optimizer=Optimizer(learning_rate=6e-3)),
            retrain=Training(steps=200, batch_size=32, optimizer=Optimizer(learning_rate=6e-3)),
        ),
    ),
    "tvn-gpu": (PRESET_LINES["tvn-gpu"], _for_accelerators(TVN, batch_size=32, accumulate=1, working_set=16)),
    "tvn-tpu": (PRESET_LINES["tvn-tpu"], _for_accelerators(TVN_TPU, batch_size=64, accumulate=16, working_set=16)),
}
"""Name, one line, and the configuration every option of the command line starts from."""
