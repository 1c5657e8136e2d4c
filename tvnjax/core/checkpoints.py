"""Checkpoints a stage goes on from: several kept, each with a digest, written beside the work.

A checkpoint is a folder of arrays (Orbax) and a JSON file with everything else, which is written last: it holds the
arrays' digests, so a checkpoint is whole and as it was written, or is passed over for the one before.
"""

import dataclasses
import hashlib
import json
import shutil
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tvnjax.core.atomic import sync_tree, write_atomic
from tvnjax.core.checkpoint import load_tree, save_tree
from tvnjax.core.to_json import jsonable, whole_number
from tvnjax.core.untrusted import parse_json, read_text

_SHARE = 0.02
"""Largest part of the time that checkpoints may take: after one that took a second there is none for 50."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Saved:
    """A checkpoint, in memory."""

    step: int
    tree: Any
    """Arrays."""
    state: dict[str, Any]
    """All else, as JSON knows it: places in streams, generators of random numbers, seconds, histories."""
    path: Path | None = None
    seq: int = -1
    """Number of the run's last event before it."""


class Checkpoints:
    """The checkpoints of one stage.

    Args:
        folder: where they are; ``None`` keeps the last offered in memory alone.
        every_s: least seconds between two.
        keep: how many, the newest; the best by score stays besides.
        seq: number of the run's last event.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        every_s: float = 30.0,
        keep: int = 3,
        seq: Callable[[], int] = lambda: 0,
    ):
        self.folder, self._every_s, self._keep, self._seq = folder, every_s, keep, seq
        self._latest: Saved | None = None
        self._latest_score: float | None = None
        self._written = -1
        self._last, self._took = time.monotonic(), 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint") if folder is not None else None
        self._pending: Future[None] | None = None
        self._flushing = threading.Lock()
        self.seconds, self.processor_seconds = 0.0, 0.0
        """That writing took, beside the work: on the clock, and of its thread on a processor."""
        self.count = 0
        """Of those written."""
        self.last_good: Path | None = None

    @property
    def in_memory(self) -> Saved | None:
        """What was offered last."""
        return self._latest

    def offer(self, step: int, tree: Any, state: dict[str, Any], *, score: float | None = None) -> None:
        """Says where the stage is; it is written if the last was long enough ago.

        Arrays are shared with the caller, who does not change them (JAX's cannot be changed).

        Args:
            score: keeps the best one by it, besides the newest.
        """
        self.remember(step, tree, state, score=score)
        waited = time.monotonic() - self._last
        busy = self._pending is not None and not self._pending.done()
        if not busy and waited >= max(self._every_s, self._took / _SHARE):
            self.write()

    def remember(self, step: int, tree: Any, state: dict[str, Any], *, score: float | None = None) -> None:
        """As ``offer``, without writing it unasked."""
        self._latest = Saved(step=step, tree=tree, state=state, seq=self._seq())
        self._latest_score = score

    def write(self) -> None:
        """Writes what was offered last, in the background."""
        latest = self._latest
        if self._thread is None or latest is None or latest.step == self._written:
            return
        self.wait()
        self._last, self._written = time.monotonic(), latest.step
        self._pending = self._thread.submit(self._write, latest, self._latest_score)

    def wait(self) -> None:
        """Until what is being written is there."""
        if self._pending is not None:
            self._pending.result()

    def flush(self) -> None:
        """Writes what was offered last, and waits for it. May be called from any thread."""
        with self._flushing:
            self.write()
            self.wait()

    def newest(self, like: Any) -> Saved | None:
        """The newest checkpoint that is whole; those that are not are moved aside and told of.

        Args:
            like: a tree of the same structure and shapes, or what makes one of the checkpoint's ``state``.

        Raises:
            InvalidInputError: it is of another network.
        """
        for path in self._found()[::-1]:
            told, reason = _read(path)
            if told is None:
                self._set_aside(path, reason)
                continue
            tree = load_tree(path, like(told["state"]) if callable(like) else like)
            self.last_good, self._written = path, told["step"]
            return Saved(step=told["step"], tree=tree, state=told["state"], path=path, seq=told["seq"])
        return None

    def forget_after(self, step: int) -> None:
        """Removes the checkpoints of later steps: what led there is not gone on with."""
        self.wait()
        for path in self._found():
            told, _ = _read(path, contents=False)
            if told is not None and told["step"] > step:
                _remove(path)

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown()

    def clear(self) -> None:
        """Removes all: the stage is finished, its result elsewhere."""
        self.wait()
        for path in self._found():
            _remove(path)
        self._latest = None

    def _found(self) -> list[Path]:
        if self.folder is None:
            return []
        return sorted(path.with_suffix("") for path in self.folder.glob("step-*.json"))

    def _write(self, offered: Saved, score: float | None) -> None:
        """In the background: arrays, then digests of what is on the disk, then older ones go."""
        assert self.folder is not None
        start, busy = time.monotonic(), time.thread_time()
        path = self.folder / f"step-{offered.step:09d}"
        while path.with_suffix(".json").exists():
            # Of a place gone back to, say; it stays until this one is whole.
            path = path.with_name(f"{path.name}-again")
        try:
            leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(offered.tree)]
            if not all(np.isfinite(leaf).all() for leaf in leaves if leaf.dtype.kind == "f"):
                # A state that is broken must not push out one that is not.
                raise FloatingPointError("its numbers are not finite")
            _remove(path)
            self.folder.mkdir(parents=True, exist_ok=True)
            save_tree(path, leaves)
            sync_tree(path)
            told = {"step": offered.step, "seq": offered.seq, "score": score, "state": jsonable(offered.state)}
            told["files"] = _digests(path)
            text = json.dumps({"digest": _digest(told), **told}, indent=1)
            write_atomic(path.with_suffix(".json"), text.encode())
        except Exception as error:
            # A full disk, say: the run goes on, and the next try may do better. What was there is still there.
            _remove(path)
            kept = "none is kept yet" if self.last_good is None else f"the last good one is {self.last_good}"
            warnings.warn(f"no checkpoint at step {offered.step} ({_first_line(error)}); {kept}", stacklevel=1)
        else:
            self.last_good, self.count = path, self.count + 1
            self._prune()
        self._took = time.monotonic() - start
        self.seconds += self._took
        self.processor_seconds += time.thread_time() - busy

    def _prune(self) -> None:
        paths, scores = self._found(), {}
        for path in paths:
            told, _ = _read(path, contents=False)
            if told is not None and told["score"] is not None:
                scores[path] = told["score"]
        best = max(scores, key=lambda path: scores[path], default=None)
        for path in paths[: -self._keep]:
            if path != best:
                _remove(path)

    def _set_aside(self, path: Path, reason: str) -> None:
        aside = path.with_name(f"damaged-{path.name}")
        _remove(aside)
        if path.is_dir():
            path.rename(aside)
        path.with_suffix(".json").rename(aside.with_suffix(".json"))
        warnings.warn(
            f"the checkpoint {path} is damaged ({reason}); it is now {aside.name}, and the run goes on from the newest "
            "good one before it",
            stacklevel=3,
        )


def _read(path: Path, *, contents: bool = True) -> tuple[dict[str, Any] | None, str]:
    """What a checkpoint's JSON file says, or ``None`` and what is wrong with the checkpoint."""
    try:
        told = parse_json(read_text(path.with_suffix(".json"), "a checkpoint's description"))
        if not isinstance(told, dict) or told.pop("digest", None) != _digest(told) or not _has_form(told):
            return None, "its description is not the one that was written"
        if contents and _digests(path) != told["files"]:
            return None, "its arrays are not those that were written"
    except (OSError, ValueError) as error:
        return None, _first_line(error)
    return told, ""


def _has_form(told: dict[str, Any]) -> bool:
    """Whether a description has what one has, each of its kind."""
    score = told.get("score")
    counts = all(whole_number(told.get(name)) is not None for name in ("step", "seq"))
    scored = score is None or (isinstance(score, int | float) and not isinstance(score, bool))
    return counts and scored and isinstance(told.get("files"), dict) and isinstance(told.get("state"), dict)


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            found[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _digest(told: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _remove(path: Path) -> None:
    # The description first: arrays without one are no checkpoint.
    path.with_suffix(".json").unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).splitlines()[0]
