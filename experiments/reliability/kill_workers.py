"""Kills a search whose candidates are trained by workers, resumes it, and looks at what is kept.

    python -m experiments.reliability.kill_workers --engine pool --points 30 --out kills_pool.json
    python -m experiments.reliability.kill_workers --engine ray --points 60 --out kills_ray.json

Such a search ends by the clock, and the order of its results is never the same twice, so that no two runs are equal.
Instead: a run that is killed with ``kill -9``, Ctrl-C or SIGTERM in turns, and resumed until it ends, keeps every
candidate that it had told of, with the same numbers and in the same order; a network that two runs have trained with
one seed has one accuracy; and nothing that a run has started is there a little after it.
"""

import argparse
import dataclasses
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from experiments.reliability.kill_anywhere import TINY, environment_of, go, untimed
from experiments.reliability.processes import apart, ended, forked, killed, left_behind, mark
from tvnjax.report.record import read_events
from tvnjax.search.pools import Workers

_SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)
_SECONDS = 8.0
"""Of each strategy, on all workers together: a few candidates."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=["pool", "ray"], default="pool", help="of the workers")
    parser.add_argument("--count", type=int, default=2, help="workers")
    parser.add_argument("--points", type=int, default=30, help="kills")
    parser.add_argument("--seed", type=int, default=0, help="of the times")
    parser.add_argument("--limit-minutes", type=float, default=1e9, help="kill no more after these")
    parser.add_argument("--out", type=Path, help="JSON file of the counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        counts = kill_workers(
            Path(folder),
            Workers(engine=options.engine, count=options.count),
            options.points,
            options.seed,
            options.limit_minutes,
        )
    counts["command"] = "python -m experiments.reliability.kill_workers " + " ".join(sys.argv[1:])
    print(json.dumps(counts, indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    return 1 if counts["differing"] or counts["left_behind"] else 0


def kill_workers(folder: Path, workers: Workers, points: int, seed: int, limit_minutes: float) -> dict[str, Any]:
    """Kills until there were so many points; returns the counts."""
    os.environ["TVNJAX_CACHE"] = str(folder / "cache")
    mark()
    config = dataclasses.replace(
        TINY, reproducible=False, strategies=("evolution", "random"), baseline_seconds=_SECONDS, workers=workers
    )
    rng, start = random.Random(seed), time.monotonic()
    ended(forked(go, config, folder / "whole", folder / "whole.log"))
    whole = told(folder / "whole")
    took = time.monotonic() - start
    accuracies = scores(whole)
    differing, kills, chains, kept, retrained = [], 0, 0, 0, 0
    by_signal: Counter[str] = Counter()
    while kills < points and time.monotonic() - start < 60 * limit_minutes:
        chains += 1
        out, log = folder / f"chain-{chains}", folder / f"chain-{chains}.log"
        before: list[dict[str, Any]] = []
        while True:
            pid = forked(go, config, out, log)
            if kills >= points or time.monotonic() - start > 60 * limit_minutes:
                ended(pid, log)
                break
            number = _SIGNALS[kills % len(_SIGNALS)]
            if killed(pid, rng.uniform(0, took) * rng.choice((1.0, 0.5, 0.2)), number=number, log=log) is None:
                break
            kills += 1
            by_signal[number.name] += 1
            now = told(out)
            if now[: len(before)] != before:
                differing.append(f"chain {chains}, kill {kills}: candidates that were told of are gone or others")
            before = now
            print(f"{kills} kills, {chains} chains, {len(now)} candidates", file=sys.stderr, flush=True)
        last = told(out)
        kept += len(before)
        if last[: len(before)] != before:
            differing.append(f"chain {chains}: candidates that were told of are gone or others")
        for key, accuracy in scores(last).items():
            retrained += key in accuracies
            if accuracies.setdefault(key, accuracy) != accuracy:
                differing.append(f"chain {chains}: {key} scored {accuracy}, before {accuracies[key]}")
        rows = json.loads((out / "results.json").read_text())["strategies"]
        if [row["name"] for row in rows] != list(config.strategies) or any(row.get("failed") for row in rows):
            differing.append(f"chain {chains}: the results are of other strategies, or one has none")
        shutil.rmtree(out)
    return {
        "kills": kills,
        "chains": chains,
        "differing": differing,
        "kills_by_signal": dict(sorted(by_signal.items())),
        "candidates_told_before_the_last_kill": kept,
        "candidates_compared_between_runs": retrained,
        "left_behind": left_behind(),
        "workers": dataclasses.asdict(workers),
        "seed": seed,
        "seconds": round(time.monotonic() - start),
        "uninterrupted_seconds": round(took, 1),
        "environment": apart(environment_of, folder),
    }


def told(run: Path) -> list[dict[str, Any]]:
    """The candidates that a run's log tells of, without what clocks say."""
    if not (run / "events.jsonl").exists():
        return []
    return [untimed(event) for event in read_events(run) if event["event"] == "candidate"]


def scores(candidates: list[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy by strategy, seed and network."""
    return {json.dumps([c.get("strategy"), c.get("seed"), c["genotype"]]): c.get("accuracy") for c in candidates}


if __name__ == "__main__":
    sys.exit(main())
