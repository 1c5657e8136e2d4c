"""A stored frame is what a player shows: colours, aspect, orientation, the mean of the pixels it covers."""

import errno
import itertools
import json
import math
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.error import err_check

from tests.data.pictures import (
    add_stream,
    encode,
    frame_of,
    mean_square,
    patch_matrix,
    rgb_noise,
    shown_crop,
    stored,
    striped_planes,
    to_rgb,
    turned,
    write,
)
from tvnjax.data.area import area_mean
from tvnjax.data.decode import UnreadableVideoError
from tvnjax.data.picture import _EXACT, Fit, describe_picture, shown_rectangle

SIZES = (31, 32, 33, 64, 100)
SQUARE = Fraction(1)
TOLERANCE = 1.01 if _EXACT else 4.01  # levels: the conversion rounds once, the mean once
FORMATS = {
    "yuv420p": (2, 2),
    "yuv422p": (2, 1),
    "yuv411p": (4, 1),
    "yuv410p": (4, 4),
    "yuv440p": (1, 2),
    "yuv444p": (1, 1),
}
ORIENTATIONS = [
    matrix
    for matrix in itertools.product((-1, 0, 1), repeat=4)
    if abs(matrix[0] * matrix[3] - matrix[1] * matrix[2]) == 1 and sum(map(abs, matrix)) == 2
]


def assert_near(got, expected, tolerance=TOLERANCE):
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= tolerance


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_a_pixel_is_the_mean_of_those_it_covers(tmp_path, pix_fmt, size):
    for width, height in ((96, 64), (20, 90), (47, 33)):
        if pix_fmt == "yuv410p" and width % 4:
            continue  # FFV1 itself loses samples of it
        planes = striped_planes(width, height, FORMATS[pix_fmt])
        path = write(tmp_path / f"{width}.mkv", [planes], pix_fmt)
        rgb = to_rgb(planes)
        assert_near(stored(path, size)[0], mean_square(rgb, size))
        assert_near(stored(path, size, "crop")[0], mean_square(shown_crop(rgb, SQUARE), size))


@pytest.mark.parametrize("size", [31, 32, 33, 64])
def test_stripes_keep_their_colours_in_a_siting_codec(tmp_path, size):
    """MPEG-2 says where its chroma samples lie; stripes of ten pixels, each as many samples in whole."""
    planes = striped_planes(320, 240, (2, 2))
    planes[0][:] = 100
    planes[1][:], planes[2][:] = (np.where(np.arange(160) // 5 % 2, a, b) for a, b in ((98, 110), (190, 80)))
    path = write(tmp_path / "a.mpg", [planes] * 3, "yuv420p", codec="mpeg2video")
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0)).to_ndarray()
    decoded = frame[:240], *(part.reshape(120, 160) for part in np.split(frame[240:].reshape(-1), 2))
    assert_near(stored(path, size)[0], mean_square(to_rgb(decoded), size))


@pytest.mark.parametrize(("matrix", "full"), list(itertools.product((1, 2, 5, 6, 9), (0, 1, 2))))
def test_matrix_and_range_are_the_frames_own(tmp_path, matrix, full):
    planes = striped_planes(48, 32, (2, 2))
    path = write(tmp_path / "a.mkv", [planes], "yuv420p", matrix=matrix, full=full)
    assert_near(stored(path, 16)[0], mean_square(to_rgb(planes, matrix=matrix, full=full == 2), 16))


def test_old_formats_that_mean_full_range(tmp_path):
    planes = [np.full((32, 48), 110, np.uint8), *[np.full((16, 24), value, np.uint8) for value in (120, 140)]]
    path = write(tmp_path / "a.avi", [planes], "yuvj420p", codec="mjpeg")
    assert_near(stored(path, 16)[0], mean_square(to_rgb(planes, full=True), 16), 2 * TOLERANCE)


@pytest.mark.parametrize("size", [16, 33])
def test_ten_bits(tmp_path, size):
    planes = striped_planes(48, 32, (2, 2), bits=10)
    planes[0] += 1
    path = write(tmp_path / "a.mkv", [planes], "yuv420p10le")
    assert_near(stored(path, size)[0], mean_square(to_rgb(planes, bits=10), size))


@pytest.mark.parametrize("size", [16, 33])
def test_grey_and_rgb_and_alpha(tmp_path, size):
    rgba = np.random.default_rng(1).integers(0, 256, (31, 45, 4), np.uint8)
    rgb = rgba[..., :3].astype(float)
    assert_near(
        stored(write(tmp_path / "g.mov", [[rgba[..., 0]]], "gray", codec="png"), size)[0],
        mean_square(np.repeat(rgb[..., :1], 3, -1), size),
    )
    assert_near(
        stored(write(tmp_path / "c.mov", [[rgba[..., :3]]], "rgb24", codec="png"), size)[0],
        mean_square(rgb, size),
        0.501,
    )
    # Not blended with anything: a pixel nobody sees keeps its colour.
    assert_near(
        stored(write(tmp_path / "a.mov", [[rgba]], "rgba", codec="png"), size)[0], mean_square(rgb, size), 0.501
    )


def test_palettes(tmp_path):
    colours, index = rgb_noise(16, 16).reshape(256, 3), rgb_noise(48, 32)[..., 0]
    argb = np.concatenate([np.full((256, 1), 255, np.uint8), colours], 1)
    frame = av.VideoFrame.from_ndarray((index, argb), format="pal8")  # pyright: ignore[reportArgumentType]
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        encode(container, add_stream(container, frame, "png"), [frame])
    with av.open(str(tmp_path / "a.mov")) as container:
        assert next(container.decode(video=0)).format.name == "pal8"
    assert_near(stored(tmp_path / "a.mov", 20)[0], mean_square(colours[index].astype(float), 20), 0.501)


@pytest.mark.parametrize("fit", ["squash", "crop"])
@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_all_eight_orientations(tmp_path, matrix, fit):
    planes = striped_planes(46, 30)
    path = patch_matrix(write(tmp_path / "a.mp4", [planes] * 2, "yuv444p"), matrix)
    shown = turned(to_rgb(planes), matrix)
    shown = shown_crop(shown, SQUARE) if fit == "crop" else shown
    for size in (17, 40):
        for frame in stored(path, size, fit, frames=2):
            assert_near(frame, mean_square(shown, size))


def test_there_are_eight_orientations_and_no_other(tmp_path):
    assert len(ORIENTATIONS) == 8
    path = write(tmp_path / "a.mp4", [striped_planes(46, 30)], "yuv444p")
    plain = stored(path, 16)
    for degrees in (0.5, 359.5):
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        assert (stored(patch_matrix(path, (c, s, -s, c)), 16) == plain).all()
    assert (stored(patch_matrix(path, (0, 0, 0, 0)), 16) == plain).all()
    with pytest.raises(UnreadableVideoError, match="turn it by 45 degrees, which is no quarter turn"):
        stored(patch_matrix(path, (0.7, 0.7, -0.7, 0.7)), 16)


@pytest.mark.parametrize("matrix", [(1, 0, 0, 1), (0, 1, -1, 0), (0, -1, -1, 0)])
@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(1, 3), Fraction(3, 2), Fraction(16, 11), Fraction(10, 11)])
def test_a_crop_is_a_square_of_what_is_shown(tmp_path, aspect, matrix):
    planes = striped_planes(45, 30)
    path = patch_matrix(write(tmp_path / "a.mp4", [planes], "yuv444p", aspect=aspect), matrix)
    shown = turned(shown_crop(to_rgb(planes), aspect), matrix)
    assert_near(stored(path, 16, "crop")[0], mean_square(shown, 16))
    assert_near(stored(path, 16)[0], mean_square(turned(to_rgb(planes), matrix), 16))


def test_fields_stay_woven(tmp_path):
    planes = striped_planes(64, 48, (2, 2))
    interlaced = 0x40000 | 0x20000000  # AV_CODEC_FLAG_INTERLACED_DCT and _ME
    path = write(tmp_path / "a.mpg", [planes] * 3, "yuv420p", codec="mpeg2video", flags=interlaced)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    assert frame.interlaced_frame
    whole = frame.to_ndarray()
    decoded = whole[:48], *(part.reshape(24, 32) for part in np.split(whole[48:].reshape(-1), 2))
    assert_near(stored(path, 24)[0], mean_square(to_rgb(decoded), 24))


def test_the_size_may_change_within_a_video(tmp_path):
    pictures = [
        np.random.default_rng(i).integers(0, 256, size, np.uint8)
        for i, size in enumerate([(30, 44, 3), (64, 20, 3), (31, 31, 3)])
    ]
    packets = []
    for picture in pictures:
        encoder = av.CodecContext.create("png", "w")
        encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = (
            *picture.shape[1::-1],
            "rgb24",
            Fraction(1, 25),
        )
        packets += [*encoder.encode(frame_of([picture], "rgb24")), *encoder.encode()]
    with av.open(str(tmp_path / "a.nut"), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 44, 30, "rgb24"
        for index, packet in enumerate(packets):
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, index, index, Fraction(1, 25)
            container.mux(packet)
    for fit in ("squash", "crop"):
        for got, picture in zip(stored(tmp_path / "a.nut", 16, fit, frames=3), pictures, strict=True):
            expected = shown_crop(picture, SQUARE) if fit == "crop" else picture
            assert_near(got, mean_square(expected.astype(float), 16), 0.501)


def flat(width, height, level):
    return frame_of([np.full((height, width, 3), level, np.uint8)], "rgb24").reformat(format="bgr0")


def test_the_largest_stream_is_taken_unless_another_is_the_default(tmp_path):
    for default, level in ((None, 200), (0, 50), (2, 120)):
        with av.open(str(tmp_path / "a.mkv"), "w") as container:
            frames = [flat(32, 32, 50), flat(64, 64, 200), flat(48, 48, 120)]
            streams = [
                add_stream(container, frame, "ffv1", disposition=int(index == default))
                for index, frame in enumerate(frames)
            ]
            for stream, frame in zip(streams, frames):
                encode(container, stream, [frame] * 3)
        assert np.abs(stored(tmp_path / "a.mkv", 8, frames=3) - level).max() <= 1


@pytest.mark.parametrize("with_video", [True, False])
def test_a_cover_is_no_video(tmp_path, with_video):
    path, cover = tmp_path / "a.mp4", 0x400  # AV_DISPOSITION_ATTACHED_PIC
    picture, frame = flat(128, 128, 250).reformat(format="rgb24"), flat(32, 32, 60)
    with av.open(str(path), "w") as container:
        other = add_stream(container, frame, "ffv1") if with_video else container.add_stream("aac", rate=8000)
        stream = add_stream(container, picture, "png", disposition=cover)
        encode(container, stream, [picture])
        encode(container, other, [frame] * 3 if with_video else [])
    with av.open(str(path)) as container:
        assert int(container.streams.video[-1].disposition) & cover
    if with_video:
        assert (np.abs(stored(path, 8, frames=3) - 60) <= 1).all()
    else:
        with pytest.raises(UnreadableVideoError, match="no video stream besides a cover picture"):
            stored(path, 8)


class Failing:
    """A file that reads some bytes and then fails."""

    def __init__(self, file, good, error):
        self.name, self.tell, self.seek = file.name, file.tell, file.seek
        self.file, self.good, self.error = file, good, error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def read(self, count=-1):
        if self.file.tell() + count > self.good:
            raise self.error
        return self.file.read(count)


@pytest.mark.parametrize("share", [0, 0.5, 0.9])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "disk"), OSError(errno.ESTALE, "gone"), MemoryError("full")])
@pytest.mark.parametrize("name", ["a.nut", "a.avi", "a.mov"])
def test_a_failing_system_is_not_a_bad_video(tmp_path, monkeypatch, name, error, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = write(tmp_path / name, [[noise]] * 30, "rgb24", codec="png")
    good, opened = path.stat().st_size * share, Path.open
    monkeypatch.setattr(Path, "open", lambda self, mode: Failing(opened(self, mode), good, error))
    with pytest.raises((OSError, MemoryError)) as raised:
        stored(path, 8)
    assert raised.value is error


@pytest.mark.parametrize("method", ["open", "stat"])
def test_a_file_that_may_not_be_read(tmp_path, monkeypatch, method):
    path = write(tmp_path / "a.mkv", [striped_planes(16, 16)], "yuv444p")

    def fail(*_, **__):
        raise PermissionError(errno.EACCES, "not yours")

    with monkeypatch.context() as patch, pytest.raises(PermissionError):
        patch.setattr(Path, method, fail)
        stored(path, 8)


def test_what_ffmpeg_says_of_a_file_is_about_the_file(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mkv", [striped_planes(16, 16)], "yuv444p")
    (tmp_path / "loop").symlink_to("loop")
    for missing in ("none.mkv", "a.mkv/none", "loop", "x" * 300):
        with pytest.raises(UnreadableVideoError, match="no such file"):
            stored(tmp_path / missing, 8)
    with pytest.raises(UnreadableVideoError, match="is no file"):
        stored(tmp_path, 8)
    for number in (errno.EIO, errno.EACCES, errno.EINVAL):

        def fail(*_, number=number, **__):
            err_check(-number)

        with monkeypatch.context() as patch, pytest.raises(UnreadableVideoError, match="cannot be decoded"):
            patch.setattr(av, "open", fail)
            stored(path, 8)


CUTS: list[tuple[Fraction, Fit]] = [(SQUARE, "squash"), (SQUARE, "crop"), (Fraction(4, 3), "crop")]


def test_means_are_exact():
    rng = np.random.default_rng(4)
    for height, width, size in ((7, 5, 3), (4, 4, 8), (6, 9, 6), (2, 12, 4), (1, 40, 3), (50, 31, 5)):
        pixels = rng.integers(0, 256, (height, width), np.uint8)
        for aspect, fit in CUTS:
            rows, columns = shown_rectangle(width, height, aspect, fit)
            got = area_mean(pixels, rows, columns, size)
            for i, j in np.ndindex(*got.shape):
                total = sum(
                    int(pixels[y, x]) * overlap(rows, i, size, y) * overlap(columns, j, size, x)
                    for y, x in np.ndindex(height, width)
                )
                cell = (rows[1] - rows[0]) * (columns[1] - columns[0]) / size**2
                assert got[i, j] == round(total / cell)  # Fraction rounds halves to even


def overlap(interval, cell, size, pixel):
    step = (interval[1] - interval[0]) / size
    low = interval[0] + cell * step
    return max(Fraction(0), min(low + step, Fraction(pixel + 1)) - max(low, Fraction(pixel)))


def test_hostile_aspects_neither_overflow_nor_leave_the_frame():
    for aspect in (Fraction(2**31 - 1), Fraction(1, 2**31 - 1), Fraction(2**31 - 1, 2**31 - 2)):
        white = np.full((90, 160), 255, np.uint8)
        assert (area_mean(white, *shown_rectangle(160, 90, aspect, "crop"), 33) == 255).all()


def test_the_description_is_json_and_names_what_differs():
    squash, crop = json.loads(json.dumps(describe_picture("squash"))), json.loads(json.dumps(describe_picture("crop")))
    assert {key for key in squash if squash[key] != crop[key]} == {"fit", "pixel_aspect", "rectangle"}
    assert all(isinstance(value, str) and value for value in (*squash.values(), *crop.values()))


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="compares with the ffmpeg program")
@pytest.mark.parametrize("size", [31, 32, 33, 45, 60])
def test_as_ffmpeg_scales(tmp_path, size):
    """Within 4 levels anywhere, 1 on average: ffmpeg rounds its weights to 14 bits and sums them once per axis.

    Where it enlarges, even if the chroma alone, ffmpeg's area scaling becomes bilinear: only smaller squares compare.
    """
    made = [
        (write(tmp_path / f"{pix_fmt}.mp4", [striped_planes(240, 180, chroma)], pix_fmt, matrix=matrix, full=full))
        for (pix_fmt, chroma), (matrix, full) in zip(FORMATS.items(), itertools.cycle(((1, 1), (2, 0), (6, 2))))
        if pix_fmt not in ("yuv410p", "yuv440p")
    ]
    for index, matrix in enumerate(ORIENTATIONS):
        path = write(tmp_path / f"turned{index}.mp4", [striped_planes(240, 180, (2, 2))], "yuv420p")
        made.append(patch_matrix(path, matrix))
    for path in made:
        flags = "area+accurate_rnd+full_chroma_int+full_chroma_inp"
        command = ["ffmpeg", "-v", "error", "-i", path, "-vf", f"scale={size}:{size}:flags={flags}"]
        raw = subprocess.run(
            [*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True
        ).stdout
        expected = np.frombuffer(raw, np.uint8).reshape(size, size, 3).astype(int)
        difference = np.abs(stored(path, size)[0] - expected)
        assert difference.max() <= 4 and difference.mean() <= 1, (path.name, difference.max(), difference.mean())
