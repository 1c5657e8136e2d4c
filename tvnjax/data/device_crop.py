"""The device's side of a plan's view: frames and pixels cut out of stored clips, inside a compiled program."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.sampling import area_weights
from tvnjax.data.stored_clips import FIRST, INDEX, LABEL, LEFT, MIRRORED, STRIDE, TOP


def plan_view(
    batch: Mapping[str, Any], *, num_frames: int, image_size: int, side: int, flip: bool
) -> tuple[jax.Array, jax.Array]:
    """Returns what a plan reads of a batch: pixels float32 [b, num_frames, image_size, image_size, 3], of the whole
    numbers that :class:`tvnjax.data.sampling.ClipSampler` gives as uint8 for the same windows; and labels int32 [b].

    Args:
      batch: ``clips`` uint8 [n, frames_stored, size, 3 * size], those of the batch or of whole splits, and ``rows``
        int32 [b, 7] from :meth:`tvnjax.data.stored_clips.PlanView.rows`.
      num_frames: frames to read.
      image_size: side in pixels.
      side: of the crop, the set's ``image_size``.
      flip: whether clips may be mirrored.

    Raises:
      InvalidInputError: the clips are smaller than what the plan reads.
    """
    if image_size > side:
        raise InvalidInputError(
            f"a plan reads no more than a clip holds, but {image_size} pixels were asked of clips of {side}; take fewer"
        )
    rows = batch["rows"]
    frames = _cut(batch["clips"], rows, num_frames, side, flip).astype(jnp.float32)
    if image_size < side:
        # The sums of sampling.area_resize: rows first, then columns, in full float32 also where products are rounded.
        weights = jnp.asarray(area_weights(side, image_size))
        lines = jnp.einsum("py,btyxc->btpxc", weights, frames, precision="highest")
        frames = jnp.rint(jnp.einsum("qx,btpxc->btpqc", weights, lines, precision="highest"))
    return frames, rows[:, LABEL]


def _cut(clips: jax.Array, rows: jax.Array, num_frames: int, side: int, flip: bool) -> jax.Array:
    """The frames of a batch, cropped and mirrored, uint8 [b, num_frames, side, side, 3]: one gather, which XLA:CPU
    does as fast as it copies whole clips and faster than frames first, crops later."""
    whole = side == clips.shape[2]

    def frame(row: jax.Array, time: jax.Array) -> jax.Array:
        corner = (0, 0) if whole else (row[TOP], 3 * row[LEFT])
        at = (row[INDEX], row[FIRST] + row[STRIDE] * time, *corner)
        return jax.lax.dynamic_slice(clips, at, (1, 1, side, 3 * side), allow_negative_indices=False)

    frames = jax.vmap(jax.vmap(frame, (None, 0)), (0, None))(rows, jnp.arange(num_frames, dtype=jnp.int32))
    frames = frames.reshape(-1, num_frames, side, side, 3)
    if not flip:
        return frames
    return jnp.where(rows[:, MIRRORED, None, None, None, None] > 0, jnp.flip(frames, 3), frames)
