"""How long a step of a search takes on a CPU, told before anything is compiled or profiled.

A search for an accelerator runs on a CPU too, where a step may take hours, and so may its profile before it. So the
arithmetic of a step is counted and divided by what this CPU does a second in a convolution. A supernet does about the
arithmetic of the costliest network of its plan: dense kernels of all candidates are one kernel of the largest. (For an
H200 4 % more was counted of five blocks of 64 to 512 filters: ``experiments/accelerator/compiled_for_h200.json``.)
"""

import time
import warnings
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tvnjax.nn.convolution import conv, default_form
from tvnjax.nn.parts import Precision
from tvnjax.running.problem import Problem
from tvnjax.search.registry import registered
from tvnjax.spaces.base import Space

_PLANS = 4
"""Plans that are counted."""
_SHORT = 3e11
"""Floating-point operations of a step that is not worth a word: 10 s at 30 GFLOP/s, which two cores do."""


def warn_of_long_steps(problem: Problem) -> None:
    """Warns where a gradient search is about to run on a CPU with settings for accelerators (``bfloat16``), or with
    steps of about ten seconds and more."""
    config = problem.config
    if jax.devices()[0].platform != "cpu" or not any(registered(one).by_gradient for one in config.strategies):
        return
    search, classes = config.search, problem.num_classes
    if search.precision == "float32" and _of_step(search, _mean_macs(problem.space, classes)) < _SHORT:
        return
    flop = _of_step(search, costliest_macs(problem.relaxation, classes))
    rate = flop_per_second(search.precision)
    step = flop / rate
    why = "bfloat16 is for accelerators, and " if search.precision == "bfloat16" else ""
    warnings.warn(
        f"{why}JAX has no device but a CPU here: a step of the search takes at least {_words(step)} "
        f"({flop / 1e12:.3g} TFLOP, counted; {rate / 1e9:.3g} GFLOP/s, measured in a convolution), all "
        f"{search.steps:,} at least {_words(step * search.steps)}, profile and trainings apart; run it on a GPU or a "
        "TPU, or give fewer pixels, frames and steps (--shapes.image-size, --shapes.num-frames, --search.steps)",
        stacklevel=2,
    )


def costliest_macs(relaxation: Any, num_classes: int, plans: int = _PLANS) -> float:
    """Mean multiply-adds of a clip over drawn plans, of each the costliest network, as far as taking one choice after
    the other finds it."""
    drawn = relaxation.working_set(plans, np.random.default_rng(0))
    drawn.fill(relaxation.uniform())
    return float(np.mean([costliest_macs_of(relaxation.relaxed(plan), num_classes) for plan in drawn.programs]))


def costliest_macs_of(plan: Any, num_classes: int) -> int:
    """The same of one relaxed plan."""
    chosen: list[dict[str, int]] = [{gene: block.default(gene) for gene in block.genes} for block in plan.blocks]

    def macs() -> int:
        return plan.decode(tuple(chosen)).lower(num_classes).macs

    for block, genes in zip(plan.blocks, chosen):
        for gene in block.genes:
            counted = {}
            for index in np.flatnonzero(block.legal(gene)).tolist():
                genes[gene] = index
                counted[index] = macs()
            genes[gene] = max(counted, key=lambda index: counted[index])
    return macs()


def flop_per_second(precision: Precision) -> float:
    """Floating-point operations a second in the gradients of a dense convolution of 64 channels."""
    x, kernel = jnp.ones((4, 2, 28, 28, 64), precision), jnp.ones((1, 3, 3, 64, 64), precision)
    form = default_form()

    def loss(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return conv(x, kernel, form=form).sum(dtype=jnp.float32)

    call = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    jax.block_until_ready(call(x, kernel))
    seconds: Sequence[float] = [_seconds(lambda: jax.block_until_ready(call(x, kernel))) for _ in range(3)]
    return 3 * 2 * x.size * 9 * 64 / min(seconds)


def _seconds(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _mean_macs(space: Space, num_classes: int) -> float:
    rng = np.random.default_rng(0)
    return float(np.mean([space.sample(rng).lower(num_classes).macs for _ in range(8)]))


def _of_step(search: Any, macs: float) -> float:
    """Floating-point operations: two gradients, of the weights and of the logits, of three passes each (forward, and
    back for inputs and weights), of four where the first is done again."""
    return 2 * (4 if search.remat else 3) * search.batch_size * 2 * macs


def _words(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.2g} {unit}" if seconds < 100 * length else f"{seconds / length:,.0f} {unit}"
    return f"{max(seconds, 0.01):.2g} s"
