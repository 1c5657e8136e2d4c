"""A set of clips that is nowhere on disk, of any margin, mirroring and spans."""

from pathlib import Path

import numpy as np

from tvnjax.data.clips import ClipSet

FRAMES, SIZE = 8, 14
SPANS = [((0, 8), (0, 8)), ((2, 5), (1, 8)), ((3, 4), (0, 8)), ((0, 3), (0, 8)), ((1, 3), (0, 3)), ((2, 7), (2, 8))]
"""Whole clips, labelled parts (long, short, held at the end), a video shorter than the clip, one that begins late."""


class InMemory(ClipSet):
    def source(self, split):
        rng = np.random.default_rng(list(split.encode()))
        clips = rng.integers(0, 256, (self.splits[split], FRAMES, SIZE, SIZE, 3), np.uint8)
        spans = [SPANS[i % len(SPANS)] for i in range(len(clips))]
        return [
            {"clip": clip, "label": i % 3, "span": np.array(span, np.int32), "valid": np.array(valid, np.int32)}
            for i, (clip, (span, valid)) in enumerate(zip(clips, spans))
        ]


def in_memory(shift=0, flip=False, train=23, val=11):
    return InMemory(
        name="drawn",
        class_names=("a", "b", "c"),
        splits={"train": train, "val": val},
        counts={},
        frames_stored=FRAMES,
        window=FRAMES,
        size=SIZE,
        shift=shift,
        flip=flip,
        skipped=(),
        widened=0,
        held=0,
        fingerprint="drawn",
        directory=Path(),
    )
