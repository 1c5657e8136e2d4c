"""Signals: the work is kept, and the process is gone in time."""

import signal
import subprocess
import sys
import time

import pytest

WORK = """
import sys, time
from pathlib import Path
from tvnjax.core.signals import Stopped, stoppable
import tvnjax.core.signals as stopping

stopping._PATIENCE_S, stopping._LAST_S = 0.6, 0.3
kept = Path(sys.argv[1])


def keep():
    kept.write_text("kept")
    time.sleep({keeping})


def other():
    # As Ray's waiting answers a signal.
    try:
        print("ready", flush=True)
        time.sleep(30)
    except BaseException:
        raise KeyboardInterrupt from None


def deaf():
    # As XLA compiles: no handler of Python's runs meanwhile.
    try:
        print("ready", flush=True)
        time.sleep(30)
    except BaseException:
        time.sleep(30)


try:
    with stoppable(keep, "go on with: this"):
        {work}
except Stopped as stopped:
    print("ended", flush=True)
    sys.exit(stopped.status)
"""


def begun(tmp_path, work="print('ready', flush=True); time.sleep(30)", keeping="0"):
    code = WORK.replace("{work}", work).replace("{keeping}", keeping)
    arguments = [sys.executable, "-c", code, str(tmp_path / "kept")]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_the_place_and_ends_with_its_status(number, status, tmp_path):
    process = begun(tmp_path)
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == status and out == "ended\n" and (tmp_path / "kept").read_text() == "kept"


def test_work_that_does_not_hear_is_ended_from_another_thread(tmp_path):
    process = begun(tmp_path, work="deaf()")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 143 and "go on with: this" in err and (tmp_path / "kept").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_library_that_makes_its_own_interrupt_of_a_signal_ends_no_otherwise(number, status, tmp_path):
    process = begun(tmp_path, work="other()")
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == status and out == "ended\n" and (tmp_path / "kept").read_text() == "kept"


def test_a_second_signal_ends_it_at_once(tmp_path):
    process = begun(tmp_path, keeping="30")
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    while not (tmp_path / "kept").exists():
        assert time.monotonic() - start < 20
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)
    assert process.returncode == 130
