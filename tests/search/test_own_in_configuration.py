"""Strategies that people write as a part of a configuration: names, what tells two apart, files and other processes."""

import copy
import dataclasses
import functools
import json
import os
import subprocess
import sys
import threading
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest

import tvnjax
from tests.search.test_own_strategies import Climb, named
from tests.search.toy_landscape import SPACE
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.to_json import jsonable
from tvnjax.running.config import RunConfig
from tvnjax.running.config_values import from_plain
from tvnjax.running.replay import ReplayConfig
from tvnjax.search.base import Proposal
from tvnjax.search.own import own_strategy
from tvnjax.search.registry import registered, strategy_choices


@pytest.mark.parametrize(
    "name", ["", "a/b", "../up", "-x", "with space", "a-b", "a.b", "\x1b[2J", "ä", "x" * 41, 3, "supernet", "Supernet"]
)
def test_a_name_that_files_cannot_have_is_refused(name):
    class Named(Climb):
        pass

    Named.name = name
    if not name:  # as if there were none
        assert own_strategy(Named).name == "Named"
        return
    with pytest.raises(InvalidInputError, match="letters of A to Z, digits and underscores") as refused:
        strategy_choices(["random", Named()])
    assert "\x1b" not in str(refused.value) and len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["random", named("random")], "'random' is a strategy of tvnjax; got random"),
        ([named("Evolution")], "'evolution' is a strategy of tvnjax"),
        ([Climb(1), Climb(2)], r"each once.*got Climb\(step=1.*and Climb\(step=2"),
        ([Climb(), named("CLIMB")], "each once, whatever the case"),
        ([Climb, Climb()], "each once"),
        (["random", "random"], "each once.*got 'random' and 'random'"),
        ([], "at least one"),
    ],
)
def test_two_of_one_name_are_refused(values, words):
    for make in (strategy_choices, lambda given: ReplayConfig(strategies=tuple(given))):
        with pytest.raises(InvalidInputError, match=words):
            make(values)


class NoTell:
    def ask(self):
        return None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (NoTell(), "has no tell"),
        (NoTell, "has no tell"),
        (object(), "has no ask"),
        (lambda: 3, "3 has no ask"),
        (tvnjax.Strategy, "made without arguments; Strategy cannot be.*abstract"),
        (type("Needs", (Climb,), {"__init__": lambda self, space: None}), r"Needs cannot be .*start\(space, rng\)"),
        (named("Locked", step=threading.Lock()), "a copy of a strategy; Locked cannot be copied.*give its class"),
        (3, r"strategies.0 is the name of a strategy.*got 3"),
        (None, r"strategies.0 is the name of a strategy.*got None"),
        ({"type": "OwnStrategy"}, r"strategies.0 is the name of a strategy, or what config.json holds"),
        ({"type": "OwnStrategy", "name": "a/b", "of": "x", "fields": "", "digest": ""}, "letters of A to Z"),
        ({"type": "OwnStrategy", "name": "ab", "of": 3, "fields": "", "digest": ""}, "told in text; got 3"),
        ("evoluton", r"strategies.0 is one of differentiable, .*got 'evoluton' \(did you mean 'evolution'\?\)"),
    ],
)
def test_what_is_no_strategy_is_refused(value, words):
    with pytest.raises(InvalidInputError, match=words) as refused:
        strategy_choices([value])
    assert "\n" not in str(refused.value)


class Plain:
    """Of no base class, with slots."""

    __slots__ = ("space",)

    def ask(self):
        return self.space

    def tell(self, candidate):
        pass


def test_a_class_an_object_and_a_function_are_the_same_strategy():
    assert own_strategy(Climb) == own_strategy(Climb()) == own_strategy(functools.partial(Climb, step=1))
    assert own_strategy(Climb(2)) == own_strategy(lambda: Climb(2)) != own_strategy(Climb)
    assert repr(own_strategy(Climb(2))).startswith("Climb(step=2")
    assert own_strategy(Plain()) == own_strategy(Plain) and repr(own_strategy(Plain)) == "Plain()"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "b"),
        (1, 2),
        ([1, {"a": 1}], [1, {"a": 2}]),
        (np.zeros(3), np.ones(3)),
        ({1, 2}, {1, 3}),
        (int, float),
        (Proposal(genotype=SPACE.sample(np.random.default_rng(0))), None),
    ],
    ids=str,
)
def test_what_it_holds_tells_strategies_apart(one, other):
    digests = [own_strategy(Climb(value)).digest for value in (one, copy.deepcopy(one), other)]
    assert digests[0] == digests[1] != digests[2]
    assert len(repr(own_strategy(Climb("long" * 1000)))) <= 200


_DIGEST = """
from tests.search.test_own_in_configuration import Climb, own_strategy
print(own_strategy(Climb({"words", "in", "a", "set"})).digest, own_strategy(Climb(object())).digest)
"""


def test_another_process_has_the_same_digest():
    told = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
        done = subprocess.run(
            [sys.executable, "-c", _DIGEST], env=environment, capture_output=True, text=True, check=True
        )
        told.add(done.stdout)
    assert len(told) == 1


def test_a_configuration_with_one_comes_back_from_its_file_and_goes_to_workers():
    config = RunConfig(strategies=("differentiable", Climb(2)))
    told = json.loads(json.dumps(jsonable(config)))
    assert told["strategies"][1]["name"] == "Climb" and len(json.dumps(told["strategies"])) < 400
    read = from_plain(RunConfig, told, "config.json")
    assert read == config and hash(read) == hash(config)
    assert registered(read.strategies[1]).make is not None, "it was given in this process"
    assert dataclasses.replace(config, seed=1).strategies == config.strategies
    sent = ForkingPickler.loads(ForkingPickler.dumps(RunConfig(strategies=("differentiable", named("Local")))))
    assert sent.strategies[1].name == "Local", "its class is no module's, and stays here"
    elsewhere = dataclasses.replace(config.strategies[1], digest="0" * 16)
    with pytest.raises(InvalidInputError, match=r"Climb .*has not been given in this process: give it again"):
        registered(elsewhere)


def test_a_damaged_file_makes_no_strategy():
    told = json.loads(json.dumps(jsonable(RunConfig(strategies=("differentiable", Climb)))))
    for junk in (None, 3, [], {}, "\0", {"type": "OwnStrategy"}, {"type": "Budget"}, [["random"]]):
        for at in (0, 1):
            strategies = copy.deepcopy(told["strategies"])
            strategies[at] = junk
            with pytest.raises(InvalidInputError, match=r"config\.json"):
                from_plain(RunConfig, {**told, "strategies": strategies}, "config.json")
    for key in ("name", "of", "fields", "digest"):
        with pytest.raises(InvalidInputError, match=r"config\.json"):
            from_plain(
                RunConfig, {**told, "strategies": ["random", {**told["strategies"][1], key: None}]}, "config.json"
            )
