"""A run's stages: what each has finished is on disk, and is not done again when the run goes on."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tvnjax.core.checkpoints import Checkpoints
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.journal import Journal, digest_of
from tvnjax.core.monitor import Monitor
from tvnjax.core.run_dir import RunDir, read_json, write_json
from tvnjax.core.to_json import jsonable


class Stage:
    """A part of a run: its journal and checkpoints while it lasts, its result when it is done.

    Without a run's directory nothing is kept, and the same loops run as in a notebook.

    Args:
        monitor: hears the stage's events; not those of what is recalled, which it heard before.
        run_dir: of the run.
        name: of the stage.
        checkpoint_s: least seconds between two checkpoints.
    """

    def __init__(
        self, monitor: Monitor, run_dir: RunDir | None = None, name: str = "stage", *, checkpoint_s: float = 30.0
    ):
        self.name, self._run_dir, self._monitor = name, run_dir, monitor
        self._folder: Path | None = None
        seq: Callable[[], int] = lambda: 0  # noqa: E731
        if run_dir is not None:
            self._folder, seq = run_dir.path / "stages" / name, lambda: run_dir.seq
        self.seq = seq
        """Number of the run's last event."""
        self.journal = Journal(self._folder and self._folder / "journal.jsonl", seq)
        self.checkpoints = Checkpoints(self._folder, every_s=checkpoint_s, seq=seq)

        # One that is done and runs again from its journal, to hand out what it came to, was heard to its end.
        self._done = self.result is not None

    @property
    def result(self) -> Any | None:
        """What the stage came to, if it is done."""
        if self._folder is None or not self._result_file.is_file():
            return None
        try:
            told = read_json(self._result_file)
            if told["digest"] == digest_of(told["result"]):
                return told["result"]
            reason = "it is not what was written"
        except (InvalidInputError, KeyError, TypeError) as error:
            reason = str(error)
        aside = self._result_file.with_name(f"damaged-{self._result_file.name}.txt")
        self._result_file.replace(aside)
        warnings.warn(
            f"what stage {self.name} came to is damaged ({reason}); it is now {aside.name}, and the stage goes on from "
            "its journal and checkpoints, or begins again",
            stacklevel=2,
        )
        return None

    @property
    def _result_file(self) -> Path:
        assert self._folder is not None
        return self._folder.with_suffix(".json")

    def folder(self, name: str) -> Path | None:
        """Where something else of the run is left; ``None`` without a run."""
        return None if self._run_dir is None else self._run_dir.path / name

    def event(self, kind: str, **fields: Any) -> None:
        """Tells the monitor, unless it was told before."""
        if not self.journal.replaying and not self._done:
            self._announce()
            self._monitor.event(kind, **fields)

    def progress(self, stage: str, done: float, total: float, text: str = "") -> None:
        self._monitor.progress(stage, done, total, "recalling" if self.journal.replaying else text)

    def once(self, op: str, key: str, make: Callable[[], Any]) -> Any:
        """What ``make`` returns, as JSON knows it: made now, or recalled."""
        value = self.journal.recall(op, key)
        if value is None:
            self.journal.add(op, key, value := make())
        return value

    def resumed(self, seq: int) -> None:
        """Says that the stage goes on from a checkpoint; events after ``seq`` are told again."""
        if self._run_dir is not None:
            self._run_dir.goes_on_from(max(seq, self.journal.last_seq))

    def finish(self, result: Any) -> Any:
        """Keeps the result, removes the checkpoints, and returns the result as it is kept."""
        if self._folder is None or self._run_dir is None:
            return result
        self._announce()
        result = jsonable(result)
        write_json(self._result_file, {"seq": self._run_dir.seq, "digest": digest_of(result), "result": result})
        # The journal stays: it is small, and the stage's result could be made of it again.
        self.checkpoints.clear()
        self.close()
        return self.result

    def close(self) -> None:
        self.journal.close()
        self.checkpoints.close()

    def _announce(self) -> None:
        if self._run_dir is not None:
            self._run_dir.goes_on_from(self.journal.last_seq)


class Stages:
    """The stages of one run, and what is open of them.

    Args:
        monitor: hears all events.
        checkpoint_s: least seconds between two checkpoints of a stage.
    """

    def __init__(self, run_dir: RunDir, monitor: Monitor, checkpoint_s: float):
        self.run_dir, self.monitor, self._checkpoint_s = run_dir, monitor, checkpoint_s
        self._open: list[Stage] = []

    def stage(self, name: str) -> Stage:
        """Opens a stage, begun before or not."""
        stage = Stage(self.monitor, self.run_dir, name, checkpoint_s=self._checkpoint_s)
        self._open.append(stage)
        return stage

    def keep(self) -> None:
        """Writes where every open stage is; from any thread."""
        for stage in list(self._open):
            stage.checkpoints.flush()

    def close(self) -> None:
        for stage in self._open:
            stage.close()
        self.run_dir.close()
