"""Stored frames are what a player shows, each pixel the mean of what it covers: by formulas, and beside ffmpeg."""

import errno
import os
import shutil
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tvnjax.data import decode
from tvnjax.data.decode import ClipShape, UnreadableVideoError, decode_spans
from tvnjax.data.picture import describe_picture

RED, GREEN, BLUE, GREY = (200, 40, 40), (40, 180, 60), (40, 60, 200), (52, 52, 52)
A, B = (200, 40, 40), (40, 130, 40)
"""Of about equal luma: what keeps them apart is chroma."""
FFMPEG = shutil.which("ffmpeg")


def quadrants(width, height):
    picture = np.zeros((height, width, 3), np.uint8)
    half, middle = height // 2, width // 2
    for rows, columns, colour in (
        (slice(half), slice(middle), RED),
        (slice(half), slice(middle, None), GREEN),
        (slice(half, None), slice(middle), BLUE),
        (slice(half, None), slice(middle, None), GREY),
    ):
        picture[rows, columns] = colour
    return picture


def stripes(width=320, height=240, every=10):
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, :] = np.where((np.arange(width) // every % 2 == 0)[None, :, None], A, B)
    return picture


def write(path, pictures, *, codec="libx264", pix_fmt="yuv420p", sar=None, matrix=None, options=None, **context):
    """A video of some pictures; ``matrix``: a, b, c, d of the display matrix, written into the header as phones do."""
    options = {"crf": "1"} if options is None and codec == "libx264" else options or {}
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=10, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if sar:
            stream.sample_aspect_ratio = Fraction(*sar)
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(format=pix_fmt, interpolation="BICUBIC", dst_color_range=context.get("color_range"))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if matrix is not None:
        data = bytearray(path.read_bytes())
        at = data.index(b"tkhd") + 4 + 40
        a, b, c, d = (value * 2**16 for value in matrix)
        data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 2**30)
        path.write_bytes(data)
    return path


def stored(path, size, fit="squash"):
    shape = ClipShape(window=1, jitter=0, size=size, fit=fit, short_spans="hold")
    ((pixels, _),) = decode_spans(path, [(0, None)], shape)
    return pixels[0].astype(int)


def raw(path):
    """The first frame at its own size, by PyAV's conversion, as it lies in the file."""
    with av.open(path) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def mean_of_area(pixels, size):
    """By sums over all that lies above and left of a place, which are straight lines between pixels."""
    for _ in range(2):
        side = len(pixels)
        sums = np.concatenate([np.zeros((1, *pixels.shape[1:])), np.cumsum(pixels.astype(float), 0)])
        places = np.arange(size + 1) * side / size
        below = np.minimum(places.astype(int), side - 1)
        at = sums[below] + (places - below)[:, None, None] * (sums[below + 1] - sums[below])
        pixels = (np.diff(at, axis=0) * size / side).swapaxes(0, 1)
    return pixels


@pytest.mark.parametrize("size", [31, 32, 33, 64])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p"])
def test_colour_is_averaged_at_its_full_resolution(tmp_path, size, pix_fmt):
    """At 32 px each pixel covers one stripe; on 0.1 even sizes mixed the colours of neighbours (42 levels off)."""
    path = write(tmp_path / "stripes.mp4", [stripes()] * 2, pix_fmt=pix_fmt)
    found = stored(path, size)
    assert np.abs(found - mean_of_area(stripes(), size)).mean() < 2
    if size == 32:
        assert np.abs(found[5, 4:6] - [[198, 39, 38], [40, 129, 40]]).max() <= 2


@pytest.mark.parametrize(("width", "height"), [(33, 17), (48, 32), (64, 64), (1, 1), (2, 40), (7, 5)])
@pytest.mark.parametrize("size", [1, 16, 31, 40])
def test_each_pixel_is_the_mean_of_what_it_covers(tmp_path, width, height, size):
    """Also odd sizes, and squares larger than the frame."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    path = write(tmp_path / "noise.mkv", [noise], codec="ffv1", pix_fmt="bgr0")
    assert np.array_equal(raw(path), noise)
    np.testing.assert_allclose(stored(path, size), mean_of_area(noise, size), atol=0.51)


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), (RED, GREEN, BLUE, GREY)),
        ((0, 1, -1, 0), (BLUE, RED, GREY, GREEN)),  # a quarter turn clockwise
        ((-1, 0, 0, -1), (GREY, BLUE, GREEN, RED)),
        ((0, -1, 1, 0), (GREEN, GREY, RED, BLUE)),
        ((-1, 0, 0, 1), (GREEN, RED, GREY, BLUE)),  # mirrored
        ((1, 0, 0, -1), (BLUE, GREY, RED, GREEN)),
        ((0, 1, 1, 0), (RED, BLUE, GREEN, GREY)),
        ((0, -1, -1, 0), (GREY, GREEN, BLUE, RED)),
    ],
)
@pytest.mark.parametrize("fit", ["squash", "crop"])
def test_frames_are_upright(tmp_path, matrix, shown, fit):
    path = write(tmp_path / "phone.mp4", [quadrants(64, 48)] * 2, matrix=matrix)
    found = stored(path, 16, fit)
    assert np.abs(found[[3, 3, 12, 12], [3, 12, 3, 12]] - np.array(shown)).max() <= 6


@pytest.mark.parametrize("matrix", [None, (0, 1, -1, 0)])
@pytest.mark.parametrize("sar", [(64, 45), (1, 2), (3, 1)])
def test_the_cropped_square_is_a_square_of_what_is_shown(tmp_path, sar, matrix):
    """A disc that is round on the screen is round in the crop, whatever the shape of a pixel."""
    width, height, aspect = 72, 58, Fraction(*sar)
    short = min(width * aspect, height)
    x = (np.arange(width) + 0.5 - width / 2) * float(aspect)
    y = np.arange(height) + 0.5 - height / 2
    disc = np.where(np.hypot(x[None, :], y[:, None])[..., None] < float(short) * 0.4, 255, 0).astype(np.uint8)
    path = write(tmp_path / "wide.mp4", [disc.repeat(3, 2)] * 2, sar=sar, matrix=matrix)
    found = stored(path, 32, "crop").mean(-1) > 127
    places = np.argwhere(found)
    extents = np.ptp(places, axis=0) + 1
    assert np.abs(extents - 0.8 * 32).max() <= 2.5
    assert np.abs(found.mean() - np.pi * 0.4**2) < 0.04


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv444p", "yuv420p10le", "gray", "rgb24"])
def test_formats_and_ranges_give_the_colours_that_were_written(tmp_path, pix_fmt):
    codec = "ffv1" if pix_fmt in ("gray", "rgb24") else "libx264"
    pix_fmt = "bgr0" if pix_fmt == "rgb24" else pix_fmt
    context = {"color_range": 2} if pix_fmt == "yuvj420p" else {}
    path = write(tmp_path / "a.mkv", [quadrants(64, 48)] * 2, codec=codec, pix_fmt=pix_fmt, **context)
    expected = mean_of_area(quadrants(64, 48), 16)
    if pix_fmt == "gray":
        expected = expected @ [0.299, 0.587, 0.114]
        expected = expected[..., None].repeat(3, -1)
    assert np.abs(stored(path, 16) - expected)[[3, 3, 12, 12], [3, 12, 3, 12]].max() <= 5


def test_the_frames_of_a_stream_that_changes_size_are_each_of_their_own(tmp_path):
    one, other = write(tmp_path / "a.ts", [quadrants(64, 48)] * 3), write(tmp_path / "b.ts", [quadrants(96, 32)] * 3)
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + other.read_bytes())
    shape = ClipShape(window=5, jitter=0, size=16, fit="squash", short_spans="hold")
    ((pixels, _),) = decode_spans(both, [(0, 5)], shape)
    corners = pixels[:, [3, 3, 12, 12], [3, 12, 3, 12]].astype(int)
    assert np.abs(corners - np.array((RED, GREEN, BLUE, GREY))).max() <= 6


def test_a_cover_is_no_video(tmp_path):
    song = tmp_path / "song.mp3"
    with av.open(song, "w") as container:
        sound = container.add_stream("libmp3lame" if "libmp3lame" in av.codecs_available else "mp3", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.int16), format="s16", layout="mono")
        frame.sample_rate = 44100
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    with pytest.raises(UnreadableVideoError, match="no video stream"):
        stored(song, 16)
    picture = write(tmp_path / "cover.png", [quadrants(32, 32)], codec="png", pix_fmt="rgb24").read_bytes()
    text = b"image/png\0\x03\0" + picture
    apic = b"APIC" + struct.pack(">I", len(text) + 1) + b"\0\0" + b"\0" + text
    size = len(apic)
    header = b"ID3\x03\0\0" + bytes((size >> shift) & 127 for shift in (21, 14, 7, 0))
    song.write_bytes(header + apic + song.read_bytes())
    with av.open(song) as container:
        assert len(container.streams.video) == 1, "the cover is a stream like any other to a decoder"
    with pytest.raises(UnreadableVideoError, match="no video stream"):
        stored(song, 16)


class Failing:
    """A file whose disk breaks."""

    def __init__(self, file, after):
        self._file, self.name, self._left = file, file.name, after

    def read(self, size=-1):
        self._left -= 1
        if self._left < 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._file.read(size)

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize("after", [0, 2])
def test_what_the_system_cannot_read_is_no_damaged_video(tmp_path, monkeypatch, after):
    noise = np.random.default_rng(0).integers(0, 256, (20, 192, 256, 3), np.uint8)
    path = write(tmp_path / "a.mkv", list(noise), codec="ffv1", pix_fmt="bgr0")
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *a, **k: Failing(real(path, *a, **k), after))
    with pytest.raises(OSError, match="Input/output error") as raised:
        stored(path, 16)
    assert not isinstance(raised.value, decode.FFmpegError)


def test_missing_and_damaged_videos_are_that(tmp_path):
    path = write(tmp_path / "a.mp4", [quadrants(64, 48)] * 3)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for place, words in ((path, "cannot be decoded"), (tmp_path / "none.mp4", "no such file")):
        with pytest.raises(UnreadableVideoError, match=words):
            stored(place, 16)


def covered(pixels, start, length):
    """How much of each pixel lies between two places."""
    old = np.arange(pixels)
    return np.clip(np.minimum(old + 1, start + length) - np.maximum(old, start), 0, 1)


def test_the_description_says_how_to_do_it(tmp_path):
    """Its formulas, followed literally, give the stored square."""
    picture = np.random.default_rng(1).integers(0, 256, (30, 50, 3), np.uint8)
    path = write(tmp_path / "a.mkv", [picture], codec="ffv1", pix_fmt="bgr0")
    for fit in ("squash", "crop"):
        area = describe_picture(fit)["area"].split(": ", 1)[1]
        names = {"W": 50, "H": 30, "A": 1, "min": min}
        for part in area.replace("left = top = 0", "left = 0, top = 0").split(", "):
            if " = " not in part:  # the second half of min(W * A, H)
                continue
            name, formula = part.split(" = ")
            names[name] = eval(formula + (", H)" if formula.startswith("min(") else ""), names)  # noqa: S307
        size = 10
        expected = np.zeros((size, size, 3))
        for i in range(size):
            for j in range(size):
                top, left = names["top"] + i * names["high"] / size, names["left"] + j * names["wide"] / size
                rows = covered(30, top, names["high"] / size)
                weights = rows[:, None] * covered(50, left, names["wide"] / size)[None, :]
                expected[i, j] = (weights[..., None] * picture).sum((0, 1)) / weights.sum()
        np.testing.assert_allclose(stored(path, size, fit), expected, atol=0.51)


@pytest.mark.skipif(FFMPEG is None, reason="compares with the program ffmpeg")
@pytest.mark.parametrize("size", [31, 32, 33, 64])
@pytest.mark.parametrize(
    "made",
    [
        {},
        {"matrix": (0, 1, -1, 0)},
        {"matrix": (-1, 0, 0, -1)},
        {"matrix": (0, -1, 1, 0)},
        {"matrix": (-1, 0, 0, 1)},
        {"pix_fmt": "yuvj420p", "color_range": 2},
        {"pix_fmt": "yuv422p"},
        {"pix_fmt": "yuv420p10le"},
        {"colorspace": 1},
        {"colorspace": 9},
        {"sar": (64, 45)},
        {"options": {"crf": "1", "x264-params": "tff=1"}},
        {"options": {"crf": "1", "x264-params": "bff=1"}},
        {"codec": "mpeg4", "options": {"qscale": "1"}},
        {"codec": "mjpeg", "pix_fmt": "yuvj422p"},
    ],
    ids=str,
)
def test_frames_are_those_of_ffmpeg(tmp_path, made, size):
    """Within three levels on average: ffmpeg's own area filter rounds in between, and smooths chroma a little."""
    rng = np.random.default_rng(0)
    picture = quadrants(96, 80)
    picture[20:60, 30:70] = rng.integers(0, 256, (5, 5, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    path = write(tmp_path / "made.mp4", [picture] * 3, **made)
    scale = f"scale={size}:{size}:flags=area+accurate_rnd+full_chroma_int+full_chroma_inp"
    call = [FFMPEG, "-v", "error", "-i", path, "-frames:v", "1", "-vf", scale]
    call += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    theirs = np.frombuffer(subprocess.run(call, capture_output=True, check=True).stdout, np.uint8)
    difference = np.abs(stored(path, size) - theirs.reshape(size, size, 3).astype(int))
    assert difference.mean() < 3 and np.quantile(difference, 0.98) < 24
