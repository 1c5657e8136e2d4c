"""Completion: the script says what bash asks it, and is written where shells look."""

import shutil
import subprocess

import pytest

from tests.cli.told import refused, said
from tvnjax.cli.commands import COMMANDS
from tvnjax.cli.completion import SHELLS, completion_script, script_path


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "tvnjax.bash"
    path.write_text(completion_script("bash"))
    return path


def completed(script, *words):
    """What bash offers for the last word."""
    if shutil.which("bash") is None or shutil.which("python3") is None:
        pytest.skip("there is no bash, or no python3")
    asking = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; '
        "asked=$(complete -p tvnjax); asked=${asked#*-F }; ${asked%% *}; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    told = subprocess.run(
        ["bash", "-c", asking, "bash", str(script), "tvnjax", *words], capture_output=True, text=True, check=True
    )
    assert not told.stderr
    return set(told.stdout.split("\n")) - {""}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["r"], {"run", "report", "record", "replay"}),
        (["run", "q"], {"quick"}),
        (["profile", "c"], {"clips"}),
        (["run", "quick", "--search.ba"], {"--search.batch-size"}),
        (["run", "quick", "--repro"], {"--reproducible"}),
        (["run", "clips", "--data.fo"], {"--data.folder"}),
        (["run", "quick", "--data.fo"], set()),
        (["run", "quick", "--runtime", ""], {"xla", "litert", "onnxruntime"}),
        (["zoo", "--format", "c"], {"csv"}),
        (["train", "x3d-xs", "--lea"], {"--learning-rate"}),
        (["zoo", "--js"], {"--json"}),
    ],
)
def test_bash_completes(words, offered, script):
    assert completed(script, *words) == offered


def test_every_command_is_offered(script):
    assert completed(script, "") == {*COMMANDS, "-h", "--help"}


def test_every_option_is_one_line(script):
    """tyro keeps line ends of long help texts, which a shell takes for further completions."""
    assert all(word.startswith("--") for word in completed(script, "run", "quick", "--"))


@pytest.mark.parametrize("shell", SHELLS)
def test_it_is_installed_where_the_shell_looks(shell, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    out, err = said(capsys, "--install-completion")
    path = script_path(shell)
    assert out == f"{path}\n" and "begin a new shell" in err and path.is_relative_to(tmp_path)
    script = path.read_text()
    assert "tvnjax" in script and "--search.steps" in script
    assert said(capsys, "--print-completion", shell)[0].rstrip() == script.rstrip()
    assert said(capsys, "--install-completion", shell)[0] == out, "again, over what is there"


def test_shells_that_are_not_known(capsys, monkeypatch):
    assert refused(capsys, "--print-completion", "bsh") == (
        "a shell is one of bash, zsh, fish; got 'bsh' (did you mean 'bash'?)"
    )
    monkeypatch.delenv("SHELL", raising=False)
    assert "in SHELL: name it behind the option" in refused(capsys, "--install-completion")
    assert "for one shell" in refused(capsys, "--print-completion", "bash", "zsh")
