"""Kills a small search with ``kill -9`` at random points, resumes it, and compares it with one nobody killed.

    python -m experiments.reliability.kill_anywhere --points 30 --out experiments/reliability/kills_30.json
    python -m experiments.reliability.kill_anywhere --points 200 --out experiments/reliability/kills_200.json

The search is ``--reproducible`` and goes through all stages: clips, profile, supernet, projection, evolution, shared
weights, retraining, report. A *chain* is one run that is killed after a random time, resumed, killed again, and so on
until it comes to its end; what it leaves is then compared with the uninterrupted run's: ``results.json`` without its
timings, the genotypes, every array of every checkpoint to the bit, and the numbers in the event log. Every kill is a
point. Half of the waiting times are short, so that starting up, and going on, are killed too.

Processes are forked from one that has the packages imported and nothing else, which saves the seconds of importing.

Cost: about the time of the search for every few points; see ``seconds`` in the file it writes.
"""

import argparse
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

_OPTIONS = (
    "--reproducible --strategies differentiable hybrid evolution random_weight_sharing --baseline-networks 3 "
    "--checkpoint-seconds 0 --budget.ms 1000 "
    "--shapes.image-size 8 --shapes.num-frames 1 2 --shapes.frame-stride 1 --shapes.num-blocks 3 "
    "--shapes.blocks.0.filters 4 --shapes.blocks.1.filters 4 --shapes.blocks.2.filters 4 "
    "--shapes.blocks.2.temporal-stride 1 "
    "--operators.spatial-type std maxpool --operators.spatial-kernel 1 3 --operators.temporal-type 1d "
    "--operators.temporal-kernel 1 --operators.squeeze 0.0 --operators.width 0.5 1.0 --operators.expand 1 "
    "--operators.context-gate False --operators.skip False "
    "--profile.units 10 --profile.networks 3 --profile.chosen 0 --profile.repeats 30 "
    "--search.steps 12 --search.batch-size 4 --search.working-set 2 --search.score-clips 8 --search.score-every 2 "
    "--search.redraws 1 --search.projection.top-k 2 --search.projection.finalists 1 "
    "--search.projection.recalibration-batches 2 --search.projection.fine-tune-steps 2 "
    "--evolution.population 2 --evolution.tournament 1 --sharing.candidates 4 --sharing.finalists 1 "
    "--proxy.steps 4 --proxy.batch-size 4 --retrain.steps 6 --retrain.batch-size 4 "
    "--data.train-clips 24 --data.val-clips 16 --data.test-clips 16 --data.size 16"
)
"""A search of seconds, compiled programs being there."""

TINY = _OPTIONS.split()

_TIMED = ("seconds", "compile_seconds", "spent", "latency_ms", "latency_iqr_ms", "environment", "elapsed", "charged_s")
_TIMED_ENDS = ("_seconds", "_s")
_PATIENCE_S = 1200.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=30, help="kills")
    parser.add_argument("--seed", type=int, default=0, help="of the times")
    parser.add_argument("--out", type=Path, help="JSON file of the counts")
    parser.add_argument("--limit-minutes", type=float, default=1e9, help="begin no further chain after these")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        counts = kill_anywhere(Path(folder), options.points, options.seed, options.limit_minutes)
    counts["command"] = "python -m experiments.reliability.kill_anywhere " + " ".join(sys.argv[1:])
    print(json.dumps(counts, indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    return 1 if counts["differing"] else 0


def kill_anywhere(folder: Path, points: int, seed: int, limit_minutes: float = 1e9) -> dict[str, Any]:
    """Kills until there were so many points; returns the counts."""
    os.environ["TVNJAX_CACHE"] = str(folder / "cache")
    _import()
    rng, start = random.Random(seed), time.monotonic()
    whole = folder / "whole"
    _ended(_forked(["run", "quick", *TINY, "--out", str(whole)], folder / "whole.log"))
    expected = _apart(what_is_left, whole)
    begun = time.monotonic()
    # Again, everything cached: how long it takes, and the promise of --reproducible itself.
    _ended(_forked(["run", "quick", *TINY, "--out", str(folder / "again")], folder / "again.log"))
    took = time.monotonic() - begun
    differing = [f"again: {text}" for text in differences(expected, _apart(what_is_left, folder / "again"))]
    stages: Counter[str] = Counter()
    killed = chains = 0
    while killed < points and time.monotonic() - start < 60 * limit_minutes:
        chains += 1
        out, log = folder / f"chain-{chains}", folder / f"chain-{chains}.log"
        while True:
            argv = ["run", "--resume", str(out)] if (out / "config.json").exists() else None
            pid = _forked(argv or ["run", "quick", *TINY, "--out", str(out)], log)
            # A chain that has had many kills is let go to its end: every run ends with a comparison.
            wait = rng.uniform(0, took) if rng.random() < 0.5 else rng.uniform(0, 0.3 * took)
            if killed >= points or not _killed(pid, wait):
                if killed >= points:
                    _ended(pid, log)
                break
            killed += 1
            stages[stage_of(out)] += 1
            print(f"{killed} kills, {chains} chains, last in {stage_of(out)}", file=sys.stderr, flush=True)
        found = [f"chain {chains}: {text}" for text in differences(expected, _apart(what_is_left, out))]
        differing += found
        if not found:
            shutil.rmtree(out)
    return {
        "kills": killed,
        "chains": chains,
        "differing": differing,
        "kills_by_stage": dict(sorted(stages.items())),
        "seed": seed,
        "seconds": round(time.monotonic() - start),
        "uninterrupted_seconds": round(took, 1),
        "compared": {name: len(part) for name, part in expected.items()},
        "environment": _apart(_environment, folder),
    }


def what_is_left(run: Path) -> dict[str, Any]:
    """What two runs must agree in."""
    from tvnjax.report.record import read_events

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
        return "report"
    done = {path.stem for path in (run / "stages").glob("*.json")}
    order = ("data", "profile", "differentiable-0", "hybrid-0", "evolution-0", "random_weight_sharing-0", "gate")
    retrained = [f"retrained-{name}" for name in order[2:-1]]
    for name in (*order, *retrained):
        if name not in done:
            going = run / "stages" / name
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


def _import() -> None:
    """What the forked processes would import one after another; no device is touched yet."""
    import importlib

    for name in ("pipeline", "console", "cli.run", "report.page"):
        importlib.import_module(f"tvnjax.{name}")


def _forked(argv: list[str], log: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        from tvnjax.cli import main

        status = main(argv)
    finally:
        sys.stdout.flush()
        os._exit(status)


def _killed(pid: int, wait: float) -> bool:
    """Kills a process after some seconds; false if it ended well before.

    Raises:
        RuntimeError: it ended otherwise.
    """
    until = time.monotonic() + wait
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            if status:
                raise RuntimeError(f"a run ended with status {os.waitstatus_to_exitcode(status)}")
            return False
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True


def _ended(pid: int, log: Path | None = None) -> None:
    if _killed(pid, _PATIENCE_S):
        raise RuntimeError(f"a run did not end within {_PATIENCE_S:g} s; {log}")


def _apart(function: Callable[[Path], dict[str, Any]], path: Path) -> dict[str, Any]:
    """What a function returns, called in a process of its own: this one forks, and must not touch a device before."""
    answer = path.with_name(f"{path.name}.answer.json")
    pid = os.fork()
    if not pid:
        status = 70
        try:
            answer.write_text(json.dumps(function(path)))
            status = 0
        finally:
            os._exit(status)
    _ended(pid)
    return json.loads(answer.read_text())


def _environment(_: Path) -> dict[str, Any]:
    from tvnjax.core.environment import environment

    return environment()


if __name__ == "__main__":
    sys.exit(main())
