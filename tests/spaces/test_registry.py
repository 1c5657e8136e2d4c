"""Spaces by name: those of other packages, and names that two have or nobody."""

import importlib.metadata
import types

import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.spaces import registry


class Point:
    def __init__(self, name, value, module=None):
        self.name, self.value, self._module = name, value, module

    def load(self):
        return self._module


@pytest.fixture
def points(monkeypatch):
    found = []
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: found if group == registry.GROUP else [])
    registry._entry_points.cache_clear()
    yield found
    registry._entry_points.cache_clear()


def test_a_space_of_another_package_is_read_back(points):
    reader = types.SimpleNamespace(
        genotype_from_json=lambda told: ("genotype", told["at"]),
        space_from_json=lambda told, where: (where, told["of"]),
    )
    points.append(Point("lattice", "lattices:reading", reader))
    assert registry.genotype_from_json({"space": "lattice", "at": 3}) == ("genotype", 3)
    assert registry.space_from_json({"space": "lattice", "of": 4}, "line 1") == ("line 1", 4)


@pytest.mark.parametrize("name", ["lattice", "tvn"])
def test_two_of_one_name_are_refused(points, name):
    points.extend([Point(name, "first:reading"), Point(name, "second:reading")])
    with pytest.raises(InvalidInputError, match=r"every entry point of .* has a name of its own") as refused:
        registry.genotype_from_json({"space": "other"})
    assert "first:reading" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["latice", "\x1b[2J", "a" * 500])
def test_a_name_of_nobody_is_refused_with_the_nearest(points, name):
    points.append(Point("lattice", "lattices:reading"))
    with pytest.raises(InvalidInputError, match="registered, one of chain, lattice, tvn") as refused:
        registry.genotype_from_json({"space": name})
    assert len(str(refused.value)) < 300 and "\x1b" not in str(refused.value)


@pytest.mark.parametrize("told", [None, 3, [], "x", {"space": 3}, {"space": None}])
def test_what_names_no_space_is_held_for_the_first_one(points, told):
    with pytest.raises(InvalidInputError):
        registry.genotype_from_json(told)
