"""Joining the processes of a run: finding the coordinator, and telling JAX of the others before it has devices."""

import contextlib
import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.host_keys import LONG_S

JOIN_S = 60
"""Seconds that the coordinator has to answer, and the processes to come."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Address:
    """A process's place among the processes of a run."""

    coordinator: str
    """Host and port of process 0."""
    count: int
    index: int
    local_devices: tuple[int, ...] | None = None
    """Of the process, where a cluster gives it only some of its host's."""


def of_cluster() -> Address:
    """This process's place as the cluster's variables say (Slurm, Open MPI, Cloud TPU and others that JAX knows).

    Raises:
        InvalidInputError: they say nothing.
    """
    from jax._src.clusters import ClusterEnv

    try:
        found = ClusterEnv.auto_detect_unset_distributed_params(None, None, None, None, None, JOIN_S)
    except Exception as error:
        raise _no_cluster(str(error)) from None
    coordinator, count, index, local = found
    if coordinator is None or count is None or index is None:
        raise _no_cluster("no variables of one are set")
    return Address(
        coordinator=coordinator, count=count, index=index, local_devices=None if local is None else tuple(local)
    )


@contextlib.contextmanager
def connect(address: Address) -> Iterator[Any]:
    """The client of the coordination service, which JAX uses too.

    Raises:
        InvalidInputError: JAX has looked for devices already, the coordinator does not answer, or a process does not
            come.
    """
    import jax
    from jax._src import distributed, xla_bridge
    from jaxlib import _jax  # type: ignore[attr-defined]

    if xla_bridge.backends_are_initialized() or distributed.global_state.client is not None:
        raise InvalidInputError(
            "processes join before JAX looks for devices; here it has: begin the run first, in a process of its own"
        )
    _wait_for(address)
    client: Any = _jax.get_distributed_runtime_client(
        address.coordinator,
        address.index,
        # JAX would end the process by then.
        init_timeout=100 * JOIN_S,
        shutdown_timeout=1,
        heartbeat_timeout=LONG_S,
        use_compression=True,
    )
    joining = threading.Thread(target=client.connect, name="joining", daemon=True)
    joining.start()
    joining.join(JOIN_S)
    if joining.is_alive():
        raise InvalidInputError(
            f"all {address.count} processes of a run come within {JOIN_S} s to the coordinator, process 0, at "
            f"{address.coordinator}; not all did, or something else answers there: begin each with the same "
            "--distributed.coordinator and --distributed.processes, and an --distributed.index of its own"
        )
    if address.local_devices is not None:
        visible = ",".join(map(str, address.local_devices))
        jax.config.update("jax_cuda_visible_devices", visible)
        jax.config.update("jax_rocm_visible_devices", visible)
    state: Any = distributed.global_state
    state.client, state.process_id, state.num_processes = client, address.index, address.count
    state.coordinator_address = address.coordinator
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):
            client.shutdown()


def _wait_for(address: Address) -> None:
    """Until the coordinator takes connections."""
    host, _, port = address.coordinator.rpartition(":")
    until, reason = time.monotonic() + JOIN_S, ""
    while time.monotonic() < until:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            return
        except OSError as error:
            reason = error.strerror or str(error)
        time.sleep(0.2)
    raise InvalidInputError(
        f"the coordinator is process 0 of the run; at {address.coordinator} it did not answer within {JOIN_S} s "
        f"({reason}): begin process 0, and give all processes its address with --distributed.coordinator HOST:PORT"
    )


def _no_cluster(reason: str) -> InvalidInputError:
    return InvalidInputError(
        f"a cluster says in variables which processes a run has; here none does ({' '.join(reason.split()):.200}): "
        "give --distributed.coordinator, --distributed.processes and --distributed.index"
    )
