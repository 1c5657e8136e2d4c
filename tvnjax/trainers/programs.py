"""The compiled programs of one trainer: where they run, what they may use there, and what compiling them took.

A trainer's arithmetic is plain functions. Compiled one by one they are many small dispatches, which costs a CPU nothing
and an accelerator most of its time; compiled together (``fused``) a step is one program. So a step is written once, as
a function of ``run``, which either calls its parts (``inline``, within a program that holds them all) or runs each as
a program of its own.
"""

import threading
import time
from collections.abc import Callable, Collection, Hashable, Sequence
from concurrent.futures import Future
from typing import Any

import jax
import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.placement import Placement
from tvnjax.trainers.compilation import compile_options

Run = Callable[..., Any]
"""``run(name, function, *args)``: what the function gives for the arguments."""


def inline(name: Hashable, function: Callable, *args: Any) -> Any:
    """Runs a part of a step within the program that holds the step."""
    del name
    return function(*args)


class DoesNotFitError(InvalidInputError):
    """A program needs more memory than its device has."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device had no memory left for a program."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


class Programs:
    """Compiles a function when it is first called by its name with arguments of some shapes, and counts the seconds.

    Args:
        devices: that programs run on; several are a mesh of one axis, ``data``: batches are spread over it, all else
            is on each; some may be of other processes. Default: JAX's first of this process.
        fused: whether a step is one program. Default: not on a CPU, where the parts that steps share are compiled once.
        donate: whether a fused step reuses the memory of the state it is given, which is then gone. Default: where
            steps are fused.
        memory_bytes: that a device has for a program and what it reads. Default: what the device says; a CPU says
            nothing, and has no limit.
    """

    def __init__(
        self,
        devices: Sequence[Any] | None = None,
        *,
        fused: bool | None = None,
        donate: bool | None = None,
        memory_bytes: float | None = None,
    ):
        self.devices = tuple(devices or jax.local_devices()[:1])
        self.fused = self.devices[0].platform != "cpu" if fused is None else fused
        self.donate = self.fused if donate is None else donate
        self.memory_bytes = _memory_of(self.devices) if memory_bytes is None else memory_bytes
        self.seconds = 0.0
        """Of compiling; what is compiled side by side counts as often."""
        self._programs: dict[tuple[Hashable, Hashable], Future[Any]] = {}
        self._lock = threading.Lock()
        self.placement = Placement.over(self.devices)

    @property
    def platform(self) -> str:
        return self.devices[0].platform

    def put(self, tree: Any) -> Any:
        """Arrays of the host, on every device."""
        return self.placement.copy(tree)

    def run(self, name: Hashable, function: Callable, *args: Any, donate: tuple[int, ...] = ()) -> Any:
        """What the function gives.

        Args:
            name: of the function; two functions of one name are one.
            donate: positions of arguments whose memory may be reused, and which are gone then.
        """
        found = self.prepare(name, function, *args, donate=donate)(*args)
        # XLA:CPU runs programs side by side, in no order, and what their sums send to other processes does not say of
        # which program it is.
        if self.placement.spans_processes and self.platform == "cpu":
            jax.block_until_ready(found)
        return found

    def prepare(self, name: Hashable, function: Callable, *args: Any, donate: tuple[int, ...] = ()) -> Any:
        """The program that ``run`` calls, compiled if it is not yet. Safe to use from several threads.

        Raises:
            DoesNotFitError: it needs more memory than a device has, by XLA's own count.
        """
        key = (name, _signature(args))
        mine: Future[Any] = Future()
        with self._lock:
            known = self._programs.setdefault(key, mine)
        if known is not mine:
            return known.result()
        try:
            mine.set_result(self._compiled(function, args, donate))
        except BaseException as error:
            with self._lock:
                del self._programs[key]
            mine.set_exception(error)
            raise
        return mine.result()

    def forget(self, owners: Collection[Hashable]) -> None:
        """Lets go of the programs that have one of some owners in their names."""
        with self._lock:
            self._programs = {
                (name, of): program
                for (name, of), program in self._programs.items()
                if not (isinstance(name, tuple) and any(part in owners for part in name))
            }

    def _compiled(self, function: Callable, args: Sequence[Any], donate: tuple[int, ...]) -> Any:
        start = time.monotonic()
        whole = self.placement.whole
        options: dict[str, Any] = {"out_shardings": whole} if len(self.devices) > 1 else {}
        # Constants of a program are put on the device when it is made, wherever that is.
        with jax.transfer_guard("allow"):
            lowered = jax.jit(function, donate_argnums=donate, **options).lower(*args)
            program = lowered.compile(compile_options(self.platform))
        with self._lock:
            self.seconds += time.monotonic() - start
        if self.memory_bytes is not None and (needed := needed_bytes(program)) > self.memory_bytes:
            raise DoesNotFitError(
                f"a program and what it reads fit a device's memory, {self.memory_bytes / 2**30:.3g} GiB; this one "
                f"needs {needed / 2**30:.3g} GiB: give more (--search.memory-gb), smaller batches, "
                "or smaller clips and networks"
            )
        return program


def needed_bytes(program: Any) -> int:
    """Bytes of a device that a compiled program takes: what it is given, makes on its way and gives."""
    memory = program.memory_analysis()
    if memory is None:
        return 0
    parts = ("argument", "output", "temp", "generated_code")
    return sum(getattr(memory, f"{part}_size_in_bytes") for part in parts) - memory.alias_size_in_bytes


def _memory_of(devices: Sequence[Any]) -> float | None:
    device = next((device for device in devices if device.process_index == jax.process_index()), devices[0])
    return (device.memory_stats() or {}).get("bytes_limit") if device.platform != "cpu" else None


def _signature(args: Any) -> Hashable:
    leaves, structure = jax.tree.flatten(args)
    return structure, tuple((np.shape(leaf), getattr(leaf, "dtype", type(leaf))) for leaf in leaves)
