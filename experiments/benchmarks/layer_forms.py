"""Times each layer in its plain form (one lax operation) and in its shifted form, forward and with gradients.

    python experiments/benchmarks/layer_forms.py --json experiments/benchmarks/layer_forms.json

Shows why ``default_form`` trains on a CPU in the shifted form and keeps the plain one for accelerators and export:
how many times faster the shifted form runs, and the seconds each takes to compile. Runs of all programs of a case
alternate, so that a busy moment slows them alike, and medians are printed: trust the ratios more than the times.
The file also holds the fastest run of each and the machine's load, to judge a measurement taken beside other work.
Takes about two minutes and 1 GB on two cores.
"""

import argparse
import functools
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tvnjax.core.environment import environment
from tvnjax.nn.convolution import Form, conv
from tvnjax.nn.pooling import avg_pool, max_pool

CLIP = (16, 8, 16, 16, 32)
LATE = (16, 8, 4, 4, 128)
FORMS: tuple[Form, Form] = ("plain", "shifted")

# name: (input, kernel, stride)
CONVOLUTIONS = {
    "depthwise 3x3": (CLIP, (1, 3, 3, 1, 32), (1, 1, 1)),
    "depthwise 3x3 stride 2": (CLIP, (1, 3, 3, 1, 32), (1, 2, 2)),
    "depthwise 5x5": (CLIP, (1, 5, 5, 1, 32), (1, 1, 1)),
    "depthwise 5x5 stride 2": (CLIP, (1, 5, 5, 1, 32), (1, 2, 2)),
    "temporal depthwise 3": (CLIP, (3, 1, 1, 1, 32), (1, 1, 1)),
    "temporal 3": (CLIP, (3, 1, 1, 32, 32), (1, 1, 1)),
    "temporal 3, late": (LATE, (3, 1, 1, 128, 64), (1, 1, 1)),
    "grouped 3x3, 4 groups": (CLIP, (1, 3, 3, 8, 32), (1, 1, 1)),
    "3x3x3": (CLIP, (3, 3, 3, 32, 32), (1, 1, 1)),
    "1x1x1": (CLIP, (1, 1, 1, 32, 64), (1, 1, 1)),
    "dense 3x3": (CLIP, (1, 3, 3, 32, 32), (1, 1, 1)),
    "dense 3x3 stride 2": (CLIP, (1, 3, 3, 32, 32), (1, 2, 2)),
    "dense 5x5 stride 2": (CLIP, (1, 5, 5, 32, 32), (1, 2, 2)),
    "temporal dense 3 stride 2": (CLIP, (3, 1, 1, 32, 32), (2, 1, 1)),
    "dense 3x3, late": (LATE, (1, 3, 3, 128, 128), (1, 1, 1)),
    "dense 3x3 stride 2, late": (LATE, (1, 3, 3, 128, 128), (1, 2, 2)),
    "dense 5x5, late": (LATE, (1, 5, 5, 128, 64), (1, 1, 1)),
    "first layer 3x3 stride 2": ((8, 8, 64, 64, 3), (1, 3, 3, 3, 24), (1, 2, 2)),
}
# name: (pool, stride); windows are 3x3 over a clip
POOLS = {
    "max pool 3x3": (max_pool, (1, 1, 1)),
    "max pool 3x3 stride 2": (max_pool, (1, 2, 2)),
    "average pool 3x3": (avg_pool, (1, 1, 1)),
}


class Case(NamedTuple):
    """A layer that lacks its ``form`` alone, and its arguments."""

    layer: Callable[..., jax.Array]
    args: list[jax.Array]


def cases() -> dict[str, Case]:
    rng = np.random.default_rng(0)

    def normal(shape: tuple[int, ...]) -> jax.Array:
        return jnp.asarray(rng.standard_normal(shape), jnp.float32)

    found = {}
    for name, (shape, kernel, stride) in CONVOLUTIONS.items():
        found[name] = Case(functools.partial(conv, stride=stride), [normal(shape), normal(kernel)])
    for name, (pool, stride) in POOLS.items():
        after_relu = jnp.maximum(normal(CLIP), 0)
        found[name] = Case(functools.partial(pool, window=(1, 3, 3), stride=stride), [after_relu])
    return found


def with_gradients(layer: Callable[..., jax.Array]) -> Callable[..., Any]:
    """The layer's output and the gradient of half its sum of squares in every argument."""

    def run(*args: jax.Array) -> Any:
        y, pull_back = jax.vjp(layer, *args)
        return y, pull_back(y)

    return run


def measure(case: Case, repeats: int) -> dict[str, Any]:
    """Median milliseconds and compile seconds of both forms, in alternation, and plain / shifted."""
    programs, compile_s = {}, {}
    for form in FORMS:
        layer = functools.partial(case.layer, form=form)
        for part, function in (("forward", layer), ("gradient", with_gradients(layer))):
            start = time.perf_counter()
            programs[part, form] = jax.jit(function).lower(*case.args).compile()
            compile_s[part, form] = time.perf_counter() - start
            jax.block_until_ready(programs[part, form](*case.args))
    times: dict[Any, list[float]] = {key: [] for key in programs}
    for _ in range(repeats):
        for key, program in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(program(*case.args))
            times[key].append(1e3 * (time.perf_counter() - start))
    result: dict[str, Any] = {}
    for part in ("forward", "gradient"):
        medians = {form: statistics.median(times[part, form]) for form in FORMS}
        result[part] = {
            "ms": {form: round(medians[form], 3) for form in FORMS},
            "fastest_ms": {form: round(min(times[part, form]), 3) for form in FORMS},
            "plain_over_shifted": round(medians["plain"] / medians["shifted"], 2),
            "compile_s": {form: round(compile_s[part, form], 3) for form in FORMS},
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the results and the environment to this file")
    parser.add_argument("--repeats", type=int, default=15, help="timed runs of each program")
    parser.add_argument("--only", default="", help="run the cases whose name contains this text")
    options = parser.parse_args()

    print("ms, plain / shifted (ratio) | compile s; gradient = forward and both gradients")
    results = {}
    for name, case in cases().items():
        if options.only not in name:
            continue
        results[name] = result = {"input": list(case.args[0].shape), **measure(case, options.repeats)}
        line = f"{name:26s}"
        for part in ("forward", "gradient"):
            ms, seconds = result[part]["ms"], result[part]["compile_s"]
            line += (
                f" {part} {ms['plain']:8.2f} / {ms['shifted']:7.2f} ({result[part]['plain_over_shifted']:6.1f}x)"
                f" | {seconds['plain']:.2f} / {seconds['shifted']:.2f} s"
            )
        print(line, flush=True)
    if options.json:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        report = {"environment": environment(), "load_average": load, "repeats": options.repeats, "layers": results}
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
