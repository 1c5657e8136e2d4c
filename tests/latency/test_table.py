"""Latency tables that several processes share."""

import contextlib
import errno
import json
import multiprocessing
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvnjax.core.errors import InvalidInputError
from tvnjax.latency.measure import Measurement
from tvnjax.latency.table import Entry, LatencyTable, merged


class Stand:
    description = {"runtime": "stand-in", "runtime_version": "1", "threads": 1}  # noqa: RUF012
    conditions = {}  # noqa: RUF012


def measurement(ms):
    return Measurement(latency_ms=ms, median_ms=ms, iqr_ms=0.0, repeats=30, compile_seconds=0.0, drift=1.0)


def entry(kind, key, ms, drift=1.0):
    return Entry(kind=kind, key=key, latency_ms=ms, median_ms=ms, iqr_ms=0.0, repeats=30, outliers=0, drift=drift)


def table_of(*entries):
    return {(e.kind, e.key): e for e in entries}


def fill(path: str, frozen: bool, names: list[str], ms: float, barrier):
    """Opens a table, waits until all have, then measures and saves one entry at a time."""
    table = LatencyTable(Path(path), Stand(), frozen=frozen)
    barrier.wait()
    for name in names:
        if ("unit", name) not in table.entries:
            table.add(("unit", name), measurement(ms))
            table.save()


@pytest.mark.parametrize("frozen", [True, False])
def test_processes_that_share_a_table_lose_nothing(tmp_path, frozen):
    """On 0.1 the last to save replaced what the others had measured: 13 of 15 entries were gone."""
    path, context = tmp_path / "table.json", multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    shares = [[f"{part}-{i}" for i in range(5)] + ["common"] for part in "abc"]
    processes = [
        context.Process(target=fill, args=(str(path), frozen, names, 1.0 + number, barrier))
        for number, names in enumerate(shares)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    found = LatencyTable(path, Stand(), frozen=frozen).entries
    assert {key for _, key in found} == {name for names in shares for name in names} and len(found) == 16
    for number, names in enumerate(shares):
        assert all(found["unit", name].latency_ms == 1.0 + number for name in names[:-1])
    assert json.loads(path.read_text())["entries"] and not list(tmp_path.glob("*.damaged"))


def test_of_a_frozen_table_the_first_entry_stays(tmp_path):
    one, other = (LatencyTable(tmp_path / "table.json", Stand(), frozen=True) for _ in range(2))
    one.add(("unit", "conv"), measurement(1.0))
    one.save()
    other.add(("unit", "conv"), measurement(2.0))
    other.save()
    assert one.entries == other.entries and other.entries["unit", "conv"].latency_ms == 1.0
    assert one.digest == other.digest


def test_a_newer_measurement_replaces_an_older_one_unless_another_process_made_it(tmp_path):
    path = tmp_path / "table.json"
    one = LatencyTable(path, Stand())
    one.add(("unit", "conv"), measurement(1.0))
    one.save()
    other = LatencyTable(path, Stand())
    one.add(("unit", "conv"), measurement(3.0))
    one.save()
    other.add(("unit", "pool"), measurement(5.0))
    other.save()
    assert {key: e.latency_ms for (_, key), e in other.entries.items()} == {"conv": 3.0, "pool": 5.0}


def test_entries_are_brought_to_common_conditions():
    """The same unit takes half in a minute in which the reference network does: their ratio is what was measured."""
    busy = table_of(entry("sentinel", "s", 2.0), entry("unit", "a", 8.0, drift=1.5))
    quiet = table_of(entry("sentinel", "s", 1.0), entry("unit", "b", 3.0))
    for first, second in ((busy, quiet), (quiet, busy)):
        both = merged(first, second, set(second), frozen=False)
        assert {key: e.latency_ms for (_, key), e in both.items()} == {"s": 1.0, "a": 4.0, "b": 3.0}
        assert both["unit", "a"].drift == 3.0
        frozen = merged(first, second, set(second), frozen=True)
        reference = first["sentinel", "s"].latency_ms
        assert frozen["sentinel", "s"].latency_ms == reference, "a frozen table's conditions are those of its file"
        assert frozen["unit", "a"].latency_ms == 4.0 * reference and frozen["unit", "b"].latency_ms == 3.0 * reference


def test_another_runs_table_is_left_as_it_is(tmp_path):
    """A reproducible run may decide by RUN/latency_table.json of another; what it measures besides is its own."""
    theirs, own = tmp_path / "theirs.json", tmp_path / "own" / "table.json"
    table = LatencyTable(theirs, Stand(), frozen=True)
    table.add(("unit", "conv"), measurement(1.0))
    table.save()
    before = theirs.read_bytes()
    table = LatencyTable(theirs, Stand(), frozen=True)
    table.go_on_in(own)
    table.add(("unit", "pool"), measurement(2.0))
    table.save()
    assert theirs.read_bytes() == before and len(LatencyTable(own, Stand(), frozen=True).entries) == 2


def drifted(ratio, sentinel_ms, reference_ms):
    """What ``measure`` makes of something that takes ``ratio`` times what the reference network takes, which now takes
    ``sentinel_ms``."""
    drift = sentinel_ms / reference_ms
    return Measurement(
        latency_ms=ratio * sentinel_ms / drift,
        median_ms=1.0,
        iqr_ms=0.0,
        repeats=30,
        compile_seconds=0.0,
        drift=drift,
    )


SENTINEL = ("sentinel", "s")
RATIOS = {f"unit-{number}": 0.5 + number for number in range(6)}
Steps = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(sorted(RATIOS)), st.floats(0.25, 4.0)), min_size=1, max_size=20
)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(steps=Steps, frozen=st.booleans())
def test_whatever_the_order_and_the_load_a_latency_is_its_ratio_to_the_sentinel(steps, frozen):
    """Three processes that begin without a table and save in any order, in minutes as busy as they may be: what is in
    the file is what one process would have measured in its quietest moment; in a frozen one, in its first."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.json"
        tables = [LatencyTable(path, Stand(), frozen=frozen) for _ in range(3)]
        begun, seen, first = set(), [], None
        for number, key, load in steps:
            table = tables[number]
            if number not in begun and SENTINEL not in table.entries:
                table.add(SENTINEL, drifted(1.0, load, load))
                table.save()
                seen.append(load)
                first = first or load
            begun.add(number)
            if ("unit", key) in table.entries:
                continue
            seen.append(load)
            table.add(("unit", key), drifted(RATIOS[key], load, table.entries[SENTINEL].latency_ms))
            table.settle()
            table.save()
        found = LatencyTable(path, Stand(), frozen=frozen).entries
        assert {key for _, key in found} == {"s"} | {key for _, key, _ in steps}
        reference = first if frozen else min(seen)
        assert found[SENTINEL].latency_ms == pytest.approx(reference)
        for (kind, key), told in found.items():
            if kind == "unit":
                assert told.latency_ms == pytest.approx(RATIOS[key] * reference)
                assert told.drift * reference == pytest.approx(min(seen, key=lambda s: abs(s - told.drift * reference)))


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_table_that_the_system_fails_to_read_is_not_a_damaged_one(tmp_path, monkeypatch, number):
    """On 0.1 it was moved aside, and all of it measured again."""
    path = tmp_path / "table.json"
    table = LatencyTable(path, Stand(), frozen=True)
    table.add(("unit", "conv"), measurement(1.0))
    table.save()
    before = path.read_bytes()
    real = Path.open

    def fails(self, mode="r", *args, **kwargs):
        if self == path and "r" in mode:
            raise OSError(number, os.strerror(number))
        return real(self, mode, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", fails)
        with pytest.raises(InvalidInputError, match=r"can be read.*try again"):
            LatencyTable(path, Stand(), frozen=True)
        with pytest.raises(InvalidInputError, match=r"can be read.*try again"):
            table.save()
    assert path.read_bytes() == before and not list(tmp_path.glob("*.damaged"))


def test_a_damaged_table_that_another_process_has_set_right_meanwhile_is_left_alone(tmp_path, monkeypatch):
    path = tmp_path / "table.json"
    path.write_text("{")

    @contextlib.contextmanager
    def overtaken(self):
        if path.read_text() == "{":
            path.unlink()
            other = LatencyTable(tmp_path / "other.json", Stand())
            other.add(("unit", "conv"), measurement(1.0))
            other.copy_to(path)
        yield

    with monkeypatch.context() as patched:
        patched.setattr(LatencyTable, "_in_turn", overtaken)
        assert set(LatencyTable(path, Stand()).entries) == {("unit", "conv")}
    assert not list(tmp_path.glob("*.damaged"))


def test_a_table_of_a_folder_that_may_not_be_written_is_read_where_it_is_only_read(tmp_path, monkeypatch):
    path = tmp_path / "table.json"
    table = LatencyTable(path, Stand(), frozen=True)
    table.add(("unit", "conv"), measurement(1.0))
    table.save()
    (tmp_path / ".turn").unlink()
    before = sorted(tmp_path.iterdir())
    assert len(LatencyTable(path, Stand(), frozen=True, shared=False).entries) == 1
    assert sorted(tmp_path.iterdir()) == before, "nothing is left beside it"


def test_a_copy_that_cannot_be_written_is_no_matter_of_the_cache(tmp_path):
    """The run's own directory is what is full; its message is the run's."""
    table = LatencyTable(tmp_path / "table.json", Stand())
    (tmp_path / "file").touch()
    for write in (table.copy_to, table.go_on_in):
        with pytest.raises(OSError, match="file"):
            write(tmp_path / "file" / "copy.json")


def test_a_full_disk_while_entries_are_saved_is_one_line(tmp_path, monkeypatch):
    table = LatencyTable(tmp_path / "table.json", Stand())
    table.add(("unit", "conv"), measurement(1.0))

    def full(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tvnjax.latency.table.write_json", full)
    with pytest.raises(InvalidInputError, match=r"can be written; .*table\.json: No space left on device: make room"):
        table.save()
