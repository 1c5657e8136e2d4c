"""Videos of planted planes, and what a stored square of them must be, by formulas that share no code with tvnjax."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tvnjax.data.decode import ClipShape, decode_spans

MATRICES = {1: (0.2126, 0.0722), 2: (0.299, 0.114), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""Shares of red and blue in luma, by the number of the matrix in ISO/IEC 23091-2; 2 is unspecified: BT.601."""
Planes = Sequence[np.ndarray]


def stored(path: Path, size: int, fit: Any = "squash", *, frames: int = 1) -> np.ndarray:
    """What the program keeps of the first frames of a video: int [frames, size, size, 3]."""
    shape = ClipShape(window=1, jitter=0, size=size, fit=fit, short_spans="hold")
    results = list(decode_spans(path, [(i, i + 1) for i in range(frames)], shape))
    return np.concatenate([clip for clip, _ in results]).astype(int)  # pyright: ignore[reportGeneralTypeIssues]


def rgb_noise(width: int, height: int, channels: int = 3) -> np.ndarray:
    """uint8 [height, width, channels]."""
    return np.random.default_rng(width * height).integers(0, 256, (height, width, channels), np.uint8)


def striped_planes(width: int, height: int, chroma: tuple[int, int] = (1, 1), *, bits: int = 8) -> list[np.ndarray]:
    """Luma noise, and chroma that jumps from sample to sample; ``chroma`` is pixels per sample across and down."""
    rng = np.random.default_rng(width * height)
    small = (-(-height // chroma[1]), -(-width // chroma[0]))
    planes = [rng.integers(90, 160, (height, width)), rng.integers(108, 148, small), rng.integers(108, 148, small)]
    kind = np.uint8 if bits == 8 else np.dtype("<u2")
    return [(plane << (bits - 8)).astype(kind) for plane in planes]


def frame_of(planes: Planes, pix_fmt: str) -> av.VideoFrame:
    """A frame of the planes, each [height, width] or [height, width, bytes]."""
    height, width = planes[0].shape[:2]
    frame = av.VideoFrame(width, height, pix_fmt)
    for target, plane in zip(frame.planes, planes):
        lines = np.ascontiguousarray(plane).reshape(len(plane), -1).view(np.uint8)
        padded = np.zeros((target.height, target.line_size), np.uint8)
        padded[:, : lines.shape[1]] = lines
        target.update(padded.tobytes())
    return frame


def write(
    path: Path,
    frames: Sequence[Planes],
    pix_fmt: str,
    *,
    codec: str = "ffv1",
    aspect: Fraction | None = None,
    matrix: int = 2,
    full: int = 0,
    flags: int = 0,
) -> Path:
    """Encodes frames without loss (unless the codec says otherwise), one video stream."""
    pictures = [frame_of(planes, pix_fmt) for planes in frames]
    with av.open(str(path), "w") as container:
        stream = add_stream(container, pictures[0], codec)
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, full
        context.flags |= flags
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        for picture in pictures:
            picture.colorspace, picture.color_range = matrix, full
        encode(container, stream, pictures)
    return path


def add_stream(container: Any, frame: av.VideoFrame, codec: str, *, disposition: int | None = None) -> Any:
    """A stream for frames like this one; all streams are added before the first is encoded."""
    stream = container.add_stream(codec, rate=25)
    stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
    if disposition is not None:
        stream.disposition = disposition
    return stream


def encode(container: Any, stream: Any, frames: Sequence[av.VideoFrame]) -> None:
    for index, frame in enumerate(frames):
        frame.pts, frame.time_base = index, Fraction(1, 25)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def to_rgb(planes: Planes, *, matrix: int = 2, full: bool = False, bits: int = 8) -> np.ndarray:
    """R'G'B' [height, width, 3] of Y'CbCr planes, chroma samples repeated; ITU-R BT.601, 709, 2020."""
    height, width = planes[0].shape
    y, u, v = (plane / 2 ** (bits - 8) for plane in planes)
    down, across = -(-height // u.shape[0]), -(-width // u.shape[1])
    u, v = (np.repeat(np.repeat(plane, down, 0), across, 1)[:height, :width] for plane in (u, v))
    low, steps, chroma_steps = (0, 255, 255) if full else (16, 219, 224)
    y, u, v = (y - low) / steps, (u - 128) / chroma_steps, (v - 128) / chroma_steps
    red, blue = MATRICES[matrix]
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    return np.clip(255 * np.stack([r, (y - red * r - blue * b) / (1 - red - blue), b], -1), 0, 255)


def mean_square(rgb: np.ndarray, size: int) -> np.ndarray:
    """The mean of the pixels each of size x size cells covers, by repeating every pixel until cells are whole."""
    for axis in (0, 1):
        side = rgb.shape[axis]
        fine = np.repeat(rgb, size, axis)  # side * size lines: a cell is ``side`` of them
        rgb = np.moveaxis(np.moveaxis(fine, axis, 0).reshape(size, side, *np.delete(fine.shape, axis)).mean(1), 0, axis)
    return rgb


def shown_crop(rgb: np.ndarray, aspect: Fraction) -> np.ndarray:
    """The centred square of the frame as shown, made of pixels small enough to be square and to be halved."""
    fine = np.repeat(np.repeat(rgb, 2 * aspect.denominator, 0), 2 * aspect.numerator, 1)
    side = min(fine.shape[:2])
    top, left = ((length - side) // 2 for length in fine.shape[:2])
    return fine[top : top + side, left : left + side]


def turned(rgb: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """Each stored pixel (x, y) moved to (a x + c y, b x + d y)."""
    a, b, c, d = matrix
    y, x = np.indices(rgb.shape[:2])
    new_x, new_y = a * x + c * y, b * x + d * y
    new_x, new_y = new_x - new_x.min(), new_y - new_y.min()
    result = np.empty((new_y.max() + 1, new_x.max() + 1, 3), rgb.dtype)
    result[new_y, new_x] = rgb
    return result


def patch_matrix(path: Path, matrix: Sequence[float]) -> Path:
    """Puts a, b, c, d into the track header of an MP4 or MOV (ISO/IEC 14496-12, 8.3.2; version 0)."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44
    a, b, c, d = (round(value * 65536) for value in matrix)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path
