"""Numbers of a training: lines of JSON through the monitor, and TensorBoard's files where they are asked for."""

import importlib
from pathlib import Path
from typing import Any, Self

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.monitor import Monitor
from tvnjax.core.printable import NAME, printable


class EventLog:
    """Writes scalars.

    Args:
        run: the run's directory; TensorBoard's files go to ``tensorboard/`` in it.
        monitor: receives an event ``step`` with the scalars.
        tensorboard: write TensorBoard's files too.

    Raises:
        InvalidInputError: tensorboardX is not installed, and how to install it.
    """

    def __init__(self, run: Path, monitor: Monitor, *, tensorboard: bool):
        self._monitor = monitor
        self._writer: Any = None
        if tensorboard:
            self._writer = tensorboard_package().SummaryWriter(str(run / "tensorboard"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def scalars(self, step: int, **values: float) -> None:
        """Numbers of one step, by names such as ``train/loss``."""
        self._monitor.event("step", step=step, **values)
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(printable(name, NAME), value, step)
            self._writer.flush()


def tensorboard_package() -> Any:
    """The package that writes TensorBoard's files without TensorFlow.

    Raises:
        InvalidInputError: it is not installed.
    """
    try:
        return importlib.import_module("tensorboardX")
    except ImportError as error:
        raise InvalidInputError(
            f"--tensorboard needs tensorboardX, which is missing ({error}): pip install 'tvnjax[tensorboard]'"
        ) from None
