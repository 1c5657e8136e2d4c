"""``tvnjax --install-completion``: completes commands and options in bash, zsh and fish."""

import contextlib
import io
import os
from pathlib import Path
from typing import Annotated, Any, Union

import tyro

from tvnjax.cli.commands import COMMANDS
from tvnjax.cli.options import option_rules
from tvnjax.core.errors import InvalidInputError, did_you_mean
from tvnjax.core.outputs import write_output
from tvnjax.core.printable import say, standard_output

SHELLS = ("bash", "zsh", "fish")


def completion_command(argv: list[str]) -> int:
    """``--install-completion [SHELL]`` writes the script where the shell finds it; ``--print-completion [SHELL]``
    prints it.

    Raises:
        InvalidInputError: the shell is none of those known, or the script cannot be written.
    """
    shell = _shell(argv[1:])
    script = completion_script(shell)
    if argv[0] == "--print-completion":
        with standard_output():
            print(script)
        return 0
    path = script_path(shell)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_output({path: script.encode()}, "a completion script", force=True)
    say(path)
    say(
        {
            "bash": "begin a new shell; where nothing is completed, source this file in ~/.bashrc",
            "zsh": f"begin a new shell; ~/.zshrc needs: fpath=({path.parent} $fpath); autoload -Uz compinit; compinit",
            "fish": "begin a new shell",
        }[shell],
        error=True,
    )
    return 0


def completion_script(shell: str) -> str:
    """The script that completes all commands and their options, without starting tvnjax.

    Args:
        shell: one of ``SHELLS``.
    """
    from tvnjax.running.config import PRESETS

    branches: list[Any] = []
    for name, command in COMMANDS.items():
        kind: Any = command.load_options()
        if command.presets:
            presets = [
                Annotated[kind, tyro.conf.subcommand(name=preset, default=kind(config=config), prefix_name=False)]
                for preset, (_, config) in PRESETS.items()
            ]
            kind = Union[tuple(presets)]  # noqa: UP007
        branches.append((name, kind, command.does))
    written = io.StringIO()
    with contextlib.redirect_stdout(written), contextlib.suppress(SystemExit):
        tyro.extras.subcommand_cli_from_dict(
            {name: kind for name, kind, _ in branches},
            prog="tvnjax",
            args=["--tyro-write-completion", shell, "-"],
            config=(tyro.conf.AvoidSubcommands, tyro.conf.FlagCreatePairsOff),
            registry=option_rules([], flags=True),
        )
    # The script has one completion a line; tyro keeps line ends of help texts in what it says about each.
    lines = written.getvalue().splitlines()
    return "\n".join(line.replace("\\n", " ") if line.startswith("COMPLETION_SPEC = ") else line for line in lines)


def script_path(shell: str) -> Path:
    """Where a shell looks for a user's completions."""
    home = Path.home()
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return {
        "bash": data / "bash-completion" / "completions" / "tvnjax",
        "zsh": data / "zsh" / "site-functions" / "_tvnjax",
        "fish": config / "fish" / "completions" / "tvnjax.fish",
    }[shell]


def _shell(argv: list[str]) -> str:
    if len(argv) > 1:
        raise InvalidInputError(f"a completion is for one shell; got {' '.join(argv)}")
    shell = argv[0] if argv else Path(os.environ.get("SHELL", "")).name
    if shell not in SHELLS:
        where = "" if argv else " in SHELL: name it behind the option"
        raise InvalidInputError(
            f"a shell is one of {', '.join(SHELLS)}; got {shell!r}{where}{did_you_mean(shell, SHELLS)}"
        )
    return shell
