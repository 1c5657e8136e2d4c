"""ONNX graphs built layer by layer against those of generic conversion: how long each runs in ONNX Runtime.

    pip install jax2onnx && python -m experiments.benchmarks.onnx_graph --json experiments/benchmarks/onnx_graph.json

The same networks, with the same weights, converted by ``tvnjax.export`` and from the traced program by jax2onnx; both
compute the same scores (checked). Timed in turns on one thread; quoted are the fastest calls and their ratio. Takes
about a minute.
"""

import argparse
from pathlib import Path

import numpy as np

from tvnjax.core.environment import environment
from tvnjax.core.run_dir import write_json
from tvnjax.export.onnx import onnx_network
from tvnjax.export.optional import optional_package
from tvnjax.export.program import export_program
from tvnjax.latency.timer import Timer
from tvnjax.running.config import PRESETS
from tvnjax.spaces.tvn.canonical import genotype_id
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.search_space import search_space
from tvnjax.spaces.tvn.shapes import ShapeSpace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    runtime = optional_package("onnxruntime", "this benchmark")
    to_onnx = optional_package("jax2onnx", "this benchmark").to_onnx
    config = PRESETS["clips"][1]
    space, rng = search_space(ShapeSpace(config.shapes, 8), config.operators), np.random.default_rng(0)
    rows = []
    for _ in range(args.networks):
        genotype = space.sample(rng)
        program = export_program(lower(genotype, 10))
        contents = {
            "layers": onnx_network(program.network, program.child, {}),
            "generic": to_onnx(program.forward, [program.inputs["clip"]]).SerializeToString(),
        }
        clip = rng.standard_normal(program.inputs["clip"].shape).astype(np.float32)
        calls, scores = {}, {}
        for name, content in contents.items():
            options = runtime.SessionOptions()
            options.intra_op_num_threads, options.log_severity_level = 1, 3
            session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            feed = {session.get_inputs()[0].name: clip}
            calls[name] = lambda session=session, feed=feed: session.run(None, feed)
            scores[name] = calls[name]()[0]
        np.testing.assert_allclose(scores["layers"], scores["generic"], atol=1e-4)
        times = {name: timing.fastest_ms for name, timing in Timer(repeats=100).interleave(calls).items()}
        rows.append({"id": genotype_id(genotype), **times, "ratio": times["generic"] / times["layers"]})
        print(rows[-1])
    ratios = [row["ratio"] for row in rows]
    print(f"generic conversion takes {np.median(ratios):.2f} times as long ({min(ratios):.2f} to {max(ratios):.2f})")
    if args.json:
        command = f"python -m experiments.benchmarks.onnx_graph --networks {args.networks}"
        where = environment() | {"onnxruntime": runtime.__version__}
        write_json(args.json, {"command": command, "networks": rows, "environment": where})


if __name__ == "__main__":
    main()
