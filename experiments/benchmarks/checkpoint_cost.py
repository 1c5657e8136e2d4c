"""What checkpoints cost a search: of the ``quick`` preset's gradient search, with the default settings.

    python -m experiments.benchmarks.checkpoint_cost --out experiments/benchmarks/checkpoint_cost.json

The search runs once; every second that went into checkpoints is counted: on the clock and on a processor, of the thread
that writes them, and of the loop that hands its place over at every step. Two searches, one without checkpoints, would
differ by more than checkpoints cost on any machine that does something else. Wanted: at most 3 % of the search.

Cost: a ``quick`` search without its baselines, some minutes on two cores.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tvnjax.config import PRESETS
from tvnjax.console import ConsoleMonitor
from tvnjax.core.checkpoints import Checkpoints
from tvnjax.core.environment import environment
from tvnjax.core.journal import Journal
from tvnjax.pipeline import run
from tvnjax.search.place import Place


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file of the numbers")
    parser.add_argument("--steps", type=int, help="of the search; default: the preset's")
    options = parser.parse_args()
    spent = {"handing_over_s": 0.0, "journal_s": 0.0}
    made: list[Checkpoints] = []
    _count(Place, "taken", spent, "handing_over_s")
    _count(Checkpoints, "offer", spent, "handing_over_s")
    _count(Journal, "add", spent, "journal_s")
    _collect(made)
    config = dataclasses.replace(PRESETS["quick"][1], strategies=("differentiable",))
    if options.steps is not None:
        config = dataclasses.replace(config, search=dataclasses.replace(config.search, steps=options.steps))
    with tempfile.TemporaryDirectory() as folder:
        results = run(config, Path(folder) / "run", "checkpoint_cost", ConsoleMonitor)
    (row,) = results["strategies"]
    search_s = row["seconds"] - row["spent"].get("table", 0.0)
    written = {"writing_s": sum(c.seconds for c in made), "processor_s": sum(c.processor_seconds for c in made)}
    cost = spent["handing_over_s"] + spent["journal_s"] + written["writing_s"]
    found: dict[str, Any] = {
        "search_s": search_s,
        "supernet_s": row["spent"].get("supernet"),
        "compile_s": row["compile_seconds"],
        **spent,
        **written,
        "part_of_the_search": cost / search_s,
        "part_of_the_search_without_compiling": cost / max(search_s - row["compile_seconds"], 1e-9),
        "wanted_at_most": 0.03,
        "checkpoint_seconds": config.checkpoint_seconds,
        "steps": config.search.steps,
        "command": "python -m experiments.benchmarks.checkpoint_cost " + " ".join(sys.argv[1:]),
        "environment": environment(),
    }
    print(json.dumps(found, indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if found["part_of_the_search"] <= found["wanted_at_most"] else 1


def _count(kind: type, name: str, spent: dict[str, float], key: str) -> None:
    """Adds up the seconds of a method."""
    plain = getattr(kind, name)

    def timed(*args: Any, **options: Any) -> Any:
        start = time.monotonic()
        try:
            return plain(*args, **options)
        finally:
            spent[key] += time.monotonic() - start

    setattr(kind, name, timed)


def _collect(made: list[Checkpoints]) -> None:
    plain = Checkpoints.__init__

    def remembering(self: Checkpoints, *args: Any, **options: Any) -> None:
        plain(self, *args, **options)
        made.append(self)

    Checkpoints.__init__ = remembering


if __name__ == "__main__":
    sys.exit(main())
