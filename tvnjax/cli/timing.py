"""What commands that time networks share: the option of a runtime, and what is said about the figures."""

import dataclasses
from collections.abc import Sequence

from tvnjax.cli.output import OutputOptions
from tvnjax.core.errors import InvalidInputError
from tvnjax.graph import Network
from tvnjax.latency.runtimes import RuntimeName


def per_second(rate: float) -> str:
    """Clips a second as they are printed: 0.87, 43.1, 29,412."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TimingOptions(OutputOptions):
    """Where networks are timed."""

    measure: bool = False
    """Time on this device."""
    runtime: RuntimeName = "xla"
    """xla: JAX's compiler; litert and onnxruntime: the exported network, as it is deployed on a CPU."""
    threads: int | None = None
    """Default: 1 for LiteRT and ONNX Runtime, the process's cores for XLA."""
    latency_batch: int = 1
    """Clips of a timed call, of XLA; milliseconds are of the call, clips/s of all its clips."""

    def __post_init__(self) -> None:
        if self.latency_batch < 1:
            raise InvalidInputError(f"latency_batch is 1 or above; got {self.latency_batch}")

    @property
    def call_rule(self) -> str:
        """What is timed, in words."""
        from tvnjax.latency.measure import clips_a_call

        return (
            f"{clips_a_call(self.latency_batch)}, float32, evaluation mode, pixels normalised and on the device; the "
            "fastest of repeated calls"
        )

    def call_text(self, ms: float) -> str:
        """A call's milliseconds, and of more clips than one how many that are a second."""
        if self.latency_batch == 1:
            return f"{ms:.3g} ms"
        return f"{ms:.3g} ms a call of {self.latency_batch} clips ({per_second(self.clips_per_s(ms))} clips/s)"

    def clips_per_s(self, ms: float) -> float:
        """Throughput of calls that take ``ms``."""
        from tvnjax.latency.measure import clips_per_second

        return clips_per_second(ms, self.latency_batch)


def networks_ms(networks: Sequence[Network], options: TimingOptions, repeats: int = 30) -> list[float]:
    """Milliseconds of one call of each, timed in turns.

    Raises:
        InvalidInputError: the runtime, its threads or the batch cannot be had.
    """
    from tvnjax.core.environment import use_compilation_cache
    from tvnjax.latency.measure import measure
    from tvnjax.latency.runtimes import load_runtime
    from tvnjax.latency.timer import Timer

    use_compilation_cache()
    runtime = load_runtime(options.runtime, options.threads, batch=options.latency_batch)
    times = measure({index: runtime.network(network) for index, network in enumerate(networks)}, Timer(repeats=repeats))
    return [times[index].latency_ms for index in range(len(networks))]


def blocks_ms(network: Network, options: TimingOptions) -> dict[int, float]:
    """Milliseconds of each block's units, timed by themselves.

    Raises:
        InvalidInputError: the runtime, its threads or the batch cannot be had.
    """
    from tvnjax.core.environment import use_compilation_cache
    from tvnjax.latency.per_block import block_milliseconds
    from tvnjax.latency.runtimes import load_runtime
    from tvnjax.latency.timer import Timer

    use_compilation_cache()
    runtime = load_runtime(options.runtime, options.threads, batch=options.latency_batch)
    return block_milliseconds(network, runtime, Timer(repeats=10))
