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
    """What blocks give where nothing keeps the width they receive, ``[blocks, ...]``."""

    closed: Array
    """``[blocks, W]``: chances of each width of cells that are not open; they sum to the chance of those cells."""
    narrow: Array
    """``[blocks, W]``: of open cells behind a convolution; they sum to 1."""
    open: Array
    """``[blocks]``: chance of an open cell."""
    keeps: Array
    """``[blocks, 2, 4]``: chance of an open cell whose operators are both bypasses, by what the block does in space
    and along time."""


class Flow(NamedTuple):
    """By block."""

    before: Array
    """``[blocks, W, T, S]``: what the block receives."""
    between: Array
    """``[blocks, W, 2, T, S']``: received width and frames, whether it strides in space, side behind."""
    behind: Array
    """``[blocks, W, 2, 4, T', S']``: received width; what the block does in space and along time; size behind."""
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

    def step(state: Array, block: tuple[Array, Array, Widths]) -> tuple[Array, Flow]:
        space, time, widths = block
        between = jnp.einsum("wts,gsu->wgtu", state, space)
        behind = jnp.einsum("wgtu,ctv->wgcvu", between, time)
        kept = jnp.einsum("wgcvu,gc->wvu", behind, widths.keeps)
        sizes = behind.sum(0)
        opened = jnp.einsum("gcvu,gc->vu", sizes, widths.open - widths.keeps)
        ends = kept + widths.closed[:, None, None] * sizes.sum((0, 1)) + widths.narrow[:, None, None] * opened
        return ends, Flow(state, between, behind, ends)

    return jax.lax.scan(step, start, (space, time, widths))[1]
