"""What a measurement depends on besides the network: the machine, the device, the versions."""

import contextlib
import hashlib
import importlib
import importlib.metadata
import os
import platform
import zlib
from pathlib import Path
from typing import Any

from tvnjax.core.outside import require_portable


def environment() -> dict[str, Any]:
    """Device, processor, cores this process may use, versions and flags, as plain values."""
    import jax

    device = jax.devices()[0]
    return {
        "backend": jax.default_backend(),
        "device": device.device_kind,
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("tvnjax", "jax", "jaxlib", "flax", "optax", "numpy")},
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


TIMED_BY = ("runtime", "runtime_version", "threads", "backend", "device", "processor", "jax", "jaxlib", "xla_flags")
"""All that changes how long a program takes (Python's own version does not)."""


def fingerprint(described: dict[str, Any]) -> str:
    """Ten hexadecimal digits of ``TIMED_BY``."""
    text = "\n".join(f"{part}={described.get(part)}" for part in TIMED_BY)
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:10]


def cache_dir() -> Path:
    """Where compiled programs, datasets and latency tables are kept: ``TVNJAX_CACHE`` or the user's cache folder."""
    named = os.environ.get("TVNJAX_CACHE")
    folder = Path(named or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "tvnjax").expanduser()
    return require_portable(folder, "the cache (TVNJAX_CACHE)")


def use_compilation_cache() -> None:
    """Keeps compiled programs on disk between runs (JAX's persistent cache)."""
    import jax

    jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def sweep_torn_programs(since: float) -> int:
    """Removes compiled programs that a killed process was writing; returns how many.

    JAX writes them in place. It passes over half of one with a warning and compiles again, in every later process too,
    since it never writes over what is there.

    Args:
        since: seconds of the clock; files changed before are whole.
    """
    removed = 0
    for path in (cache_dir() / "xla").glob("*-cache"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime >= since and not _whole(path.read_bytes()):
                path.unlink()
                removed += 1
    return removed


def _whole(data: bytes) -> bool:
    """Whether a compressed file ends where it should."""
    broken: type[Exception] = zlib.error
    reader: Any = zlib.decompressobj()
    if data[:4] == b"\x28\xb5\x2f\xfd":  # zstandard, where JAX finds it
        try:
            zstandard = importlib.import_module("zstandard")
        except ImportError:
            return True
        broken, reader = zstandard.ZstdError, zstandard.ZstdDecompressor().decompressobj()
    try:
        reader.decompress(data)
    except broken:
        return False
    return reader.eof


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
