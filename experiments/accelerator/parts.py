"""Parts of an experiment, one after the other: each in a process and within minutes of its own, its rows kept.

A part is a function of ``Rows``. A row is made once: it is on disk as soon as it is known, and a part that goes on
finds it there. What fails is a row with a reason, and is tried again when the experiment goes on. A part that breaks,
that takes the device down with it, or whose time is over ends alone. Processes are forked from one that has touched no
device.
"""

import contextlib
import dataclasses
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tvnjax.core.run_dir import read_json, write_json

_GRACE_S = 20.0
"""For a part to keep what it has, behind SIGTERM."""
_POLL_S = 0.05


class Rows:
    """The rows of a part, in ``folder/rows.json``.

    Args:
        seconds: the part has, from now on.
    """

    def __init__(self, folder: Path, seconds: float):
        self.folder, self._until = folder, time.monotonic() + seconds
        folder.mkdir(parents=True, exist_ok=True)
        self.kept: dict[str, dict[str, Any]] = rows_of(folder)

    @property
    def seconds_left(self) -> float:
        return max(self._until - time.monotonic(), 0.0)

    def once(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The row, made unless it was before; where it cannot be made, ``{"failed": why}``."""
        row = self.kept.get(name)
        if row is not None and "failed" not in row:
            return row
        start = time.monotonic()
        try:
            row = make()
        except Exception as error:
            traceback.print_exc()
            row = {"failed": reason_of(error)}
        self.kept[name] = row | {"took_s": round(time.monotonic() - start, 3)}
        write_json(self.folder / "rows.json", self.kept)
        print(f"  {name}: {brief(row)}", flush=True)
        return self.kept[name]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One part of an experiment."""

    name: str
    run: Callable[[Rows], None]
    share: float
    """Of the time, beside the other parts' that are left."""


def run_parts(parts: Sequence[Part], out: Path, seconds: float) -> dict[str, dict[str, Any]]:
    """Runs what is not done; returns every part's state: ``done``, ``failed`` or ``out of time``, with a reason.

    Args:
        out: what it leaves, and goes on from.
        seconds: of all parts together; what one does not use is the others'.
    """
    until, states = time.monotonic() + seconds, {}
    for index, part in enumerate(parts):
        folder = out / part.name
        known = state_of(folder)
        if known["state"] == "done" and not failures(folder):
            print(f"{part.name}: done before", flush=True)
            states[part.name] = known
            continue
        left = [p.share for p in parts[index:] if state_of(out / p.name)["state"] != "done" or p is part]
        given = max(until - time.monotonic(), 0.0) * part.share / sum(left)
        print(f"{part.name}: {given:.0f} s at most", flush=True)
        start = time.monotonic()
        state, reason = _run(part, folder, given)
        took = known.get("seconds", 0.0) + time.monotonic() - start
        states[part.name] = {"state": state, "reason": reason, "seconds": round(took, 1)}
        write_json(folder / "state.json", states[part.name])
        print(f"{part.name}: {state}{reason and ', '}{reason}", flush=True)
    return states


def state_of(folder: Path) -> dict[str, Any]:
    """What became of a part."""
    path = folder / "state.json"
    return read_json(path) if path.is_file() else {"state": "not run", "reason": "", "seconds": 0.0}


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The rows a part has kept."""
    path = folder / "rows.json"
    return read_json(path) if path.is_file() else {}


def failures(folder: Path) -> dict[str, str]:
    """Why rows of a part failed."""
    return {name: row["failed"] for name, row in rows_of(folder).items() if "failed" in row}


def reason_of(error: BaseException) -> str:
    """An error on one line."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first:.300}"


def brief(row: dict[str, Any]) -> str:
    """A row's numbers on one line."""
    shown = {key: value for key, value in row.items() if isinstance(value, int | float | str)}
    return ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in shown.items())


def _run(part: Part, folder: Path, seconds: float) -> tuple[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    if seconds < 1:
        return "out of time", "none was left for it"
    pid = os.fork()
    if not pid:
        _work(part, folder, seconds)
    until, told = time.monotonic() + seconds, False
    try:
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() > until:
                _signal(pid, signal.SIGKILL if told else signal.SIGTERM)
                until, told = until + _GRACE_S, True
            time.sleep(_POLL_S)
    except BaseException:
        _signal(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    # What the part has started ends with it.
    _signal(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(status)
    if told and code:
        return "out of time", f"{seconds:.0f} s were over"
    error = folder / "error.txt"
    if code:
        reason = error.read_text().strip() if error.is_file() else ""
        return "failed", reason or (f"ended by {signal.Signals(-code).name}" if code < 0 else f"status {code}")
    failed = failures(folder)
    return ("done", "") if not failed else ("failed", f"{len(failed)} rows failed; {next(iter(failed.values()))}")


def _work(part: Part, folder: Path, seconds: float) -> None:
    """The part, in its own process; does not return."""
    os.setsid()
    parent, status = os.getppid(), 70
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    error = folder / "error.txt"
    try:
        error.unlink(missing_ok=True)
        part.run(Rows(folder, seconds))
        status = 0
    except BaseException as raised:
        traceback.print_exc()
        with contextlib.suppress(OSError):
            error.write_text(reason_of(raised))
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _end_with(parent: int) -> None:
    """Nothing is left to run where the experiment was killed."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os.killpg(0, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    """To a part and all it has started; it may not have a group of its own yet."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
