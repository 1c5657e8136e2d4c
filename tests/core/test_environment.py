"""The cache of compiled programs outlives a process that was killed while it wrote there."""

import os
import zlib

from tvnjax.core.environment import cache_dir, sweep_torn_programs


def test_half_a_compiled_program_is_removed_and_whole_or_older_ones_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TVNJAX_CACHE", str(tmp_path))
    folder, data = cache_dir() / "xla", zlib.compress(os.urandom(4000))
    folder.mkdir()
    for name, content in (("whole", data), ("torn", data[:-40]), ("empty", b""), ("old", data[:-40])):
        (folder / f"{name}-cache").write_bytes(content)
    os.utime(folder / "old-cache", (1000, 1000))
    assert sweep_torn_programs(2000) == 2
    assert sorted(path.name for path in folder.iterdir()) == ["old-cache", "whole-cache"]
