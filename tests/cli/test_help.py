"""Help: soon, short, and whole where it is asked for."""

import re
import subprocess
import sys
import time

import pytest

from tests.cli.told import refused, said
from tvnjax.cli.commands import COMMANDS
from tvnjax.cli.option_names import options_of
from tvnjax.cli.short_help import ASKED_FOR
from tvnjax.running.config import PRESETS
from tvnjax.running.preset_lines import PRESET_LINES

HEAVY = ("jax", "flax", "numpy", "tyro", "rich", "scipy", "sklearn", "tensorflow_datasets", "orbax")


def test_the_help_is_there_at_once():
    took = []
    for _ in range(5):
        start = time.monotonic()
        told = subprocess.run([sys.executable, "-m", "tvnjax", "--help"], capture_output=True, text=True, check=True)
        took.append(time.monotonic() - start)
    assert min(took) < 0.5, took
    assert all(f"tvnjax {name}" in told.stdout for name in COMMANDS) and not told.stderr


@pytest.mark.parametrize(("argv", "heavy"), [("['--help']", HEAVY), ("['run', '--help']", ("jax", "flax", "sklearn"))])
def test_the_help_imports_nothing_heavy(argv, heavy):
    code = f"import sys, tvnjax.cli as c\ntry: c.main({argv})\nexcept SystemExit: pass\n"
    code += f"print(sorted(set(sys.modules) & set({heavy})), file=sys.stderr)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stderr == "[]\n" and "quick" in told.stdout


def test_python_m_is_the_command():
    told = subprocess.run([sys.executable, "-m", "tvnjax", "zoo", "nosuch"], capture_output=True, text=True)
    assert told.returncode == 2 and told.stderr.startswith("error: a network is one of")
    told = subprocess.run([sys.executable, "-m", "tvnjax", "--version"], capture_output=True, text=True)
    assert told.returncode == 0 and told.stdout.startswith("tvnjax ")


def test_every_preset_has_its_line():
    assert {name: line for name, (line, _) in PRESETS.items()} == PRESET_LINES and set(ASKED_FOR) == set(PRESETS)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_twenty_options_people_ask_for_are_options(preset):
    config = PRESETS[preset][1]
    paths = [path for path, _ in ASKED_FOR[preset]]
    assert len(paths) == len(set(paths)) == 20
    assert set(paths) <= {option.path for option in options_of(type(config), config)}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_run_is_helped_shortly(preset, capsys):
    short, _ = said(capsys, "run", preset, "--help")
    listed = re.findall(r"^  (--[\w.-]+)", short, re.MULTILINE)
    own = ["--config", "--print-config", "--resume", "--fork", "--quiet", "--json", "--help-all"]
    assert listed == own + [f"--{path.replace('_', '-')}" for path, _ in ASKED_FOR[preset]]
    assert max(map(len, short.splitlines())) <= 120
    config = PRESETS[preset][1]
    assert f"steps of the gradient search (default: {config.search.steps})" in short
    assert "--help-all" in short and said(capsys, "run", preset, "-h", "--seed", 3)[0] == short


def test_all_options_are_listed_where_they_are_asked_for(capsys):
    for argv in (["run", "clips", "--help-all"], ["run", "--help-all"], ["profile", "--help-all"]):
        told, _ = said(capsys, *argv)
        config = PRESETS["quick" if argv[1] == "--help-all" and argv[0] == "run" else "clips"][1]
        options = [option.flag for option in options_of(type(config), config)]
        assert len(options) > 120 and all(f"{option} " in told for option in options)


def test_a_run_without_a_preset_says_how_to_name_one(capsys):
    told, _ = said(capsys, "run", "--help")
    assert "tvnjax run --config FILE" in told and "--shapes.image-size" in told and "Search on your own video" in told
    assert said(capsys, "run", status=2)[0] == told
    assert said(capsys, "run", "--search.steps", 3, "--help")[0] == told
    assert refused(capsys, "run", "--search.steps", 3) == "name a preset: quick, clips, planted, tvn-gpu, tvn-tpu"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_explained(name, capsys):
    told, _ = said(capsys, name, "--help")
    assert f"tvnjax {name}" in told and "--quiet" in told and "--json" in told


def test_a_profile_is_helped_with_what_it_depends_on(capsys):
    told, _ = said(capsys, "profile", "--help")
    assert "usage: tvnjax profile [PRESET] [options]" in told
    assert "--shapes.image-size" in told and "--verify" in told and "--strategies" not in told


def test_a_default_is_said_once(capsys):
    for preset, default in (("planted", "5.0"), ("quick", "half of what the largest network takes")):
        told, _ = said(capsys, "run", preset, "--help")
        assert f"milliseconds a network may take (default: {default})" in " ".join(told.split())
