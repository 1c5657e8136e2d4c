"""What blocks receive: probabilities of frames, sides and widths, from block to block.

Frames and sides are strided apart, so a block's strides act as two small matrices. A width either is one that the
block's own cell gives, whatever the size, or the one that was received (open blocks of bypasses keep it); so widths are
carried at the nodes of their axis, which is exact, because nothing is ever done to a kept one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tvnjax.spaces.tvn.costs.factored.axes import Strided

UNTIMED, STILL, TO_ONE, STRIDES = range(4)
"""What a block does along time: it receives one frame; it keeps its frames; it strides to one frame, or to several."""

TIME_STRIDES = (0, 0, 1, 1)
TIMED = (0, 1, 1, 1)
TIMED_BEHIND = (0, 1, 0, 1)
"""For each: whether the block strides along time, receives several frames, gives several frames."""


class Steps:
    """The matrices that a space's strides act by.

    Args:
        time: frames with strides.
        space: sides with strides.
    """

    def __init__(self, time: Strided, space: Strided):
        frames, gives = np.array(time.sizes)[:, None], np.array(time.sizes)[time.behind]
        several = np.broadcast_to(frames > 1, gives.shape)
        kinds = np.where(~several, UNTIMED, np.where(~time.changes, STILL, np.where(gives == 1, TO_ONE, STRIDES)))
        self.time = _one_hot(kinds, 4) * _onto(time)
        """``[kinds, T, strides, T']``."""
        self.space = _one_hot(space.changes.astype(int), 2) * _onto(space)
        """``[strides or not, S, strides, S']``."""


def _one_hot(kinds: np.ndarray, count: int) -> np.ndarray:
    return (np.arange(count)[:, None, None] == kinds).astype(float)[..., None]


def _onto(dimension: Strided) -> np.ndarray:
    return np.eye(len(dimension.sizes))[dimension.behind]


class Widths(NamedTuple):
    """What blocks give, ``[blocks, ...]``."""

    closed: Array
    """``[blocks, W]``: chances of each width of cells that are not open; they sum to the chance of those cells."""
    narrow: Array
    """``[blocks, W]``: of open cells behind a convolution; they sum to 1."""
    open: Array
    """``[blocks]``: chance of an open cell."""
    s: Array
    """``[blocks, 2]``: that the spatial operator is a bypass, by whether the block strides in space."""
    t: Array
    """``[blocks, 4]``: that the temporal operator is, or means nothing, by what the block does along time."""


class Flow(NamedTuple):
    """By block."""

    space: Array
    """``[blocks, 2, S, S']``: the block's steps in space."""
    time: Array
    """``[blocks, 4, T, T']``: the block's steps along time."""
    before: Array
    """``[blocks, W, T, S]``: what the block receives."""
    behind: Array
    """``[blocks, 2, 4, T', S']``: what the block does in space and along time, and the size behind it."""
    kept: Array
    """``[blocks, W, T', S']``: received width and size behind it of an open block of bypasses."""
    ends: Array
    """``[blocks, W, T', S']``: what it gives."""


def flow(start: Array, space: Array, time: Array, widths: Widths) -> Flow:
    """Follows what enters through all blocks.

    Args:
        start: ``[W, T, S]``, of what enters the first block.
        space: ``[blocks, 2, S, S']``, each block's steps in space.
        time: ``[blocks, 4, T, T']``, and along time.
        widths: what blocks give.
    """

    def step(state: Array, block: tuple[Array, Array, Widths]) -> tuple[Array, tuple[Array, Array, Array, Array]]:
        space, time, widths = block
        behind = jnp.einsum("ts,gsu,ctv->gcvu", state.sum(0), space, time)
        # Whether both operators are bypasses factors as sizes do.
        kept = state @ jnp.einsum("g,gsu->su", widths.s, space)
        kept = widths.open * jnp.einsum("wtu,c,ctv->wvu", kept, widths.t, time)
        opened = widths.open * jnp.einsum("gcvu,gc->vu", behind, 1 - jnp.outer(widths.s, widths.t))
        closed = behind.sum((0, 1))
        ends = kept + widths.closed[:, None, None] * closed + widths.narrow[:, None, None] * opened
        return ends, (state, behind, kept, ends)

    return Flow(space, time, *jax.lax.scan(step, start, (space, time, widths))[1])
