"""Which devices of several processes a search has, and that a reproducible run keeps to as many."""

import dataclasses

import jax
import pytest

import tvnjax
from experiments.reliability.kill_anywhere import TINY
from tvnjax.core.errors import InvalidInputError
from tvnjax.running.agreement import agree
from tvnjax.running.continuing import begin, begun_config, check_continues, check_devices, compared_options
from tvnjax.running.distributed import Distributed
from tvnjax.running.search_devices import retrain_devices, search_devices


@dataclasses.dataclass(frozen=True)
class Device:
    process_index: int
    id: int
    device_kind: str = "cpu"


def of(monkeypatch, *counts, here=0):
    """Processes with so many devices each."""
    devices = [Device(index, number) for index, count in enumerate(counts) for number in range(count)]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(jax, "process_count", lambda: len(counts))
    monkeypatch.setattr(jax, "process_index", lambda: here)


def asked(devices):
    return dataclasses.replace(TINY, devices=devices)


def test_every_process_has_as_many(monkeypatch):
    of(monkeypatch, 3, 2, here=1)
    assert search_devices(asked(4)) == (Device(0, 0), Device(0, 1), Device(1, 0), Device(1, 1))
    assert search_devices(asked(2)) == (Device(0, 0), Device(1, 0))
    assert retrain_devices(asked(4)) == (Device(1, 0), Device(1, 1))


@pytest.mark.parametrize(
    ("counts", "devices", "advice"),
    [
        ((1, 1), 1, "give --devices 2"),  # the default, which would leave a process without any
        ((3, 1), "all", "give --devices 2"),
        ((3, 2), "all", "give --devices 4"),
        ((2, 2, 2), 4, "give --devices 6"),
    ],
)
def test_what_is_not_spread_evenly_over_processes_is_refused(monkeypatch, counts, devices, advice):
    of(monkeypatch, *counts)
    with pytest.raises(InvalidInputError, match=advice):
        search_devices(asked(devices))


def test_a_place_is_kept_nowhere_and_hinders_nothing(tmp_path):
    place = Distributed(processes=2, coordinator="a:1", index=0)
    config = dataclasses.replace(TINY, distributed=place)
    begin(config, tmp_path, "tvnjax run", ["quick", "--distributed.index", "0"], 2)
    assert begun_config(tmp_path) == TINY
    check_continues(config, tmp_path)
    check_continues(TINY, tmp_path)
    assert compared_options(config) == compared_options(TINY)


def test_a_reproducible_run_keeps_to_as_many_devices(tmp_path):
    begin(TINY, tmp_path, "tvnjax run", None, 2)
    check_devices(tmp_path, 2)
    with pytest.raises(InvalidInputError, match="began with 2, now 3"):
        check_devices(tmp_path, 3)
    begin(TINY, tmp_path, "tvnjax run", None)  # as versions before did
    check_devices(tmp_path, 3)


def test_python_begins_no_run_of_several(tmp_path):
    place = {"processes": 2, "coordinator": "a:1"}
    with pytest.raises(InvalidInputError, match="is begun by 'tvnjax run' in each"):
        tvnjax.run("quick", out=tmp_path / "run", distributed=place)
    assert not (tmp_path / "run").exists()


class Told:
    """Two processes, of which the second one says something else."""

    index, count = 0, 2

    def __init__(self, **others):
        self._others = others

    def each(self, _, mine):
        return [mine, mine | self._others]


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"code": "0123456789"}, "code: "),
        ({"jax": "0.1"}, "jax: "),
        ({"processor": "a machine of another kind"}, "processor: "),
        ({"option search.steps": 7}, r"search.steps: 12 of 0, 7 of 1"),
    ],
)
def test_what_differs_is_named(others, said):
    with pytest.raises(InvalidInputError, match=f"process 0 and process 1 differ in {said}"):
        agree(Told(**others), TINY)  # type: ignore[arg-type]


def test_who_says_the_same_agrees_wherever_it_writes():
    agree(Told(), TINY)  # type: ignore[arg-type]
    assert "option out" not in Said.of(dataclasses.replace(TINY, checkpoint_seconds=9.0))


class Said(Told):
    """What a process says."""

    @classmethod
    def of(cls, config):
        found = {}
        one = cls()
        one.each = lambda _, mine: found.update(mine) or [mine]
        agree(one, config)  # type: ignore[arg-type]
        return found
