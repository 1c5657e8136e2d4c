"""The streams of a search over a set of stored clips: which splits live on the device, which are streamed."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tvnjax.core.monitor import Monitor
from tvnjax.data.ahead import StreamAhead, ahead, placed
from tvnjax.data.batch_fields import INDEX, STORED
from tvnjax.data.clips import ClipSet
from tvnjax.data.device_crop import plan_view
from tvnjax.data.placement import Placement
from tvnjax.data.resident import ResidentClips, ResidentLimit, split_bytes, splits_within
from tvnjax.data.stored_clips import PlanView, RawTrainLoader, raw_eval_batches
from tvnjax.search.gradient.data import Data
from tvnjax.spaces.relaxing import Plan, Relaxation
from tvnjax.trainers.plan_supernet import View

READ = ("val", "train")
"""Splits that a search reads. The validation split is scored on again and again, so it is the first to be held."""
_DEPTH = 2
"""Streamed batches in advance: one that is copied while another one waits."""


def hold_clips(clips: ClipSet, limit: ResidentLimit, placement: Placement, monitor: Monitor) -> ResidentClips | None:
    """Decides which splits live on the device, and tells the monitor; None where none does."""
    held = splits_within(clips, limit.most, READ)
    sizes = {split: split_bytes(clips, split) for split in READ}
    streamed = [split for split in READ if split not in held]
    monitor.event(
        "resident_clips",
        limit_bytes=limit.most,
        limit=limit.why,
        resident={split: sizes[split] for split in held},
        streamed={split: sizes[split] for split in streamed},
    )

    def listed(splits: Any) -> str:
        return ", ".join(f"{split} ({sizes[split] / 1e9:.3g} GB)" for split in splits) or "none"

    text = f"on the device: {listed(held)}; streamed: {listed(streamed)}; limit {limit.most / 1e9:.3g} GB, {limit.why}"
    monitor.progress("clips", 1, 1, text)
    return ResidentClips(clips, held, placement) if held else None


def stored_data(
    clips: ClipSet,
    relaxation: Relaxation,
    resident: ResidentClips | None,
    placement: Placement,
    *,
    batch_size: int,
    score_clips: int,
    eval_batch: int,
    seed: int,
) -> Data:
    """The streams of a search.

    Args:
        resident: splits on the device; the others are streamed.
        batch_size: of a step.
        score_clips: of a scoring.
        eval_batch: clips of a batch of a pass over the validation split.
    """
    held = () if resident is None else resident.splits

    def endless(split: str, batch: int, offset: int) -> Any:
        loader = RawTrainLoader(
            clips, split, batch_size=batch, seed=seed + offset, resident=resident if split in held else None
        )
        return loader if split in held else StreamAhead(loader, placement.split, _DEPTH)

    def val_once() -> Iterator[dict[str, Any]]:
        if "val" in held:
            return raw_eval_batches(clips, "val", batch_size=eval_batch, resident=resident)
        batches = raw_eval_batches(clips, "val", batch_size=eval_batch)
        return ahead((placed(batch, placement.split) for batch in batches), _DEPTH)

    def read(batch: Mapping[str, Any], plan: Plan, rng: np.random.Generator | None) -> dict[str, Any]:
        view = PlanView(**relaxation.reads(plan)._asdict())
        kept = {name: batch[name] for name in ("clips", STORED, "weight") if name in batch}
        return kept | {"rows": view.rows(batch, rng)}

    def view_of(plan: Plan) -> View:
        reads = relaxation.reads(plan)
        sizes = {"num_frames": reads.num_frames, "image_size": reads.image_size}
        return partial(plan_view, **sizes, side=clips.image_size, flip=clips.flip)

    val = endless("val", batch_size, 1)
    return Data(
        train=endless("train", batch_size, 0),
        # A step's program is the same for training and validation clips only if their arrays are alike.
        val=_Taken(val, placement) if "val" in held and "train" not in held else val,
        scoring=endless("val", score_clips, 2),
        val_once=val_once,
        read=read,
        view_of=view_of,
        placement=placement,
    )


class _Taken:
    """Batches of a resident split in the form of streamed ones: their clips are taken out of it, on the device."""

    def __init__(self, loader: RawTrainLoader, placement: Placement):
        self._loader, self._placement = loader, placement
        self._take = jax.jit(partial(jnp.take, axis=0, mode="clip"), out_shardings=placement.batch)

    def __iter__(self) -> "_Taken":
        return self

    def __next__(self) -> dict[str, Any]:
        batch = next(self._loader)
        index = self._placement.split(batch["picks"][:, INDEX])
        return {"clips": self._take(batch.pop(STORED), index), **batch}

    def get_state(self) -> dict[str, Any]:
        return self._loader.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        self._loader.set_state(state)
