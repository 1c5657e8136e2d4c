"""One process of some that only tell each other things, run by ``test_several_hosts``: COORDINATOR PROCESSES INDEX."""

import json
import sys

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.hosts import Hosts, joined
from tvnjax.core.joining import Address


def told(hosts: Hosts) -> dict[str, object]:
    import jax

    from tvnjax.core.host_arrays import arrays_of_process_0, introduce
    from tvnjax.data.placement import Placement

    place = Placement.over(jax.devices())
    introduce(place.whole)
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    with jax.transfer_guard("disallow"):
        split, whole = place.split({"rows": rows})["rows"], place.copy(rows)
    doubled = jax.jit(lambda x: 2 * x, out_shardings=place.whole)(split)
    mine = np.array([-0.0, np.pi, np.inf]) if hosts.leads else np.zeros(3)
    sent = arrays_of_process_0({"a": mine, "b": np.int32(7 * hosts.leads), "c": np.zeros((0, 2))})
    return {
        "same": hosts.same("a decision", lambda: {"by": hosts.index, "long": "x" * 3_000_000})["by"],
        "each": hosts.each("a number", 10 + hosts.index),
        "least": hosts.least("room", [None, 3.0][hosts.index]),
        "own": [np.asarray(shard.data).tolist() for shard in split.addressable_shards],
        "whole": jax.device_get(whole).tolist() == rows.tolist(),
        "doubled": jax.device_get(doubled).tolist() == (2 * rows).tolist(),
        "bits": sent["a"].tobytes().hex(),
        "others": [int(sent["b"]), list(sent["c"].shape)],
        "devices": [device.process_index for device in jax.devices()],
    }


def main(coordinator: str, processes: int, index: int) -> int:
    try:
        with joined(Address(coordinator=coordinator, count=processes, index=index), "go on") as hosts:
            print(json.dumps(told(hosts)))
            if hosts.leads:
                hosts.same("a decision", lambda: 1)
            else:
                hosts.same("another", lambda: 1)
    except InvalidInputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
