"""Run by ``test_run_on_devices`` in a process of eight CPU devices: whole searches on 1, 4 and 8 of them, decided by
one latency table, and one on 4 again."""

import dataclasses
import json
import sys
from pathlib import Path

from experiments.reliability.kill_anywhere import TINY
from tvnjax.core.monitor import Silent
from tvnjax.report.record import read_events
from tvnjax.running import pipeline

RETRAIN = dataclasses.replace(TINY.retrain, batch_size=8)
SEARCH = dataclasses.replace(
    TINY.search, steps=30, batch_size=8, score_clips=16, redraws=1, learning_rate=1e-3, arch_distance=0.36
)
CONFIG = dataclasses.replace(TINY, strategies=("differentiable",), search=SEARCH, retrain=RETRAIN)


def searched(out: Path, devices: int, table: Path | None):
    config = dataclasses.replace(CONFIG, devices=devices, latency_table=table)
    results = pipeline.run(config, out, "several devices", lambda run_dir: _Telling(run_dir))
    events = list(read_events(out))
    steps = [event for event in events if event["event"] == "search_step"]
    (strategy,) = results["strategies"]
    return {
        "losses": [[step["loss"], step["val_loss"] or 0.0, step["expected_ms"]] for step in steps],
        "plans": [event["plan"] for event in events if event["event"] == "plan"],
        "genotype": strategy["genotype_id"],
        "top1": strategy["top1"],
    }


class _Telling(Silent):
    def __init__(self, run_dir):
        self._run_dir = run_dir

    def event(self, kind, **fields):
        self._run_dir.event(kind, **fields)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    pipeline.write_report = lambda _: None
    table = folder / "1" / "latency_table.json"
    found = {"1": searched(folder / "1", 1, None)}
    for name, count in (("4", 4), ("8", 8), ("4 again", 4)):
        found[name] = searched(folder / name, count, table)
    (folder / "found.json").write_text(json.dumps(found))
