"""How far a latency comes out the same again: the floor of any prediction error.

    python -m experiments.latency.repeatability --runtimes xla litert onnxruntime      # now, and again an hour later

Every call compiles the same ten networks anew, times them in turns with a reference network, and appends a session to
``experiments/latency/repeatability.json``; then it compares all sessions by two statistics of the same calls: the
fastest call (over the reference's), which is what this package decides by, and the median on the clock.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from tvnjax.core.environment import environment, use_compilation_cache
from tvnjax.core.run_dir import read_json, write_json
from tvnjax.latency.measure import ReferenceNetwork, measure
from tvnjax.latency.profile import DEFAULT_CLASSES
from tvnjax.latency.runtimes import load_runtime
from tvnjax.latency.timer import Timer
from tvnjax.running.config import PRESETS
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.search_space import search_space
from tvnjax.spaces.tvn.shapes import ShapeSpace
from tvnjax.zoo.reference import REFERENCE

RESULT = Path(__file__).with_suffix(".json")
NETWORKS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runtimes", nargs="+", default=["xla", "litert", "onnxruntime"])
    args = parser.parse_args()
    use_compilation_cache()
    config = PRESETS["clips"][1]
    space, rng = search_space(ShapeSpace(config.shapes, 8), config.operators), np.random.default_rng(7)
    networks = [lower(space.sample(rng), DEFAULT_CLASSES) for _ in range(NETWORKS)]
    data = read_json(RESULT) if RESULT.exists() else {"sessions": []}
    for name in args.runtimes:
        runtime, timer = load_runtime(name), Timer(repeats=100)
        reference = runtime.network(lower(REFERENCE, DEFAULT_CLASSES))
        # In units of the reference network: what is compared between sessions.
        reference = ReferenceNetwork(call=reference.call, reference_ms=1.0)
        measured = measure(
            {index: runtime.network(network) for index, network in enumerate(networks)}, timer, reference
        )
        session = {
            "when": time.strftime("%Y-%m-%d %H:%M:%S"),
            "runtime": name,
            "reference_ms": measured[0].drift,
            "fastest": [measured[index].latency_ms for index in range(NETWORKS)],
            "median_ms": [measured[index].median_ms for index in range(NETWORKS)],
            "environment": environment() | runtime.description,
        }
        data["sessions"].append(session)
        write_json(RESULT, data)
    data["differences"] = {name: differences(data["sessions"], name) for name in args.runtimes}
    data["command"] = "python -m experiments.latency.repeatability"
    write_json(RESULT, data)
    for name, found in data["differences"].items():
        print(name, found)


def differences(sessions: list[dict], name: str) -> dict[str, float]:
    """Mean absolute difference of every later session from the first, by each statistic (parts of 1)."""
    own = [session for session in sessions if session["runtime"] == name]
    if len(own) < 2:
        return {}
    found = {"sessions": len(own)}
    for key in ("fastest", "median_ms"):
        values = np.array([session[key] for session in own])
        found[key] = float(np.abs(values[1:] / values[0] - 1).mean())
    fastest_ms = np.array([np.array(session["fastest"]) * session["reference_ms"] for session in own])
    found["fastest_ms"] = float(np.abs(fastest_ms[1:] / fastest_ms[0] - 1).mean())
    return found


if __name__ == "__main__":
    main()
