"""What the supernet's gradient is when compiled for an H200: kernels, precision, temporaries, arithmetic.

    python -m experiments.accelerator.compiled_for_h200 --plugins DIR \\
        --json experiments/accelerator/compiled_for_h200.json

See ``h200`` for what DIR holds. A program is the loss and its gradients for weights and gene weights on one batch of
uint8 clips. ``clips`` is the preset's largest plan; ``scale`` 5 blocks of 64 to 512 filters with two repeats on 16
frames of 224 pixels, batch 64, with the operators a plan has by default.

``inverted`` lists ``inverted_bottleneck`` False and True in the same space otherwise. Beside the supernets stand single
networks of the same plan, the widest with ``std`` or ``depth`` convolutions of 5 x 5: an inverted unit works at the
expanded width throughout, at the resolution in front of its stride too, so that a single such network already holds
arrays that are ``expand`` times as wide. ``tvn-gpu search step`` is the step of the weights, with the gradient for the
logits behind it, of that preset's largest plan; what it needs is temporaries, arguments (clips and the state) and
results. Takes about 15 minutes on two free cores.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

from experiments.accelerator.h200 import PLUGINS, compiler_for_h200

CLASSES = 400
CASES = {
    "clips": {},
    "clips bfloat16": {"precision": "bfloat16"},
    "scale bfloat16": {"scale": 1.0, "precision": "bfloat16"},
    "scale bfloat16 remat": {"scale": 1.0, "precision": "bfloat16", "remat": True},
    "scale bfloat16 remat inverted": {"scale": 1.0, "precision": "bfloat16", "remat": True, "inverted": True},
    "one network": {"scale": 1.0, "precision": "bfloat16", "remat": True, "network": "std"},
    "one inverted network": {"scale": 1.0, "precision": "bfloat16", "remat": True, "inverted": True, "network": "std"},
    "one inverted depthwise network": {
        "scale": 1.0,
        "precision": "bfloat16",
        "remat": True,
        "inverted": True,
        "network": "depth",
    },
    "tvn-gpu search step": {"preset": "tvn-gpu"},
}
SMALL = {
    "small": {"scale": 0.125},
    "small bfloat16": {"scale": 0.125, "precision": "bfloat16"},
    "small bfloat16 remat": {"scale": 0.125, "precision": "bfloat16", "remat": True},
    "small bfloat16 remat inverted": {"scale": 0.125, "precision": "bfloat16", "remat": True, "inverted": True},
}
"""The same at an eighth of the pixels, widths and batch."""


def gradients(
    scale: float | None = None,
    precision: Any = "float32",
    remat: bool = False,
    inverted: bool = False,
    network: str | None = None,
) -> tuple[Any, tuple[Any, ...]]:
    """A function and the shapes of its arguments; without a scale those of the preset ``clips``, with a network those
    of a single network of such spatial convolutions."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from tvnjax.core.variables import ArchParam
    from tvnjax.nn.child import Child
    from tvnjax.nn.parts import normalize
    from tvnjax.running.config import PRESETS
    from tvnjax.spaces.tvn.lowering import lower
    from tvnjax.spaces.tvn.relaxation.supernet import Supernet
    from tvnjax.spaces.tvn.relaxed import OperatorChoices, relax_plan
    from tvnjax.spaces.tvn.shapes import BlockPlan, Plan
    from tvnjax.trainers.objective import cross_entropy

    if scale is None:
        operators, batch, widths = PRESETS["clips"][1].operators, 32, (16, 32, 48, 64)
        strides = ((2, 1), (2, 1), (1, 2), (2, 1))
        blocks = tuple(BlockPlan(filters=f, spatial_stride=s, temporal_stride=t) for f, (s, t) in zip(widths, strides))
        plan = Plan(image_size=32, num_frames=8, blocks=blocks)
    else:
        operators = OperatorChoices(inverted_bottleneck=(False, True) if inverted else (False,))
        widths = [int(f * scale) for f in (64, 128, 256, 512, 512)]
        blocks = tuple(BlockPlan(filters=f, repeats=2) for f in widths)
        plan, batch = Plan(image_size=int(224 * scale), num_frames=16, blocks=blocks), int(64 * scale)

    relaxed = relax_plan(plan, operators)

    def build() -> Any:
        if network is None:
            return Supernet(relaxed, CLASSES, form="plain")
        wanted = {"spatial": (network, 5), "temporal": ("1d", 3), "inverted_bottleneck": inverted, "skip": True}
        chosen = tuple(
            {gene: block.candidates(gene).index(wanted.get(gene, block.candidates(gene)[-1])) for gene in block.genes}
            for block in relaxed.blocks
        )
        return Child(lower(relaxed.decode(chosen), CLASSES), form="plain")

    graph, alphas, params, stats = nnx.split(nnx.eval_shape(build), ArchParam, nnx.Param, ...)
    weights = jax.eval_shape(lambda: () if network else build().probabilities())

    def loss(params: Any, weights: Any, alphas: Any, stats: Any, clip: Any, label: Any) -> Any:
        model = nnx.merge(graph, alphas, params, stats, copy=True)
        given = (normalize(clip).astype(precision), *(() if network else (weights,)))
        return cross_entropy(model(*given, train=True, remat=remat), label)

    clip = jax.ShapeDtypeStruct((batch, plan.num_frames, plan.image_size, plan.image_size, 3), jnp.uint8)
    label = jax.ShapeDtypeStruct((batch,), jnp.int32)
    return jax.value_and_grad(loss, argnums=(0, 1)), (params, weights, alphas, stats, clip, label)


def counts(compile_: Any, **case: Any) -> dict[str, Any]:
    """What one program is made of."""
    import jax
    import numpy as np

    from experiments.accelerator.hlo import convolutions, kernels, share_of
    from experiments.accelerator.preset_step import search_step
    from tvnjax.trainers.programs import needed_bytes

    function, args = search_step(case["preset"]) if "preset" in case else gradients(**case)
    weights = args[0].params if "preset" in case else args[0]
    start = time.monotonic()
    program = compile_(function, *args)
    text, memory = program.as_text(), program.memory_analysis()
    convolved = convolutions(text)
    return {
        "kernels": sum(kernels(text).values()),
        "convolutions": len(convolved),
        "convolution_tflop": round(2e-12 * sum(one.multiply_adds for one in convolved), 4),
        "bfloat16_share": round(share_of("bf16", convolved), 5),
        "temporaries_gib": round(memory.temp_size_in_bytes / 2**30, 3),
        "needed_gib": round(needed_bytes(program) / 2**30, 3),
        "weights_m": round(sum(float(np.prod(leaf.shape)) for leaf in jax.tree.leaves(weights)) / 1e6, 3),
        "compile_s": round(time.monotonic() - start, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plugins", type=Path, default=os.environ.get(PLUGINS), help=f"default: ${PLUGINS}")
    parser.add_argument("--small", action="store_true", help="programs of an eighth of the size alone")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[*CASES, *SMALL],
        help="cases to compile; the others of the JSON file stay as they are",
    )
    parser.add_argument("--json", type=Path, help="write the counts here")
    args = parser.parse_args()
    if args.plugins is None:
        parser.error(f"name the folder of XLA's CUDA plugins by --plugins or {PLUGINS}")
    compile_ = compiler_for_h200(args.plugins)

    from tvnjax.core.environment import environment
    from tvnjax.core.run_dir import read_json, write_json

    cases = SMALL if args.small else CASES
    rows = read_json(args.json)["programs"] if args.json and args.json.is_file() and args.only else {}
    for name in args.only or cases:
        rows[name] = counts(compile_, **{**CASES, **SMALL}[name])
        print(f"{name:32}", "  ".join(f"{key} {value}" for key, value in rows[name].items()), flush=True)
    if args.json:
        command = "python -m experiments.accelerator.compiled_for_h200" + " --small" * args.small
        write_json(args.json, {"command": command, "programs": rows, "environment": environment()})


if __name__ == "__main__":
    main()
