"""A recording of some steps of a search, for Perfetto and TensorBoard, and which operations took the most time."""

import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import jax
from jax.profiler import ProfileData

LISTED = 10
"""Operations that are told of one by one."""


class StepTrace:
    """Records a number of steps.

    Args:
        folder: where the recording is left; ``None``: there is no run to leave it in.
        first: the first step that is recorded.
        count: how many are; 0 for none.
    """

    def __init__(self, folder: Path | None, first: int, count: int):
        if folder is None and count:
            said = "steps are recorded in a run's directory; this search has none and records nothing"
            warnings.warn(said, stacklevel=2)
        self._folder, self._first = folder, first
        self._last = first + count - 1 if folder is not None else first - 1
        self._began: float | None = None
        self._steps = 0

    def before(self, step: int) -> None:
        """Begins the recording where it is due. A search that goes on in the midst of it records what is left."""
        if self._began is None and self._first <= step <= self._last:
            assert self._folder is not None
            jax.profiler.start_trace(str(self._folder), create_perfetto_trace=True)
            self._began = time.monotonic()

    def after(self, step: int, state: Any, last: bool) -> dict[str, Any] | None:
        """Ends it where it is over; then what it shows.

        Args:
            state: of the search, which is waited for.
            last: no step follows.

        Returns:
            ``first``, ``steps``, ``seconds``, ``folder``, and of the costliest ``operations`` the ``program``, the
            name, ``calls``, ``ms`` (added over cores) and their ``part`` of all operations' time.
        """
        if self._began is None:
            return None
        self._steps += 1
        if step < self._last and not last:
            return None
        jax.block_until_ready(state)
        seconds = time.monotonic() - self._began
        self.stop()
        first = step - self._steps + 1
        assert self._folder is not None
        told = {"first": first, "steps": self._steps, "seconds": seconds, "folder": self._folder.name}
        return told | {"operations": costliest(self._folder)}

    def stop(self) -> None:
        """Ends a recording that is going on, such as of a search that is stopped."""
        if self._began is not None:
            self._began = None
            jax.profiler.stop_trace()


def costliest(folder: Path, count: int = LISTED) -> list[dict[str, Any]]:
    """The operations of a recording that took the most time, of devices where any were recorded, else of the CPU."""
    spent: dict[str, dict[tuple[str, str], list[float]]] = {"device": defaultdict(list), "host": defaultdict(list)}
    for path in sorted(folder.rglob("*.xplane.pb")):
        for plane in ProfileData.from_file(str(path)).planes:
            where = spent["device" if plane.name.startswith("/device:") else "host"]
            for line in plane.lines:
                for event in line.events:
                    facts = dict(event.stats)
                    if "hlo_op" in facts:
                        where[str(facts.get("hlo_module", "")), str(facts["hlo_op"])].append(event.duration_ns / 1e6)
    chosen = spent["device"] or spent["host"]
    total = sum(map(sum, chosen.values()))
    ranked = sorted(chosen.items(), key=lambda item: -sum(item[1]))[:count]
    return [
        {"program": program, "name": name, "calls": len(times), "ms": sum(times), "part": sum(times) / total}
        for (program, name), times in ranked
    ]
