"""What a search's steps are when compiled for an H200: dispatches, kernels, loops, arrays from the host.

    python -m experiments.accelerator.steps_for_h200 --plugins DIR --json experiments/accelerator/steps_for_h200.json

Of the preset ``clips``, its largest plan, clips on the device, as ``SupernetTrainer`` sends it where steps are fused: a
step of the weights (during the warm-up), a step of weights and logits (behind it: two programs), and what is done at
every scoring. See ``h200`` for what DIR holds. Takes about 3 minutes on two cores.
"""

import argparse
import os
import re
from functools import partial
from pathlib import Path
from typing import Any

from experiments.accelerator.h200 import PLUGINS, compiler_for_h200

CLASSES, CLIPS, FRAMES = 8, 1000, 32


def steps(preset: str = "clips", **changes: Any) -> dict[str, tuple[Any, tuple[Any, ...], tuple[str, ...]]]:
    """Name to function, shapes of its arguments, and which of those come from the host at every step."""
    import dataclasses

    import jax
    import jax.numpy as jnp
    import numpy as np

    from tvnjax.data.device_crop import plan_view
    from tvnjax.running.config import PRESETS
    from tvnjax.spaces.tvn.relaxation.relaxation import TvnRelaxation
    from tvnjax.spaces.tvn.shapes import ShapeSpace
    from tvnjax.trainers.programs import Programs, inline
    from tvnjax.trainers.supernet_trainer import SupernetTrainer

    class OfGpu(Programs):
        platform = "cuda"

    config = PRESETS[preset][1]
    search = dataclasses.replace(config.search, **changes)
    relaxation = TvnRelaxation(ShapeSpace(config.shapes, clip_frames=FRAMES), config.operators)
    side = max(config.shapes.image_size)
    shift = config.data.shift

    def view_of(plan: Any) -> Any:
        reads = relaxation.reads(plan)
        return partial(plan_view, num_frames=reads.num_frames, image_size=reads.image_size, side=side, flip=False)

    expected = relaxation.expected(_cost, CLASSES)
    trainer = SupernetTrainer(
        relaxation,
        CLASSES,
        view_of,
        lambda weights, shapes: jnp.stack([expected(weights, shapes) / 1e9]),
        1,
        search.training(),
        seed=0,
        programs=OfGpu(fused=True),
    )
    supernet, made = trainer.supernet(relaxation.shapes.largest()), trainer._steps
    state = trainer.init()

    def batch(size: int) -> dict[str, Any]:
        stored = jax.ShapeDtypeStruct((CLIPS, FRAMES, side + 2 * shift, 3 * (side + 2 * shift)), jnp.uint8)
        return {"stored": stored, "rows": jax.ShapeDtypeStruct((size, 7), jnp.int32)}

    settings, parts = np.zeros(4, np.float32), np.zeros(len(supernet.lengths), np.float32)
    members = {key: (np.ones((6, len(relaxation.values(key))), np.float32),) * 2 for key in relaxation.searched}
    one, scoring, losses = batch(search.batch_size), batch(search.score_clips), np.zeros(6, np.float32)
    mask = supernet.mask
    of_plan = {
        "weights": (made.weight_step, (one, settings, parts), ("rows", "settings", "parts")),
        "weights and gene gradient": (
            made.search_step,
            (one, one, settings, parts),
            ("rows", "rows", "settings", "parts"),
        ),
        "losses": (made.plan_losses, (scoring, settings), ("rows", "settings")),
    }
    found: Any = {
        name: (partial(function, inline, supernet), (state, mask, *args), host)
        for name, (function, args, host) in of_plan.items()
    }
    by_gene = np.zeros(trainer.layout.shape, np.float32)
    logits = (state, by_gene, settings)
    found["logits"] = (partial(made.logit_step, inline), logits, ())
    shapes = (state, losses, members, settings, np.zeros(2, np.float32))
    found["shapes"] = (partial(made.shape_step, inline), shapes, ("losses", "members", "settings", "rates"))
    return found


def _cost(layer: Any) -> float:
    return float(layer.macs)


def loops(text: str) -> dict[str, int]:
    """Branches, and loops whose number of turns XLA does not know."""
    whiles = [line for line in text.splitlines() if re.search(r"= .* while\(", line)]
    free = [line for line in whiles if "known_trip_count" not in line]
    branches = len(re.findall(r"= .* conditional\(", text))
    return {"while": len(whiles), "while of unknown length": len(free), "case": branches}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plugins", type=Path, default=os.environ.get(PLUGINS), help=f"default: ${PLUGINS}")
    parser.add_argument("--only", help="one of the programs")
    parser.add_argument("--hlo", type=Path, help="a folder to leave the programs in")
    parser.add_argument("--json", type=Path, help="write the counts here")
    args = parser.parse_args()
    if args.plugins is None:
        parser.error(f"name the folder of XLA's CUDA plugins by --plugins or {PLUGINS}")
    compile_ = compiler_for_h200(args.plugins)

    from experiments.accelerator.hlo import kernels
    from tvnjax.core.environment import environment
    from tvnjax.core.run_dir import write_json

    rows: dict[str, Any] = {}
    for name, (function, arguments, host) in steps().items():
        if args.only not in (None, name):
            continue
        program = compile_(function, *arguments, donate=() if name == "losses" else (0,))
        text = program.as_text()
        if args.hlo:
            (args.hlo / f"{name.replace(' ', '-')}.hlo").write_text(text)
        memory = program.memory_analysis()
        rows[name] = {
            "kernels": sum(kernels(text).values()),
            **loops(text),
            "from_host": list(host),
            "temporaries_gib": round(memory.temp_size_in_bytes / 2**30, 3),
        }
        print(f"{name:28}", rows[name], flush=True)
    if args.json:
        command = "python -m experiments.accelerator.steps_for_h200"
        write_json(args.json, {"command": command, "programs": rows, "environment": environment()})


if __name__ == "__main__":
    main()
