"""One process of some that only tell each other things, run by ``test_several_hosts``: COORDINATOR PROCESSES
INDEX FOLDER."""

import json
import sys
from pathlib import Path

import numpy as np
from flax import nnx

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.hosts import Hosts, joined
from tvnjax.core.joining import Address


def saved_alone(folder: Path) -> bool:
    """Whether one process alone writes arrays and reads them, and those a process by itself had written."""
    import jax.numpy as jnp

    from tvnjax.core.checkpoint import load_state, load_tree, save_state, save_tree

    state = {"params": nnx.State({"w": nnx.Param(jnp.arange(3.0)), "b": nnx.Param(jnp.zeros(()))})}
    save_state(folder / "state", state)
    save_tree(folder / "tree", {"x": jnp.arange(4)})
    read = [load_state(folder / name, state)["params"]["w"][...].tolist() for name in ("state", "before")]
    return read == [[0, 1, 2], [3, 4, 5]] and load_tree(folder / "tree", {"x": jnp.zeros(4, int)})["x"].sum() == 6


def told(hosts: Hosts, folder: Path) -> dict[str, object]:
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
        "saved": hosts.same("saved", lambda: bool(saved_alone(folder))),
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


def main(coordinator: str, processes: int, index: int, folder: Path) -> int:
    try:
        with joined(Address(coordinator=coordinator, count=processes, index=index), "go on") as hosts:
            print(json.dumps(told(hosts, folder)))
            if hosts.leads:
                hosts.same("a decision", lambda: 1)
            else:
                hosts.same("another", lambda: 1)
    except InvalidInputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
