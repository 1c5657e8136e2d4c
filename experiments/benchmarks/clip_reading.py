"""What reading clips costs a search: cut on the host and uploaded for each plan, streamed, or held on the device.

    python -m experiments.benchmarks.clip_reading --json experiments/benchmarks/clip_reading.json

A batch is drawn, cut for a plan and read by a compiled program (pixels as float32, their mean taken, as a network's
first layer would read them). The host's path crops and mirrors whole clips and uploads them again with every cut, as
version 0.1 did. All prepare batches in threads, so that the processor's milliseconds (of all threads) tell more than
the clock's. Ten batches of each are timed in turns; quoted are medians. Bytes are those put on the device in one
scoring of a working set of six plans. Takes about a minute on two CPU cores.
"""

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.data import host_path
from tests.data.in_memory import InMemory
from tvnjax.core.environment import environment
from tvnjax.core.run_dir import write_json
from tvnjax.data.placement import FIRST_DEVICE
from tvnjax.data.resident import ResidentClips
from tvnjax.data.stored_clips import PlanView
from tvnjax.search.gradient.stored_data import stored_data
from tvnjax.spaces.base import Reads

PLANS = 6
"""Of the default working set."""
BATCH, SCORE_CLIPS = 16, 64
_IN_TURN = 10
"""Batches of a path before the next one's: more than are prepared in advance."""


class Drawn(InMemory):
    """Clips of noise, made once."""

    def source(self, split: str) -> Any:
        rng = np.random.default_rng(len(split))
        shape = (self.frames_stored, self.size, self.size, 3)
        span = np.array([0, self.frames_stored], np.int32)
        return [
            {"clip": rng.integers(0, 256, shape, np.uint8), "label": i % 4, "span": span, "valid": span}
            for i in range(self.splits[split])
        ]


class Plans:
    """What of a relaxation the streams ask for."""

    @staticmethod
    def reads(plan: Reads) -> Reads:
        return plan


def drawn(frames: int, size: int, shift: int, clips: int) -> Drawn:
    return Drawn(
        name="noise",
        class_names=tuple("abcd"),
        splits={"train": clips, "val": 64},
        counts={},
        frames_stored=frames,
        window=frames,
        size=size + 2 * shift,
        shift=shift,
        flip=True,
        skipped=(),
        widened=0,
        held=0,
        fingerprint="noise",
        directory=Path(),
    )


def host_reader(clips: Drawn, plan: Reads) -> tuple[Callable[[], Any], Callable[[], int]]:
    """A batch read as by version 0.1; the bytes of a scoring."""
    view, rng = PlanView(**plan._asdict()), np.random.default_rng(0)
    batches = host_path.train_batches(clips, "train", batch_size=BATCH, seed=0)

    def read(clip: jax.Array, times: jax.Array) -> jax.Array:
        return jnp.mean(host_path.view(clip, times, plan.image_size), axis=(1, 2, 3, 4))

    program = jax.jit(read)

    def call() -> Any:
        batch = next(batches)
        return program(batch["clip"], host_path.times(batch, view, rng))

    def uploaded() -> int:
        batch = next(host_path.train_batches(clips, "val", batch_size=SCORE_CLIPS, seed=0))
        numbers = sum(batch[name].nbytes for name in ("label", "span", "valid"))
        return PLANS * (batch["clip"].nbytes + numbers + host_path.times(batch, view, rng).nbytes)

    return call, uploaded


def reader(clips: Drawn, plan: Reads, splits: tuple[str, ...]) -> tuple[Callable[[], Any], Callable[[], int]]:
    """The same with ``splits`` on the device."""
    rng = np.random.default_rng(0)
    resident = ResidentClips(clips, splits, FIRST_DEVICE) if splits else None
    relaxation: Any = Plans()
    data = stored_data(
        clips, relaxation, resident, FIRST_DEVICE, batch_size=BATCH, score_clips=SCORE_CLIPS, eval_batch=64, seed=0
    )
    view: Any = data.view_of(plan)  # type: ignore[arg-type]
    program = jax.jit(lambda batch: jnp.mean(view(batch)[0], axis=(1, 2, 3, 4)))

    def cut(batch: Any) -> dict[str, Any]:
        return data.cut(batch, plan, rng)  # type: ignore[arg-type]

    def uploaded() -> int:
        scoring = next(data.scoring)
        cuts = [cut(scoring) for _ in range(PLANS)]
        # What the cuts have of the batch is on the device already: once, and not at all where the split is held.
        assert all(batch[name] is scoring[name] for batch in cuts for name in batch if name != "rows")
        return sum(batch["rows"].nbytes for batch in cuts) + (scoring["clips"].nbytes if "clips" in scoring else 0)

    return lambda: program(cut(next(data.train))), uploaded


def measure(frames: int, size: int, shift: int, plan: Reads, clips: int, repeats: int) -> dict[str, Any]:
    one = drawn(frames, size, shift, clips)
    paths = {
        "host": host_reader(one, plan),
        "streamed": reader(one, plan, ()),
        "held": reader(one, plan, ("val", "train")),
    }
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in paths}
    first = {name: np.asarray(call()) for name, (call, _) in paths.items()}
    assert all(np.array_equal(first["held"], other) for other in first.values()), "the paths read the same"
    for _, (name, (call, _)) in itertools.product(range(repeats), paths.items()):
        start, busy = time.perf_counter(), time.process_time()
        for _ in range(_IN_TURN):
            jax.block_until_ready(call())
        clock, processor = time.perf_counter() - start, time.process_time() - busy
        samples[name].append((1e3 * clock / _IN_TURN, 1e3 * processor / _IN_TURN))
    return {
        "clip": {"frames": frames, "pixels": size, "margin": shift},
        "plan": plan._asdict(),
        **{
            name: {
                "batch_ms": statistics.median(clock for clock, _ in samples[name]),
                "fastest_ms": min(clock for clock, _ in samples[name]),
                "processor_ms": statistics.median(processor for _, processor in samples[name]),
                "scoring_bytes": uploaded(),
            }
            for name, (_, uploaded) in paths.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the results here")
    args = parser.parse_args()
    rows = {
        "clips preset": measure(8, 32, 3, Reads(8, 1, 32), 1024, args.repeats),
        "112 px x 32 frames": measure(32, 112, 3, Reads(32, 1, 112), 256, args.repeats),
        "112 px x 32 frames, 16 read at 56 px": measure(32, 112, 3, Reads(16, 2, 56), 256, args.repeats),
    }
    print(f"{'':38}{'path':>10}{'ms a batch':>12}{'fastest':>10}{'processor':>11}{'MB a scoring':>14}")
    for name, row in rows.items():
        for path in ("host", "streamed", "held"):
            told = row[path]
            print(
                f"{name:38}{path:>10}{told['batch_ms']:12.2f}{told['fastest_ms']:10.2f}{told['processor_ms']:11.2f}"
                f"{told['scoring_bytes'] / 1e6:14.3f}"
            )
    if args.json:
        result = {
            "command": f"python -m experiments.benchmarks.clip_reading --repeats {args.repeats}",
            "batch": BATCH,
            "score_clips": SCORE_CLIPS,
            "plans": PLANS,
            "rows": rows,
            "load_average": os.getloadavg(),
            "environment": environment(),
        }
        write_json(args.json, result)
        print(json.dumps({"written": str(args.json)}))


if __name__ == "__main__":
    main()
