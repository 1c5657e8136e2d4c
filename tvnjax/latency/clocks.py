"""Clocks and power state of an accelerator before and after something is timed.

They are kept beside what was measured, for whoever wonders later why it took so long. They are no part of what tells
environments apart: a device is the same one when it is warm.
"""

import csv
import dataclasses
import os
import subprocess
import warnings
from collections.abc import Callable
from typing import Any

_REASONS = "clocks_throttle_reasons.active"
FIELDS = ("clocks.sm", "clocks.max.sm", "pstate", "power.draw", "power.limit", _REASONS)
"""What ``nvidia-smi --query-gpu`` is asked."""

_COLUMNS = {
    "sm_mhz": ("clocks.sm", "clocks.current.sm"),
    "max_sm_mhz": ("clocks.max.sm",),
    "pstate": ("pstate",),
    "power_w": ("power.draw",),
    "power_limit_w": ("power.limit",),
    "slowed_by": (_REASONS, "clocks_event_reasons.active"),
}
"""Names in its header, without units: it spells some out, and newer drivers have other names for some."""

SLOWDOWNS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "thermal slowdown (software)",
    0x40: "thermal slowdown (hardware)",
    0x80: "power brake",
}
"""Bits of the reasons that slow down what runs (nvml.h, ``nvmlClocksThrottleReason*``). An idle device (0x01) and
clocks that were asked for (0x02, 0x10, 0x100) are none."""

CHANGED = 0.05
"""Part by which the clock may differ behind a measurement from before it without being said."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clocks:
    """One reading; ``None`` for what the device does not tell."""

    sm_mhz: float | None = None
    max_sm_mhz: float | None = None
    pstate: str | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    slowed_by: tuple[str, ...] | None = None
    """Of ``SLOWDOWNS``."""


class UnknownClocks(Exception):
    """Clocks cannot be read here; its text is the reason."""


def parse_nvidia_smi(text: str) -> Clocks:
    """Reads what ``nvidia-smi --query-gpu=... --format=csv`` printed of one device.

    Raises:
        UnknownClocks: it is no such table of one row.
    """
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row]
    if len(rows) != 2 or len(rows[0]) != len(rows[1]):
        raise UnknownClocks(f"nvidia-smi printed no table of one device: {' '.join(text.split()):.100}")
    cells = {name.split(" [")[0]: cell for name, cell in zip(*rows)}
    found: dict[str, Any] = {}
    for field, names in _COLUMNS.items():
        cell = next((cells[name] for name in names if name in cells), "")
        # "[N/A]", "[Not Supported]", "[Unknown Error]"
        found[field] = None if not cell or cell.startswith("[") or cell == "N/A" else _value(field, cell)
    return Clocks(**found)


def _value(field: str, cell: str) -> Any:
    try:
        if field == "slowed_by":
            active = int(cell, 16)
            return tuple(words for bit, words in SLOWDOWNS.items() if active & bit)
        return cell if field == "pstate" else float(cell.split()[0])
    except ValueError:
        raise UnknownClocks(f"nvidia-smi printed {cell:.40} for {field}") from None


def nvidia_smi(index: int) -> Callable[[], Clocks]:
    """What reads the clocks of JAX's local device of an index by ``nvidia-smi``; raises ``UnknownClocks``."""
    # Indices of this process; nvidia-smi counts all devices of the machine.
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    device = visible[index] if index < len(visible) else str(index)

    def read() -> Clocks:
        command = ["nvidia-smi", f"--id={device}", f"--query-gpu={','.join(FIELDS)}", "--format=csv"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        except FileNotFoundError:
            raise UnknownClocks("there is no nvidia-smi here") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnknownClocks(f"nvidia-smi failed ({type(error).__name__})") from None
        if done.returncode:
            raise UnknownClocks(f"nvidia-smi failed: {' '.join((done.stdout + done.stderr).split()):.100}")
        return parse_nvidia_smi(done.stdout)

    return read


class Watch:
    """Reads a device's clocks before and behind what is timed, and warns where they did not stay.

    Args:
        read: reads them, or raises ``UnknownClocks``.
    """

    def __init__(self, read: Callable[[], Clocks]):
        self._read = read
        self._last: dict[str, Any] = {}
        self._before: Clocks | None = None
        self._counts = {"measurements": 0, "slowed": 0, "changed": 0}
        self._told: set[str] = set()

    @property
    def record(self) -> dict[str, Any]:
        """The last readings (``before``, ``after``: fields of ``Clocks``, or why they are unknown), and of how many
        measurements the device was slowed down, or its clock changed; empty before the first."""
        return {**self._last, **self._counts} if self._last else {}

    def before(self) -> None:
        """Behind the warm-up, before the first timed call."""
        self._before = self._reading("before")

    def after(self) -> None:
        """Behind the last timed call."""
        before, after = self._before, self._reading("after")
        self._counts["measurements"] += 1
        slowed = sorted({reason for reading in (before, after) if reading for reason in reading.slowed_by or ()})
        if slowed:
            self._counts["slowed"] += 1
            self._say(
                "slowed",
                f"the device was slowed down while it was timed ({', '.join(slowed)}); latencies are longer than it "
                "can do: let it cool, or raise its power limit, and measure again",
            )
        clocks = [reading.sm_mhz for reading in (before, after) if reading and reading.sm_mhz]
        if len(clocks) == 2 and abs(clocks[1] / clocks[0] - 1) > CHANGED:
            self._counts["changed"] += 1
            self._say(
                "changed",
                f"the device's clock changed from {clocks[0]:.0f} to {clocks[1]:.0f} MHz while it was timed; lock it "
                "(nvidia-smi --lock-gpu-clocks) and measure again",
            )

    def _reading(self, when: str) -> Clocks | None:
        try:
            reading = self._read()
        except UnknownClocks as unknown:
            self._say("unknown", f"clocks and power of the device are unknown: {unknown}")
            self._last[when] = f"unknown: {unknown}"
            return None
        self._last[when] = dataclasses.asdict(reading)
        return reading

    def _say(self, kind: str, words: str) -> None:
        """Each kind once; how often it was so is counted."""
        if kind not in self._told:
            self._told.add(kind)
            warnings.warn(words, stacklevel=2)
