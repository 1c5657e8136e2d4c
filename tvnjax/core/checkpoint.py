"""Arrays on disk, through Orbax."""

import contextlib
import glob
import logging
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.links import refuse_links
from tvnjax.core.untrusted import read_json, require_portable

_ABOUT_FILE = "_CHECKPOINT_METADATA"
"""Where Orbax keeps a checkpoint's own metadata."""
_ONE_AT_A_TIME = threading.Lock()
"""Orbax's checkpointers share a writer of metadata, which the first to close closes for all."""

_LATE_S = 0.2
"""Seconds in which arrays that were being written when one failed have failed, too."""


def save_state(path: Path, state: dict[str, nnx.State], about: dict[str, Any] | None = None) -> None:
    """Writes named states, over what was there; a checkpoint that was not finished is not there.

    Args:
        about: what the states are, as JSON knows it; it is part of the checkpoint, so neither is there without the
            other (Orbax's custom metadata).

    Raises:
        OSError: it cannot be written; what was there is still there.
    """
    with _saving(path) as checkpointer:
        parts = {name: nnx.to_pure_dict(part) for name, part in state.items()}
        checkpointer.save(path.absolute(), _on_host(parts), force=True, custom_metadata=about)


def is_checkpoint(path: Path) -> bool:
    """Whether a folder is one of Orbax's checkpoints that was finished."""
    return (path / _ABOUT_FILE).is_file()


def read_about(path: Path) -> dict[str, Any] | None:
    """What :func:`save_state` was told of a checkpoint's states; ``None`` where it was told nothing.

    Raises:
        InvalidInputError: there is no checkpoint, or what it says is damaged or too large.
    """
    _check_there(path)
    # Orbax reads this file without a limit of size or depth.
    if is_checkpoint(path):
        read_json(path / _ABOUT_FILE)
    about = getattr(_metadata(path), "custom_metadata", None)
    return dict(about) if about else None


def save_tree(path: Path, tree: Any) -> None:
    """Writes any tree of arrays; one that was not finished is not there.

    Raises:
        OSError: it cannot be written.
    """
    # Orbax refuses arrays without elements; they say nothing.
    leaves = {str(index): leaf for index, leaf in enumerate(jax.tree.leaves(tree)) if np.size(leaf)}
    with _saving(path) as checkpointer:
        checkpointer.save(path.absolute(), _on_host(leaves), force=True)


def load_tree(path: Path, like: Any) -> Any:
    """Reads a tree back into the structure of ``like``.

    Raises:
        InvalidInputError: there is no checkpoint, or it is of another tree.
    """
    leaves, structure = jax.tree.flatten(like)
    wanted = {str(index): ocp.utils.to_shape_dtype_struct(leaf) for index, leaf in enumerate(leaves) if np.size(leaf)}
    loaded = _restore(path, wanted)
    return jax.tree.unflatten(structure, [loaded.get(str(index), leaf) for index, leaf in enumerate(leaves)])


def stored_shapes(path: Path) -> dict[tuple[str, ...], tuple[int, ...]]:
    """Shapes of a checkpoint's arrays, by their path in it.

    Raises:
        InvalidInputError: there is no checkpoint.
    """
    _check_there(path)
    found = _metadata(path)
    tree = getattr(found, "item_metadata", found)
    leaves = jax.tree_util.tree_leaves_with_path(getattr(tree, "tree", tree))
    return {tuple(str(getattr(key, "key", key)) for key in keys): tuple(leaf.shape) for keys, leaf in leaves}


def load_state(path: Path, like: dict[str, Any]) -> dict[str, nnx.State]:
    """Reads named states into the structure of ``like`` (states of arrays, or of shapes as ``nnx.eval_shape`` gives).

    Raises:
        InvalidInputError: there is no checkpoint, or it is of another network.
    """
    wanted = {
        name: jax.tree.map(ocp.utils.to_shape_dtype_struct, nnx.to_pure_dict(part)) for name, part in like.items()
    }
    loaded = _restore(path, wanted)
    states = {}
    for name, part in like.items():
        state = jax.tree.map(lambda leaf: leaf, part)
        nnx.replace_by_pure_dict(state, loaded[name])
        states[name] = state
    return states


def _checkpointer() -> ocp.StandardCheckpointer:
    """One of this process alone: only one process of a run writes, and it waits for no other."""
    here = jax.process_index()
    return ocp.StandardCheckpointer(
        multiprocessing_options=ocp.options.MultiprocessingOptions(primary_host=here, active_processes={here})
    )


def _on_host(tree: Any) -> Any:
    """A tree to be saved: where there are several processes, Orbax takes an array of JAX for one of all of them."""
    return tree if jax.process_count() == 1 else jax.device_get(tree)


def _of_host(leaf: Any) -> Any:
    """What says that an array is restored on the host."""
    return np.empty(leaf.shape, leaf.dtype)


@contextlib.contextmanager
def _saving(path: Path) -> Iterator[ocp.StandardCheckpointer]:
    """A checkpointer whose errors of the system are Python's; Orbax's is a ``ValueError``, the number in its text."""
    with _ONE_AT_A_TIME, _quiet():
        try:
            with _checkpointer() as checkpointer:
                yield checkpointer
        except (ValueError, RuntimeError, OSError) as error:
            number = error.errno if isinstance(error, OSError) else _system_error(str(error))
            time.sleep(_LATE_S)
            for left in path.parent.glob(f"{glob.escape(path.name)}.orbax-checkpoint-tmp*"):
                shutil.rmtree(left, ignore_errors=True)
            if number is None:
                raise
            raise OSError(number, os.strerror(number), str(path)) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what Orbax and TensorStore print of an error besides raising it: where it happened, once for each array
    that was being written."""
    log, hook = logging.getLogger("absl"), sys.unraisablehook
    disabled = log.disabled

    def unraisable(told: Any) -> None:
        if str(told.exc_value) != "Event loop is closed":
            hook(told)

    log.disabled, sys.unraisablehook = True, unraisable
    try:
        yield
    finally:
        log.disabled, sys.unraisablehook = disabled, hook


def _system_error(text: str) -> int | None:
    """The system's number of an error, as TensorStore writes it."""
    found = re.search(r"os_error_code='(\d{1,4})'", text)
    return int(found[1]) if found else None


def _restore(path: Path, wanted: Any) -> Any:
    _check_there(path)
    with _ONE_AT_A_TIME, _checkpointer() as checkpointer:
        try:
            if jax.process_count() == 1:
                return checkpointer.restore(path.absolute(), wanted)
            return checkpointer.restore(path.absolute(), jax.tree.map(_of_host, wanted))
        except (ValueError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise InvalidInputError(f"a checkpoint fits the network it was made of; {path}: {reason}") from None


def _metadata(path: Path) -> Any:
    with _ONE_AT_A_TIME, _checkpointer() as checkpointer:
        try:
            return checkpointer.metadata(path.absolute())
        except (ValueError, KeyError, TypeError, OSError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise InvalidInputError(f"a checkpoint is a folder that can be read; {path}: {reason}") from None


def _check_there(path: Path) -> None:
    require_portable(path, "a checkpoint", written=False)
    if not path.is_dir():
        raise InvalidInputError(f"a checkpoint is a folder; there is none at {path}: check the path")
    refuse_links(path)
