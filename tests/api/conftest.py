"""Small runs that all tests of the public API share: one of 5,000 arrays, stopped halfway and gone on with."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tvnjax
from tests.api.tiny import CLASSES, TINY_RUN, dark_halves
from tvnjax.api import progress


@dataclasses.dataclass(frozen=True)
class Case:
    """A run of arrays that was stopped, a copy of it as it was then, and what it was given."""

    out: Path
    stopped: Path
    clips: np.ndarray
    labels: np.ndarray
    told: str
    """What was said when it stopped."""

    def data(self) -> Any:
        return tvnjax.Arrays(self.clips, self.labels, class_names=CLASSES)


def stopping_at(stage: str) -> Any:
    """``RunMonitor`` that is interrupted where a stage begins, as by Ctrl-C."""

    def tell(self: Any, now: str, done: float, total: float, text: str = "") -> None:
        if now == stage:
            raise KeyboardInterrupt

    return tell


@pytest.fixture(scope="session")
def stopped_run(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("api")
    clips, labels = dark_halves(5000)
    case = Case(out=folder / "arrays", stopped=folder / "stopped", clips=clips, labels=labels, told="")
    with pytest.MonkeyPatch().context() as patch:
        said: list[str] = []
        patch.setattr(progress.RunMonitor, "progress", stopping_at("evolution"))
        patch.setattr("tvnjax.api.start.say", lambda text, **_: said.append(str(text)))
        with pytest.raises(KeyboardInterrupt):
            tvnjax.run(TINY_RUN, data=case.data(), out=case.out, seed=3)
    shutil.copytree(case.out, case.stopped)
    return dataclasses.replace(case, told=" ".join(said))


@pytest.fixture(scope="session")
def finished(stopped_run: Case) -> tvnjax.Run:
    return tvnjax.run(resume=stopped_run.out, data=stopped_run.data(), quiet=True)


@pytest.fixture
def refused():
    """Checks that a call is refused in one line that holds some words."""

    def check(call: Any, *words: str) -> str:
        with pytest.raises(ValueError) as raised:
            call()
        told = str(raised.value)
        assert len(told.splitlines()) == 1 and told == told.strip()
        assert not [word for word in words if word not in told], told
        return told

    return check
