"""What a person needs beside an exported network to feed it and to read its scores."""

import dataclasses
from typing import Any

from tvnjax.nn.layers import PIXEL_MEAN, PIXEL_SCALE
from tvnjax.space.canonical import genotype_id
from tvnjax.zoo.registry import ZooEntry


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportMetadata:
    """Written beside every export, and into it where the format has room for it."""

    entry: ZooEntry
    classes: tuple[str, ...]
    """Names by index of the scores."""

    def as_json(self) -> dict[str, Any]:
        entry, genotype = self.entry, self.entry.genotype
        known = {} if genotype is None else {"genotype_id": genotype_id(genotype), "genotype": genotype.to_json()}
        return {
            "format": 1,
            "network": entry.name,
            **known,
            "classes": list(self.classes),
            "input": {
                "layout": "batch, frames, height, width, channels (RGB)",
                "shape": [1, entry.num_frames, entry.image_size, entry.image_size, 3],
                "dtype": "float32",
                "frame_stride": entry.frame_stride,
                "normalisation": "(pixel / 255 - mean) / scale",
                "mean": PIXEL_MEAN,
                "scale": PIXEL_SCALE,
            },
            "output": "scores of the classes before a softmax",
        }
