"""Predicted against measured latency in every runtime: random networks, and networks a search chose.

    python -m experiments.latency.gate --runtimes xla litert onnxruntime
    python -m experiments.latency.gate --runtimes litert --verify 200

Each runtime is profiled for the default space (the ``clips`` preset's; nothing is measured twice), then networks nobody
has seen are measured: random ones, and for 30 latencies the network with the most multiply-adds that is *predicted* to
take no longer, found by hill climbing on predictions alone, each from another random network. A search that trusts its
predictions picks what they are too low for, so that is where a bias would show. Results and scatter plots go to
``experiments/latency/gate-RUNTIME.json`` and ``.svg``. Takes 5 to 10 minutes a runtime on one quiet core; pin it to one
(``taskset -c 0``).
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import numpy as np
from matplotlib import pyplot

from tvnjax.cli.console import ConsoleMonitor
from tvnjax.core.environment import use_compilation_cache
from tvnjax.core.run_dir import write_json
from tvnjax.latency.gate import SELECTED_NETWORKS, Gate
from tvnjax.latency.profile import DEFAULT_CLASSES
from tvnjax.latency.promising import promising_genotype
from tvnjax.latency.runtimes import load_runtime
from tvnjax.latency.timer import Timer
from tvnjax.report.figures.canvas import plain_log_axis
from tvnjax.running.config import PRESETS, RunConfig
from tvnjax.running.problem import profile_device
from tvnjax.running.verification import measure_all
from tvnjax.spaces.tvn.canonical import genotype_id
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.search_space import search_space
from tvnjax.spaces.tvn.shapes import ShapeSpace

HERE = Path(__file__).parent
CONFIG = PRESETS["clips"][1]
_CLIMB = 150
"""Networks predicted on the way to each selected one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runtimes", nargs="+", default=["xla", "litert", "onnxruntime"])
    parser.add_argument("--verify", type=int, default=100, help="random networks nobody has seen")
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    use_compilation_cache()
    for name in args.runtimes:
        verify(name, args.verify, args.out)


def verify(
    name: str, count: int, out: Path, config: RunConfig = CONFIG, selected: int = SELECTED_NETWORKS
) -> dict[str, Any]:
    """Profiles a configuration's space in a runtime, measures random and selected networks, and returns what it also
    writes."""
    runtime = load_runtime(name)
    choices = config.shapes
    shapes = ShapeSpace(choices, (max(choices.num_frames) - 1) * max(choices.frame_stride) + 1)
    space, rng = search_space(shapes, config.operators), np.random.default_rng(2026)
    with ConsoleMonitor() as monitor:
        profile = profile_device(config, space, DEFAULT_CLASSES, runtime, monitor)
        chosen: dict[str, tuple[str, Genotype]] = {}
        while len(chosen) < count:
            genotype = space.sample(rng)
            chosen.setdefault(genotype_id(genotype), ("random", genotype))

        def costs(genotype: Genotype) -> tuple[float, int]:
            network = lower(genotype, DEFAULT_CLASSES)
            return profile.model.predict(network), network.macs

        limits = np.quantile([ms for _, ms in profile.networks], np.linspace(0.1, 0.9, selected))
        for limit in limits:
            genotype = promising_genotype(space, space.sample(rng), costs, float(limit), _CLIMB, rng)
            chosen.setdefault(genotype_id(genotype), ("selected", genotype))
        networks = [lower(genotype, DEFAULT_CLASSES) for _, genotype in chosen.values()]
        times = measure_all(networks, runtime, Timer(), profile.reference, f"verifying {name}", monitor)
    rows = [
        {
            "kind": kind,
            "id": key,
            "predicted_ms": profile.model.predict(network),
            "measured_ms": ms,
            "macs": network.macs,
        }
        for (key, (kind, _)), network, ms in zip(chosen.items(), networks, times)
    ]
    random, proposed = ([row for row in rows if row["kind"] == kind] for kind in ("random", "selected"))
    columns = [[row[key] for row in random] for key in ("predicted_ms", "measured_ms", "macs")]
    of_proposed = ([row[key] for row in proposed] for key in ("predicted_ms", "measured_ms"))
    gate = Gate.of(*columns, selected=tuple(of_proposed))
    result = {
        "command": f"python -m experiments.latency.gate --runtimes {name} --verify {count}",
        "gate": gate.as_json(),
        "cross_validated": profile.gate.as_json(),
        "uncertainty": profile.uncertainty,
        "profile_seconds": profile.seconds,
        "measured": profile.measured,
        "reused": profile.reused,
        "networks": rows,
        "environment": profile.environment,
    }
    write_json(out / f"gate-{name}.json", result)
    draw(name, rows, gate, out / f"gate-{name}.svg")
    print(name, "passes" if gate.passes else gate.failures, gate.as_json())
    return result


def draw(name: str, rows: list[dict], gate: Gate, path: Path) -> None:
    figure, panels = pyplot.subplots(1, 2, figsize=(8.4, 4.2), constrained_layout=True)
    for axes, kind, quality in zip(panels, ("random", "selected"), (gate.random, gate.selected)):
        points = np.array([[row["measured_ms"], row["predicted_ms"]] for row in rows if row["kind"] == kind])
        ends = np.array([points.min() / 1.2, points.max() * 1.2])
        axes.fill_between(ends, 0.9 * ends, 1.1 * ends, color="0.5", alpha=0.15, linewidth=0)
        axes.plot(ends, ends, color="0.2", linewidth=0.9, linestyle="--")
        axes.scatter(*points.T, s=14, color="#5c4b8a", alpha=0.65, linewidths=0)
        axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal")
        plain_log_axis(axes.xaxis)
        plain_log_axis(axes.yaxis)
        axes.set(xlabel="measured (ms)", ylabel="predicted (ms)", title=f"{name}: {len(points)} {kind} networks")
        assert quality is not None
        text = f"MAPE {quality['mape']:.1%}\nwithin ±10 %: {quality['within_10pct']:.0%}\n"
        text += f"τ {quality['kendall_tau']:.2f}\nbias {quality['bias']:+.1%}"
        axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", fontsize=9)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    main()
