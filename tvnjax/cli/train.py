"""``tvnjax train``, ``tvnjax evaluate`` and ``tvnjax ensemble``."""

import contextlib
import dataclasses
import shlex
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from tvnjax.cli.options import parse_command
from tvnjax.cli.output import OutputOptions
from tvnjax.cli.timing import TimingOptions, networks_ms
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.printable import say
from tvnjax.graph import HeadKind
from tvnjax.training.clips import ClipOptions, ScoredClips


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions(ClipOptions, OutputOptions):
    """Trains any network on any set of clips; stopped or killed it goes on with --resume."""

    network: Annotated[str, tyro.conf.Positional]
    """A name ('tvnjax zoo' lists them) or a genotype's JSON file."""
    out: Path | None = None
    """Directory of the run. Default: runs/NAME-DATE-TIME."""
    resume: bool = False
    """Go on with the training in --out, with the options it began with."""
    init: Path | None = None
    """Start from this checkpoint; where it has other classes, with a fresh layer of scores."""
    steps: int = 1000
    batch_size: int = 32
    accumulate: int = 1
    """Batches whose mean gradient makes one step."""
    learning_rate: float = 3e-3
    schedule: Literal["cosine", "step"] = "cosine"
    """cosine to 0, or a tenth at 60 % and a hundredth at 85 % of the steps."""
    warmup: float = 0.05
    """Part of the steps over which the learning rate rises from 0."""
    weight_decay: float = 1e-2
    clip_norm: float = 5.0
    """Largest global norm of a gradient."""
    label_smoothing: float = 0.1
    dropout: float | None = None
    """Of the head. Default: the network's own."""
    ema: float = 0.0
    """Decay of an average of the weights, which is then what is scored and kept; 0 is off."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the arithmetic; weights and loss stay float32."""
    remat: bool = False
    """Compute the insides of units again for the gradient instead of keeping them: less memory, a third more work."""
    frames: int | None = None
    """Frames of a clip. Default: the network's own."""
    frame_stride: int | None = None
    """Frames of the video from one frame read to the next. Default: the network's own."""
    image_size: int | None = None
    """Default: the network's own."""
    head: HeadKind | None = None
    """How a Tiny Video Network pools its scores."""
    devices: int | Literal["all"] = 1
    """Devices of JAX that batches are spread over: so many, or all. Batch statistics are those of whole batches."""
    split: str = "train"
    """What to train on; train+val joins two."""
    eval_every: int = 0
    """Steps between scores on the validation split; 0: at the end alone."""
    checkpoint_every: int = 100
    """Steps between checkpoints a training can go on from."""
    tensorboard: bool = False
    """Write TensorBoard's files too (pip install 'tvnjax[tensorboard]')."""
    seed: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions(ScoredClips, TimingOptions):
    """Scores a trained network on a split of a set of clips, made as those it was trained on."""

    trained: Annotated[Path, tyro.conf.Positional]
    """A run of 'tvnjax train', or a folder of a run's checkpoints/."""
    split: str = "test"


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnsembleOptions(ScoredClips, TimingOptions):
    """Averages the logits of several trained networks: accuracy together, and with --measure the sum of
    their latencies."""

    trained: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Runs of 'tvnjax train', or folders of runs' checkpoints/."""
    split: str = "test"


def train_command(argv: list[str]) -> int:
    options = parse_command(TrainOptions, argv, prog="tvnjax train", flags=True)
    from tvnjax.cli.console import ConsoleMonitor
    from tvnjax.core.environment import use_compilation_cache
    from tvnjax.core.run_dir import RunDir, kept
    from tvnjax.core.signals import Stopped, end_soon, stoppable
    from tvnjax.core.stages import Stages
    from tvnjax.training.event_log import tensorboard_package
    from tvnjax.training.training import Fit

    if options.resume and options.out is None:
        raise InvalidInputError("--resume goes on in a directory: name it with --out")
    if options.resume and options.out is not None and not options.out.is_dir():
        raise InvalidInputError(f"--resume goes on in a directory; there is no {options.out}: check the path")
    config = _config(options)
    if options.tensorboard:
        tensorboard_package()
    out = options.out or Path("runs") / f"{config.entry.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    if not options.resume and (out / "training.json").is_file() and not (out / "results.json").is_file():
        raise InvalidInputError(f"{out} holds an unfinished training: {_going_on(out, argv)}")
    use_compilation_cache()
    run_dir = RunDir(out, resume=options.resume)
    with contextlib.closing(run_dir), ConsoleMonitor(run_dir, quiet=options.quiet) as monitor:
        stages = Stages(run_dir, monitor, 0.0)
        if not options.resume:
            monitor.event("start", command=shlex.join(["tvnjax", "train", *argv]))
        try:
            fit = Fit(config, out, stages.stage("training"))
            hint = _going_on(out, argv)
            with kept(out / "training.json", hint), stoppable(fit.checkpoints.flush, hint):
                results = fit.run(resume=options.resume)
        except InvalidInputError:
            if not options.resume and not (out / "training.json").exists():
                run_dir.discard()
            raise
        except FloatingPointError as error:
            raise InvalidInputError(f"{error}: lower --learning-rate or --clip-norm") from None
        except Stopped as stopped:
            say(f"stopped; {_going_on(out, argv)}", error=True)
            end_soon(stopped.status)
            return stopped.status

    def show() -> None:
        for split, score in results["scores"].items():
            say(f"{split}: top-1 {score['top1']:.1%}, top-5 {score['top5']:.1%}, {score['clips']} clips")
        say(out)

    options.result({"run": str(out), **results}, show)
    return 0


def _going_on(out: Path, argv: list[str]) -> str:
    """The command that goes on with a training."""
    named = [] if "--out" in argv else ["--out", str(out)]
    again = [] if "--resume" in argv else ["--resume"]
    return f"go on with: {shlex.join(['tvnjax', 'train', *argv, *named, *again])}"


def evaluate_command(argv: list[str]) -> int:
    options = parse_command(EvaluateOptions, argv, prog="tvnjax evaluate", flags=True)
    return _score([options.trained], options)


def ensemble_command(argv: list[str]) -> int:
    options = parse_command(EnsembleOptions, argv, prog="tvnjax ensemble", flags=True)
    if len(options.trained) < 2:
        raise InvalidInputError(f"an ensemble has at least two networks; got {len(options.trained)}")
    return _score(list(options.trained), options)


def _score(trained: list[Path], options: EvaluateOptions | EnsembleOptions) -> int:
    from tvnjax.core.environment import use_compilation_cache
    from tvnjax.training.saved import open_saved
    from tvnjax.training.scoring import score_together

    split = options.split
    use_compilation_cache()
    saved = [open_saved(path) for path in trained]
    scores = score_together(saved, _options(ScoredClips, options), split)
    latencies: list[float | None] = [None] * len(saved)
    if options.measure:
        latencies = [*networks_ms([one.network for one in saved], options)]
    rows = [
        _row(str(path) if len(saved) > 1 else one.entry.name, score, latency)
        for path, one, score, latency in zip(trained, saved, scores.members, latencies)
    ]
    known = [latency for latency in latencies if latency is not None]
    together = _row("mean of the logits", scores.together, sum(known) if known else None) if len(saved) > 1 else None
    labels = scores.labels
    chance = float(np.bincount(labels).max() / len(labels))
    value = {"networks": rows, "together": together, "data": scores.clips.name, "split": split}
    value |= {"clips": len(labels), "one_class": chance, "latency_batch": options.latency_batch}

    def show() -> None:
        for row in rows if together is None else [*rows, together]:
            say(_line(row, options))

    options.result(value, show)
    options.remark(
        f"{scores.clips.name}, split {split}, {len(labels)} clips; always naming one class scores {chance:.1%}"
    )
    return 0


def _row(name: str, score: Any, latency: float | None) -> dict[str, Any]:
    return {"name": name, "top1": score.top1, "top5": score.top5, "loss": score.loss, "latency_ms": latency}


def _line(row: dict[str, Any], options: TimingOptions) -> str:
    timed = "" if row["latency_ms"] is None else f", {options.call_text(row['latency_ms'])}"
    return f"{row['name']}: top-1 {row['top1']:.1%}, top-5 {row['top5']:.1%}, loss {row['loss']:.3f}{timed}"


def _options(kind: type[Any], options: Any) -> Any:
    """The part of a command's options that is of one kind."""
    return kind(**{field.name: getattr(options, field.name) for field in dataclasses.fields(kind)})


def _config(options: TrainOptions) -> Any:
    from tvnjax.trainers.optim import Optimizer
    from tvnjax.trainers.trainer import Training
    from tvnjax.training.training import FitConfig
    from tvnjax.zoo.resolve import find_network

    optimizer = Optimizer(
        **{
            name: getattr(options, name)
            for name in ("learning_rate", "schedule", "warmup", "weight_decay", "clip_norm")
        }
    )
    names = ("steps", "batch_size", "accumulate", "label_smoothing", "ema", "precision", "remat")
    training = Training(
        **{name: getattr(options, name) for name in names}, dropout=options.dropout != 0, optimizer=optimizer
    )
    same = ("split", "head", "dropout", "init", "eval_every", "checkpoint_every", "tensorboard", "devices", "seed")
    return FitConfig(
        entry=find_network(
            options.network,
            num_frames=options.frames,
            image_size=options.image_size,
            frame_stride=options.frame_stride,
        ),
        clips=_options(ClipOptions, options),
        training=training,
        **{name: getattr(options, name) for name in same},
    )
