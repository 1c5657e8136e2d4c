"""Where the cache is: an absolute path, or one line that names TVNJAX_CACHE; and what JAX cannot keep in it."""

import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tvnjax.core import environment
from tvnjax.core.environment import cache_dir, check_writable, of_unkept_program, use_compilation_cache
from tvnjax.core.errors import InvalidInputError

JAX_SAYS = "Error writing persistent compilation cache entry for 'jit_f': OSError: [Errno 28] No space left on device"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.delenv("TVNJAX_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("named", "common", "expected"),
    [
        ("kept", None, "kept"),  # as everything relative, below the folder a command is called in
        ("./kept/../kept2", None, "kept/../kept2"),
        ("~/kept", None, "home/kept"),
        ("", None, "home/.cache/tvnjax"),
        (None, None, "home/.cache/tvnjax"),
        (None, "/var/cache", "/var/cache/tvnjax"),
        (None, "relative", "home/.cache/tvnjax"),  # which the specification tells programs to ignore
        (None, "", "home/.cache/tvnjax"),
    ],
)
def test_the_cache_is_an_absolute_path(named, common, expected, elsewhere, monkeypatch):
    for name, value in (("TVNJAX_CACHE", named), ("XDG_CACHE_HOME", common)):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert cache_dir() == elsewhere / expected and cache_dir().is_absolute()


def test_without_a_home_the_line_names_the_variable(elsewhere, monkeypatch):
    monkeypatch.setenv("TVNJAX_CACHE", "~no-such-user-of-this-machine/kept")
    with pytest.raises(InvalidInputError, match="set TVNJAX_CACHE to one"):
        cache_dir()

    def homeless(self):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("TVNJAX_CACHE")
    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(InvalidInputError, match=r"home directory.*set TVNJAX_CACHE to one"):
        cache_dir()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("TVNJAX_CACHE", "file"), ("XDG_CACHE_HOME", "{}/file"), ("HOME", "{}/file"), ("HOME", "/proc")],
)
@pytest.mark.parametrize(
    "command",
    [
        ["run", "quick"],
        ["train", "tvn1", "--data", "motion", "--steps", "1"],
        ["profile", "quick"],
        ["measure", "tvn1"],
    ],
)
def test_a_cache_that_cannot_be_written_is_one_line_of_every_command(
    variable, value, command, elsewhere, monkeypatch, capsys
):
    """On 0.1 a home that cannot be written was a traceback, or a line without the way out."""
    from tvnjax.cli import main

    (elsewhere / "file").touch()
    monkeypatch.setenv(variable, value.format(elsewhere))
    assert main(command) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "set TVNJAX_CACHE to a folder of yours" in line and ("file" in line or "/proc" in line)
    assert not (elsewhere / "runs").exists()


def test_a_full_disk_is_met_before_anything_is_lost(tmp_path, monkeypatch):
    class Full:
        def __init__(self, **_): ...
        def __enter__(self):
            return self

        def __exit__(self, *_): ...
        def write(self, _):
            raise OSError(28, os.strerror(28))

    monkeypatch.setattr(environment.tempfile, "TemporaryFile", Full)
    with pytest.raises(InvalidInputError, match=r"latencies are kept below .* \(No space left on device\)"):
        check_writable(tmp_path / "new", "latencies")


def test_programs_that_cannot_be_kept_are_said_once_and_half_ones_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("TVNJAX_CACHE", str(tmp_path))
    monkeypatch.setattr(environment, "_told_unkept", False)
    (tmp_path / "xla").mkdir()
    whole = zlib.compress(os.urandom(4000))
    (tmp_path / "xla" / "whole-cache").write_bytes(whole)
    (tmp_path / "xla" / "torn-cache").write_bytes(whole[:100])
    line = of_unkept_program(JAX_SAYS)
    assert line is not None and "(No space left on device)" in line and str(tmp_path) in line and "TVNJAX_CACHE" in line
    assert [path.name for path in (tmp_path / "xla").iterdir()] == ["whole-cache"]
    (tmp_path / "xla" / "torn2-cache").write_bytes(b"")
    assert of_unkept_program(JAX_SAYS.replace("jit_f", "jit_g")) is None
    assert [path.name for path in (tmp_path / "xla").iterdir()] == ["whole-cache"]
    assert of_unkept_program("another warning") == "another warning"


COMPILING = """
import resource, warnings
import jax, jax.numpy as jnp
from tvnjax.cli import _show_warning
from tvnjax.core.environment import use_compilation_cache

warnings.showwarning = _show_warning
use_compilation_cache()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))
for power in (2, 3, 4):
    def f(x):
        return jnp.sin(x) ** power + jnp.cos(x)
    f.__name__ = f"f{power}"
    jax.jit(f)(jnp.ones(8)).block_until_ready()
"""


def test_jax_without_room_for_its_programs_goes_on_and_says_so_in_one_line(tmp_path):
    """JAX itself warns of every program, and leaves half of each behind, over which every later process stumbles."""
    given = os.environ | {"TVNJAX_CACHE": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    ended = subprocess.run([sys.executable, "-c", COMPILING], capture_output=True, text=True, env=given)
    assert ended.returncode == 0, ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("warning:")]
    assert "(File too large)" in line and str(tmp_path / "xla") in line and "TVNJAX_CACHE" in line
    assert not [path for path in (tmp_path / "xla").iterdir() if path.stat().st_size == 700]


def test_the_folder_of_programs_is_made(tmp_path, monkeypatch):
    import jax

    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("TVNJAX_CACHE", str(tmp_path / "a" / "b"))
    try:
        use_compilation_cache()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "a" / "b" / "xla")
        assert list((tmp_path / "a" / "b" / "xla").iterdir()) == []
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
