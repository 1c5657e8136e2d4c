"""Output that nobody reads, that has no room, or that is closed; and the last resort for what no command foresaw."""

import errno
import os
import shutil
import subprocess
import sys

import pytest

from tvnjax.cli import main, streams
from tvnjax.core.printable import say

PROGRAM = [sys.executable, "-c", "import sys; from tvnjax.cli import main; sys.exit(main())"]
NO_ROOM = "error: a file could not be read or written: standard output: No space left on device"
CLOSED = "error: a file could not be read or written: standard output: Bad file descriptor"

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes and /dev are of Unix")


def shell(line: str, *argv: str, buffered: bool = True) -> tuple[int, str, str]:
    """Status of the program, and both outputs, of a line of the shell in which ``$P`` is the program."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    if not buffered:
        environment["PYTHONUNBUFFERED"] = "1"
    script = f"{line}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        [bash, "-c", script.replace("$P", '"$@"'), "bash", *PROGRAM, *argv],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("argv", [["run", "quick", "--help"], ["show", "movinet-a5"]])
@pytest.mark.parametrize("buffered", [True, False])
def test_a_reader_that_has_gone(argv, buffered):
    # A little output may be in the pipe before its reader goes.
    assert shell("$P | true", *argv, buffered=buffered) in ((141, "", ""), (0, "", ""))


def test_much_output_ends_as_a_signal_would():
    # The reading end is closed before the program has begun.
    for argv in (["run", "quick", "--help"], ["zoo"], ["--version"]):
        assert shell("(sleep 0.5; $P) | exec 0<&-", *argv) == (141, "", "")


@pytest.mark.parametrize(
    "argv", [["zoo"], ["run", "quick", "--help"], ["--version"], ["diff", "tvn1", "tvn2"], ["run"]]
)
def test_a_full_disk(argv):
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    for buffered in (True, False):
        assert shell("$P > /dev/full", *argv, buffered=buffered) == (2, "", f"{NO_ROOM}\n")


@pytest.mark.parametrize("argv", [["zoo"], ["zoo", "--format", "csv"], ["--help"]])
def test_closed_streams(argv):
    status, _, err = shell("$P >&-", *argv)
    assert status == 2 and err.endswith(f"{CLOSED}\n")
    status, out, err = shell("$P 2>&-", *argv)
    assert status == 0 and out and not err
    assert shell("$P >&- 2>&-", *argv) == (2, "", "")
    assert shell("$P 0<&- >&- 2>&-", "zoo", "nosuch") == (2, "", "")


def test_an_error_is_told_though_the_output_is_gone():
    for end in ("> /dev/full", ">&-", "| true"):
        status, _, err = shell(f"$P {end}", "zoo", "nosuch")
        assert status == 2 and err.startswith("error: a network is one of") and err.count("\n") == 1


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path):
    """A drawing would be the file of number 1, and get what C++ libraries print."""
    out = tmp_path / "tvn1.svg"
    status, _, err = shell("$P >&- 2>&-", "show", "tvn1", "--out", str(out))
    assert status == 2 and not err  # its name could not be printed
    assert out.read_text().startswith("<?xml") and out.read_text().rstrip().endswith("</svg>")


def test_remarks_that_nobody_takes_do_not_end_the_work(monkeypatch):
    class Full:
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

        flush = write

    monkeypatch.setattr(sys, "stderr", Full())
    say("step 3", error=True)
    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(OSError, match="standard output"):
        say("a result")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "written: No space left on device"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 5000), "File name too long"),
        (PermissionError(errno.EACCES, "Permission denied", "a\x1b[31m\udcff"), r"a\x1b[31m\xff: Permission denied"),
        (OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b"), "a to b: Invalid cross-device link"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", b"caf\xe9"), "No such file or directory"),
        (
            UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "surrogates not allowed"),
            r"no UTF-8, which this cannot take: a\xff",
        ),
        (MemoryError("Unable to allocate 3 TiB"), "not enough memory: Unable to allocate 3 TiB"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), "not enough memory"),
        (OverflowError("int too large to convert to float"), "out of range: int too large"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deep"),
    ],
)
def test_the_last_resort_is_one_line(error, line, monkeypatch, capsys):
    def fails(argv):
        raise error

    monkeypatch.setattr("tvnjax.cli.zoo.zoo_command", fails)
    assert main(["zoo"]) == 2
    told = capsys.readouterr().err
    assert line in told and told.count("\n") == 1 and told.startswith("error: ") and len(told) < 2100
    monkeypatch.setenv("TVNJAX_TRACEBACK", "1")
    with pytest.raises(type(error)):
        main(["zoo"])


@pytest.mark.parametrize(
    "error",
    [
        *(TypeError("x"), KeyError("x"), AssertionError("x"), ValueError("x"), RuntimeError("x"), IndexError("x")),
        *(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), UnicodeEncodeError("ascii", "é", 0, 1, "x")),
        *(ConnectionResetError("x"), ChildProcessError("x"), BrokenPipeError(errno.EPIPE, "Broken pipe")),
    ],
)
def test_mistakes_of_the_program_show_where_they_are(error, monkeypatch):
    def fails(argv):
        raise error

    monkeypatch.setattr("tvnjax.cli.zoo.zoo_command", fails)
    with pytest.raises(type(error)):
        main(["zoo"])


def test_a_pipe_is_known_to_be_read(monkeypatch):
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert not streams.reader_has_gone()
        os.close(reading)
        assert streams.reader_has_gone()
        assert not streams.drop_output()
        pipe.write("x")
        assert streams.drop_output()
