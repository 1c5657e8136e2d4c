"""Options that are refused: from what tyro met, and where tyro no longer says that, by tyro itself."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

from tests.cli.told import refused, said
from tvnjax.cli.options import parse_command
from tvnjax.cli.refusals import RefusedOptionError, nearest_option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    steps: int = 3
    """How many."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """An example."""

    name: Annotated[str, tyro.conf.Positional]
    """A name, or a file."""
    out: Path
    """Where to write; made if it is not there."""
    inner: Inner = Inner()
    kind: Literal["table", "json"] = "table"
    sizes: tuple[int, ...] = (1,)
    limit: float | None = None
    """The most there may be."""
    fast: bool = False
    masks: tuple[bool, ...] = (False,)


def read(*words, flags=False):
    return parse_command(Options, ["x", "--out", "y", *words], prog="tvnjax do", flags=flags)


@pytest.mark.parametrize(
    ("words", "option", "message"),
    [
        (["--stps", "3"], "--stps", "there is no option --stps (did you mean --inner.steps?)"),
        (["--iner.steps=3"], "--iner.steps", "there is no option --iner.steps (did you mean --inner.steps?)"),
        (["--steps", "3"], "--steps", "there is no option --steps (did you mean --inner.steps?)"),
        (["--zzzzzz"], "--zzzzzz", "there is no option --zzzzzz"),
        (["-v"], "-v", "there is no option -v"),
        (["more"], None, "unexpected argument 'more'"),
        (["--kind", "jsn"], "--kind", "--kind is one of table, json; got 'jsn' (did you mean 'json'?)"),
        (["--limit"], "--limit", "--limit needs a value: the most there may be"),
        (["--inner.steps"], "--inner.steps", "--inner.steps needs a value: how many"),
        (["--inner.steps", "--fast"], "--inner.steps", "--inner.steps needs a value: how many"),
        (["--inner.steps", "x"], "--inner.steps", "--inner.steps: 'x' is no whole number"),
        (["--sizes", "1", "x"], "--sizes", "--sizes: 'x' is no whole number"),
        (["--limit", "x"], "--limit", "--limit: 'x' is no number"),
        (["--fast", "yes"], "--fast", "--fast is one of True, False; got 'yes'"),
        (["--fast", "True", "False"], "--fast", "--fast: it is True or False; got 2 values"),
        (["--masks", "True", "0"], "--masks", "--masks is one of True, False; got '0'"),
        (["--kind", "\x1b[31m"], "--kind", r"--kind is one of table, json; got '\\x1b[31m'"),
        (["--\u202estep"], "--\u202estep", r"there is no option --\u202estep (did you mean --inner.steps?)"),
    ],
)
def test_one_line_says_what_is_wrong(words, option, message):
    with pytest.raises(RefusedOptionError) as error:
        read(*words)
    assert str(error.value) == f"{message}; 'tvnjax do --help' lists the options"
    assert error.value.option == option


def test_all_that_is_missing_is_said():
    with pytest.raises(RefusedOptionError) as error:
        parse_command(Options, [], prog="tvnjax do")
    assert str(error.value) == (
        "tvnjax do needs a name, or a file; and --out PATH (where to write; made if it is not there); "
        "'tvnjax do --help' lists the options"
    )


@pytest.mark.parametrize(
    ("words", "fast", "masks"),
    [
        ([], False, (False,)),
        (["--fast"], True, (False,)),
        (["--fast", "True"], True, (False,)),
        (["--fast", "False"], False, (False,)),
        (["--fast", "--masks", "True", "False"], True, (True, False)),
        (["--masks", "--fast"], True, ()),
    ],
)
def test_true_and_false(words, fast, masks):
    made = read(*words)
    assert (made.fast, made.masks) == (fast, masks)


def test_switches_take_no_value():
    assert read("--fast", flags=True).fast and not read(flags=True).fast
    with pytest.raises(RefusedOptionError, match="unexpected argument 'True'"):
        read("--fast", "True", flags=True)


def test_nothing_is_printed_of_what_tyro_would_say(capsys):
    line = refused(capsys, "run", "quick", "--search.steps", "many")
    assert line == "--search.steps: 'many' is no whole number; 'tvnjax run quick --help-all' lists the options"


def test_a_rule_of_several_options_names_no_option(capsys):
    line = refused(capsys, "run", "quick", "--workers.count", "3")
    assert line.endswith("give --workers.engine pool or ray"), line


@pytest.mark.parametrize("gone", ["module", "name", "attribute"])
def test_where_tyro_no_longer_says_what_it_met_it_speaks_for_itself(gone, monkeypatch, capsys):
    import tyro._errors as events

    if gone == "module":
        monkeypatch.setitem(sys.modules, "tyro._errors", None)
    elif gone == "name":
        monkeypatch.delattr(events, "on_parse_error")
    else:
        monkeypatch.setattr("tvnjax.cli.refusals._READERS", {"InvalidChoice": lambda event, *_: event.no_longer})
    _, err = said(capsys, "zoo", "--format", "xml", status=2)
    assert "xml" in err and "Traceback" not in err


def test_the_nearest_option():
    known = ["--search.steps", "--proxy.steps", "--shapes.image-size", "--seed"]
    assert nearest_option("--steps", known) == " (did you mean --search.steps or --proxy.steps?)"
    assert nearest_option("--shapes.imagesize", known) == " (did you mean --shapes.image-size?)"
    assert nearest_option("--step", known) == " (did you mean --search.steps or --proxy.steps?)"
    assert nearest_option("--qqq", known) == ""
    assert len(nearest_option("--" + "x" * 100_000, known)) < 100
