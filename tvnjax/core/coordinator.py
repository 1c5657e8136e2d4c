"""The coordination service of a run on several processes, in a process of its own: it outlives process 0 by moments, so
that the others hear that process 0 has ended, and by what, before JAX ends them without a word.

    python -m tvnjax.core.coordinator PORT PROCESSES

It ends when its standard input does; the word ``end`` before says that this is in order.
"""

import contextlib
import socket
import sys
import time

from jaxlib import _jax  # type: ignore[attr-defined]

from tvnjax.core.host_keys import ENDED, KILLED, LONG_S

_LAST_S = 5.0
"""Seconds that processes have to hear of the end of process 0; they look once a second."""
_PORT_S = 30.0
"""Seconds until a port is free again that the service of a run before had."""


def serve(port: int, processes: int) -> int:
    """Serves until standard input ends; returns the process's status."""
    if not _free(port):
        print("taken", flush=True)
        return 1
    # Processes that are lost are no error of the service: what becomes of the others is decided in ``core.hosts``.
    service = _jax.get_distributed_runtime_service(
        f"[::]:{port}", processes, heartbeat_timeout=LONG_S, shutdown_timeout=1, recoverable=True
    )
    print("serving", flush=True)
    if "end" not in sys.stdin.read():
        with contextlib.suppress(Exception):
            # In the place of process 0, which is gone.
            client = _jax.get_distributed_runtime_client(f"localhost:{port}", 0, init_timeout=5)
            client.connect()
            client.key_value_set(f"{ENDED}/0", KILLED, allow_overwrite=True)
        time.sleep(_LAST_S)
    del service
    return 0


def _free(port: int) -> bool:
    """Whether nobody listens: two services could share a port, and each would hear of half of the processes."""
    until = time.monotonic() + _PORT_S
    while True:
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("", port))
                return True
            except OSError:
                if time.monotonic() > until:
                    return False
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(serve(int(sys.argv[1]), int(sys.argv[2])))
