"""How many devices a search may ask for, and of which batches."""

import dataclasses

import jax
import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.running.config import PRESETS, RunConfig
from tvnjax.running.search_devices import search_devices

QUICK = PRESETS["quick"][1]


def of(**changes):
    search = dataclasses.replace(QUICK.search, **changes.pop("search", {}))
    retrain = dataclasses.replace(QUICK.retrain, batch_size=33 if changes.pop("thirds", False) else 32)
    return dataclasses.replace(QUICK, search=search, retrain=retrain, **changes)


def test_devices_are_those_there_are(monkeypatch):
    assert search_devices(of()) == (jax.devices()[0],) and search_devices(of(devices="all")) == tuple(jax.devices())
    with pytest.raises(InvalidInputError, match=r"devices is at most those JAX has, 1 here .*; got 2: give fewer"):
        search_devices(of(devices=2))
    with pytest.raises(InvalidInputError, match="devices is 'all' or at least 1; got 0"):
        RunConfig(devices=0)
    monkeypatch.setattr(jax, "devices", lambda: [jax.local_devices()[0]] * 3)
    assert len(search_devices(of(devices="all", thirds=True, search={"batch_size": 6, "score_clips": 9}))) == 3


@pytest.mark.parametrize(
    ("search", "name"),
    [
        ({"batch_size": 8, "score_clips": 9}, "search.batch_size"),
        ({"batch_size": 9, "score_clips": 8}, "search.score_clips"),
        ({"batch_size": 6, "score_clips": 6, "accumulate": 3}, "search.batch_size"),
    ],
)
def test_a_batch_that_does_not_divide_is_refused(monkeypatch, search, name):
    monkeypatch.setattr(jax, "devices", lambda: [jax.local_devices()[0]] * 3)
    with pytest.raises(InvalidInputError, match=rf"{name} is spread evenly .*give a multiple of"):
        search_devices(of(devices=3, search=search, thirds=True))


def test_a_last_training_that_does_not_divide_is_refused(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [jax.local_devices()[0]] * 3)
    with pytest.raises(InvalidInputError, match=r"retrain.batch_size is spread evenly .* 32 clips"):
        search_devices(of(devices=3, search={"batch_size": 6, "score_clips": 9}))
