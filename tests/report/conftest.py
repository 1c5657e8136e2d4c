"""One finished report that the read-only tests share."""

from pathlib import Path

import pytest

from tests.report.fabricated_run import make_run
from tvnjax.report.page import write_report


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of three strategies with one seed each, with its report."""
    directory = make_run(tmp_path_factory.mktemp("runs") / "demo")
    write_report(directory)
    return directory
