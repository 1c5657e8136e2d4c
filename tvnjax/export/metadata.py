"""What a person needs beside an exported network to cut and feed clips to it and to read its scores."""

import dataclasses
from typing import Any

from tvnjax.core.to_json import jsonable
from tvnjax.data.arrays import ArrayData
from tvnjax.data.picture import describe_picture
from tvnjax.data.preparation import Preparation
from tvnjax.graph import Network, input_names
from tvnjax.nn.parts import PIXEL_MEAN, PIXEL_SCALE
from tvnjax.spaces.base import Reads
from tvnjax.zoo.resolve import reading
from tvnjax.zoo.trained import TrainedNetwork

_AREA_MEAN = "each new pixel is the mean of the area it covers, rounded to the nearest whole number (halves to even)"
_SHORT = {
    "hold": "frames from start on, each later than end - 1 replaced by end - 1; the network reads {count} of them, "
    "{stride} apart, from frame start + max((end - start - {window}) // 2, 0) on",
    "widen": "as a long one, reaching into the video around it; where the video is shorter than set_window, as hold "
    "with start 0 and end N",
    "error": "there were none",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportMetadata:
    """Written beside every export, and into it where the format has room for it."""

    trained: TrainedNetwork

    def as_json(self) -> dict[str, Any]:
        """The description; following it gives the accuracy the training reported (tested with ONNX Runtime)."""
        trained = self.trained
        entry, read = trained.entry, reading(trained.entry)
        network = trained.network
        genotype = {} if entry.genotype is None else {"genotype": entry.genotype.to_json()}
        clips = Preparation.from_json(trained.clips, entry.name)
        return {
            "format": 2,
            "network": entry.name,
            **trained.ids,
            **genotype,
            "head": network.head.pool,
            "classes": list(trained.classes),
            "clips": None if clips is None else describe_clips(clips, read),
            "input": {
                "layout": "batch, frames, height, width, channels (RGB)",
                "shape": [1, read.num_frames, read.image_size, read.image_size, 3],
                "dtype": "float32",
                "frame_stride": read.frame_stride,
                "normalisation": "(pixel / 255 - mean) / scale",
                "mean": PIXEL_MEAN,
                "scale": PIXEL_SCALE,
            },
            **_further_inputs(network),
            "output": "scores of the classes before a softmax; the largest is the class named",
            "trained_on": trained.trained_on,
        }


def _further_inputs(network: Network) -> dict[str, Any]:
    """Of a network of several streams, what ``input`` is called in the file, and the others beside it."""
    name, *others = input_names(len(network.input_shapes))
    shapes = zip(others, network.further_inputs)
    further = {other: {"shape": [1, *shape], "dtype": "float32"} for other, shape in shapes}
    return {"input_name": name, "further_inputs": further} if further else {}


def describe_clips(clips: Preparation, read: Reads) -> dict[str, Any]:
    """From a video to the pixels that are normalised, step by step, with all numbers; as in scoring (no augmentation).

    Args:
        clips: how the set was made that the network was trained on.
        read: what the network reads of a stored clip.
    """
    video = clips.video
    if isinstance(clips.source, ArrayData):
        source = clips.source
        described = describe_picture(source.fit)
        picture = {name: described[name] for name in ("fit", "rectangle", "mean", "rounding")}
        return {
            "arrays": {"source": jsonable(source), "fingerprint": clips.fingerprint},
            "frames": _frames(read, source.shape[1], 0),
            "pixels": _pixels(picture, clips.image_size + 2 * source.shift, source.shift, read),
        }
    if video is None:
        drawn = {"source": jsonable(clips.source), "fingerprint": clips.fingerprint}
        # Whole clips are stored, so the window stands in the middle of all their frames.
        frames = _frames(read, clips.source.clip_frames or clips.window, 0)
        return {"drawn": drawn, "frames": frames, "pixels": _pixels(None, clips.image_size, 0, read)}
    frames = _frames(read, clips.window, video.temporal_jitter)
    frames["short"] = _SHORT[video.short_spans].format(
        count=read.num_frames, stride=read.frame_stride, window=frames["window"]
    )
    frames["short_spans"] = video.short_spans
    pixels = _pixels(describe_picture(video.fit), clips.image_size + 2 * video.shift, video.shift, read)
    return {"source": jsonable(video), "fingerprint": clips.fingerprint, "frames": frames, "pixels": pixels}


def _frames(read: Reads, set_window: int, jitter: int) -> dict[str, Any]:
    window = (read.num_frames - 1) * read.frame_stride + 1
    return {
        "count": read.num_frames,
        "stride": read.frame_stride,
        "window": window,
        "set_window": set_window,
        "jitter": jitter,
        "given": "a video of N frames whose labelled frames are start to end - 1 (a whole video: 0 and N); a // b is "
        "rounded down",
        "long": "where end - start >= set_window: first = min(max((start + end - set_window) // 2, 0), N - set_window) "
        "- jitter; the clip is the frames first to first + set_window + 2 * jitter - 1, of which those from a = "
        "max(start - first, 0) to b - 1, b = min(end - first, set_window + 2 * jitter), are labelled; the network "
        "reads count of them, stride apart, from frame first + (a + b - window) // 2 on, moved as little as is needed "
        "for the window to lie inside the video",
    }


def _pixels(picture: dict[str, Any] | None, stored: int, shift: int, read: Reads) -> dict[str, Any]:
    side = stored - 2 * shift
    return {
        "picture": picture,
        "stored_side": stored,
        "crop": {"top": shift, "left": shift, "side": side},
        "resize": {
            "from": side,
            "to": read.image_size,
            "filter": "none" if side == read.image_size else _AREA_MEAN,
        },
    }
