"""Small videos whose every frame says its own number, and the one-line rule for errors."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tvnjax.core.errors import InvalidInputError

STEP = 3  # luma levels from one frame to the next: room for 70 frames, and for rounding and lossy codecs


@pytest.fixture
def write_video() -> Callable[..., Path]:
    """Returns a function that encodes frames of flat grey: frame ``i`` has the luma ``16 + 3 * i``.

    The first ``bright`` columns are 100 levels brighter.
    """

    def write(
        path: Path,
        frames: int,
        *,
        codec: str = "ffv1",
        size: tuple[int, int] = (48, 32),
        bright: int = 0,
        **options: str,
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = size
        with av.open(path, "w", format=options.pop("format", None)) as container:
            stream = container.add_stream(codec, rate=25, options=options)
            stream.width, stream.height, stream.time_base = width, height, Fraction(1, 25)
            stream.pix_fmt = "yuv420p"
            for i in range(frames):
                planes = np.full((height * 3 // 2, width), 128, np.uint8)  # luma, then chroma
                planes[:height] = 16 + STEP * i
                planes[:height, :bright] += np.uint8(100)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
            container.mux(stream.encode())
        return path

    return write


@pytest.fixture
def frame_numbers() -> Callable[[np.ndarray], list[int]]:
    """Returns a function that reads the frame numbers back from uint8 [t, h, w, 3]."""
    # Luma 16 to 235 becomes 0 to 255.
    return lambda clip: np.rint(clip[:, :, -1].mean((1, 2)) / (STEP * 255 / 219)).astype(int).tolist()


@pytest.fixture
def write_manifest(tmp_path: Path) -> Callable[..., Path]:
    """Returns a function that writes lines to ``clips.csv`` beside the videos."""

    def write(*lines: str, name: str = "clips.csv", encoding: str = "utf-8", newline: str = "\n") -> Path:
        (tmp_path / name).write_bytes(newline.join(lines).encode(encoding))
        return tmp_path / name

    return write


@pytest.fixture
def refused() -> Callable[..., str]:
    """Returns a function that calls another and checks that it refuses its input in one line holding some words."""

    def check(call: Callable[[], object], *words: str) -> str:
        with pytest.raises(InvalidInputError) as raised:
            call()
        message = str(raised.value)
        assert message == message.strip() and len(message.splitlines()) == 1, message
        assert ";" in message, f"no advice on what to do in {message!r}"
        missing = [word for word in words if word not in message]
        assert not missing, f"{missing} not in {message!r}"
        return message

    return check


@pytest.fixture
def class_folders(tmp_path: Path, write_video: Callable[..., Path]) -> Callable[..., Path]:
    """Returns a function that makes ``videos/<class>/<n>.mkv``, each of ``frames`` frames."""

    def make(classes: Iterable[str] = ("cat", "dog"), *, videos: int = 4, frames: int = 12) -> Path:
        for label in classes:
            for i in range(videos):
                write_video(tmp_path / "videos" / label / f"{i}.mkv", frames)
        return tmp_path / "videos"

    return make
