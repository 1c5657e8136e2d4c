"""Settings of a few words, made in Python: every one of a run's refuses what is none of them."""

import dataclasses
import typing

import pytest

from tvnjax.core.errors import InvalidInputError
from tvnjax.running.config import PRESETS
from tvnjax.search.gradient.differentiable import DifferentiableConfig
from tvnjax.trainers.optim import Optimizer
from tvnjax.trainers.trainer import Training


def of_words(settings, path=""):
    """Every field of few words of a dataclass and of those it holds."""
    hints = typing.get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), f"{path}{field.name}"
        if typing.get_origin(hints[field.name]) is typing.Literal:
            yield name, settings, field.name
        elif dataclasses.is_dataclass(value):
            yield from of_words(value, f"{name}.")


FOUND = {
    name: (settings, field)
    for preset in ("quick", "planted", "clips")
    for name, settings, field in of_words(PRESETS[preset][1])
}


def test_the_walk_finds_them():
    assert {"runtime", "search.mode", "search.precision", "proxy.precision", "retrain.optimizer.schedule"} <= set(FOUND)


@pytest.mark.parametrize("name", FOUND)
def test_each_refuses_another_word(name):
    settings, field = FOUND[name]
    for wrong in ("float16", None, 3):
        with pytest.raises(InvalidInputError, match=f"{field} (is|must be) one of .*{wrong!r}"):
            dataclasses.replace(settings, **{field: wrong})


def test_the_message_names_the_words_and_the_nearest():
    for make in (DifferentiableConfig, Training):
        with pytest.raises(InvalidInputError, match=r"precision is one of float32, bfloat16; got 'bfloat61'.*bfloat16"):
            make(precision="bfloat61")
    with pytest.raises(InvalidInputError, match=r"^schedule is one of "):
        Optimizer(schedule="steps")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"^search\.bilevel is one of first, second, one-level; got 'third'"):
        DifferentiableConfig(bilevel="third")  # type: ignore[arg-type]
