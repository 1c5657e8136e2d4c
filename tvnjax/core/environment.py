"""What a measurement depends on besides the network: the machine, the device, the versions."""

import contextlib
import hashlib
import importlib
import importlib.metadata
import os
import platform
import re
import tempfile
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.untrusted import require_portable


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


def code_digest() -> str:
    """Ten hexadecimal digits of all of the package's source."""
    package, found = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        found.update(f"{path.relative_to(package).as_posix()}\n".encode() + path.read_bytes())
    return found.hexdigest()[:10]


TIMED_BY = (
    *("runtime", "runtime_version", "threads", "backend", "device", "processor", "jax", "jaxlib", "xla_flags"),
    *("batch", "kernels"),
)
"""All that changes how long a program takes (Python's own version does not), and what is kept beside that."""

_UNSAID: dict[str, Any] = {"batch": 1, "kernels": None}
"""What counts where a description leaves it out: one clip a call, and no kernels counted."""


def timed_by(described: Mapping[str, Any], part: str) -> Any:
    """A part of ``TIMED_BY`` as a description has it."""
    return described.get(part, _UNSAID.get(part))


def fingerprint(described: dict[str, Any]) -> str:
    """Ten hexadecimal digits of ``TIMED_BY``."""
    parts = [part for part in TIMED_BY if part not in _UNSAID or timed_by(described, part) != _UNSAID[part]]
    text = "\n".join(f"{part}={described.get(part)}" for part in parts)
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:10]


def cache_dir() -> Path:
    """Where compiled programs, datasets and latency tables are kept, an absolute path: ``TVNJAX_CACHE``, or ``tvnjax``
    in the user's cache folder (``XDG_CACHE_HOME``, which its specification ignores where it is relative; ``~/.cache``).

    Raises:
        InvalidInputError: none of them is known, or it has a name that Orbax or TFDS cannot take.
    """
    named, common = os.environ.get("TVNJAX_CACHE"), os.environ.get("XDG_CACHE_HOME", "")
    try:
        if named:
            folder = Path(named).expanduser().absolute()
        else:
            folder = Path(common if os.path.isabs(common) else "~/.cache").expanduser() / "tvnjax"
    except RuntimeError as error:
        raise InvalidInputError(
            f"clips, compiled programs and latencies are kept in a folder of the user; {error}: set TVNJAX_CACHE to one"
        ) from None
    return require_portable(folder, "the cache (TVNJAX_CACHE)")


def check_writable(folder: Path, what: str) -> None:
    """Makes a folder of the cache, and a file in it, before there is anything to lose.

    Args:
        folder: of the cache.
        what: is kept there, for the message: ``compiled programs``.

    Raises:
        InvalidInputError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, prefix=".writable-") as file:
            file.write(b" " * 4096)
    except OSError as error:
        raise unwritable(folder, what, error) from None


def unwritable(folder: Path, what: str, error: Exception | str) -> InvalidInputError:
    """The error of a cache that cannot be written: which folder, why, and how to have another."""
    reason = " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())
    return InvalidInputError(
        f"{what} are kept below {str(folder)!r}, which cannot be written to ({reason:.200}); make room there, or set "
        "TVNJAX_CACHE to a folder of yours"
    )


def use_compilation_cache() -> None:
    """Keeps compiled programs on disk between runs (JAX's persistent cache).

    Raises:
        InvalidInputError: they cannot be kept there.
    """
    import jax

    folder = cache_dir() / "xla"
    check_writable(folder, "compiled programs")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


_JAX_CANNOT_WRITE = "Error writing persistent compilation cache entry"
_RECENT_S = 60.0
"""A program that was written longer ago is whole, or was swept before."""
_told_unkept = False


def of_unkept_program(warning: str) -> str | None:
    """What to say in place of JAX's warning that it could not keep a program: one line for all programs, not one each;
    and half a program is removed, which JAX would stumble over ever after.

    Returns:
        The line; nothing where it was said before; other warnings as they are.
    """
    global _told_unkept
    if not warning.startswith(_JAX_CANNOT_WRITE):
        return warning
    sweep_torn_programs(time.time() - _RECENT_S)
    if _told_unkept:
        return None
    _told_unkept = True
    reason = re.sub(r"^.*?'[^']*': (?:\w+: )?(?:\[Errno \d+\] )?", "", " ".join(warning.split()))
    return (
        f"compiled programs are kept below {str(cache_dir() / 'xla')!r}, which cannot be written to any more "
        f"({reason:.200}), so they will be compiled again next time; make room there, or set TVNJAX_CACHE to a folder "
        "of yours"
    )


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
