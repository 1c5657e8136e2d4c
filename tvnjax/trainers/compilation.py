"""Compiling the programs of a training: once each, and on a CPU for quick compilation."""

import time
from collections.abc import Callable
from typing import Any

import jax

_CPU_OPTIONS: dict[str, str | bool] = {"xla_cpu_use_fusion_emitters": False}
"""XLA's newer emitter sends each of the hundreds of small loops of such a program through a pipeline of its own.
Without it they are one LLVM module, which compiles in half the time and runs a few per cent slower, if at all: most of
the time goes into matrix products, which are library calls."""


def compile_program(function: Callable, *args: Any) -> tuple[Any, float]:
    """The compiled program of a function for arguments like these, and the seconds of tracing and compiling it."""
    start = time.monotonic()
    lowered = jax.jit(function).lower(*args)
    program = lowered.compile(_CPU_OPTIONS if jax.default_backend() == "cpu" else None)
    return program, time.monotonic() - start
