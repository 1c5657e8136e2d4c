"""The device's side of a plan's view: frames and pixels cut out of whole clips, inside a compiled program."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.sampling import area_weights


def plan_view(batch: Mapping[str, Any], image_size: int) -> tuple[jax.Array, jax.Array]:
    """Returns what a plan reads of a batch, see :func:`view`, and its labels.

    Args:
      batch: ``clip``, ``times`` and ``label``.
      image_size: side in pixels.
    """
    return view(batch["clip"], batch["times"], image_size), batch["label"]


def view(clip: jax.Array, times: jax.Array, image_size: int) -> jax.Array:
    """Returns what a plan reads of whole clips: float32 [b, t, image_size, image_size, 3], of the whole numbers that
    :class:`tvnjax.data.sampling.ClipSampler` gives as uint8 for the same windows.

    Args:
      clip: uint8 [b, frames, side, side, 3].
      times: int32 [b, t], the frames to read, from :meth:`PlanView.times`.
      image_size: side in pixels.

    Raises:
      InvalidInputError: the clips are smaller than what the plan reads.
    """
    side = clip.shape[2]
    if image_size > side:
        raise InvalidInputError(
            f"a plan reads no more than a clip holds, but {image_size} pixels were asked of clips of {side}; take fewer"
        )
    frames = jnp.take_along_axis(clip, times[:, :, None, None, None], axis=1).astype(jnp.float32)
    if image_size == side:
        return frames
    # The sums of sampling.area_resize: rows first, then columns, in full float32 also where products are rounded.
    weights = jnp.asarray(area_weights(side, image_size))
    rows = jnp.einsum("py,btyxc->btpxc", weights, frames, precision="highest")
    return jnp.rint(jnp.einsum("qx,btpxc->btpqc", weights, rows, precision="highest"))
