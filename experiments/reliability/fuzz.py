"""Damaged files for every reader: only documented errors may come out, in bounded time and memory.

    taskset -c 1 python -m experiments.reliability.fuzz --json experiments/reliability/fuzz.json

Reads at least 100,000 damaged genotypes, run files, manifests, annotation files, folders, latency and evaluation
tables, checkpoints and videos, each drawn from a seed, in processes of its own: one that dies or stays silent is
counted with the case it died in. A case has ten seconds (a report three minutes) and 2 GiB beyond what the process
began with. What is accepted is checked as well. About half an hour on one core; ``--only READER --first CASE --cases
1`` repeats a single case.
"""

import argparse
import collections
import concurrent.futures
import json
import logging
import multiprocessing
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from experiments.reliability.reader import AcceptedGarbageError, Reader
from tvnjax.core.run_dir import read_json, write_json

SHARES = {
    "GenotypeFile": 0.3248,
    "Manifests": 0.112,
    "Videos": 0.096,
    "TrainedNetworks": 0.096,
    "RunFiles": 0.048,
    "Tables": 0.044,
    "LatencyTables": 0.028,
    "Folders": 0.016,
    "Journals": 0.024,
    "Checkpoints": 0.00448,
    "Places": 0.0032,
    "RecordedRuns": 0.0032,
    "Reports": 0.00032,
    "Hmdb51": 0.035,
    "Ucf101": 0.035,
    "Kinetics": 0.035,
    "SomethingSomething": 0.035,
    "Jester": 0.03,
    "Moments": 0.03,
}
"""Of the cases, for each reader."""


class HangError(BaseException):
    """A case took longer than it may."""


def reader_class(name: str) -> type[Reader]:
    """A reader by the name of its class."""
    from experiments.reliability import (
        annotation_readers,
        checkpoint_reader,
        data_readers,
        json_readers,
        reader,
        run_readers,
    )

    for module in (json_readers, data_readers, annotation_readers, checkpoint_reader, reader, run_readers):
        if hasattr(module, name):
            return getattr(module, name)
    raise KeyError(name)


def run_case(reader: Reader, seed: int, index: int) -> str:
    """What came of a case: ``accepted``, the class of a documented error, or ``CRASH``, ``GARBAGE``, ``MEMORY``."""
    try:
        return reader.case(random.Random(f"{seed}:{reader.name}:{index}")) or "accepted"
    except reader.refusals as error:
        if len(str(error)) > 2000:
            return f"CRASH message of {len(str(error))} letters"
        return type(error).__name__
    except AcceptedGarbageError as error:
        return f"GARBAGE {error}"
    except MemoryError:
        return "MEMORY"
    except HangError:
        return "HANG"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"CRASH {type(error).__name__} in {Path(place.filename).name}:{place.lineno}: {error!s:.80}"


def _work(name: str, seed: int, first: int, last: int, memory: int, pipe: Connection) -> None:
    def ring(*_: object) -> None:
        raise HangError

    folder = Path(tempfile.mkdtemp(prefix="tvnjax-fuzz-"))
    signal.signal(signal.SIGALRM, ring)
    logging.disable(logging.CRITICAL)  # Orbax tells of every damage it meets
    try:
        reader = reader_class(name)(folder)
        run_case(reader, seed, -1)  # brings in what is imported late
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        cap = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (cap, cap))
        for index in range(first, last):
            pipe.send((index, "begun", 0.0, 0))
            began = time.perf_counter()
            signal.setitimer(signal.ITIMER_REAL, reader.limit_s, 0.5)  # again where a destructor swallowed it
            outcome = run_case(reader, seed, index)
            signal.setitimer(signal.ITIMER_REAL, 0)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            pipe.send((index, outcome, time.perf_counter() - began, peak))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fuzz(name: str, seed: int, first: int, cases: int, memory: int) -> dict[str, Any]:
    """Runs cases of one reader; a process that ends or says nothing for three limits is replaced behind its case."""
    outcomes: collections.Counter[str] = collections.Counter()
    findings: list[dict[str, Any]] = []
    slowest, peak, start = 0.0, 0, time.monotonic()
    at, last, limit_s = first, first + cases, reader_class(name).limit_s
    while at < last:
        ours, theirs = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("spawn")
        worker = context.Process(target=_work, args=(name, seed, at, last, memory, theirs))
        worker.start()
        theirs.close()
        begun, outcome = at - 1, "begun"
        try:
            while at < last:
                if not ours.poll(max(3 * limit_s, 300.0 if begun < at else 0.0)):
                    outcome = "HANG in a library"
                    break
                begun, outcome, seconds, kib = ours.recv()
                if outcome != "begun":
                    slowest, peak, at = max(slowest, seconds), max(peak, kib), begun + 1
                    outcomes[outcome] += 1
                    if outcome.split()[0].isupper():
                        findings.append({"case": begun, "outcome": outcome})
        except EOFError:
            worker.join()
            outcome = f"DIED with {worker.exitcode}"
        if at < last:
            outcomes[outcome] += 1
            findings.append({"case": begun, "outcome": outcome})
            at = max(begun, at) + 1
        worker.kill()
        worker.join()
    return {
        "seed": seed,
        "first": first,
        "cases": cases,
        "memory_mib": memory // 1024**2,
        "outcomes": dict(outcomes.most_common()),
        "findings": findings[:50],
        "slowest_s": round(slowest, 2),
        "peak_mib": peak // 1024,
        "seconds": round(time.monotonic() - start, 1),
    }


def _keep(path: Path, name: str, told: dict[str, Any]) -> None:
    """Writes a reader's counts beside those of the others that are in the file."""
    from tvnjax.core.environment import environment

    readers = (read_json(path)["readers"] if path.exists() else {}) | {name: told}
    counts = {
        "command": "python -m experiments.reliability.fuzz",
        "cases": sum(one["cases"] for one in readers.values()),
        "findings": sum(len(one["findings"]) for one in readers.values()),
        "readers": {known: readers[known] for known in SHARES if known in readers},
        "environment": environment(),
    }
    write_json(path, counts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=126_250, help="of all readers together")
    parser.add_argument("--only", choices=SHARES, help="this reader alone; --cases are all its own")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", type=int, default=2048, help="MiB beyond what a process begins with")
    parser.add_argument("--workers", type=int, default=2, help="processes at once")
    parser.add_argument("--json", type=Path, help="counts; readers that are in the file already stay there")
    args = parser.parse_args()
    names = [args.only] if args.only else list(SHARES)
    counts = {name: args.cases if args.only else round(SHARES[name] * args.cases) for name in names}
    found: dict[str, Any] = {}
    with concurrent.futures.ThreadPoolExecutor(args.workers) as pool:
        running = {
            pool.submit(fuzz, name, args.seed, args.first, counts[name], args.memory * 1024**2): name for name in names
        }
        for done in concurrent.futures.as_completed(running):
            found[running[done]] = done.result()
            print(running[done], json.dumps(done.result()), flush=True)
            if args.json:
                _keep(args.json, running[done], done.result())
    bad = {name: len(told["findings"]) for name, told in found.items() if told["findings"]}
    print(f"{sum(told['cases'] for told in found.values())} cases, findings: {bad or 'none'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
