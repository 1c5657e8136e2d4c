"""Processes that belong together, on this machine, of one CPU device each."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LIMIT_S = 300


def free_address() -> str:
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return f"localhost:{one.getsockname()[1]}"


class Process:
    """One of them; its output is read when it has ended."""

    def __init__(self, module: str, *arguments: Any, devices: int = 1):
        more = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", module, *map(str, arguments)]
        self._process = subprocess.Popen(
            command, env=os.environ | more, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def stop(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def ended(self) -> tuple[int, str, str]:
        """Status, output and errors."""
        try:
            out, err = self._process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        return self._process.returncode, out, err

    @property
    def status(self) -> int:
        """Of one that is to end without an error."""
        status, out, err = self.ended()
        assert status == 0, out + err
        return status


def searching(
    out: Path,
    options: dict[str, Any],
    processes: int = 2,
    others: dict[str, Any] | None = None,
    planted: str = "",
) -> list[Process]:
    """Processes of a tiny search; the first one writes ``out``.

    Args:
        others: options of all but the first.
        planted: numbers of those that have no memory left for a step, once.
    """
    address = free_address()
    return [
        Process(
            "tests.reliability.one_of_several",
            *(out if index == 0 else out.with_name(f"{out.name}-{index}"), address, processes, index),
            json.dumps(options if index == 0 or others is None else others),
            planted,
        )
        for index in range(processes)
    ]


def until(there: Callable[[], Any], processes: list[Process]) -> None:
    """Waits, while all are running."""
    limit = time.monotonic() + LIMIT_S
    while not there():
        assert time.monotonic() < limit
        assert all(process.running for process in processes), [process.ended() for process in processes]
        time.sleep(0.1)
