"""Hypothesis as a test suite needs it: the same examples each time, and no clock, which a busy machine would miss; and
a disk that can be full."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("tvnjax", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("tvnjax")


class SmallDisk:
    """A file system in memory that can be full."""

    def __init__(self, path: Path):
        self.path = path
        self._filler = path / ".filler"

    def fill(self) -> None:
        """Takes all room that is left, to the byte."""
        with self._filler.open("wb", buffering=0) as file:
            for size in (2**16, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A tmpfs of 16 MiB; where none can be mounted the test is left out."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
