"""Everything a GPU or a TPU is needed for, in one script that goes on where it was.

    python -m experiments.accelerator.one_hour --out DIR
    python -m experiments.accelerator.one_hour --out DIR --minutes 8
    JAX_PLATFORMS=cpu python -m experiments.accelerator.one_hour --out DIR --toy

Parts, each a process with a slice of the minutes (what one leaves over is the others'):

- ``forms``: every layer's forms, outputs and gradients against float64.
- ``steps``: milliseconds, operations a second and kernels of a search step of ``tvn-gpu``'s roomiest plan, and of a
  training step of two networks of the zoo in bfloat16.
- ``torch``: the same two in PyTorch (``torch.compile``, bfloat16), where it is there with CUDA.
- ``gate``: the latency gate of the ``clips`` preset's space: profile, cost model, networks nobody has seen.
- ``search``: ``tvn-gpu`` on drawn clips, with as few plans and steps as the minutes allow.
- ``evolution``: on the same clips, for the device seconds that the search took.

DIR keeps every part's rows as they come, ``one_hour.json`` with all of them, and the table that is printed at the end.
Called again, after a kill too, it skips what is done, tries what failed once more, and goes on with the rest; the
minutes are those of the call. Below 30 minutes less is measured; sizes stay those DIR began with. ``--toy`` is all of
it at sizes of a test.
"""

import argparse
import json
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from experiments.accelerator.device_searches import check_gate, evolve_clips, search_clips
from experiments.accelerator.form_checks import check_forms
from experiments.accelerator.hour_sizes import Sizes, sizes_of
from experiments.accelerator.parts import Part, Rows, brief, rows_of, run_parts, state_of
from experiments.accelerator.step_times import time_steps, time_torch
from tvnjax.core.environment import environment
from tvnjax.core.run_dir import read_json, write_json

_SHORT_MINUTES = 30
"""Below, what is measured is smaller."""


def parts_of(sizes: Sizes, out: Path) -> list[Part]:
    """In the order they are run."""

    def steps(rows: Rows) -> None:
        time_steps(rows, sizes.step, 10, sizes.supernet, sizes.children, sizes.child, sizes.product)

    runs: dict[str, Callable[[Rows], None]] = {
        "forms": partial(check_forms, only=sizes.forms),
        "steps": steps,
        "torch": lambda rows: time_torch(rows, sizes.children, sizes.child),
        "gate": lambda rows: check_gate(rows, sizes.gate, sizes.networks, sizes.selected),
        "search": lambda rows: search_clips(rows, sizes.search),
        "evolution": lambda rows: evolve_clips(rows, sizes.search, out / "search"),
    }
    shared = zip(runs.items(), sizes.shares, strict=True)
    machine = Part(name="machine", run=_machine, share=0.5)
    return [machine, *(Part(name=name, run=run, share=share) for (name, run), share in shared)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results; one of before is gone on with")
    parser.add_argument("--minutes", type=float, default=60.0, help="of this call")
    parser.add_argument("--toy", action="store_true", help="sizes of a test")
    parser.add_argument("--only", nargs="+", help="parts to run")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    sizes = _begun(args.out, "toy" if args.toy else "minutes" if args.minutes < _SHORT_MINUTES else "hour")
    parts = parts_of(sizes_of(sizes), args.out)
    names = [part.name for part in parts]
    if unknown := set(args.only or ()) - set(names):
        parser.error(f"parts are {', '.join(names)}; got {', '.join(sorted(unknown))}")
    chosen = [part for part in parts if args.only is None or part.name in args.only]
    run_parts(chosen, args.out, 60 * args.minutes)
    told = {
        "command": "python -m experiments.accelerator.one_hour " + " ".join(sys.argv[1:]),
        "sizes": sizes,
        "parts": {name: state_of(args.out / name) | {"rows": rows_of(args.out / name)} for name in names},
    }
    write_json(args.out / "one_hour.json", told)
    table = table_of(told["parts"])
    (args.out / "one_hour.txt").write_text(table, encoding="utf-8")
    print(table)
    return 0 if all(part["state"] == "done" for part in told["parts"].values()) else 1


def table_of(parts: dict[str, dict[str, Any]]) -> str:
    """What every part came to, a line a row; of the forms, how many hold and the worst."""
    lines = []
    for name, part in parts.items():
        reason = f", {part['reason']}" if part["reason"] else ""
        lines += ["", f"{name}: {part['state']}{reason}, {part['seconds']:.0f} s"]
        rows = part["rows"]
        if name == "forms" and rows:
            lines.append(_of_forms(rows))
            rows = {key: row for key, row in rows.items() if not row.get("holds")}
        lines += [f"  {key:24} {brief(row)}" for key, row in rows.items()]
    return "\n".join(lines).lstrip("\n") + "\n"


def _of_forms(rows: dict[str, dict[str, Any]]) -> str:
    made = {name: max(row["output_error"], row["gradient_error"]) for name, row in rows.items() if "holds" in row}
    held = sum(row.get("holds", False) for row in rows.values())
    worst = {dtype: max([e for name, e in made.items() if name.endswith(dtype)], default=0.0) for dtype in _DTYPES}
    errors = ", ".join(f"{dtype} {error:.2g}" for dtype, error in worst.items())
    return f"  {held} of {len(rows)} hold; largest errors: {errors}"


_DTYPES = ("float32", "bfloat16")


def _begun(out: Path, kind: str) -> str:
    """The sizes that a folder began with."""
    path = out / "begun.json"
    if path.is_file():
        before = read_json(path)["sizes"]
        if before != kind:
            print(f"{out} began with the sizes {before!r}, and goes on with them", flush=True)
        return before
    write_json(path, {"sizes": kind, "date": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
    return kind


def _machine(rows: Rows) -> None:
    """What it is measured on; asked anew at each call, and printed."""
    rows.kept.pop("machine", None)
    rows.once("machine", lambda: {"machine": platform.node(), "commit": _commit(), **environment(), **_of_gpu()})
    print(json.dumps(rows.kept["machine"], indent=1), flush=True)


def _commit() -> str:
    """Of this checkout, with a plus where something is changed."""
    here = Path(__file__).parent
    commit = _said(["git", "-C", str(here), "rev-parse", "--short", "HEAD"])
    changed = _said(["git", "-C", str(here), "status", "--porcelain", "--untracked-files=no"])
    return commit + ("+" if changed else "") if commit else "unknown"


_ASKED = ("name", "driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "power.draw", "power.limit", "pstate")


def _of_gpu() -> dict[str, str]:
    """Driver, clocks and power as ``nvidia-smi`` tells them."""
    if shutil.which("nvidia-smi") is None:
        return {"driver": "no nvidia-smi here"}
    said = _said(["nvidia-smi", f"--query-gpu={','.join(_ASKED)}", "--format=csv,noheader"]).splitlines()
    values = [value.strip() for value in said[0].split(",")] if said else []
    return dict(zip(_ASKED, values)) or {"driver": "nvidia-smi says nothing"}


def _said(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


if __name__ == "__main__":
    sys.exit(main())
