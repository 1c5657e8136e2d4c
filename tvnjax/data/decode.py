"""Decodes the named frames of a video with PyAV, at the size they are stored in."""

import errno
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter

from tvnjax.data.picture import Fit, square
from tvnjax.data.spans import Placement, ShortSpans, SpanOutsideVideoError, place_span

Span = tuple[int, int | None]

MAX_PIXELS = 8192 * 4320
"""Pixels of a frame: 8K. A file of a few kilobytes can claim more than any memory holds."""
MAX_KEPT = 2 * 1024**3
"""Bytes of the stored frames that one file may need at once."""

# Before version 19, PyAV refuses a video whose title is no UTF-8 unless told not to.
# No protocols: what claims to be a video must not make FFmpeg open other files or addresses.
_OPTIONS = {"protocol_whitelist": "none", "max_pixels": str(MAX_PIXELS)}
_ATTACHED_PIC = 1024
"""FFmpeg's AV_DISPOSITION_ATTACHED_PIC."""
_METADATA: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}


class UnreadableVideoError(Exception):
    """The file is missing, no video, damaged, or without a frame."""


@dataclass(frozen=True, kw_only=True)
class ClipShape:
    """How spans become clips of one fixed shape."""

    window: int
    """Consecutive frames a window spans."""
    jitter: int
    """Frames kept before and after the centred window."""
    size: int
    """Side of the stored frames in pixels."""
    fit: Fit
    short_spans: ShortSpans

    @property
    def frames(self) -> int:
        """Frames stored per clip."""
        return self.window + 2 * self.jitter


def decode_spans(
    path: Path, spans: Sequence[Span], shape: ClipShape
) -> Iterator[tuple[np.ndarray, Placement] | SpanOutsideVideoError]:
    """Decodes ``path`` once and yields, per span and in order, its uint8 [frames, size, size, 3] and its placement.

    A span that lies outside the video yields the error that says so. Frames no span needs are decoded (the others
    depend on them) but neither scaled nor kept; a span without an end keeps every frame of the video until the file
    is done.

    Frames are those that a player shows (see :mod:`tvnjax.data.picture`), of the stream that ffmpeg takes where there
    are several; a picture of the cover is no video. A frame whose damage the decoder conceals counts as any other.

    Raises:
      UnreadableVideoError: the file is not there, cannot be decoded as far as the spans reach, or has no frame.
      OSError: the system could not read it, which says nothing of the video. So does MemoryError.
      ShortSpanError: see :func:`tvnjax.data.spans.place_span`.
    """
    reach = shape.window + shape.jitter
    frames, decoded = _decode(path, [(s - reach, math.inf if e is None else e + reach) for s, e in spans], shape)
    for start, end in spans:
        try:
            placement = place_span(
                start, end, decoded, window=shape.window, jitter=shape.jitter, short_spans=shape.short_spans
            )
        except SpanOutsideVideoError as error:
            yield error
        else:
            yield np.stack([frames[i] for i in placement.indices.tolist()]), placement


def _decode(path: Path, needed: Sequence[tuple[float, float]], shape: ClipShape) -> tuple[dict[int, np.ndarray], int]:
    """Returns the needed frames by number, and how many frames were decoded (all, or beyond the last needed)."""
    if not path.is_file():
        raise UnreadableVideoError("is no file" if path.exists() else "no such file")
    kept: dict[int, np.ndarray] = {}
    decoded = 0
    ranges = iter(_merge(needed))
    first, last = next(ranges)
    scale = VideoReformatter()  # one for the file: building the scaler costs more than using it
    # An open file, not its name: the name could be an address, or a pattern.
    file = _Bytes(path.open("rb"))
    try:
        with file, av.open(file, mode="r", options=_OPTIONS, **_METADATA) as container:
            stream: Any = container.streams.best("video")
            if stream is None or _is_cover(stream):
                raise UnreadableVideoError("has no video stream")
            if stream.codec_context is None:
                raise UnreadableVideoError("has a codec this build of FFmpeg cannot decode")
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            stream.thread_type = "NONE"  # starting threads takes longer than decoding a short clip
            for frame in container.decode(stream):
                if decoded >= first:
                    kept[decoded] = square(frame, scale, shape.size, shape.fit, stream.sample_aspect_ratio)
                    if len(kept) * kept[decoded].nbytes > MAX_KEPT:
                        raise UnreadableVideoError(
                            f"has more than the {len(kept) - 1} frames of {shape.size} pixels that are kept of one file"
                        )
                decoded += 1
                if decoded >= last:
                    first, last = next(ranges, (math.inf, math.inf))
                    if first == math.inf:
                        break
    except (FFmpegError, OSError, ValueError) as error:
        if file.failed is not None:
            raise file.failed from None
        if getattr(error, "errno", None) == errno.ENOMEM:
            raise MemoryError(f"while decoding {path}") from None
        raise UnreadableVideoError(f"cannot be decoded after frame {decoded}: {_one_line(error)}") from None
    if file.failed is not None:  # FFmpeg took it for the end
        raise file.failed
    if not decoded:
        raise UnreadableVideoError("has no frame")
    return kept, decoded


def _is_cover(stream: Any) -> bool:
    """Whether a stream is the picture of a cover, which players show beside sound."""
    # Before version 15, PyAV does not tell; a cover is then a video of one frame.
    return bool(int(getattr(stream, "disposition", 0)) & _ATTACHED_PIC)


class _Bytes:
    """A file as FFmpeg reads it. A damaged one makes it seek to where nothing is; that is an answer to FFmpeg, while an
    exception would be printed by PyAV. What the system refuses to read is an answer too, and kept: FFmpeg's own errors
    are about what a file holds, this one is not."""

    def __init__(self, file: BinaryIO):
        self.name = file.name  # whose ending tells FFmpeg of the format
        self.failed: OSError | None = None
        self.tell, self._file = file.tell, file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            self.failed = error
            return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):
            return -errno.EINVAL


def _merge(ranges: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns the union of half-open ranges as disjoint ranges in ascending order."""
    merged: list[tuple[float, float]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _one_line(error: Exception) -> str:
    return " ".join((getattr(error, "strerror", None) or str(error)).split())
