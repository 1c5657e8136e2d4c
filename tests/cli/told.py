"""What the command line says, in this process."""

import json
from typing import Any

from tvnjax.cli import main


def said(capsys: Any, *argv: object, status: int = 0) -> tuple[str, str]:
    """Standard output and error of a command that ends with a status, also by ``SystemExit``."""
    capsys.readouterr()
    try:
        ended = main([str(word) for word in argv])
    except SystemExit as exit:
        ended = exit.code or 0
    told = capsys.readouterr()
    assert ended == status, told.err
    return told.out, told.err


def refused(capsys: Any, *argv: object) -> str:
    """The one line of a command that is refused."""
    out, err = said(capsys, *argv, status=2)
    assert not out and err.startswith("error: ") and err.count("\n") == 1, (out, err)
    return err.removeprefix("error: ").rstrip("\n")


def json_of(capsys: Any, *argv: object) -> Any:
    """The one JSON document on standard output."""
    return json.loads(said(capsys, *argv)[0])


def configured(capsys: Any, *argv: object) -> dict[str, Any]:
    """All options of ``tvnjax run`` with these arguments; nothing is run."""
    return json_of(capsys, "run", *argv, "--print-config", "--json")


class Begun(Exception):
    """A run that was not run, for the sake of what it was asked for."""
