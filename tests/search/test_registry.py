"""Strategies by name: the built-in ones, those of other packages, and names that two have or nobody."""

import importlib
import json
import sys

import pytest

import tvnjax
from tests.cli.told import configured, json_of, refused, said
from tests.fabricated_table import make_table
from tests.search.hill_climb import install
from tvnjax.cli import main
from tvnjax.cli.completion import completion_script
from tvnjax.core.errors import InvalidInputError
from tvnjax.core.to_json import jsonable
from tvnjax.report.figures.canvas import strategy_looks
from tvnjax.running.config import RunConfig
from tvnjax.running.config_values import changed, from_plain
from tvnjax.search.registry import BUILT_IN, facts_of, known_strategies, registered, strategy_choices


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Returns a function that installs a package (see ``install``); its module is forgotten behind the test."""
    folder, before = tmp_path / "packages", set(sys.modules)
    monkeypatch.syspath_prepend(folder)

    def put(package, points, code=None, folder=folder):
        install(folder, package, points, code)
        monkeypatch.syspath_prepend(folder)
        importlib.invalidate_caches()

    yield put
    for name in set(sys.modules) - before:
        if name.startswith("hills"):
            del sys.modules[name]


def test_what_the_engine_knows_of_the_built_in_ones():
    """As it was told by their names until there was a registry."""
    assert {one.name for one in BUILT_IN.values() if one.by_gradient} == {"differentiable", "hybrid"}
    assert {name for name, one in BUILT_IN.items() if one.shares_weights} == {
        name for name in BUILT_IN if name.endswith("weight_sharing")
    }
    assert {name for name, one in BUILT_IN.items() if not one.chooses} == {
        name for name in BUILT_IN if "random" in name
    }
    assert all((one.make is None) == one.by_gradient and one.name == name for name, one in BUILT_IN.items())
    own = facts_of("my_random_weight_sharing")
    assert own.chooses and not own.by_gradient and not own.shares_weights and own.title == ""


def test_looks_of_many_strategies_are_never_alike():
    names = [*BUILT_IN, *(f"own_{number}" for number in range(60))]
    looks = strategy_looks(names)
    assert len({(looks[name].colour, looks[name].marker, looks[name].dashes) for name in names}) == len(names)
    assert len({looks[name].marker for name in names[:14]}) == 14, "markers alone tell the first ones apart"


def test_a_strategy_of_a_package_is_known_and_loaded_when_it_runs(packages):
    packages("hills", {"hill_climb": "hills:HillClimb"})
    assert known_strategies() == (*BUILT_IN, "hill_climb")
    config = RunConfig(strategies=("differentiable", "hill_climb"))
    told = json.loads(json.dumps(jsonable(config)))
    assert told["strategies"] == ["differentiable", "hill_climb"] and from_plain(RunConfig, told, "file") == config
    assert changed(RunConfig(), {"strategies": ["hill_climb", "differentiable"]}).strategies[0] == "hill_climb"
    assert "hills" not in sys.modules
    assert registered("hill_climb").name == "hill_climb" and "hills" in sys.modules


def test_without_its_package_a_name_is_refused_and_the_file_is_not_called_damaged(packages):
    told = json.loads(json.dumps(jsonable(RunConfig())))
    told["strategies"] = ["differentiable", "hill_climb"]
    with pytest.raises(
        InvalidInputError, match=r"file: config\.strategies\.1 is one of .*install the package"
    ) as raised:
        from_plain(RunConfig, told, "file")
    assert "damaged" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("steep", "'steep' is registered by hills_a .hills_a:HillClimb. and by hills_b .hills_b:HillClimb.: uninstall"),
        ("evolution", "'evolution' is registered by tvnjax and by hills_a .hills_a:HillClimb. and by hills_b"),
    ],
)
def test_two_packages_of_one_name_are_refused_where_it_is_used(packages, name, words, tmp_path):
    for package in ("hills_a", "hills_b"):
        packages(package, {name: f"{package}:HillClimb"})
    assert known_strategies().count(name) == 1
    assert registered("random").name == "random", "what is not used is no matter"
    with pytest.raises(InvalidInputError, match=words):
        registered(strategy_choices([name])[0])
    with pytest.raises(InvalidInputError, match=words):
        tvnjax.run("quick", strategies=("differentiable", name), out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        ("hills_none:HillClimb", None, "'broken' of hills .hills_none:HillClimb. cannot be .ModuleNotFoundError"),
        ("hills:Missing", None, "cannot be .AttributeError"),
        ("hills:HillClimb", "raise RuntimeError('no licence\\nhere')", "RuntimeError: no licence here"),
        ("hills:HillClimb", "def HillClimb(", "SyntaxError"),
        ("hills:HillClimb", "HillClimb = 3", "has no ask"),
        ("hills:HillClimb", "class HillClimb:\n    def __init__(self, space): pass", "broken cannot be .TypeError"),
    ],
)
def test_what_cannot_be_loaded_is_refused_where_it_is_used(packages, value, code, words, capsys, tmp_path):
    packages("hills", {"broken": value, "other": "hills:HillClimb"}, code)
    assert "broken" in known_strategies() and registered("random") is BUILT_IN["random"]
    with pytest.raises(InvalidInputError, match=words) as raised:
        registered("broken")
    assert "\n" not in str(raised.value)
    out = tmp_path / "run"
    assert refused(capsys, "run", "quick", "--strategies", "differentiable", "broken", "--out", out)
    assert not out.exists()


@pytest.mark.parametrize("name", ["a/b", "has-dash", "x" * 41, "supernet"])
def test_a_name_that_files_cannot_have_is_not_offered(packages, name):
    packages("hills", {name: "hills:HillClimb"})
    assert name not in known_strategies()
    with pytest.raises(InvalidInputError, match="letters of A to Z"):
        RunConfig(strategies=("differentiable", name))


def test_the_command_line_knows_it_everywhere(packages, capsys, tmp_path):
    packages("hills", {"hill_climb": "hills:HillClimb"})
    options = ["--strategies", "differentiable", "hill_climb"]
    config = configured(capsys, "quick", *options)
    assert config["strategies"] == ["differentiable", "hill_climb"]
    file = tmp_path / "run.toml"
    file.write_text(said(capsys, "run", "quick", *options, "--print-config")[0])
    assert configured(capsys, "--config", file) == config
    assert "hill_climb" in said(capsys, "run", "quick", "--help")[0]
    assert "hill_climb" in said(capsys, "run", "quick", "--help-all")[0]
    assert "hill_climb" in said(capsys, "replay", "--help")[0]
    assert completion_script("bash").count("hill_climb") >= 4, "run's presets and replay"
    told = refused(capsys, "run", "quick", "--strategies", "hil_climb")
    assert "did you mean 'hill_climb'" in told and told.startswith("--strategies is one of differentiable")


def test_without_packages_the_built_in_ones_are_offered(capsys):
    told = " ".join(said(capsys, "run", "quick", "--help")[0].split())
    assert "what searches: " + ", ".join(BUILT_IN) in told
    script = completion_script("bash")
    assert all(f"'{name}'" in script for name in BUILT_IN)


def test_a_package_s_strategy_is_replayed_from_the_command_line_and_from_python(packages, capsys, tmp_path):
    packages("hills", {"hill_climb": "hills:HillClimb"})
    table = tmp_path / "table.jsonl"
    make_table(table, count=60)
    options = ["--strategies", "hill_climb", "random", "--seeds", "0", "1", "--seconds", "200"]
    told = json_of(capsys, "replay", table, *options, "--out", tmp_path / "theirs", "--json")
    assert [row["name"] for row in told["strategies"]] == ["hill_climb"] * 2 + ["random"] * 2
    run = tvnjax.replay(
        table, strategies=("hill_climb", "random"), seeds=(0, 1), seconds=200, out=tmp_path / "ours", quiet=True
    )
    assert run.rows() == tvnjax.open_run(tmp_path / "theirs").rows()
    assert run.figure("best_so_far")._repr_png_() and "hill_climb" in repr(run)
    strategies = {row["strategy"] for row in run.candidates()}
    assert strategies == {"hill_climb", "random"}
    assert main(["compare", str(run.path), "--out", str(tmp_path / "page"), "--reference", "hill_climb"]) == 0
    assert "hill_climb" in (tmp_path / "page" / "compare.html").read_text()
