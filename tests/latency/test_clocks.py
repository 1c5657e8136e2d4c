"""Clocks and power of an accelerator: what nvidia-smi prints, and what is said of it."""

import stat
import warnings

import pytest

from tvnjax.latency.clocks import FIELDS, Clocks, UnknownClocks, Watch, nvidia_smi, parse_nvidia_smi

HEADER = "clocks.current.sm [MHz], clocks.max.sm [MHz], pstate, power.draw [W], power.limit [W], "
REASONS = "clocks_throttle_reasons.active"
BUSY = f"{HEADER}{REASONS}\n1980 MHz, 1980 MHz, P0, 412.33 W, 700.00 W, 0x0000000000000000\n"
"""In the form in which nvidia-smi prints it with ``--format=csv``: names spelt out, units behind them."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BUSY, Clocks(sm_mhz=1980, max_sm_mhz=1980, pstate="P0", power_w=412.33, power_limit_w=700, slowed_by=())),
        (
            f"{HEADER}{REASONS}\r\n345 MHz, 1980 MHz, P8, 76.78 W, 700.00 W, 0x0000000000000001\r\n",
            Clocks(sm_mhz=345, max_sm_mhz=1980, pstate="P8", power_w=76.78, power_limit_w=700, slowed_by=()),
        ),
        (
            f"{HEADER}clocks_event_reasons.active\n1155 MHz, 1410 MHz, P0, 399.8 W, 400.00 W, 0x0000000000000064\n",
            Clocks(
                sm_mhz=1155,
                max_sm_mhz=1410,
                pstate="P0",
                power_w=399.8,
                power_limit_w=400,
                slowed_by=("power cap", "thermal slowdown (software)", "thermal slowdown (hardware)"),
            ),
        ),
        (
            f"{HEADER}{REASONS}\n1545 MHz, 1545 MHz, P2, [N/A], [Not Supported], [N/A]\n",
            Clocks(sm_mhz=1545, max_sm_mhz=1545, pstate="P2"),
        ),
        (f"{HEADER}{REASONS}\n[Unknown Error], [N/A], [N/A], 20.1 W, [N/A], 0x88\n", None),
    ],
)
def test_what_nvidia_smi_prints_is_read(text, expected):
    if expected is None:
        expected = Clocks(power_w=20.1, slowed_by=("hardware slowdown", "power brake"))
    assert parse_nvidia_smi(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No devices were found\n",
        BUSY + BUSY.splitlines()[1] + "\n",
        BUSY.replace("1980 MHz, 1980", "fast, 1980"),
        BUSY.replace("0x0000000000000000", "none"),
        f"{HEADER}{REASONS}\n1980 MHz, P0\n",
    ],
)
def test_what_is_no_table_of_one_device_is_unknown(text):
    with pytest.raises(UnknownClocks, match="nvidia-smi printed"):
        parse_nvidia_smi(text)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A program called nvidia-smi that prints what is asked of it, and what it was called with."""

    def make(script):
        path = tmp_path / "nvidia-smi"
        path.write_text(f"#!/bin/sh\necho \"$@\" > '{tmp_path}/called'\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IEXEC)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        return tmp_path / "called"

    return make


@pytest.mark.parametrize(("visible", "asked"), [("", "--id=1"), ("3,5", "--id=5"), ("GPU-aa, GPU-bb", "--id=GPU-bb")])
def test_the_device_of_the_process_is_asked(stand_in, monkeypatch, visible, asked):
    called = stand_in(f"cat <<'END'\n{BUSY}END")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert nvidia_smi(1)().power_w == 412.33
    assert called.read_text().split() == [asked, f"--query-gpu={','.join(FIELDS)}", "--format=csv"]


def test_a_tool_that_fails_or_is_absent_is_unknown(stand_in, monkeypatch, tmp_path):
    stand_in("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    with pytest.raises(UnknownClocks, match="failed: Failed to initialize NVML"):
        nvidia_smi(0)()
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(UnknownClocks, match="there is no nvidia-smi here"):
        nvidia_smi(0)()


def watch_of(*readings):
    remaining = iter(readings)

    def read():
        reading = next(remaining)
        if isinstance(reading, Exception):
            raise reading
        return reading

    return Watch(read)


def measured(watch, times=1):
    """What is warned of while something is timed."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(times):
            watch.before()
            watch.after()
    return [str(warning.message) for warning in told]


STEADY = Clocks(sm_mhz=1980.0, slowed_by=())


def test_a_steady_device_is_recorded_and_nothing_is_said():
    watch = watch_of(STEADY, Clocks(sm_mhz=1965.0, power_w=650.0, slowed_by=()))
    assert watch.record == {} and measured(watch) == []
    assert watch.record["before"]["sm_mhz"] == 1980.0 and watch.record["after"]["power_w"] == 650.0
    assert (watch.record["measurements"], watch.record["slowed"], watch.record["changed"]) == (1, 0, 0)


@pytest.mark.parametrize(
    ("before", "after", "words", "counts"),
    [
        (STEADY, Clocks(sm_mhz=1980.0, slowed_by=("power cap",)), r"slowed down .*\(power cap\)", (1, 0)),
        (Clocks(sm_mhz=1410.0, slowed_by=("power brake",)), Clocks(sm_mhz=1410.0), r"\(power brake\)", (1, 0)),
        (Clocks(sm_mhz=345.0), STEADY, "clock changed from 345 to 1980 MHz", (0, 1)),
        (STEADY, Clocks(sm_mhz=1755.0), "clock changed from 1980 to 1755 MHz", (0, 1)),
    ],
)
def test_a_device_that_does_not_stay_is_said_once_and_counted(before, after, words, counts):
    watch = watch_of(*[before, after] * 3)
    with pytest.warns(UserWarning, match=words) as told:
        for _ in range(3):
            watch.before()
            watch.after()
    assert len(told) == 1 and "\n" not in str(told[0].message)
    assert (watch.record["slowed"], watch.record["changed"]) == tuple(3 * count for count in counts)


def test_unknown_clocks_are_recorded_and_said_once():
    watch = watch_of(*[UnknownClocks("there is no nvidia-smi here")] * 6)
    assert measured(watch, 3) == ["clocks and power of the device are unknown: there is no nvidia-smi here"]
    assert watch.record["before"] == "unknown: there is no nvidia-smi here" and watch.record["measurements"] == 3
