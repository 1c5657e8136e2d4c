"""Decodes the named frames of a video with PyAV, at the size they are stored in."""

import errno
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tvnjax.data.picture import Fit, PictureMaker
from tvnjax.data.spans import Placement, ShortSpans, SpanOutsideVideoError, place_span

Span = tuple[int, int | None]

MAX_PIXELS = 8192 * 4320
"""Pixels of a frame: 8K. A file of a few kilobytes can claim more than any memory holds."""
MAX_KEPT = 2 * 1024**3
"""Bytes of the stored frames that one file may need at once."""

# Before version 19, PyAV refuses a video whose title is no UTF-8 unless told not to.
# No protocols: what claims to be a video must not make FFmpeg open other files or addresses.
_OPTIONS = {"protocol_whitelist": "none", "max_pixels": str(MAX_PIXELS)}
_METADATA: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}


# What a name that leads nowhere answers. Every other answer is about the system, not about the video.
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
_DEFAULT, _ATTACHED_PICTURE = 0x1, 0x400  # AV_DISPOSITION_*


class UnreadableVideoError(Exception):
    """The file is missing, no video, damaged, or without a frame."""


class DamagedSpanError(Exception):
    """The clip needs a frame the decoder could not read all of, or one after it that is made of it.

    Decoders fill what they cannot read with a guess, and report it of that frame alone; the frames up to the next key
    frame are made of the guess.
    """


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
) -> Iterator[tuple[np.ndarray, Placement] | SpanOutsideVideoError | DamagedSpanError]:
    """Decodes ``path`` once and yields, per span and in order, its uint8 [frames, size, size, 3] and its placement.

    A span that lies outside the video, or whose clip needs a damaged frame, yields the error that says so. Frames no
    span needs are decoded (the others
    depend on them) but neither scaled nor kept; a span without an end keeps every frame of the video until the file
    is done. The pixels are those :func:`tvnjax.data.picture.describe_picture` describes.

    Raises:
      UnreadableVideoError: there is no such file, it cannot be decoded as far as the spans reach, or it has no frame.
      OSError: the file cannot be opened or read, which says nothing about the video.
      MemoryError: likewise.
      ShortSpanError: see :func:`tvnjax.data.spans.place_span`.
    """
    reach = shape.window + shape.jitter
    video = _decode(path, [(s - reach, math.inf if e is None else e + reach) for s, e in spans], shape)
    for start, end in spans:
        try:
            placement = place_span(
                start, end, video.decoded, window=shape.window, jitter=shape.jitter, short_spans=shape.short_spans
            )
        except SpanOutsideVideoError as error:
            yield error
            continue
        indices = placement.indices.tolist()
        if damaged := sorted(video.damaged.intersection(indices)):
            yield DamagedSpanError(f"{len(damaged)} of its frames are damaged, the first is frame {damaged[0]}")
            continue
        yield np.stack([video.kept[i] for i in indices]), placement


@dataclass(kw_only=True)
class _Decoded:
    kept: dict[int, np.ndarray] = field(default_factory=dict)
    """The needed frames by number: uint8 [size, size, 3]."""
    damaged: set[int] = field(default_factory=set)
    """Numbers of all damaged frames; see :class:`DamagedSpanError`."""
    decoded: int = 0
    """Frames decoded: all, or beyond the last needed."""


def _decode(path: Path, needed: Sequence[tuple[float, float]], shape: ClipShape) -> _Decoded:
    """Returns the frames of a file that lie in some half-open ranges."""
    try:
        if not S_ISREG(path.stat().st_mode):
            raise UnreadableVideoError("is no file")
        # An open file, not its name: FFmpeg could take the name for an address, or a pattern.
        with path.open("rb") as file:
            return _decode_file(_Bytes(file), needed, shape)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise UnreadableVideoError("no such file") from None
        raise


def _decode_file(source: "_Bytes", needed: Sequence[tuple[float, float]], shape: ClipShape) -> _Decoded:
    """Returns what :func:`_decode` does, unless reading failed: then neither frames nor FFmpeg's opinion count."""
    try:
        decoded = _decode_open(source, needed, shape)
    except UnreadableVideoError:
        if source.failure is not None:
            raise source.failure from None
        raise
    if source.failure is not None:
        raise source.failure
    return decoded


def _decode_open(source: "_Bytes", needed: Sequence[tuple[float, float]], shape: ClipShape) -> _Decoded:
    result = _Decoded()
    kept = result.kept
    ranges = iter(_merge(needed))
    first, last = next(ranges)
    pictures = PictureMaker(shape.size, shape.fit)
    try:
        with av.open(source, mode="r", options=_OPTIONS, **_METADATA) as container:
            stream = _choose_stream(container)
            if stream.codec_context is None:
                raise UnreadableVideoError("has a codec this build of FFmpeg cannot decode")
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            stream.thread_type = "NONE"  # starting threads takes longer than decoding a short clip
            for frame, aspect in _frames(container, stream):
                number = result.decoded
                if frame.is_corrupt or (number - 1 in result.damaged and not frame.key_frame):
                    result.damaged.add(number)
                if number >= first:
                    kept[number] = pictures.square(frame, aspect)
                    if len(kept) * kept[number].nbytes > MAX_KEPT:
                        raise UnreadableVideoError(
                            f"has more than the {len(kept) - 1} frames of {shape.size} pixels that are kept of one file"
                        )
                result.decoded += 1
                if result.decoded >= last:
                    first, last = next(ranges, (math.inf, math.inf))
                    if first == math.inf:
                        break
    # FFmpeg's "no permission" or "input/output error" are about the content, though PyAV derives them from OSError.
    except (FFmpegError, ValueError) as error:
        raise UnreadableVideoError(f"cannot be decoded after frame {result.decoded}: {_one_line(error)}") from None
    if not result.decoded:
        raise UnreadableVideoError("has no frame")
    return result


def _choose_stream(container: InputContainer) -> VideoStream:
    """Returns the video stream ffmpeg takes by default: the largest, one marked as default before all others.

    The score is that of ``map_auto_video`` in fftools/ffmpeg_mux_init.c, except that a cover picture never counts.
    """
    streams = container.streams.video
    if not streams:
        raise UnreadableVideoError("has no video stream")
    marks: list[Any] = [getattr(stream, "disposition", None) for stream in streams]
    if None in marks:  # PyAV before 15 does not tell; FFmpeg's own choice prefers streams of several frames
        best = container.streams.best("video")
        return best if isinstance(best, VideoStream) else streams[0]
    scores = {
        i: _area(streams[i]) + 5_000_000 * bool(mark & _DEFAULT)
        for i, mark in enumerate(marks)
        if not mark & _ATTACHED_PICTURE
    }
    if not scores:
        raise UnreadableVideoError("has no video stream besides a cover picture")
    return streams[max(scores, key=lambda i: scores[i])]


def _area(stream: VideoStream) -> int:
    return 0 if stream.codec_context is None else stream.codec_context.width * stream.codec_context.height


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[tuple[VideoFrame, Fraction]]:
    """Decodes a stream: every frame with the width of its pixels over their height.

    The container's word holds for the whole stream. The codec's may change from frame to frame, as in broadcasts, and
    PyAV shows that of the last packet alone, while reordered frames come out later; so every packet carries its own.
    """
    context = stream.codec_context
    context.copy_opaque = True
    said = stream.sample_aspect_ratio  # the container's, else what the codec says at first
    fixed = said if said != context.sample_aspect_ratio else None
    for packet in container.demux(stream):
        carried: list[Fraction | None] = []
        if packet.size:
            packet.opaque = carried
        frames = _decode_packet(packet)
        carried.append(context.sample_aspect_ratio)
        for frame in frames:
            own = frame.opaque if isinstance(frame.opaque, list) else carried
            aspect = fixed or own[0]
            yield frame, aspect if aspect is not None and aspect > 0 else Fraction(1)


def _decode_packet(packet: Packet) -> list[VideoFrame]:
    return [frame for frame in packet.decode() if isinstance(frame, VideoFrame)]


class _Bytes:
    """A file as FFmpeg reads it. A damaged one makes it seek to where nothing is; that is an answer to FFmpeg, while an
    exception would be printed by PyAV. What the system fails to do is kept in ``failure``: FFmpeg sees the file end.
    """

    def __init__(self, file: BinaryIO):
        self.name = file.name  # whose ending tells FFmpeg of the format
        self.tell, self._read, self._seek = file.tell, file.read, file.seek
        self.failure: OSError | MemoryError | None = None

    def read(self, count: int = -1) -> bytes:
        try:
            return self._read(count)
        except (OSError, MemoryError) as error:
            self.failure = error
            return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._seek(offset, whence)
        except ValueError:
            return -errno.EINVAL
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOVERFLOW):
                self.failure = error
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
