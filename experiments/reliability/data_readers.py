"""The readers of clips under test: manifests, folders, videos."""

import csv
import io
import random
import shutil
from pathlib import PurePosixPath

import av
import numpy as np

from experiments.reliability.mutations import mutate_bytes
from experiments.reliability.reader import Reader, ensure, quiet
from tvnjax.core.errors import InvalidInputError
from tvnjax.data.decode import ClipShape, DamagedSpanError, UnreadableVideoError, decode_spans
from tvnjax.data.folder import read_folder
from tvnjax.data.manifest import LabelledSpan, read_manifest
from tvnjax.data.settled import settle
from tvnjax.data.spans import ShortSpanError, SpanOutsideVideoError

_CONTAINERS = (
    *(("avi", "mpeg4"), ("mp4", "mpeg4"), ("mp4", "libx264"), ("matroska", "ffv1"), ("webm", "libvpx-vp9")),
    *(("mpegts", "mpeg2video"), ("mov", "mjpeg"), ("avi", "rawvideo"), ("gif", "gif"), ("flv", "flv")),
    *(("apng", "apng"), ("ogg", "libtheora"), ("asf", "wmv2"), ("nut", "huffyuv"), ("yuv4mpegpipe", "rawvideo")),
    ("mov", "png"),
)
_CELLS = (
    *("", " ", "0", "-1", "7", "9" * 30, "1.5", "train", "val", "tset", "a.mp4", "../a", "/a", "x\ny", "\x1b[2J", "猫"),
    *("<script>", "x" * 300),
)
_NAMES = (
    *("a.mp4", "train", "val", "test", ".hidden", "b.avi", "x" * 200, "ü猫", "a\nb", "\x1bz", "readme.txt", "c", "d"),
    *("c", "d"),
)


class Manifests(Reader):
    """``read_manifest`` and the splits made of it."""

    name = "manifests"

    def case(self, rng: random.Random) -> None:
        rows = [["path", "label", "start_frame", "end_frame", "split"]]
        for index in range(rng.choice((8, 16, 30))):
            split = ("train", "train", "val", "test")[index // 2 % 4]
            rows.append([f"v/{index}.mp4", "ab"[index % 2], "", str(index + 3), split])
        for _ in range(rng.choice((0, 0, 1, 2))):
            row = rng.choice(rows)
            row[rng.randrange(len(row))] = rng.choice(_CELLS)
        if rng.random() < 0.3:
            columns = rng.sample(range(5), rng.randrange(1, 6))
            rows = [[row[column] for column in columns] for row in rows]
        buffer = io.StringIO()
        csv.writer(buffer).writerows(rows)
        content = buffer.getvalue().encode()
        path = self.folder / "clips.csv"
        path.write_bytes(mutate_bytes(rng, content) if rng.random() < 0.4 else content)
        listing = read_manifest(path)
        _check_spans(listing.spans)
        settled = settle(self.folder, listing, val_fraction=0.2, test_fraction=0.2, seed=0)
        ensure(len(settled.spans) == len(listing.spans), "a row lost")
        ensure({span.split for span in settled.spans} <= {"train", "val", "test"}, "splits")
        ensure(all(note.isprintable() and len(note) < 2000 for note in settled.notes), "a note of several lines")


class Folders(Reader):
    """``read_folder`` of folders of any names."""

    name = "folder layouts"

    def case(self, rng: random.Random) -> None:
        root = self.folder / "videos"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        for _ in range(rng.choice((0, 1, 4, 10))):
            # Mostly a class and a video; now and then nested, or loose.
            parts = [rng.choice("cd"), f"{rng.randrange(9)}.mp4"]
            if rng.random() < 0.3:
                parts = [rng.choice(_NAMES) for _ in range(rng.choice((1, 2, 2, 3, 4)))]
            path = root.joinpath(*parts)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if rng.random() < 0.9:
                    path.touch()
                else:
                    path.symlink_to(rng.choice(("/etc", "..", "loop", "/dev/zero")))
            except OSError:  # a file stands where a folder was drawn
                continue
        listing = read_folder(root)
        _check_spans(listing.spans)
        ensure(all(note.isprintable() for note in listing.notes), "a note of several lines")


class Videos(Reader):
    """``decode_spans`` of damaged files of many formats."""

    name = "videos"
    refusals = (UnreadableVideoError, ShortSpanError, InvalidInputError)

    def prepare(self) -> None:
        with quiet():
            found = [content for kind in _CONTAINERS if (content := encode_noise(*kind)) is not None]
        ensure(len(found) >= 8, f"only {len(found)} formats can be written here")
        self.sound = found

    def case(self, rng: random.Random) -> None:
        path = self.folder / "video"
        content = rng.choice(self.sound)
        if rng.random() < 0.05:
            content = content[: rng.randrange(64)] + rng.choice(self.sound)
        path.write_bytes(mutate_bytes(rng, content) if rng.random() < 0.98 else rng.randbytes(rng.randrange(4000)))
        window, jitter, fit = rng.choice((1, 4)), rng.choice((0, 2)), rng.choice(("squash", "crop"))
        shape = ClipShape(window=window, jitter=jitter, size=16, fit=fit, short_spans="hold")
        spans = rng.choice(([(0, None)], [(0, 3), (2, 9)], [(5, 6)], [(0, 10**9)]))
        for result in decode_spans(path, spans, shape):
            if not isinstance(result, (SpanOutsideVideoError, DamagedSpanError)):
                pixels, placement = result
                ensure(pixels.shape == (shape.frames, 16, 16, 3) and pixels.dtype == np.uint8, "a shape")
                ensure(0 <= placement.span[0] < placement.span[1] <= shape.frames, "a place")


def _check_spans(spans: list[LabelledSpan]) -> None:
    for span in spans:
        path = PurePosixPath(span.path)
        ensure(not path.is_absolute() and ".." not in path.parts, "a path outside")
        ensure(span.start >= 0 and (span.end is None or span.end > span.start), "a span")
        ensure(0 < len(span.label) < 256 and span.label.isprintable() == ("\x1b" not in span.label), "a label")
        ensure(not set(span.label) & {chr(code) for code in range(32)}, "a control character in a label")


def encode_noise(container: str, codec: str) -> bytes | None:
    """Ten frames of noise and ramps; None where this build of FFmpeg cannot write them."""
    noise = np.random.default_rng(0).integers(0, 255, (10, 48, 48), np.uint8)
    buffer = io.BytesIO()
    try:
        with av.open(buffer, "w", format=container) as output:
            stream = output.add_stream(codec, rate=25)
            stream.width, stream.height = 48, 32
            if codec in ("gif", "png", "apng"):
                stream.pix_fmt = {"gif": "pal8"}.get(codec, "rgb24")
            else:
                stream.pix_fmt = {"mjpeg": "yuvj420p", "huffyuv": "yuv422p"}.get(codec, "yuv420p")
            for planes in noise:
                frame = av.VideoFrame.from_ndarray(planes, format="yuv420p").reformat(format=stream.pix_fmt)
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
    except Exception:  # whatever a build answers to a codec it lacks
        return None
    return buffer.getvalue()
