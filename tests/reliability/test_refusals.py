"""What fuzzing and review found, each by itself."""

import dataclasses
import json
import struct
import zlib

import numpy as np
import pytest

from experiments.reliability.data_readers import encode_noise
from tests.fabricated_table import make_table
from tests.report.fabricated_run import make_run
from tvnjax.core.checkpoints import Checkpoints
from tvnjax.core.environment import environment
from tvnjax.core.errors import InvalidInputError
from tvnjax.data import decode, manifest
from tvnjax.data.decode import ClipShape, UnreadableVideoError, decode_spans
from tvnjax.latency.table import FORMAT, LatencyTable, _digest
from tvnjax.running.replay import record_runs
from tvnjax.search.tabular.read import read_table
from tvnjax.training.saved import open_saved

SHAPE = ClipShape(window=1, jitter=0, size=64, fit="squash", short_spans="hold")


def png(path, width, height):
    """Black, one bit a pixel: a few kilobytes, whatever its size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress(bytes(1 + (width + 7) // 8) * height, 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
    return path


def test_a_frame_may_have_8k_pixels_and_no_more(tmp_path):
    (pixels, _), *_ = decode_spans(png(tmp_path / "small.png", 900, 700), [(0, None)], SHAPE)
    assert pixels.shape == (1, 64, 64, 3) and not pixels.any()
    for width, height in ((9000, 9000), (20000, 4000)):
        path = png(tmp_path / "large.png", width, height)
        assert path.stat().st_size < 10**6
        with pytest.raises(UnreadableVideoError, match="cannot be decoded after frame 0"):
            list(decode_spans(path, [(0, None)], SHAPE))


@pytest.mark.parametrize(("width", "height"), [(1, 16000), (16000, 1)])
def test_a_thread_of_a_frame_takes_no_more_memory_than_its_pixels(tmp_path, width, height):
    path = png(tmp_path / "thread.png", width, height)
    for fit in ("squash", "crop"):
        ((pixels, _),) = decode_spans(path, [(0, None)], dataclasses.replace(SHAPE, fit=fit))
        assert pixels.shape == (1, 64, 64, 3)


def test_a_video_longer_than_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "clip.avi"
    path.write_bytes(encode_noise("avi", "mpeg4"))
    assert len(list(decode_spans(path, [(0, None)], SHAPE))) == 1
    monkeypatch.setattr(decode, "MAX_KEPT", 5 * 64 * 64 * 3)
    with pytest.raises(UnreadableVideoError, match="more than the 5 frames of 64 pixels"):
        list(decode_spans(path, [(0, None)], SHAPE))
    assert len(list(decode_spans(path, [(1, 3)], SHAPE))) == 1


def test_a_codec_nobody_knows(tmp_path):
    path = tmp_path / "clip.avi"
    path.write_bytes(encode_noise("avi", "mpeg4").replace(b"FMP4", b"ZZZZ").replace(b"fmp4", b"zzzz"))
    with pytest.raises(UnreadableVideoError, match="codec"):
        list(decode_spans(path, [(0, None)], SHAPE))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"latency_ms": -1.0}, "latency_ms is a number that is not negative"),
        ({"latency_ms": 0}, "latency_ms is above 0"),
        ({"latency_ms": "1"}, "latency_ms is a number"),
        ({"check_seconds": True}, "check_seconds is a number"),
        ({"inherited": [0.5]}, "inherited has 2 numbers"),
        ({"inherited": [0.5, 1.5]}, "shares from 0 to 1"),
        ({"runs": []}, "trained at least once"),
        ({"runs": [7]}, "a JSON object"),
        ({"runs": [{"seed": 0, "seconds": 1.0, "curve": []}]}, "scored at its end"),
        ({"runs": [{"seed": 0, "seconds": 1.0, "curve": [[0.5, 0.1, 0.2]]}]}, "scored at its end"),
        ({"runs": [{"seed": 0, "seconds": 1.0, "curve": [[1.0, 0.1, 0.2], [0.5, 0.1, 0.2]]}]}, "rise"),
        ({"runs": [{"seed": -1, "seconds": 1.0, "curve": [[1.0, 0.1, 0.2]]}]}, "seed is a whole number"),
        ({"runs": [{"seed": 0, "seconds": 1.0, "curve": [[1.0, 0.1, 0.2]]}] * 2}, "different seeds"),
    ],
)
def test_a_table_whose_numbers_cannot_be(tmp_path, change, rule):
    path = tmp_path / "table.jsonl"
    make_table(path, count=3)
    header, *rows = path.read_text().splitlines()
    rows[1] = json.dumps(json.loads(rows[1]) | change)
    path.write_text("\n".join([header, *rows]) + "\n")
    with pytest.raises(InvalidInputError, match=rule) as refused:
        read_table(path)
    assert "line 3" in str(refused.value)


SPACE = {"image_size": [8], "num_frames": [2], "frame_stride": [1], "num_blocks": [1], "blocks": [{}]}


@pytest.mark.parametrize(
    ("facts", "rule"),
    [
        ({"classes": 10**9}, "classes is a whole number"),
        ({"classes": "four"}, "classes is a whole number"),
        ({"supernet_seconds": -1}, "supernet_seconds"),
        ({"environment": []}, "environment"),
        ({"space": []}, "space"),
        ({"space": SPACE | {"num_blocks": [2]}}, "blocks"),
        ({"space": SPACE | {"blocks": [{"filters": "32"}]}}, "filters"),
        ({"space": {**SPACE, "image_size": [10**6]}}, "image_size"),
        ({"format": None}, "format 1"),
    ],
)
def test_a_table_whose_header_cannot_be(tmp_path, facts, rule):
    path = tmp_path / "table.jsonl"
    make_table(path, count=2)
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(header) | facts), *rows]) + "\n")
    with pytest.raises(InvalidInputError, match=rule):
        read_table(path)


def test_a_network_stands_in_a_table_once_and_a_torn_end_is_passed_over(tmp_path):
    path = tmp_path / "table.jsonl"
    make_table(path, count=3)
    whole = path.read_text()
    last = whole.splitlines()[-1]
    for end in range(1, len(last), 7):
        path.write_text(whole + last[:end])
        assert len(read_table(path).entries) == 3
    path.write_text(whole + last + "\n")
    with pytest.raises(InvalidInputError, match=r"line 5 has .* again"):
        read_table(path)


def test_a_log_with_odd_costs_still_makes_a_table(tmp_path):
    run = make_run(tmp_path / "run", strategies=("random",), candidates=8, blocks=1)
    lines = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    for line in lines:
        if line["event"] == "candidate":
            line["costs"] = [1, 2]
    (run / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len(record_runs([run], tmp_path / "table.jsonl").entries) > 0


NETWORK = {
    "name": "tvn1",
    "genotype": None,
    "num_frames": 2,
    "frame_stride": 1,
    "image_size": 8,
    "classes": ["up", "down"],
    "head": "mean",
    "weights": "checkpoints/net",
}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"weights": "../../elsewhere"}, "weights lie in the directory of their run"),
        ({"weights": "a\ud800"}, "weights lie in the directory of their run"),
        ({"weights": "/etc"}, "weights lie in the directory of their run"),
        ({"name": "/etc/hostname"}, "one of the zoo"),
        ({"image_size": 10**9}, "image_size is a whole number from 1 to 1024"),
        ({"classes": "up"}, "list of names"),
        ({"classes": ["up", "up"]}, "a name of its own"),
        ({"head": "most"}, "head is one of"),
        ({"genotype": []}, "a genotype is a JSON object"),
    ],
)
def test_a_trained_network_that_cannot_be(tmp_path, change, rule):
    (tmp_path / "network.json").write_text(json.dumps(NETWORK))
    assert open_saved(tmp_path).network.head.num_classes == 2
    (tmp_path / "network.json").write_text(json.dumps(NETWORK | change))
    with pytest.raises(InvalidInputError, match=rule):
        open_saved(tmp_path)
    (tmp_path / "network.json").write_text(json.dumps([NETWORK]))
    with pytest.raises(InvalidInputError, match="holds a JSON object"):
        open_saved(tmp_path)


@pytest.mark.parametrize(
    "content", [b"[3]", b"null", b"{}", b"[" * 100_000, b'{"digest": "x", "step": 3}', b"\xff\x00"]
)
def test_a_checkpoint_whose_description_is_damaged_is_passed_over(tmp_path, content):
    tree = {"weights": np.arange(4.0)}
    checkpoints = Checkpoints(tmp_path, every_s=0)
    for step in (3, 5):
        checkpoints.remember(step, tree, {"position": step})
        checkpoints.flush()
    (tmp_path / "step-000000005.json").write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        saved = Checkpoints(tmp_path).newest(tree)
    assert saved is not None and (saved.step, saved.state) == (3, {"position": 3})


class Stand:
    description = {"runtime": "stand-in", "runtime_version": "1", "threads": 1}  # noqa: RUF012


@pytest.mark.parametrize(
    "change", [{"latency_ms": -1.0}, {"latency_ms": "fast"}, {"repeats": 2.5}, {"drift": 0}, {"kind": 7}, {"more": 1}]
)
def test_a_latency_table_whose_entries_cannot_be_is_set_aside(tmp_path, change):
    """Though its digest is right."""
    numbers = {"latency_ms": 0.5, "median_ms": 0.6, "iqr_ms": 0.1, "repeats": 30, "outliers": 0, "drift": 1.0}
    entry, path = {"kind": "unit", "key": "conv", **numbers}, tmp_path / "table.json"
    here = environment() | Stand.description

    def write(entries, where):
        told = {"format": FORMAT, "environment": where, "digest": _digest(entries), "entries": entries}
        path.write_text(json.dumps(told))

    write([entry], here)
    assert LatencyTable(path, Stand()).entries["unit", "conv"].latency_ms == 0.5
    for entries, where in (([entry | change], here), ([entry, entry], here), ([entry], ["here"])):
        write(entries, where)
        with pytest.warns(UserWarning, match="damaged"):
            assert LatencyTable(path, Stand()).entries == {}
        assert path.with_suffix(".damaged").exists()


def test_a_latency_table_of_a_machine_with_an_odd_name(tmp_path):
    path, told = tmp_path / "table.json", {"format": FORMAT, "digest": _digest([]), "entries": []}
    for processor in ("\ud800", "x" * 5000, {"a": []}):
        path.write_text(
            json.dumps(told | {"environment": environment() | Stand.description | {"processor": processor}})
        )
        with pytest.raises(InvalidInputError, match="differs in processor") as refused:
            LatencyTable(path, Stand())
        assert len(str(refused.value)) < 1000


def test_labels_are_short_and_plain_and_rows_are_counted(tmp_path, monkeypatch):
    path = tmp_path / "clips.csv"
    for label, rule in (("\x1b[2J", "one line"), ("a\0b", "one line"), ("x" * 256, "at most 255 letters")):
        path.write_text(f"path,label\na.mp4,{label}\n")
        with pytest.raises(InvalidInputError, match=rule):
            manifest.read_manifest(path)
    monkeypatch.setattr(manifest, "MAX_ROWS", 3)
    path.write_text("path,label\n" + "a.mp4,x\n" * 2)
    assert len(manifest.read_manifest(path).spans) == 2
    path.write_text("path,label\n" + "a.mp4,x\n" * 5)
    with pytest.raises(InvalidInputError, match="at most 3 rows"):
        manifest.read_manifest(path)
