"""A run that begins and is not run."""

from typing import Any

import pytest

from tests.cli.told import Begun


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, list[str]]]:
    """Configuration and arguments of every run that begins; it then raises ``Begun``."""
    runs: list[tuple[Any, list[str]]] = []

    def note(config: Any, out: Any, command: str, listen: Any, *, argv: list[str], resume: bool) -> None:
        runs.append((config, argv))
        raise Begun

    monkeypatch.setattr("tvnjax.running.pipeline.run", note)
    return runs
