"""The latency gate, a search at the paper's scale on drawn clips, and evolution for as many seconds of the device."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.accelerator.parts import Rows, rows_of
from experiments.latency.gate import verify
from tvnjax.cli.console import ConsoleMonitor
from tvnjax.core.environment import use_compilation_cache
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.jsonl import read_lines
from tvnjax.running import pipeline
from tvnjax.running.config import RunConfig

SEARCH, EVOLUTION = "differentiable", "evolution"


def check_gate(rows: Rows, config: RunConfig, networks: int, selected: int) -> None:
    """One row: the space's profile, and networks nobody has seen against what is predicted of them."""

    def make() -> dict[str, Any]:
        use_compilation_cache()
        told = verify("xla", networks, rows.folder, config, selected)
        gate = told["gate"]
        kept = {key: gate[key] for key in ("mape", "within_10pct", "kendall_tau", "passes")}
        of_selected = {"selected_bias": (gate["selected"] or {}).get("bias")}
        counted = {key: told[key] for key in ("measured", "reused", "profile_seconds")}
        return kept | of_selected | counted | {"missed": "; ".join(gate["failures"])}

    rows.once("gate", make)


def search_clips(rows: Rows, config: RunConfig) -> None:
    """One row: the gradient search alone."""
    rows.once("search", lambda: _row(_run(rows.folder / "run", config), rows.folder / "run"))


def evolve_clips(rows: Rows, config: RunConfig, search: Path) -> None:
    """One row: evolution, for the device seconds the search took.

    Args:
        search: folder of the search's part.
    """

    def make() -> dict[str, Any]:
        before = rows_of(search).get("search", {})
        if "seconds" not in before:
            raise InvalidInputError(
                "evolution gets the seconds that the search took, and it has no result: go on until the search is done"
            )
        options: Any = {"strategies": (EVOLUTION,), "baseline_seconds": before["seconds"] - before["profile_seconds"]}
        run = rows.folder / "run"
        return _row(_run(run, dataclasses.replace(config, **options)), run)

    rows.once("evolution", make)


def _run(out: Path, config: RunConfig) -> dict[str, Any]:
    """A run from its beginning, or from where it was."""
    command = "python -m experiments.accelerator.one_hour"
    resume = (out / "config.json").is_file()
    return pipeline.run(config, out, command, ConsoleMonitor, argv=[command], resume=resume)


def _row(results: Mapping[str, Any], run: Path) -> dict[str, Any]:
    (row,) = results["strategies"]
    spent = row["spent"]
    kept = {key: row.get(key) for key in ("top1", "latency_ms", "budget_ms", "evaluations", "infeasible", "seconds")}
    return kept | {
        "error": row.get("error") or "",
        "profile_seconds": spent.get("table", 0.0),
        "compile_seconds": row["compile_seconds"],
        "search_steps": _last_step(run),
        "spent": spent,
        "wall_seconds": results["seconds"],
    }


def _last_step(run: Path) -> int | None:
    steps = [line["step"] for line in read_lines(run / "events.jsonl")[0] if line.get("event") == "search_step"]
    return max(steps, default=None)
