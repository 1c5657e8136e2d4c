"""How XLA compiles the programs of a training: on a CPU for quick compilation."""

_CPU_OPTIONS: dict[str, str | bool] = {"xla_cpu_use_fusion_emitters": False}
"""XLA's newer emitter sends each of the hundreds of small loops of such a program through a pipeline of its own.
Without it they are one LLVM module, which compiles in half the time and runs a few per cent slower, if at all: most of
the time goes into matrix products, which are library calls."""


def compile_options(platform: str) -> dict[str, str | bool] | None:
    """Of programs for a platform, as ``Lowered.compile`` takes them."""
    return _CPU_OPTIONS if platform == "cpu" else None
