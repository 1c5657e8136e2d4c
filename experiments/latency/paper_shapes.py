"""Two findings of the paper about latency, looked for on this machine, in each runtime.

    python -m experiments.latency.paper_shapes

- TVN-1 reading 2, 8 and 16 frames: the paper has 37, 140 and 200 ms on its CPU, 1 : 3.8 : 5.4.
- hard-swish in place of ReLU everywhere: the paper has about 5 % more.

Both use the released TVN-1, which is known not to match the paper's own table (26.4 M parameters by our rule, 11.1 M
there), so it is the shape of the findings that can be compared, not the milliseconds. All are timed in turns.
Writes ``experiments/latency/paper_shapes.json`` and ``.md``; takes about five minutes.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from tvnjax.core.environment import environment, use_compilation_cache
from tvnjax.core.run_dir import write_json
from tvnjax.latency.measure import measure_networks
from tvnjax.latency.runtimes import load_runtime
from tvnjax.latency.timer import Timer
from tvnjax.spaces.tvn.genotype import Genotype
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.zoo.tvn import TVN1

RESULT = Path(__file__).with_suffix(".json")
CLASSES = 339
FRAMES_MS = {2: 37.0, 8: 140.0, 16: 200.0}
"""The paper's milliseconds of TVN-1 by frames."""
HSWISH = 1.05
"""The paper's hard-swish over ReLU."""


def with_hswish(genotype: Genotype) -> Genotype:
    acts = {"act": "hswish", "spatial_act": "hswish", "temporal_act": "hswish"}
    return dataclasses.replace(genotype, blocks=tuple(dataclasses.replace(block, **acts) for block in genotype.blocks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runtimes", nargs="+", default=["xla", "litert", "onnxruntime"])
    parser.add_argument("--repeats", type=int, default=30)
    args = parser.parse_args()
    use_compilation_cache()
    networks = {
        f"{frames} frames": lower(dataclasses.replace(TVN1, num_frames=frames), CLASSES) for frames in FRAMES_MS
    }
    networks["2 frames, hard-swish"] = lower(with_hswish(TVN1), CLASSES)
    found: dict[str, Any] = {}
    for name in args.runtimes:
        runtime = load_runtime(name)
        rows = measure_networks(networks, runtime, Timer(repeats=args.repeats, warmup=2))
        found[name] = {"networks": rows, "environment": environment() | runtime.description}
        print(name, {row["name"]: round(row["latency_ms"], 2) for row in rows})
    command = f"python -m experiments.latency.paper_shapes --repeats {args.repeats}"
    write_json(RESULT, {"command": command, "paper_ms": FRAMES_MS, "paper_hswish": HSWISH, "runtimes": found})
    RESULT.with_suffix(".md").write_text(table(found, command), encoding="utf-8")


def table(found: dict[str, Any], command: str) -> str:
    """Paper and measured side by side."""
    lines = [f"# Two findings of the paper, measured here\n\n`{command}`\n", "| | paper | " + " | ".join(found) + " |"]
    lines.append("|---|---|" + "---|" * len(found))
    ms = {name: {row["name"]: row["latency_ms"] for row in part["networks"]} for name, part in found.items()}
    for frames, paper_ms in FRAMES_MS.items():
        here = [f"{times[f'{frames} frames']:.1f} ms" for times in ms.values()]
        lines.append(f"| TVN-1, {frames} frames | {paper_ms:.0f} ms | {' | '.join(here)} |")
    for frames in list(FRAMES_MS)[1:]:
        here = [f"{times[f'{frames} frames'] / times['2 frames']:.2f}" for times in ms.values()]
        lines.append(f"| {frames} frames over 2 | {FRAMES_MS[frames] / FRAMES_MS[2]:.2f} | {' | '.join(here)} |")
    here = [f"{times['2 frames, hard-swish'] / times['2 frames']:.3f}" for times in ms.values()]
    lines.append(f"| hard-swish over ReLU | {HSWISH:.2f} | {' | '.join(here)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
