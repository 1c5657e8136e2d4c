"""What the processes of a run have to have in common, compared before it begins."""

import importlib.metadata

from tvnjax.core.environment import code_digest, environment
from tvnjax.core.hosts import Hosts, OtherHostError
from tvnjax.running.config import RunConfig
from tvnjax.running.continuing import compared_options

_SHOWN = 3
"""Differences between two processes that are said."""
_OWN = ("out", "latency_table", "checkpoint_seconds", "data.manifest", "data.folder")
"""Options of process 0 alone, and places, which each host has of its own."""


def agree(hosts: Hosts, config: RunConfig) -> None:
    """Compares code, versions, machine and options of all processes.

    Raises:
        OtherHostError: they differ; the message says who in what, the same on every process.
    """
    if hosts.count == 1:
        return
    names = ("tvnjax", "jax", "jaxlib", "flax", "optax", "grain", "numpy")
    mine = {"code": code_digest(), **{name: importlib.metadata.version(name) for name in names}}
    described = environment()
    # Each process computes what they share for itself, and other processors round otherwise.
    mine |= {name: described[name] for name in ("backend", "device", "processor", "cores")}
    options = {name: value for name, value in compared_options(config).items() if name not in _OWN}
    told = hosts.each("options", mine | {f"option {name}": value for name, value in options.items()})
    for index, theirs in enumerate(told):
        differing = [name for name in dict.fromkeys([*told[0], *theirs]) if told[0].get(name) != theirs.get(name)]
        if differing:
            said = [
                f"{name.removeprefix('option ')}: {told[0].get(name)!r:.100} of 0, {theirs.get(name)!r:.100} of {index}"
                for name in differing[:_SHOWN]
            ]
            more = f", and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
            raise OtherHostError(
                f"all processes of a run have the same code, versions, machine and options; process 0 and "
                f"process {index} differ in {'; '.join(said)}{more}: give all of them the same"
            )
