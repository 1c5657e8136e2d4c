"""How many kernels a compiled program launches, counted in its own text.

A small network on an accelerator is a few dozen kernels, each too short to fill the device: its latency is how many
there are, not how much they compute. The count is taken from the optimised HLO: every operation that XLA starts by
itself (a fusion, a library's convolution or product, a copy) is one; a loop's body counts as often as it turns, of the
branches of a condition the largest counts. What a library starts inside of one call is not seen.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

KERNEL_RULE = "fusions, library calls, copies and other operations the compiled program starts; loops by their turns; 1"
"""The rule and its number, kept with latency tables: a table whose kernels were counted otherwise is another one."""

_NO_KERNEL = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "add-dependency", "domain"),
    *("partition-id", "replica-id", "opt-barrier", "get-dimension-size", "copy-done", "async-done", "async-update"),
    *("send-done", "recv-done", "all-reduce-done", "all-gather-done", "collective-permute-done"),
}
_NO_CALL = ("Sharding", "SPMD", "AllocateBuffer", "annotate_device_placement")
"""Targets of custom calls that start nothing."""

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.\-]+ = (.*)$")
_OPCODE = re.compile(r"(?:^|[\s)}\]])([a-z][a-z0-9\-]*)\(")
_TRIPS = re.compile(r'known_trip_count"?\s*[:=]\s*\{"?n"?\s*[:=]\s*"?(\d+)')


class Kernels(NamedTuple):
    """What a program launches."""

    launched: int
    open_loops: int
    """Loops whose turns only the run knows; their bodies count once, and the host reads a value every turn."""


def count_kernels(text: str) -> Kernels:
    """Counts the kernels of an optimised HLO module, as ``compiled.as_text()`` gives it.

    Raises:
        ValueError: the text has no entry computation.
    """
    bodies, entry = _computations(text)
    if entry is None:
        raise ValueError("a compiled program's text has an entry computation")
    known: dict[str, Kernels] = {}

    def of(name: str) -> Kernels:
        if name not in known:
            found = [_launched(line, of) for line in bodies.get(name, [])]
            known[name] = Kernels(sum(one.launched for one in found), sum(one.open_loops for one in found))
        return known[name]

    return of(entry)


def _computations(text: str) -> tuple[dict[str, list[str]], str | None]:
    """The instructions of each computation, behind their ``=``; and the name of the entry."""
    bodies: dict[str, list[str]] = {}
    entry, lines = None, []
    for line in text.splitlines():
        if begins := _COMPUTATION.match(line):
            lines = bodies.setdefault(begins[2], [])
            entry = begins[2] if begins[1] else entry
        elif instruction := _INSTRUCTION.match(line):
            lines.append(instruction[1])
    return bodies, entry


def _launched(line: str, of: Callable[[str], Kernels]) -> Kernels:
    found = _OPCODE.search(line)
    opcode = found[1] if found else ""
    if not opcode or opcode in _NO_KERNEL:
        return Kernels(0, 0)
    if opcode == "while":
        body, trips = of(_called(line, "body")), _TRIPS.search(line)
        return Kernels(body.launched * (int(trips[1]) if trips else 1), body.open_loops + (trips is None))
    if opcode == "conditional":
        branches = re.search(r"branch_computations=\{([^}]*)\}", line)
        names = branches[1].split(",") if branches else [_called(line, f"{way}_computation") for way in _WAYS]
        return max(of(name.strip().lstrip("%")) for name in names)
    if opcode in ("call", "async-start"):
        return of(_called(line, "to_apply" if "to_apply=" in line else "calls"))
    if opcode == "custom-call" and any(f'custom_call_target="{target}' in line for target in _NO_CALL):
        return Kernels(0, 0)
    return Kernels(1, 0)


_WAYS = ("true", "false")


def _called(line: str, how: str) -> str:
    found = re.search(rf"\b{how}=%?([\w.\-]+)", line)
    return found[1] if found else ""
