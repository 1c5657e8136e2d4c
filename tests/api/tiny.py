"""A search of seconds, and clips for it, shared by the tests of the public API."""

import dataclasses

import numpy as np

from experiments.reliability.kill_anywhere import TINY
from tvnjax.trainers.optim import Optimizer
from tvnjax.trainers.trainer import Training

TINY_RUN = dataclasses.replace(
    TINY,
    strategies=("differentiable", "evolution"),
    shapes=dataclasses.replace(TINY.shapes, num_frames=(2,)),
    search=dataclasses.replace(TINY.search, steps=8),
    retrain=Training(steps=60, batch_size=32, optimizer=Optimizer(learning_rate=0.03)),
)
CLASSES = ("above", "below", "left", "right")


def dark_halves(count: int, *, frames: int = 8, size: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Clips uint8 ``[count, frames, size, size, 3]``, one half of each dark, and which: the number of its class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    noise = np.frombuffer(rng.bytes(count * frames * size * size * 3), np.uint8)
    clips = noise.reshape(count, frames, size, size, 3) // 2 + np.uint8(128)
    near, far, all_of = slice(0, size // 2), slice(size // 2, size), slice(None)
    for label, (rows, columns) in enumerate([(near, all_of), (far, all_of), (all_of, near), (all_of, far)]):
        clips[label::4, :, rows, columns] -= np.uint8(120)
    return clips, labels


OWN_OPTIONS = {
    "budget": {"ms": 50.0},
    "strategies": ("differentiable", "evolution", "random_weight_sharing"),
    "reproducible": True,
    "baseline_networks": 1,
    "search": {
        "steps": 10,
        "batch_size": 8,
        "score_clips": 8,
        "projection": {
            "top_k": 2,
            "draws": 1,
            "neighbours": 1,
            "rank_steps": 2,
            "racers": 2,
            "finalists": 1,
            "recalibration_batches": 2,
            "fine_tune_steps": 2,
        },
    },
    "profile": {"units": 10, "networks": 3, "chosen": 0, "repeats": 30},
    "evolution": {"population": 1, "tournament": 1},
    "sharing": {"candidates": 3, "finalists": 1, "fine_tune_steps": 1},
    "proxy": {"steps": 6, "batch_size": 8},
    "retrain": {"steps": 8, "batch_size": 8},
}

OWN_SIZES = {
    "image_size": 8,
    "num_frames": 3,
    "frame_stride": 1,
    "num_blocks": 2,
    "blocks": [{"spatial_stride": 1, "temporal_stride": 1, "repeats": 1, "filters": 8}] * 2,
}
