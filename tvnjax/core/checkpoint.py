"""Arrays on disk, through Orbax."""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from flax import nnx

from tvnjax.core.errors import InvalidInputError


def save_state(path: Path, state: dict[str, nnx.State]) -> None:
    """Writes named states; a checkpoint that was not finished is not there."""
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path.absolute(), {name: nnx.to_pure_dict(part) for name, part in state.items()})


def load_state(path: Path, like: dict[str, Any]) -> dict[str, nnx.State]:
    """Reads named states into the structure of ``like`` (states of arrays, or of shapes as ``nnx.eval_shape`` gives).

    Raises:
        InvalidInputError: there is no checkpoint, or it is of another network.
    """
    if not path.is_dir():
        raise InvalidInputError(f"a checkpoint is a folder; there is none at {path}: check the path")
    wanted = {
        name: jax.tree.map(ocp.utils.to_shape_dtype_struct, nnx.to_pure_dict(part)) for name, part in like.items()
    }
    with ocp.StandardCheckpointer() as checkpointer:
        try:
            loaded = checkpointer.restore(path.absolute(), wanted)
        except (ValueError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise InvalidInputError(f"a checkpoint fits the network it was made of; {path}: {reason}") from None
    states = {}
    for name, part in like.items():
        state = jax.tree.map(lambda leaf: leaf, part)
        nnx.replace_by_pure_dict(state, loaded[name])
        states[name] = state
    return states
