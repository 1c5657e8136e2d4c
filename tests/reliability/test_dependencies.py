"""Every dependency has a lower and an upper bound, and the lock of CI lies within all of them."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
DECLARED = [
    Requirement(text)
    for text in [*PROJECT["dependencies"], *(text for extra in EXTRAS.values() for text in extra)]
    if "tvnjax" not in text
]
PYTHONS = ("3.11", "3.12", "3.13")


def locked() -> dict[str, list[tuple[Requirement, str]]]:
    """Every pin of the lock with the lines of its hashes, by name."""
    pins: dict[str, list[tuple[Requirement, str]]] = {}
    text = (ROOT / ".ci" / "lock.txt").read_text("utf-8")
    for entry in re.findall(r"^[^\s#].*(?:\n    --hash=.*)+", text, re.MULTILINE):
        head, _, hashes = entry.partition(" \\\n")
        pin = Requirement(head)
        pins.setdefault(canonicalize_name(pin.name), []).append((pin, hashes))
    return pins


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_bounds_on_both_sides(requirement: Requirement) -> None:
    kinds = {part.operator for part in requirement.specifier}
    assert kinds == {">=", "<"}, f"{requirement} needs a lower bound and an upper one"


def test_the_lock_is_within_the_bounds() -> None:
    pins = locked()
    tested = [*PROJECT["dependencies"], *EXTRAS["test"], *EXTRAS["export"]]
    for requirement in (Requirement(text) for text in tested if "tvnjax" not in text):
        assert canonicalize_name(requirement.name) in pins, f"{requirement} is not in the lock: run .ci/lock"
        for pin, _ in pins[canonicalize_name(requirement.name)]:
            (version,) = pin.specifier
            assert version.operator == "=="
            assert requirement.specifier.contains(version.version), f"{pin} is outside {requirement}: run .ci/lock"


def test_each_python_has_one_pin_with_hashes() -> None:
    for name, entries in locked().items():
        for _, hashes in entries:
            assert re.fullmatch(r"(\s*--hash=sha256:[0-9a-f]{64}( \\\n)?)+", hashes), name
        for python in PYTHONS:
            here = default_environment() | {"python_version": python, "python_full_version": f"{python}.0"}
            held = [pin for pin, _ in entries if pin.marker is None or pin.marker.evaluate(here)]
            assert len(held) <= 1, f"{name} is pinned {len(held)} times for Python {python}"


def test_bounds_are_at_most_one_release_above_what_is_tested() -> None:
    """An upper bound stands right above the newest version that was tested: its next major, or minor below 1.0."""
    pins = locked()
    for requirement in DECLARED:
        if canonicalize_name(requirement.name) not in pins:
            continue
        newest = max(Version(next(iter(pin.specifier)).version) for pin, _ in pins[canonicalize_name(requirement.name)])
        (upper,) = (Version(part.version) for part in requirement.specifier if part.operator == "<")
        if newest.major:
            allowed = {Version(f"{newest.major + 1}"), Version(f"{newest.major}.{newest.minor + 1}")}
        else:
            allowed = {Version(f"0.{newest.minor + 1}")}
        assert upper in allowed, f"{requirement}: the newest tested is {newest}"
