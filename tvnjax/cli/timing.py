"""What commands that time networks share: the option of a runtime, and what is said about the figures."""

import dataclasses
from collections.abc import Sequence

from tvnjax.cli.output import OutputOptions
from tvnjax.graph import Network
from tvnjax.latency.runtimes import RuntimeName

CALL_RULE = "one clip, float32, evaluation mode, pixels normalised and on the device; the fastest of repeated calls"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TimingOptions(OutputOptions):
    """Where networks are timed."""

    measure: bool = False
    """Time on this device."""
    runtime: RuntimeName = "xla"
    """xla: JAX's compiler; litert and onnxruntime: the exported network, as it is deployed on a CPU."""
    threads: int | None = None
    """Default: 1 for LiteRT and ONNX Runtime, the process's cores for XLA."""


def networks_ms(networks: Sequence[Network], options: TimingOptions, repeats: int = 30) -> list[float]:
    """Milliseconds of one call of each, timed in turns.

    Raises:
        InvalidInputError: the runtime or its threads cannot be had.
    """
    from tvnjax.core.environment import use_compilation_cache
    from tvnjax.latency.measure import measure
    from tvnjax.latency.runtimes import load_runtime
    from tvnjax.latency.timer import Timer

    use_compilation_cache()
    runtime = load_runtime(options.runtime, options.threads)
    times = measure({index: runtime.network(network) for index, network in enumerate(networks)}, Timer(repeats=repeats))
    return [times[index].latency_ms for index in range(len(networks))]


def blocks_ms(network: Network, options: TimingOptions) -> dict[int, float]:
    """Milliseconds of each block's units, timed by themselves.

    Raises:
        InvalidInputError: the runtime or its threads cannot be had.
    """
    from tvnjax.core.environment import use_compilation_cache
    from tvnjax.latency.per_block import block_milliseconds
    from tvnjax.latency.runtimes import load_runtime
    from tvnjax.latency.timer import Timer

    use_compilation_cache()
    return block_milliseconds(network, load_runtime(options.runtime, options.threads), Timer(repeats=10))
