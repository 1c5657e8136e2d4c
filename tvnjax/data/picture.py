"""Turns a decoded frame into the stored square, as a player would show it.

Four steps: colour conversion at the frame's own size, a choice of the source rectangle, the mean over the area each new
pixel covers, and the turn the metadata ask for. :func:`describe_picture` says all of it in words.
"""

import math
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from tvnjax.data.area import Interval, area_mean

Fit = Literal["squash", "crop"]

# POINT repeats each chroma sample over the pixels it stands for: a mean over whole samples is then the mean of what was
# stored, while any smoother interpolation moves colour across the edges of the area. The flags make swscale convert
# every pixel with the full formula instead of rounded tables (up to 3 levels off). PyAV has them since version 16;
# before that it takes one name and nothing else.
_FLAGS = ("FULL_CHR_H_INT", "FULL_CHR_H_INP", "ACCURATE_RND")
_EXACT = all(flag in Interpolation.__members__ for flag in _FLAGS)
_INTERPOLATION: Any = sum(Interpolation[name].value for name in ("POINT", *_FLAGS)) if _EXACT else "POINT"
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_BLOCK = 64  # pixels; a multiple of every format's chroma block


class PictureMaker:
    """Makes squares of the frames of one file; holds its colour converter, which costs more to build than to use."""

    def __init__(self, size: int, fit: Fit):
        self._size = size
        self._fit: Fit = fit
        self._converter = VideoReformatter()

    def square(self, frame: VideoFrame, aspect: Fraction) -> np.ndarray:
        """Returns the frame as it is shown, uint8 [size, size, 3]; ``aspect`` is the width of a pixel over its height.

        Raises:
          ValueError: the metadata turn the frame by something else than quarter turns.
        """
        transpose, mirror_x, mirror_y = read_orientation(frame)
        planes = self._to_planes(frame)
        # Rows and columns stay those of the file until the end: turning the small square is cheaper than the frame,
        # and a centred square is the same one before and after a turn.
        rows, columns = shown_rectangle(frame.width, frame.height, aspect, self._fit)
        square = np.stack([area_mean(plane, rows, columns, self._size) for plane in planes], -1)
        if transpose:
            square = square.swapaxes(0, 1)
        return np.ascontiguousarray(square[:: -1 if mirror_y else 1, :: -1 if mirror_x else 1])

    def _to_planes(self, frame: VideoFrame) -> list[np.ndarray]:
        """Returns red, green and blue, each uint8 [height, width], in memory that FFmpeg holds."""
        options: dict[str, Any] = {}
        width, height = frame.width, frame.height
        if _EXACT and any(component.is_chroma for component in frame.format.components):
            frame = _with_plain_chroma(frame)
        if not _EXACT and frame.color_range == _FULL_RANGE:  # old versions look at the pixel format alone
            options = {"src_color_range": "JPEG", "dst_color_range": "JPEG"}
        # swscale writes planes several times as fast as it writes rgb24, and the same numbers.
        converted = self._converter.reformat(frame, format="gbrp", interpolation=_INTERPOLATION, **options)
        if any(plane.line_size <= 0 for plane in converted.planes):  # stored as planes, upside down
            return [plane[:height, :width] for plane in np.moveaxis(converted.to_ndarray(), -1, 0)]
        green, blue, red = (_lines(plane)[:height, :width] for plane in converted.planes)
        return [red, green, blue]


def _with_plain_chroma(frame: VideoFrame) -> VideoFrame:
    """Returns a copy whose chroma samples each stand for the same whole block of pixels, or the frame where they do.

    swscale moves samples to where the frame says they were sited, which with POINT takes every other pixel's colour
    from its neighbour, and it stretches them over frames that end within a block. The copy does not say where they were
    sited (nor that the frame has fields), and its last block is whole: wider or higher by pixels that hold anything.
    """
    across, down = _BLOCK // frame.format.chroma_width(_BLOCK), _BLOCK // frame.format.chroma_height(_BLOCK)
    if across == down == 1 or any(plane.line_size <= 0 for plane in frame.planes):  # below 0: stored upside down
        return frame
    copy = VideoFrame(-(-frame.width // across) * across, -(-frame.height // down) * down, frame.format.name)
    copy.colorspace, copy.color_range = frame.colorspace, frame.color_range
    for old, new in zip(frame.planes, copy.planes):
        lines, target = _lines(old), _lines(new)
        used = min(old.line_size, new.line_size)
        target[: len(lines), :used] = lines[:, :used]
    return copy


def _lines(plane: Any) -> np.ndarray:  # PyAV's annotations do not say that a plane is a buffer
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)


def read_orientation(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """Returns whether a frame is shown transposed, and whether then mirrored left to right, and top to bottom.

    The display matrix maps the stored (x, y) to the shown (a x + c y, b x + d y), y pointing down
    (libavutil/display.h); a matrix of zeros turns nothing, as in ffmpeg.

    Raises:
      ValueError: the matrix is more than one degree from a quarter turn.
    """
    a, b, c, d = _display_matrix(frame)
    if not (a or b) or not (c or d):
        return False, False, False
    near = math.tan(math.radians(1))
    if abs(b) <= near * abs(a) and abs(c) <= near * abs(d):
        return False, a < 0, d < 0
    if abs(a) <= near * abs(b) and abs(d) <= near * abs(c):
        return True, c < 0, b < 0
    raise ValueError(f"its metadata turn it by {math.degrees(math.atan2(b, a)):.0f} degrees, which is no quarter turn")


def _display_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    try:
        kinds: Any = frame.side_data  # annotated as a mapping by name; the names are members of Type
        data = kinds.get(Type.DISPLAYMATRIX)
    except ValueError:  # another side datum is of a kind this version of PyAV does not know
        quarter = round(getattr(frame, "rotation", 0) / 90) % 4  # counterclockwise
        return ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))[quarter]
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    return a, b, c, d


def shown_rectangle(width: int, height: int, aspect: Fraction, fit: Fit) -> tuple[Interval, Interval]:
    """Returns the rows and the columns of a frame that become the square, as exact intervals of its own pixels.

    ``squash`` takes all of them; ``crop`` the largest centred rectangle that is shown as a square.
    """
    rows, columns = Fraction(height), Fraction(width)
    if fit == "crop":
        rows, columns = min(rows, columns * aspect), min(columns, rows / aspect)
    top, left = (height - rows) / 2, (width - columns) / 2
    return (top, top + rows), (left, left + columns)


def describe_picture(fit: Fit) -> dict[str, Any]:
    """Returns how a decoded frame becomes the stored square, as JSON holds it: enough to do it again elsewhere."""
    if fit == "crop":
        rectangle = (
            "The largest centred rectangle that is shown as a square. With W, H the stored frame's width and height "
            "and r its pixel aspect: h = min(H, W r) rows and w = min(W, H / r) columns, from row (H - h) / 2 and "
            "column (W - w) / 2; none of them is rounded."
        )
        aspect = (
            "r is the width of a stored pixel over its height, as the container gives it, else as the codec gives it "
            "for this frame, else 1."
        )
    else:
        rectangle = "All of the frame: h = H rows and w = W columns, from row 0 and column 0."
        aspect = "Not used: whatever shape the frame is shown in, it becomes a square."
    return {
        "input": (
            "A frame as FFmpeg decodes it, of the stream the ffmpeg program chooses by default but never a cover "
            "picture; each frame at its own size. The two fields of an interlaced frame stay woven, line by line."
        ),
        "colour": (
            "Converted to 8-bit R'G'B' at full resolution. Each chroma sample is repeated over the pixels it stands "
            "for, wherever it was sited. Matrix and range are the frame's own; an unspecified matrix is BT.601, an "
            "unspecified range is limited (16-235) for YUV, full for yuvj formats, grey and RGB. Transfer function and "
            "primaries are not converted (no tone mapping). Deeper samples are reduced to 8 bits, alpha is dropped, "
            "not blended."
        ),
        "colour_rounding": "nearest" if _EXACT else "FFmpeg's tables, up to 3 levels off",
        "swscale": "flags=" + ("point+full_chroma_int+full_chroma_inp+accurate_rnd" if _EXACT else "point"),
        "fit": fit,
        "pixel_aspect": aspect,
        "rectangle": rectangle,
        "mean": (
            "out[i, j] = sum over y, x of A(i, y) B(j, x) rgb[y, x], with A(i, y) = overlap([top + i h / S, "
            "top + (i + 1) h / S], [y, y + 1]) S / h, B(j, x) = overlap([left + j w / S, left + (j + 1) w / S], "
            "[x, x + 1]) S / w; S is the side of the square, overlap the length two intervals share. The formula is "
            "the same where the square is larger than the rectangle."
        ),
        "rounding": "Once, of the exact mean, to the nearest whole number, halves to even; uint8.",
        "orientation": (
            "Last, the square is turned as the display matrix says, which maps stored (x, y) to shown (a x + c y, "
            "b x + d y), y down: as it is where b = c = 0, transposed where a = d = 0; then mirrored left to right "
            "where the new x falls, top to bottom where the new y falls. No matrix, or one of zeros: as it is. Frames "
            "more than a degree from a quarter turn are refused."
        ),
    }
