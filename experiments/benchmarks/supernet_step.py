"""What relaxing costs: a training step of the supernet, mixed and sampled, of the naive mixture and of single children.

    python -m experiments.benchmarks.supernet_step --json experiments/benchmarks/supernet_step.json

A step is the loss and its gradient (for weights and logits in a supernet, for weights in a child) on one batch. All
programs are timed in turns in one run, so that a slow moment of the machine meets them all; quoted are medians and
ratios of medians, and the memory XLA sets aside for temporaries. The naive mixture runs every candidate by itself (the
form the tests compare with): once each in the form that is fastest on this backend, once as XLA's own operations, which
is what a plain implementation would run. Sampled steps draw new paths every time: one a gene for a step of the weights,
two a gene for a step of the logits. Takes about 5 minutes on two CPU cores.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from tests.nn.naive_mixture import naive_spatial, naive_temporal
from tvnjax.core.environment import environment
from tvnjax.core.run_dir import write_json
from tvnjax.core.variables import ArchParam
from tvnjax.nn.child import Child
from tvnjax.nn.convolution import default_form
from tvnjax.running.config import PRESETS
from tvnjax.spaces.tvn.costs.bounds import extreme_network
from tvnjax.spaces.tvn.costs.expected import ExpectedCost
from tvnjax.spaces.tvn.lowering import lower
from tvnjax.spaces.tvn.relaxation.mixed_spatial import MixedSpatial
from tvnjax.spaces.tvn.relaxation.mixed_temporal import MixedTemporal
from tvnjax.spaces.tvn.relaxation.supernet import Supernet
from tvnjax.spaces.tvn.relaxed import GENES, relax_plan
from tvnjax.spaces.tvn.search_space import space_at_plan
from tvnjax.spaces.tvn.shapes import BlockPlan, Plan
from tvnjax.trainers.objective import cross_entropy

CLASSES = 4
PLAN = Plan(
    image_size=32,
    num_frames=8,
    blocks=(
        BlockPlan(filters=16),
        BlockPlan(filters=32),
        BlockPlan(spatial_stride=1, temporal_stride=2, filters=48),
        BlockPlan(filters=64),
    ),
)
"""Of the ``clips`` preset."""


def supernet_step(plan, clip, label, paths=None):
    """Loss and gradients of weights and gene weights; ``paths`` candidates a gene are drawn, or all are mixed."""
    graph, alphas, params, stats = nnx.split(Supernet(plan, CLASSES), ArchParam, nnx.Param, ...)

    def loss(params, weights, clip, label):
        model = nnx.merge(graph, alphas, params, stats, copy=True)
        return cross_entropy(model(clip, weights, train=True, sampled=paths is not None), label)

    weights = nnx.merge(graph, alphas, params, stats).probabilities()
    if paths is None:
        return compiled(jax.value_and_grad(loss, argnums=(0, 1)), params, weights, clip, label)
    rng = np.random.default_rng(paths)

    def draw():
        rows = []
        for block in plan.blocks:
            row = {}
            for gene in GENES:
                legal = np.flatnonzero(block.legal(gene)) if gene in block.active else [block.default(gene)]
                chosen = rng.choice(legal, size=min(paths, len(legal)), replace=False)
                row[gene] = jnp.asarray(
                    np.isin(np.arange(len(block.candidates(gene))), chosen) / len(chosen), jnp.float32
                )
            rows.append(row)
        return tuple(rows)

    program = compiled(jax.value_and_grad(loss, argnums=(0, 1)), params, weights, clip, label)
    run = program["program"]
    program["prepare"] = draw
    program["call"] = lambda weights: jax.block_until_ready(run(params, weights, clip, label))
    return program


def partial_naive(naive, form):
    return lambda self, *args, train, momentum, sampled, **more: naive(
        self, *args, form=form, momentum=momentum, **more
    )


def child_step(network, clip, label):
    graph, params, stats = nnx.split(Child(network), nnx.Param, ...)

    def loss(params, clip, label):
        return cross_entropy(nnx.merge(graph, params, stats, copy=True)(clip, train=True), label)

    return compiled(jax.value_and_grad(loss), params, clip, label)


def compiled(function, *args):
    start = time.monotonic()
    program = jax.jit(function).lower(*args).compile()
    seconds = time.monotonic() - start
    return {
        "program": program,
        "prepare": lambda: None,
        "call": lambda _: jax.block_until_ready(program(*args)),
        "compile_s": seconds,
        "temporaries_mib": program.memory_analysis().temp_size_in_bytes / 2**20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--children", type=int, default=6, help="random children whose mean is quoted")
    parser.add_argument("--json", type=Path, help="write the results here")
    args = parser.parse_args()

    operators = PRESETS["clips"][1].operators
    space = space_at_plan(PLAN, operators)
    plan = relax_plan(PLAN, operators)
    rng = np.random.default_rng(0)
    size = (args.batch, plan.num_frames, plan.image_size, plan.image_size, 3)
    clip = jnp.asarray(rng.standard_normal(size, np.float32))
    label = jnp.asarray(rng.integers(0, CLASSES, args.batch))

    macs = ExpectedCost.of_plan(PLAN, operators, CLASSES, lambda layer: float(layer.macs))
    programs = {"mixture": supernet_step(plan, clip, label)}
    programs["sampled, 1 path"] = supernet_step(plan, clip, label, paths=1)
    programs["sampled, 2 paths"] = supernet_step(plan, clip, label, paths=2)
    programs["largest child"] = child_step(lower(extreme_network(macs, PLAN, "most_expensive"), CLASSES), clip, label)
    for index in range(args.children):
        programs[f"child {index}"] = child_step(lower(space.sample(rng), CLASSES), clip, label)
    fused = MixedSpatial.__call__, MixedTemporal.__call__
    for name, form in (("naive mixture", default_form()), ("naive, plain ops", "plain")):
        MixedSpatial.__call__ = partial_naive(naive_spatial, form)
        MixedTemporal.__call__ = partial_naive(naive_temporal, form)
        programs[name] = supernet_step(plan, clip, label)
    MixedSpatial.__call__, MixedTemporal.__call__ = fused

    samples = {name: [] for name in programs}
    for _ in range(2):
        for program in programs.values():
            program["call"](program["prepare"]())
    for _ in range(args.repeats):
        for name, program in programs.items():
            drawn = program["prepare"]()
            start = time.perf_counter()
            program["call"](drawn)
            samples[name].append(1e3 * (time.perf_counter() - start))

    rows = {
        name: {
            "step_ms": statistics.median(samples[name]),
            "fastest_ms": min(samples[name]),
            "compile_s": program["compile_s"],
            "temporaries_mib": program["temporaries_mib"],
        }
        for name, program in programs.items()
    }
    children = [row for name, row in rows.items() if name.startswith("child ")]
    rows = {name: row for name, row in rows.items() if not name.startswith("child ")}
    rows["mean child"] = {key: statistics.fmean(row[key] for row in children) for key in children[0]}
    mean = rows["mean child"]
    largest = rows["largest child"]
    print(f"{'':18}{'step ms':>9}{'x mean child':>14}{'x largest':>11}{'MiB':>8}{'x largest':>11}{'compile s':>11}")
    for name, row in rows.items():
        print(
            f"{name:18}{row['step_ms']:9.1f}{row['step_ms'] / mean['step_ms']:14.2f}"
            f"{row['step_ms'] / largest['step_ms']:11.2f}{row['temporaries_mib']:8.0f}"
            f"{row['temporaries_mib'] / largest['temporaries_mib']:11.2f}{row['compile_s']:11.1f}"
        )
    if args.json:
        result = {
            "command": f"python -m experiments.benchmarks.supernet_step --batch {args.batch} --repeats {args.repeats} "
            f"--children {args.children}",
            "programs": rows,
            "load_average": os.getloadavg(),
            "environment": environment(),
        }
        write_json(args.json, result)
        print(json.dumps({"written": str(args.json)}))


if __name__ == "__main__":
    main()
