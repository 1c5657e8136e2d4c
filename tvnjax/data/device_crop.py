"""The device's side of a plan's view: frames and pixels cut out of stored clips, inside a compiled program."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.batch_fields import FIRST, INDEX, LABEL, LEFT, MIRRORED, STORED, STRIDE, TOP
from tvnjax.data.sampling import area_weights


def plan_view(
    batch: Mapping[str, Any], *, num_frames: int, image_size: int, side: int, flip: bool
) -> tuple[jax.Array, jax.Array]:
    """Returns what a plan reads of a batch: pixels float32 [b, num_frames, image_size, image_size, 3], of the whole
    numbers that :class:`tvnjax.data.sampling.ClipSampler` gives as uint8 for the same windows; and labels int32 [b].

    Args:
      batch: ``rows`` int32 [b, 7] from :meth:`tvnjax.data.stored_clips.PlanView.rows`, and ``clips`` uint8 [b,
        frames_stored, size, 3 * size], which may be cut or spread over devices with them, or ``stored`` uint8 [n, ...],
        which the rows point into.
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
    frames = _cut(batch, num_frames, side, flip).astype(jnp.float32)
    if image_size < side:
        # The sums of sampling.area_resize: rows first, then columns, in full float32 also where products are rounded.
        weights = jnp.asarray(area_weights(side, image_size))
        lines = jnp.einsum("py,btyxc->btpxc", weights, frames, precision="highest")
        frames = jnp.rint(jnp.einsum("qx,btpxc->btpqc", weights, lines, precision="highest"))
    return frames, rows[:, LABEL]


def _cut(batch: Mapping[str, Any], num_frames: int, side: int, flip: bool) -> jax.Array:
    """The frames of a batch, cropped and mirrored, uint8 [b, num_frames, side, side, 3]: one gather, which XLA:CPU
    does as fast as it copies whole clips and faster than frames first, crops later."""
    rows, times = batch["rows"], jnp.arange(num_frames, dtype=jnp.int32)

    def frame(clips: jax.Array, index: Any, row: jax.Array, time: jax.Array) -> jax.Array:
        corner = (0, 0) if side == clips.shape[2] else (row[TOP], 3 * row[LEFT])
        at = (index, row[FIRST] + row[STRIDE] * time, *corner)
        return jax.lax.dynamic_slice(clips, at, (1, 1, side, 3 * side), allow_negative_indices=False)

    def of_clip(clips: jax.Array, index: Any, row: jax.Array) -> jax.Array:
        return jax.vmap(frame, (None, None, None, 0))(clips, index, row, times)

    if STORED in batch:
        frames = jax.vmap(of_clip, (None, 0, 0))(batch[STORED], rows[:, INDEX], rows)
    else:
        frames = jax.vmap(lambda clip, row: of_clip(clip[None], 0, row))(batch["clips"], rows)
    frames = frames.reshape(-1, num_frames, side, side, 3)
    if not flip:
        return frames
    return jnp.where(rows[:, MIRRORED, None, None, None, None] > 0, jnp.flip(frames, 3), frames)
