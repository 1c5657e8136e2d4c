"""Clips as a network reads them: cut out of a video, or made of an array, as those it was trained on."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tvnjax.core.errors import InvalidInputError
from tvnjax.data.arrays import ArrayData
from tvnjax.data.decode import DamagedSpanError, UnreadableVideoError, decode_spans
from tvnjax.data.frames import check_frames, square_frames, to_pixels
from tvnjax.data.preparation import ClipSizes, Preparation
from tvnjax.data.sampling import ClipSampler
from tvnjax.data.spans import ShortSpanError, SpanOutsideVideoError
from tvnjax.data.video_folder import VideoData
from tvnjax.zoo.resolve import reading
from tvnjax.zoo.trained import TrainedNetwork

_RULE = "a clip is an array [frames, height, width, 3] of uint8 or of floats from 0 to 1, several have an axis before"


class ClipMaker:
    """Makes the clips that a trained network reads.

    Args:
        trained: the network; its weights say how the clips of its training were made.

    Raises:
        InvalidInputError: what the weights say is damaged.
    """

    def __init__(self, trained: TrainedNetwork):
        self._name, self._reading = trained.entry.name, reading(trained.entry)
        self._known = Preparation.from_json(trained.clips, trained.entry.name)
        read = self._reading
        span = (read.num_frames - 1) * read.frame_stride + 1
        own: ClipSizes = {"num_frames": span, "frame_stride": 1, "image_size": read.image_size}
        self._sizes: ClipSizes = own if self._known is None else self._known.sizes

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of what the network reads of a clip: frames, height, width, 3."""
        read = self._reading
        return read.num_frames, read.image_size, read.image_size, 3

    def of_video(self, path: Path, span: tuple[int, int | None]) -> np.ndarray:
        """Reads a clip of a video, uint8 ``[frames, size, size, 3]``, cut and stored as ``tvnjax evaluate`` does.

        Args:
            path: the file.
            span: the first frame, and one past the last; None: to the end.

        Raises:
            InvalidInputError: it cannot be decoded, or the span lies outside of it.
        """
        video = None if self._known is None else self._known.video
        if video is None:
            warnings.warn(
                f"the weights of {self._name} do not say how a video is cut, for they were trained on "
                f"{'clips of version 0.1' if self._known is None else 'drawn clips or arrays'}: the middle of "
                f"{path.name!r:.100} is read, whole frames scaled to a square",
                stacklevel=3,
            )
            video = VideoData()
        shape = video.clip_shape(**self._sizes)
        try:
            (found,) = decode_spans(path, [span], shape)
        except (UnreadableVideoError, ShortSpanError, OSError) as error:
            raise InvalidInputError(f"a video is a file that can be decoded; {path}: {error}: check the file") from None
        if isinstance(found, SpanOutsideVideoError | DamagedSpanError):
            raise InvalidInputError(f"a clip is cut out of the frames of a video; {path}: {found}: name other frames")
        pixels, placement = found
        return self._cut(pixels, placement.span, placement.valid, video.shift)

    def of_array(self, array: Any) -> tuple[np.ndarray, bool]:
        """Clips ``[clips, frames, size, size, 3]`` uint8 as the network reads them, and whether there was one alone.

        An array's frames are those of a video at its own rate: the network reads as many as it takes, as far apart as
        it takes them, out of the middle. An array of exactly as many frames as it takes is read as it is.

        Raises:
            InvalidInputError: it is no clip, or has too few frames.
        """
        try:
            clips = np.asarray(array)
        except ValueError as error:
            raise InvalidInputError(f"{_RULE}; {error}") from None
        # [frames, height, width] is grey; four axes are one clip in colour, or in grey if the last says 1.
        single = clips.ndim <= 4
        if single:
            clips = clips[None]
        check_frames(clips, _RULE, leading=1, values=True)
        return np.stack([self._of_frames(to_pixels(clip)) for clip in clips]), single

    def _of_frames(self, pixels: np.ndarray) -> np.ndarray:
        count, read = len(pixels), self._reading
        window = (read.num_frames - 1) * read.frame_stride + 1
        source = None if self._known is None else self._known.source
        if isinstance(source, VideoData | ArrayData):
            fit, shift = source.fit, source.shift
            stored = square_frames(pixels, self._sizes["image_size"] + 2 * shift, fit)
        else:
            # Drawn clips are stored at their own size; the sampler scales them down.
            shift, (height, width) = 0, pixels.shape[1:3]
            whole = height == width >= read.image_size
            stored = pixels if whole else square_frames(pixels, self._sizes["image_size"], "squash")
        if count == read.num_frames:
            return self._cut(np.repeat(stored, read.frame_stride, 0)[:window], (0, window), (0, window), shift)
        if count < window:
            raise InvalidInputError(
                f"{self._name} reads {read.num_frames} frames of a clip, {read.frame_stride} apart; got {count}: "
                f"give {window} or more of a video, or just the {read.num_frames}"
            )
        return self._cut(stored, (0, count), (0, count), shift)

    def _cut(self, stored: np.ndarray, span: tuple[int, int], valid: tuple[int, int], shift: int) -> np.ndarray:
        """What the network reads of a stored clip, as where it is scored."""
        read = self._reading
        sampler = ClipSampler(
            num_frames=read.num_frames,
            frame_stride=read.frame_stride,
            image_size=read.image_size,
            stored_size=stored.shape[1],
            shift=shift,
            flip=False,
        )
        record = {"clip": stored, "span": np.array(span), "valid": np.array(valid), "label": 0}
        return sampler.centred([record])["clip"][0]
