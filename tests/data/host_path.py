"""Whole clips cropped, mirrored and cut into windows on the host: what the device's path is held against."""

import grain
import jax
import jax.numpy as jnp
import numpy as np

from tvnjax.data.loader import AHEAD
from tvnjax.data.sampling import area_weights
from tvnjax.data.spans import window_starts


def train_batches(clips, split, *, batch_size, seed, augment=True):
    """Endless batches of whole clips, cropped and mirrored: ``clip``, ``label``, ``span`` and ``valid``."""

    def centred(records):
        return _crop(records, np.full((len(records), 2), clips.shift), clips.image_size)

    def random(records, rng):
        batch = _crop(records, rng.integers(0, 2 * clips.shift, (len(records), 2), endpoint=True), clips.image_size)
        if clips.flip:
            mirrored = rng.random(len(records)) < 0.5
            batch["clip"][mirrored] = batch["clip"][mirrored, :, :, ::-1]
        return batch

    records = grain.MapDataset.source(clips.source(split)).seed(seed).shuffle().repeat()
    records = records.batch(batch_size, batch_fn=list)
    batches = records.random_map(random) if augment else records.map(centred)
    return iter(batches.to_iter_dataset(AHEAD))


def eval_batches(clips, split, *, batch_size):
    """One pass, without filling up the last batch."""
    source = clips.source(split)
    for first in range(0, len(source), batch_size):
        records = [source[i] for i in range(first, min(first + batch_size, len(source)))]
        yield _crop(records, np.full((len(records), 2), clips.shift), clips.image_size)


def seen(batch, plan, rng):
    """The pixels a plan reads of a batch and its labels."""
    return np.asarray(_view(batch["clip"], times(batch, plan, rng), plan.image_size)), batch["label"]


def times(batch, plan, rng):
    """The frames a plan reads of each clip."""
    first, centre, last = window_starts(batch["span"], batch["valid"], plan.window)
    starts = (centre if rng is None else rng.integers(first, last, endpoint=True)).astype(np.int32)
    return starts[:, None] + np.arange(plan.num_frames, dtype=np.int32) * plan.frame_stride


def view(clip, times, image_size):
    """The pixels of whole clips at some frames, within a program."""
    side = clip.shape[2]
    frames = jnp.take_along_axis(clip, times[:, :, None, None, None], axis=1).astype(jnp.float32)
    if image_size == side:
        return frames
    weights = jnp.asarray(area_weights(side, image_size))
    rows = jnp.einsum("py,btyxc->btpxc", weights, frames, precision="highest")
    return jnp.rint(jnp.einsum("qx,btpxc->btpqc", weights, rows, precision="highest"))


_view = jax.jit(view, static_argnums=2)


def _crop(records, corners, side):
    crops = [r["clip"][:, top : top + side, left : left + side] for r, (top, left) in zip(records, corners.tolist())]
    numbers = {name: np.stack([record[name] for record in records]) for name in ("label", "span", "valid")}
    return {"clip": np.stack(crops)} | {name: a.astype(np.int32) for name, a in numbers.items()}
