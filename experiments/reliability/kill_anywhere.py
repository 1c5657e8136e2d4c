"""Kills a small search with ``kill -9`` at random points, resumes it, and compares it with one nobody killed.

    python -m experiments.reliability.kill_anywhere --points 30 --out experiments/reliability/kills_30.json
    python -m experiments.reliability.kill_anywhere --points 200 --out experiments/reliability/kills_200.json
    python -m experiments.reliability.kill_anywhere --points 20 --at data profile projection gate results --out ...
    python -m experiments.reliability.kill_anywhere --points 60 --signals INT TERM --at data profile gate --out ...

The search is ``--reproducible`` and goes through all stages: clips, profile, supernet, projection, evolution, shared
weights, retraining. A *chain* is one run that is killed after a random time, resumed, killed again, and so on
until it comes to its end; what it leaves is then compared with the uninterrupted run's: ``results.json`` without its
timings, the genotypes, every array of every checkpoint to the bit, and the numbers in the event log. Every kill is a
point. Most waiting times are short, so that starting up, and going on, are killed too. Stages that take a moment are
seldom met that way: with ``--at`` a chain is killed once in each of the stages named, a little after it has come there.
``--signals`` takes turns with other signals: after Ctrl-C or SIGTERM a run has to end by itself, with the status that a
shell expects; the longest time that took is recorded. What the runs have started and
left behind is listed. Runs with workers, which no two clocks make equal, have ``kill_workers``.

Processes are forked from one that has the packages imported and nothing else, which saves the seconds of importing.

Cost: about the time of the search for every few points; see ``seconds`` in the file it writes.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments.reliability.processes import apart, ended, forked, killed, left_behind, mark
from tvnjax.cli.console import ConsoleMonitor
from tvnjax.data.procedural import ProceduralData
from tvnjax.latency.profile import Profiling
from tvnjax.report.record import read_events
from tvnjax.running import pipeline
from tvnjax.running.config import RunConfig
from tvnjax.search.budget import Budget
from tvnjax.search.gradient.config import DifferentiableConfig
from tvnjax.search.gradient.projection_config import ProjectionConfig
from tvnjax.search.strategies.evolution import EvolutionConfig
from tvnjax.search.strategies.weight_sharing import SharingConfig
from tvnjax.spaces.tvn.relaxed import OperatorChoices
from tvnjax.spaces.tvn.shapes import BlockShapes, ShapeChoices
from tvnjax.trainers.trainer import Training

TINY = RunConfig(
    reproducible=True,
    strategies=("differentiable", "evolution", "random_weight_sharing"),
    baseline_networks=2,
    checkpoint_seconds=0.0,
    budget=Budget(ms=1000.0),
    data=ProceduralData(task="motion", train_clips=24, val_clips=16, test_clips=16, size=16),
    shapes=ShapeChoices(image_size=(8,), num_frames=(1, 2), blocks=(BlockShapes(filters=(4,)),)),
    operators=OperatorChoices(
        spatial_type=("std", "maxpool"),
        spatial_kernel=(1, 3),
        temporal_type=("1d",),
        temporal_kernel=(1,),
        squeeze=(0.0,),
        width=(0.5, 1.0),
        expand=(1,),
        context_gate=(False,),
        skip=(False,),
    ),
    profile=Profiling(units=10, networks=3, chosen=0, repeats=30),
    search=DifferentiableConfig(
        steps=12,
        batch_size=4,
        working_set=2,
        redraws=1,
        score_every=2,
        score_clips=8,
        projection=ProjectionConfig(
            plans=1,
            top_k=2,
            draws=1,
            neighbours=1,
            rank_steps=2,
            racers=2,
            finalists=1,
            recalibration_batches=2,
            fine_tune_steps=2,
        ),
    ),
    evolution=EvolutionConfig(population=1, tournament=1),
    sharing=SharingConfig(candidates=3, finalists=1),
    proxy=Training(steps=4, batch_size=4),
    retrain=Training(steps=6, batch_size=4),
)
"""A search of seconds, compiled programs being there."""

_TIMED = ("seconds", "compile_seconds", "spent", "latency_ms", "latency_iqr_ms", "environment", "elapsed", "charged_s")
_TIMED_ENDS = ("_seconds", "_s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=30, help="kills")
    parser.add_argument("--seed", type=int, default=0, help="of the times")
    parser.add_argument("--out", type=Path, help="JSON file of the counts")
    parser.add_argument("--cache", type=Path, help="a cache folder of before, to begin with a copy of")
    parser.add_argument("--strategies", nargs="+", help="of the search; default: " + " ".join(TINY.strategies))
    parser.add_argument("--at", nargs="+", default=[], help="stages to kill in, in this order, instead of at any time")
    parser.add_argument("--signals", nargs="+", default=["KILL"], choices=["KILL", "INT", "TERM"], help="in turns")
    parser.add_argument("--limit-minutes", type=float, default=1e9, help="kill no more after these")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        if options.cache is not None:
            shutil.copytree(options.cache, Path(folder) / "cache")
        strategies = tuple(options.strategies or TINY.strategies)
        config = dataclasses.replace(TINY, strategies=strategies)
        signals = [signal.Signals[f"SIG{name}"] for name in options.signals]
        counts = kill_anywhere(
            Path(folder), options.points, options.seed, options.limit_minutes, config, options.at, signals
        )
    counts["command"] = "python -m experiments.reliability.kill_anywhere " + " ".join(sys.argv[1:])
    print(json.dumps(counts, indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    return 1 if counts["differing"] or counts["left_behind"] else 0


def kill_anywhere(
    folder: Path,
    points: int,
    seed: int,
    limit_minutes: float = 1e9,
    config: RunConfig = TINY,
    at: Sequence[str] = (),
    signals: Sequence[signal.Signals] = (signal.SIGKILL,),
) -> dict[str, Any]:
    """Kills until there were so many points; returns the counts."""
    os.environ["TVNJAX_CACHE"] = str(folder / "cache")
    mark()
    rng, start = random.Random(seed), time.monotonic()
    whole = folder / "whole"
    ended(forked(go, config, whole, folder / "whole.log"))
    expected = apart(what_is_left, whole)
    begun = time.monotonic()
    # Again, everything cached: how long it takes, and the promise of --reproducible itself.
    ended(forked(go, config, folder / "again", folder / "again.log"))
    took = time.monotonic() - begun
    differing = [f"again: {text}" for text in differences(expected, apart(what_is_left, folder / "again"))]
    stages: Counter[str] = Counter()
    by_signal: Counter[str] = Counter()
    slowest = 0.0
    kills = chains = 0
    while kills < points and time.monotonic() - start < 60 * limit_minutes:
        chains += 1
        out, log = folder / f"chain-{chains}", folder / f"chain-{chains}.log"
        targets = iter(at)
        while True:
            pid = forked(go, config, out, log)
            # Short waits kill starting up and going on, long ones the stages at the end.
            wait = rng.uniform(0, took) * rng.choice((1.0, 0.3, 0.08))
            reached: Callable[[], bool] = lambda: True  # noqa: E731
            target = next(targets, None)
            if target is not None:
                wait, reached = rng.uniform(0, 0.2), lambda out=out, target=target: stage_of(out) == target
            over = kills >= points or time.monotonic() - start > 60 * limit_minutes
            if over or (at and target is None):
                ended(pid, log)
                break
            number = signals[kills % len(signals)]
            ended_in = killed(pid, wait, reached, number, log)
            if ended_in is None:
                break
            if number != signal.SIGKILL:
                slowest = max(slowest, ended_in)
            kills += 1
            by_signal[number.name] += 1
            stages[stage_of(out)] += 1
            print(f"{kills} kills, {chains} chains, last in {stage_of(out)}", file=sys.stderr, flush=True)
        found = [f"chain {chains}: {text}" for text in differences(expected, apart(what_is_left, out))]
        differing += found
        if not found:
            shutil.rmtree(out)
    return {
        "kills": kills,
        "chains": chains,
        "differing": differing,
        "kills_by_stage": dict(sorted(stages.items())),
        "kills_by_signal": dict(sorted(by_signal.items())),
        "slowest_end_seconds": round(slowest, 1),
        "left_behind": left_behind(),
        "seed": seed,
        "seconds": round(time.monotonic() - start),
        "uninterrupted_seconds": round(took, 1),
        "compared": {name: len(part) for name, part in expected.items()},
        "environment": apart(environment_of, folder),
    }


def what_is_left(run: Path) -> dict[str, Any]:
    """What two runs must agree in."""
    results = json.loads((run / "results.json").read_text())
    return {
        "results": untimed(results),
        "genotypes": {path.name: path.read_text() for path in sorted((run / "genotypes").iterdir())},
        "arrays": _arrays(run / "checkpoints"),
        "events": [untimed(event) for event in read_events(run) if event["event"] in ("search_step", "candidate")],
    }


def untimed(value: Any) -> Any:
    """Without what clocks say."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if key not in _TIMED and not key.endswith(_TIMED_ENDS)}
        return {key: untimed(item) for key, item in kept.items() if key not in ("costs", "seq", "reference")}
    return [untimed(item) for item in value] if isinstance(value, list) else value


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What differs, in words."""
    different = [name for name in ("results", "genotypes", "events") if expected[name] != found[name]]
    ours, theirs = expected["arrays"], found["arrays"]
    if list(ours) != list(theirs):
        return [*different, "other arrays"]
    return different + [f"weights {key}" for key in ours if ours[key] != theirs[key]]


def stage_of(run: Path) -> str:
    """The stage a killed run was in, by what it left."""
    if not (run / "config.json").exists():
        return "starting"
    if (run / "results.json").exists():
        return "ended"
    done = {path.stem for path in (run / "stages").glob("*.json")}
    searches = [f"{name}-0" for name in json.loads((run / "config.json").read_text())["config"]["strategies"]]
    for name in ("data", "profile", *searches, "gate", *(f"retrained-{name}" for name in searches)):
        if name not in done:
            going = run / "stages" / name
            if name == "random_weight_sharing-0" and not going.exists():
                return "shared-weights-0"
            trained = name == "differentiable-0" and (going / "journal.jsonl").exists()
            return "projection" if trained else name
    return "results"


def _arrays(folder: Path) -> dict[str, str]:
    """Kind, shape and digest of every array of every checkpoint."""
    import jax
    import numpy as np
    import orbax.checkpoint as ocp

    arrays = {}
    for path in sorted(folder.iterdir()):
        with ocp.StandardCheckpointer() as checkpointer:
            tree = checkpointer.restore(path.absolute())
        for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
            array = np.asarray(leaf)
            digest = hashlib.sha256(array.tobytes()).hexdigest()
            arrays[f"{path.name}{jax.tree_util.keystr(keys)}"] = f"{array.dtype} {array.shape} {digest}"
    return arrays


def go(config: RunConfig, out: Path) -> None:
    """Begins the search, or goes on with it; without the page at its end, a third of the seconds, which is drawn from
    files that are compared."""
    pipeline.write_report = lambda _: None
    resume = (out / "config.json").exists()
    pipeline.run(config, out, "kill_anywhere", ConsoleMonitor, argv=["kill_anywhere"], resume=resume)


def environment_of(_: Path) -> dict[str, Any]:
    from tvnjax.core.environment import environment

    return environment()


if __name__ == "__main__":
    sys.exit(main())
