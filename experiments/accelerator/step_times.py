"""How long a training step takes, and how much of a device it uses: supernet and child here, child in PyTorch.

Counted is the arithmetic that a step has to do, two floating-point operations a multiply-add and three passes (forward,
and back for inputs and weights), whatever is computed again to save memory: the usual model FLOP utilisation. A
supernet is counted as the costliest network of its plan (see ``running.step_estimate``). Beside the peak that a vendor
states stands what one product of large square matrices reaches on the device.
"""

import importlib.util
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.accelerator.hlo import kernels
from experiments.accelerator.parts import Rows
from experiments.accelerator.preset_step import batch_of, roomiest
from experiments.accelerator.torch_network import torch_network
from tvnjax.core.environment import use_compilation_cache
from tvnjax.graph import Network
from tvnjax.latency.timer import Timing
from tvnjax.running.config import RunConfig
from tvnjax.running.step_estimate import costliest_macs_of
from tvnjax.trainers.programs import Programs, needed_bytes
from tvnjax.trainers.trainer import ChildTrainer, Training
from tvnjax.zoo.registry import zoo_entry

PEAKS = {
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "TPU v6": 918e12,
    "TPU v5p": 459e12,
    "TPU v5 lite": 197e12,
    "TPU v4": 275e12,
}
"""Dense bfloat16 operations a second, from the vendors' data sheets (of the GPUs' SXM boards)."""
_TRIES = 5
"""Timed runs of a few steps."""


class Measured(NamedTuple):
    """What a step is measured with."""

    batch: int
    steps: int
    """A run's."""
    image_size: int | None = None
    """Default: the network's own."""
    num_frames: int | None = None


def peak_of(device_kind: str) -> float | None:
    """Operations a second in bfloat16 by the data sheet, where it is known."""
    return next((peak for name, peak in PEAKS.items() if name in device_kind), None)


def product_row(size: int) -> dict[str, Any]:
    """Operations a second of a product of square matrices in bfloat16."""
    a = jnp.ones((size, size), jnp.bfloat16)
    product = jax.jit(lambda a, b: (a @ b) * jnp.bfloat16(1 / size))
    timing = timed(lambda b: product(a, b), a, 10)
    return {"size": size, "tflop_s": 2e-12 * size**3 / (timing.fastest_ms * 1e-3)}


def supernet_row(config: RunConfig, classes: int, measured: Measured, product_tflop_s: float | None) -> dict[str, Any]:
    """The search step of a configuration's roomiest plan, on clips that are on the device."""
    programs, search, count = _Watched(), config.search, measured.batch
    trainer, plan = roomiest(config, classes, programs)
    batch = programs.put(batch_of(config, count, classes))
    state = trainer.init()
    setup = set(programs.made)

    def step(state: Any) -> Any:
        return trainer.search_steps(state, plan, [batch], [batch], [0.5], [0.5])[0]

    timing = timed(step, state, measured.steps)
    macs = costliest_macs_of(trainer.relaxed(plan), classes)
    made = [program for name, program in programs.made.items() if name not in setup]
    return _row(timing, 2 * 3 * 2 * count * macs, made, programs.seconds, product_tflop_s) | {
        "plan": str(plan),
        "batch": count,
        "precision": search.precision,
        "remat": search.remat,
    }


def child_row(name: str, measured: Measured, product_tflop_s: float | None) -> dict[str, Any]:
    """A training step of a network of the zoo, in bfloat16."""
    network, count = zoo_network(name, measured), measured.batch
    trainer = ChildTrainer(network, Training(batch_size=count, precision="bfloat16"), 0)
    batch = jax.device_put(_child_batch(network, count))
    timing = timed(lambda state: trainer.step(state, batch)[0], trainer.init(), measured.steps)
    made = [trainer._compiled["step"]]
    return _row(timing, 3 * 2 * count * network.macs, made, trainer.compile_seconds, product_tflop_s) | {"batch": count}


def torch_row(name: str, measured: Measured, kind: str, *, anyhow: bool = False) -> dict[str, Any]:
    """The same step in PyTorch: ``torch.compile``, bfloat16 by autocast, channels last, fused AdamW.

    Args:
        kind: the device's, for its peak.
        anyhow: on a CPU too.
    """
    if importlib.util.find_spec("torch") is None:
        return {"said": "PyTorch is not here: nothing is compared"}
    torch: Any = importlib.import_module("torch")
    if not torch.cuda.is_available() and not anyhow:
        return {"said": "PyTorch has no CUDA here: nothing is compared"}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network, count = zoo_network(name, measured), measured.batch
    model = torch_network(network).to(device, memory_format=torch.channels_last_3d)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2, fused=device == "cuda")
    objective = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    batch = _child_batch(network, count)
    clip = torch.from_numpy(batch["clip"]).to(device)
    label = torch.from_numpy(batch["label"].astype(np.int64)).to(device)

    def loss_of(clip: Any, label: Any) -> Any:
        pixels = clip.permute(0, 4, 1, 2, 3).float() * (1 / (255 * 0.225)) - 0.45 / 0.225
        with torch.autocast(device, dtype=torch.bfloat16):
            logits = model(pixels.to(memory_format=torch.channels_last_3d))
        return objective(logits.float(), label)

    compiled = torch.compile(loss_of) if device == "cuda" else loss_of

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        compiled(clip, label).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()

    def run(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    first = run(1)
    run(2)
    timing = Timing(samples_ms=tuple(1e3 * run(measured.steps) / measured.steps for _ in range(_TRIES)))
    row = _rates(timing, 3 * 2 * count * network.macs, None, peak_of(kind))
    return row | {"batch": count, "compile_s": first, "torch": torch.__version__, "device": device}


def zoo_network(name: str, measured: Measured) -> Network:
    """A network of the zoo, at the sizes asked for."""
    from tvnjax.zoo.resolve import find_network

    entry = find_network(name, num_frames=measured.num_frames, image_size=measured.image_size)
    return entry.network(zoo_entry(name).num_classes)


def time_steps(
    rows: Rows,
    config: RunConfig,
    classes: int,
    supernet: Measured,
    children: Sequence[str],
    child: Measured,
    product: int,
) -> None:
    """The rows of this engine."""
    use_compilation_cache()
    reached = rows.once("product", partial(product_row, product)).get("tflop_s")
    rows.once("supernet", partial(supernet_row, config, classes, supernet, reached))
    for name in children:
        rows.once(name, partial(child_row, name, child, reached))


def time_torch(rows: Rows, children: Sequence[str], child: Measured) -> None:
    """The rows of PyTorch, in a process of their own: two engines do not share a device's memory."""
    kind = _gpu_name()
    for name in children:
        rows.once(name, partial(torch_row, name, child, kind))


CHILDREN = ("tvn1", "tvn-mobile-1")


def timed(step: Callable[[Any], Any], state: Any, steps: int) -> Timing:
    """Milliseconds of a step of several behind one another, waited for at the end alone; two before are not timed."""
    state = jax.block_until_ready(step(step(state)))
    samples = []
    for _ in range(_TRIES):
        start = time.perf_counter()
        for _ in range(steps):
            state = step(state)
        jax.block_until_ready(state)
        samples.append(1e3 * (time.perf_counter() - start) / steps)
    return Timing(samples_ms=tuple(samples))


class _Watched(Programs):
    """Keeps what it compiles, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[Any, Any] = {}

    def prepare(self, name: Any, function: Callable, *args: Any, donate: tuple[int, ...] = ()) -> Any:
        program = super().prepare(name, function, *args, donate=donate)
        self.made[name] = program
        return program


def _row(
    timing: Timing, flop: float, made: list[Any], compile_s: float, product_tflop_s: float | None
) -> dict[str, Any]:
    peak = peak_of(jax.devices()[0].device_kind)
    return _rates(timing, flop, product_tflop_s, peak) | {
        "programs": len(made),
        "kernels": sum(sum(kernels(program.as_text()).values()) for program in made),
        "memory_gib": max(needed_bytes(program) for program in made) / 2**30,
        "compile_s": compile_s,
    }


def _rates(timing: Timing, flop: float, product_tflop_s: float | None, peak: float | None) -> dict[str, Any]:
    reached = flop / (1e-3 * timing.median_ms)
    return {
        "ms": timing.median_ms,
        "iqr_ms": timing.iqr_ms,
        "tflop": 1e-12 * flop,
        "tflop_s": 1e-12 * reached,
        "of_peak": None if peak is None else reached / peak,
        "of_product": None if not product_tflop_s else 1e-12 * reached / product_tflop_s,
    }


def _child_batch(network: Network, count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "clip": rng.integers(0, 256, (count, *network.input_shape), np.uint8),
        "label": rng.integers(0, network.head.num_classes, count).astype(np.int32),
    }


def _gpu_name() -> str:
    if importlib.util.find_spec("torch") is None:
        return ""
    torch: Any = importlib.import_module("torch")
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
