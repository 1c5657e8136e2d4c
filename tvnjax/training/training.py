"""One training: its directory, its checkpoints, its log; stopped at any time, it goes on where it was."""

import dataclasses
import json
import math
import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tvnjax.core.checkpoints import Checkpoints
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Monitor
from tvnjax.core.run_dir import jsonable, write_json
from tvnjax.core.stages import Stage
from tvnjax.data.contents import copy_contents
from tvnjax.data.loader import TrainLoader, eval_batches
from tvnjax.graph import COUNTING_RULE, HeadKind
from tvnjax.nn.saved_weights import save_weights
from tvnjax.trainers.devices import Devices, check_spread, first_devices
from tvnjax.trainers.trainer import ChildState, ChildTrainer, Score, Training
from tvnjax.trainers.weights import load_start
from tvnjax.training.clips import ClipOptions, prepare_clips
from tvnjax.training.event_log import EventLog
from tvnjax.training.saved import CLIPS_FILE, SavedNetwork, write_network
from tvnjax.training.start import differences, read_start
from tvnjax.zoo.registry import ZooEntry
from tvnjax.zoo.resolve import lower_for, reading
from tvnjax.zoo.run_facts import read_object
from tvnjax.zoo.trained import TrainedNetwork

_LOG_EVERY = 10
"""Steps between lines of the log."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitConfig:
    """One network on one set of clips."""

    entry: ZooEntry
    clips: ClipOptions
    training: Training
    split: str = "train"
    """Splits to train on, as in ``train+val``."""
    head: HeadKind | None = None
    dropout: float | None = None
    init: Path | None = None
    """A checkpoint to start from."""
    eval_every: int = 0
    """Steps between scores on the validation split; 0: at the end alone."""
    checkpoint_every: int = 100
    """Steps between checkpoints a training can go on from."""
    eval_batch: int = 32
    tensorboard: bool = False
    devices: Devices = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("eval_every", 0), ("checkpoint_every", 1), ("eval_batch", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise InvalidInputError(f"{name} is at least {least}; got {getattr(self, name)}")

    def told(self) -> dict[str, Any]:
        """What two halves of one training must agree in."""
        parts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        free = ("entry", "tensorboard", "devices", "eval_every", "checkpoint_every", "eval_batch", "init")
        told: dict[str, Any] = {name: value for name, value in parts.items() if name not in free}
        genotype = self.entry.genotype
        return told | {
            "network": self.entry.name,
            "genotype": None if genotype is None else genotype.to_json(),
            **reading(self.entry)._asdict(),
        }


class Fit:
    """A training in a run's directory.

    Args:
        config: what is trained, and how.
        out: the run's directory.
        monitor: hears of progress and events; a ``Stage`` knows which of them are told again.
    """

    def __init__(self, config: FitConfig, out: Path, monitor: Monitor):
        self.config, self.out, self.monitor = config, out, monitor
        self.stage = monitor if isinstance(monitor, Stage) else Stage(monitor)
        self.checkpoints = Checkpoints(out / "resume", every_s=0, seq=self.stage.seq)
        """What the training goes on from: the newest, and the best by the validation split."""
        self.view = reading(config.entry)
        self._devices = first_devices(config.devices)
        check_spread("batch_size", config.training.batch_size, len(self._devices))
        lower_for(
            config.entry, 2, config.head, config.dropout
        )  # refuses options before clips are made, which takes long
        self.clips, self.preparation = prepare_clips(
            config.clips, [self.view], lambda done, total, what: monitor.progress("data", done, total, what)
        )
        self.network = lower_for(config.entry, len(self.clips.class_names), config.head, config.dropout)
        self.trainer = ChildTrainer(self.network, config.training, config.seed, self._devices)
        self._stream = TrainLoader(
            self.clips,
            config.split,
            batch_size=config.training.batch_size,
            seed=config.seed,
            augment=True,
            **self.view._asdict(),
        )

    def run(self, *, resume: bool = False) -> dict[str, Any]:
        """Trains to the end, scores on the validation and the test split, and leaves weights and ``results.json``.

        Raises:
            FloatingPointError: the loss is not finite.
            InvalidInputError: there is nothing to go on with, or it is another training.
        """
        start = time.monotonic()
        steps = self.config.training.steps
        state, first = self._resume() if resume else (self._fresh(), 0)
        if not resume:
            self.stage.event("data", **self.clips.describe())
            copy_contents(self.clips.directory, self.out / CLIPS_FILE)
            for line in self.clips.said():
                warnings.warn(line, stacklevel=2)
            write_json(self.out / "training.json", self.config.told() | {"fingerprint": self.clips.fingerprint})
        with EventLog(self.out, self.monitor, tensorboard=self.config.tensorboard) as log:
            try:
                state = self._steps(state, first, log)
            except KeyboardInterrupt:
                self.checkpoints.flush()
                raise
            scores = {split: self._score(state, split) for split in ("val", "test")}
            for split, score in scores.items():
                log.scalars(steps, **{f"{split}/top1": score.top1, f"{split}/loss": score.loss})
        return self._finish(state, scores, time.monotonic() - start, steps - first)

    @property
    def trained(self) -> TrainedNetwork:
        """What the weights are, which is kept with them."""
        return TrainedNetwork(
            entry=self.config.entry,
            classes=tuple(self.clips.class_names),
            head=self.config.head,
            clips=self.preparation.as_json(),
            trained_on=self.config.split,
        )

    def _fresh(self) -> ChildState:
        if self.config.init is None:
            return self.trainer.init()
        start = read_start(self.config.init)
        loaded = load_start(start.weights, self.network, self.clips.class_names, start.trained, self.config.seed)
        said = differences(start, self.trained, loaded.scores_kept)
        for line in said:
            warnings.warn(line, stacklevel=2)
        scores = "loaded" if loaded.scores_kept else "fresh"
        self.monitor.event("initialised", checkpoint=start.weights, scores=scores, said=said)
        return self.trainer.init(loaded.params, loaded.stats)

    def _steps(self, state: ChildState, first: int, log: EventLog) -> ChildState:
        training, config = self.config.training, self.config
        losses: list[Any] = []
        mean = math.nan
        schedule: Any = training.optimizer.schedule_of(training.steps)
        good = first
        for step in range(first + 1, training.steps + 1):
            for _ in range(training.accumulate):
                batch = next(self._stream)
                state, loss = self.trainer.step(state, batch)
                losses.append(loss)
            if step % _LOG_EVERY == 0 or step == training.steps:
                mean = float(np.mean(jax.device_get(losses)))
                if not math.isfinite(mean):
                    where = self.checkpoints.last_good or "not there yet"
                    raise FloatingPointError(
                        f"the loss is finite; between steps {good + 1} and {step} it is not; the last good checkpoint "
                        f"is {where}"
                    )
                good = step
            # After each whole step, so that one that is interrupted leaves no trace.
            self.checkpoints.remember(step, state, {"stream": self._stream.get_state()})
            if step % _LOG_EVERY == 0 or step == training.steps:
                log.scalars(step, **{"train/loss": mean, "train/learning_rate": float(schedule(step - 1))})
                self.stage.progress("training", step, training.steps, f"loss {mean:.3f}")
                losses = []
            score = None
            if config.eval_every and step % config.eval_every == 0 and step < training.steps:
                score = self._score(state, "val")
                log.scalars(step, **{"val/top1": score.top1, "val/loss": score.loss})
            if step % config.checkpoint_every == 0 or step == training.steps:
                place = {"stream": self._stream.get_state()}
                self.checkpoints.remember(step, state, place, score=None if score is None else score.top1)
                self.checkpoints.write()
        return state

    def _score(self, state: ChildState, split: str) -> Score:
        view = self.view._asdict()
        return self.trainer.score(
            state, iter(eval_batches(self.clips, split, batch_size=self.config.eval_batch, **view))
        )

    def _resume(self) -> tuple[ChildState, int]:
        if (self.out / "results.json").is_file() or not (self.out / "training.json").is_file():
            raise InvalidInputError(
                f"a training goes on where it was stopped; {self.out} has none that was: it was finished, or never "
                "begun; leave --resume out and name another directory"
            )
        before, now = read_object(self.out / "training.json"), _plain(self.config.told())
        if before.get("fingerprint", self.clips.fingerprint) != self.clips.fingerprint:
            raise InvalidInputError(
                f"a training goes on with the clips it began with; what {self.config.clips.data} holds was changed "
                "since: put it back, or begin anew"
            )
        # Where the clips lie may change, by another name or place: what they hold was compared.
        before, now = ({**told, "clips": _without(told.get("clips"), "data")} for told in (before, now))
        other = sorted(name for name in now if now[name] != before.get(name))
        if other:
            shown = "; ".join(f"{name} was {before.get(name)}, is {now[name]}" for name in other)
            raise InvalidInputError(
                f"a training goes on with the options it began with; {', '.join(other)} differ from "
                f"{self.out / 'training.json'} ({shown}): give the same"
            )
        saved = self.checkpoints.newest(self.trainer.init())
        if saved is None:
            # Killed before the first checkpoint, or all are damaged, which was said.
            self.stage.resumed(0)
            return self._fresh(), 0
        self._stream.set_state(saved.state["stream"])
        self.stage.resumed(saved.seq)
        return self.trainer.placed(saved.tree), saved.step

    def _finish(self, state: ChildState, scores: dict[str, Score], seconds: float, steps: int) -> dict[str, Any]:
        params, stats = self.trainer.kept(state)
        name = self.config.entry.name
        weights = self.out / "checkpoints" / name
        save_weights(weights, params, stats, self.trained)
        write_network(self.out, SavedNetwork(trained=self.trained, weights=weights))
        results = {
            "network": name,
            "params": self.network.params,
            "macs": self.network.macs,
            "counting_rule": COUNTING_RULE,
            "scores": {split: dataclasses.asdict(score) for split, score in scores.items()},
            "steps": steps,
            "seconds": seconds,
            "compile_seconds": self.trainer.compile_seconds,
            "data": self.clips.describe(),
        }
        write_json(self.out / "results.json", results)
        self.checkpoints.close()
        shutil.rmtree(self.out / "resume", ignore_errors=True)
        return results


def _without(told: Any, name: str) -> Any:
    return {key: value for key, value in told.items() if key != name} if isinstance(told, dict) else told


def _plain(value: Any) -> Any:
    """A value as it comes back from a JSON file."""
    return json.loads(json.dumps(jsonable(value)))
