"""How XLA compiles the programs of a training: on a CPU for quick compilation."""

import time
from collections.abc import Callable
from typing import Any

import jax

_CPU_OPTIONS: dict[str, str | bool] = {"xla_cpu_use_fusion_emitters": False}
"""XLA's newer emitter sends each of the hundreds of small loops of such a program through a pipeline of its own.
Without it they are one LLVM module, which compiles in half the time and runs a few per cent slower, if at all: most of
the time goes into matrix products, which are library calls."""


def compile_options(platform: str) -> dict[str, str | bool] | None:
    """Of programs for a platform, as ``Lowered.compile`` takes them."""
    return _CPU_OPTIONS if platform == "cpu" else None


def compile_program(function: Callable, *args: Any) -> tuple[Any, float]:
    """The compiled program of a function for arguments like these, and the seconds of tracing and compiling it."""
    start = time.monotonic()
    program = jax.jit(function).lower(*args).compile(compile_options(jax.default_backend()))
    return program, time.monotonic() - start
