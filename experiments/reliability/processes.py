"""Processes that are begun, killed in one of several ways, and looked for afterwards."""

import contextlib
import json
import os
import signal
import sys
import time
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tvnjax.core.signals import Stopped
from tvnjax.running.config import RunConfig

_PATIENCE_S = 1200.0
_GONE_S = 20.0
"""For a run that a signal ends, and for the processes it has started: the rule is ten seconds, on a quiet machine."""
_MARK = "TVNJAX_KILLS"
"""In the environment of all that the runs start, to find what they leave behind."""


def mark() -> None:
    """Marks what is started from here on for ``left_behind``."""
    os.environ[_MARK] = uuid.uuid4().hex


def forked(go: Callable[[RunConfig, Path], None], config: RunConfig, out: Path, log: Path) -> int:
    """A process that begins a run, or goes on with it; what it prints is added to a file."""
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        go(config, out)
        status = 0
    except Stopped as stopped:
        print(f"ended by {stopped}")
        status = stopped.status
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def killed(
    pid: int,
    wait: float,
    reached: Callable[[], bool] = lambda: True,
    number: signal.Signals = signal.SIGKILL,
    log: Path | None = None,
) -> float | None:
    """Sends a process a signal some seconds after it has come to a point; the seconds in which it ended, or nothing if
    it ended well before.

    Raises:
        RuntimeError: it ended otherwise than it should.
    """
    until = None
    while until is None or time.monotonic() < until:
        if until is None and reached():
            until = time.monotonic() + wait
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            if status:
                raise RuntimeError(f"a run ended with status {os.waitstatus_to_exitcode(status)}; {_tail(log)}")
            return None
        time.sleep(0.005)
    begun = time.monotonic()
    os.kill(pid, number)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        took = time.monotonic() - begun
        if done:
            break
        if took > _GONE_S:
            raise RuntimeError(f"a run goes on {took:.0f} s after {number.name}; {_tail(log)}")
        time.sleep(0.005)
    code = os.waitstatus_to_exitcode(status)
    # A run that was at its very end may end as it would have; one that has not begun to listen dies of the signal.
    if code == 0:
        return None
    if code not in (-number, 128 + number):
        raise RuntimeError(f"a run ended with status {code} after {number.name}; {_tail(log)}")
    return took


def _tail(log: Path | None) -> str:
    return "" if log is None else f"{log}:\n{log.read_text(errors='replace')[-3000:]}"


def left_behind(patience: float = _GONE_S) -> list[str]:
    """The commands of processes that the runs have started and that are still there."""
    sign, until = f"{_MARK}={os.environ[_MARK]}".encode(), time.monotonic() + patience
    while True:
        left = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if sign in (process / "environ").read_bytes():
                    left.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.5)


def ended(pid: int, log: Path | None = None) -> None:
    if killed(pid, _PATIENCE_S) is not None:
        raise RuntimeError(f"a run did not end within {_PATIENCE_S:g} s; {_tail(log)}")


def apart(function: Callable[[Path], dict[str, Any]], path: Path) -> dict[str, Any]:
    """What a function returns, called in a process of its own: this one forks, and must not touch a device before."""
    answer = path.with_name(f"{path.name}.answer.json")
    pid = os.fork()
    if not pid:
        status = 70
        try:
            answer.write_text(json.dumps(function(path)))
            status = 0
        finally:
            os._exit(status)
    ended(pid)
    return json.loads(answer.read_text())
