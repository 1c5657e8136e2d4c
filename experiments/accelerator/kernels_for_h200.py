"""How many kernels a supernet's loss and its gradients are, compiled for an H200.

    python -m experiments.accelerator.kernels_for_h200 --plugins DIR \\
        --json experiments/accelerator/kernels_for_h200.json

Of the preset ``clips``, its largest plan (see ``compiled_for_h200``): the loss, its gradient for weights, for gene
weights and for both; with the gene weights as one array for each choice, and as one array of all, as a search has them.
Takes about 2 minutes on two cores.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from experiments.accelerator.compiled_for_h200 import gradients
from experiments.accelerator.h200 import PLUGINS, compiler_for_h200

PROGRAMS: dict[str, Any] = {"loss": None, "weights": 0, "gene weights": 1, "both": (0, 1)}
"""Of which arguments there are gradients."""


def packed(rows: Any) -> tuple[Any, Any]:
    """The shape ``[blocks, choices, candidates]`` of all gene weights, and what takes it apart."""
    import jax
    import jax.numpy as jnp

    sizes = [{gene: leaf.shape[0] for gene, leaf in row.items()} for row in rows]
    shape = (len(rows), len(sizes[0]), max(max(row.values()) for row in sizes))

    def unpack(array: Any) -> Any:
        return tuple(
            {gene: array[b, g, :size] for g, (gene, size) in enumerate(row.items())} for b, row in enumerate(sizes)
        )

    return jax.ShapeDtypeStruct(shape, jnp.float32), unpack


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plugins", type=Path, default=os.environ.get(PLUGINS), help=f"default: ${PLUGINS}")
    parser.add_argument("--json", type=Path, help="write the counts here")
    args = parser.parse_args()
    if args.plugins is None:
        parser.error(f"name the folder of XLA's CUDA plugins by --plugins or {PLUGINS}")
    compile_ = compiler_for_h200(args.plugins)

    import jax

    from experiments.accelerator.hlo import kernels
    from tvnjax.core.environment import environment
    from tvnjax.core.run_dir import write_json

    function, (params, rows, *others) = gradients()
    loss: Any = function.__wrapped__
    array, unpack = packed(rows)
    counted: dict[str, dict[str, int]] = {}
    for how, genes, take in (("an array a choice", rows, lambda given: given), ("one array", array, unpack)):
        counted[how] = {}
        for name, of in PROGRAMS.items():

            def run(params: Any, genes: Any, *others: Any, take: Any = take) -> Any:
                return loss(params, take(genes), *others)

            program = compile_(run if of is None else jax.value_and_grad(run, argnums=of), params, genes, *others)
            counted[how][name] = sum(kernels(program.as_text()).values())
        print(f"{how:20}", counted[how], flush=True)
    if args.json:
        command = "python -m experiments.accelerator.kernels_for_h200"
        write_json(args.json, {"command": command, "kernels": counted, "environment": environment()})


if __name__ == "__main__":
    main()
