"""What a person needs beside an exported network to feed it and to read its scores."""

import dataclasses
from typing import Any

from tvnjax.nn.layers import PIXEL_MEAN, PIXEL_SCALE
from tvnjax.space.canonical import genotype_id
from tvnjax.space.genotype import Genotype


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportMetadata:
    """Written beside every export, and into it where the format has room for it."""

    genotype: Genotype
    classes: tuple[str, ...]
    """Names by index of the scores."""

    def as_json(self) -> dict[str, Any]:
        genotype = self.genotype
        return {
            "format": 1,
            "genotype_id": genotype_id(genotype),
            "genotype": genotype.to_json(),
            "classes": list(self.classes),
            "input": {
                "layout": "batch, frames, height, width, channels (RGB)",
                "shape": [1, genotype.num_frames, genotype.image_size, genotype.image_size, 3],
                "dtype": "float32",
                "frame_stride": genotype.frame_stride,
                "normalisation": "(pixel / 255 - mean) / scale",
                "mean": PIXEL_MEAN,
                "scale": PIXEL_SCALE,
            },
            "output": "scores of the classes before a softmax",
        }
