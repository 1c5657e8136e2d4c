"""How the parts of a run tell what they are doing, without knowing who listens."""

from typing import Any, Protocol


class Monitor(Protocol):
    """Listens to a run."""

    def event(self, kind: str, **fields: Any) -> None:
        """Something worth keeping (see ``core.run_dir``)."""

    def progress(self, stage: str, done: float, total: float, text: str = "") -> None:
        """How far a stage has come, with a few words or numbers for whoever watches."""


class Silent:
    """A monitor that keeps nothing."""

    def event(self, kind: str, **fields: Any) -> None:
        pass

    def progress(self, stage: str, done: float, total: float, text: str = "") -> None:
        pass
