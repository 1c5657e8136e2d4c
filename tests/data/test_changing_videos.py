"""Videos that do not stay as they begin: another pixel aspect, damaged frames."""

from fractions import Fraction

import av
import numpy as np
import pytest

from tests.data.pictures import (
    encode,
    frame_of,
    mean_square,
    rgb_noise,
    shown_crop,
    stored,
    striped_planes,
    to_rgb,
    write,
)
from tvnjax.data.decode import ClipShape, DamagedSpanError, decode_spans


def test_the_pixel_aspect_may_change_within_a_video(tmp_path):
    """As broadcasts do; MPEG-2 says 4:3 or 16:9 for each sequence, and frames come out later than they go in."""
    planes = striped_planes(128, 64, (2, 2))
    content = b""
    for aspect in (Fraction(2, 3), Fraction(8, 9)):
        path = write(tmp_path / "part.mpg", [planes] * 7, "yuv420p", codec="mpeg2video", aspect=aspect)
        with av.open(str(path)) as part:
            content += b"".join(bytes(packet) for packet in part.demux(video=0))
    path = tmp_path / "a.m2v"
    path.write_bytes(content)
    with av.open(str(path)) as container:
        decoded = [frame.to_ndarray() for frame in container.decode(video=0)]
    assert len(decoded) == 14
    for index, (frame, got) in enumerate(zip(decoded, stored(path, 16, "crop", frames=14), strict=True)):
        chroma = (part.reshape(32, 64) for part in np.split(frame[64:].reshape(-1), 2))
        shown = shown_crop(to_rgb([frame[:64], *chroma]), Fraction(2, 3) if index < 7 else Fraction(8, 9))
        assert np.abs(got - mean_square(shown, 16)).max() <= 1.01


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.ts", "mpeg2video"), ("a.mkv", "mpeg4")]
)
def test_clips_of_damaged_frames_are_not_used(tmp_path, name, codec):
    """Key frames are 0, 10, 20, 30; some bytes of frame 13 are changed, and 14 to 19 are made of it."""
    path = tmp_path / name
    scene = rgb_noise(40, 30).repeat(4, 0).repeat(4, 1)
    with av.open(str(path), "w") as container:
        cuts = "0" if codec == "libx264" else "1000000000"  # no key frames but those asked for
        stream = container.add_stream(codec, rate=25, options={"g": "10", "bf": "0", "sc_threshold": cuts})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 160, 120, "yuv420p", 10**6
        encode(
            container,
            stream,
            [frame_of([np.roll(scene, 3 * i, 1)], "rgb24").reformat(format="yuv420p") for i in range(40)],
        )
    shape = ClipShape(window=5, jitter=0, size=16, fit="squash", short_spans="error")
    spans = [(0, 5), (8, 13), (9, 14), (15, 20), (20, 25), (30, 40)]
    sound = list(decode_spans(path, spans, shape))
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][13]
    start = (content.index(bytes(packet)) if codec != "mpeg2video" else packet.pos or 0) + packet.size // 3
    content[start : start + 10] = bytes(255 - byte for byte in content[start : start + 10])
    path.write_bytes(content)
    for i, (was, now) in enumerate(zip(sound, decode_spans(path, spans, shape), strict=True)):
        if i in (2, 3):
            assert isinstance(now, DamagedSpanError) and str(now).endswith(f"first is frame {(13, 15)[i - 2]}")
        else:
            assert isinstance(was, tuple) and isinstance(now, tuple) and (was[0] == now[0]).all()
