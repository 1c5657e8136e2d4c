"""Latency tables that several processes share."""

import json
import multiprocessing
from pathlib import Path

import pytest

from tvnjax.latency.measure import Measurement
from tvnjax.latency.table import Entry, LatencyTable, merged


class Stand:
    description = {"runtime": "stand-in", "runtime_version": "1", "threads": 1}  # noqa: RUF012


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
    """The same unit takes half in a minute in which the sentinel does: the ratio of the two is what was measured."""
    busy = table_of(entry("sentinel", "s", 2.0), entry("unit", "a", 8.0, drift=1.5))
    quiet = table_of(entry("sentinel", "s", 1.0), entry("unit", "b", 3.0))
    for first, second in ((busy, quiet), (quiet, busy)):
        both = merged(first, second, set(second), frozen=False)
        assert {key: e.latency_ms for (_, key), e in both.items()} == {"s": 1.0, "a": 4.0, "b": 3.0}
        assert both["unit", "a"].drift == 3.0
        frozen = merged(first, second, set(second), frozen=True)
        sentinel = first["sentinel", "s"].latency_ms
        assert frozen["sentinel", "s"].latency_ms == sentinel, "a frozen table's conditions are those of its file"
        assert frozen["unit", "a"].latency_ms == 4.0 * sentinel and frozen["unit", "b"].latency_ms == 3.0 * sentinel


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
