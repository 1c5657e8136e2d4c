"""Streamed batches on the device before they are asked for, a thread putting them there."""

import copy
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Self, TypeVar

from tvnjax.data.loader import Stream

T = TypeVar("T")

_LOOKS_S = 0.1
"""Seconds between two looks of a waiting thread at whether it is still wanted."""


def ahead(items: Iterator[T], depth: int) -> Generator[T]:
    """Yields ``items``, of which a thread makes up to ``depth`` in advance, one more being in the making.

    The thread begins with the first item asked for, and ends with the items or when the generator is closed. What goes
    wrong in it is raised here, behind the items before.
    """
    made: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(depth)
    unwanted = threading.Event()

    def put(item: Any, error: BaseException | None) -> bool:
        while not unwanted.is_set():
            try:
                made.put((item, error), timeout=_LOOKS_S)
                return True
            except queue.Full:
                continue
        return False

    def fill() -> None:
        try:
            for item in items:
                if not put(item, None):
                    return
        except BaseException as error:
            put(None, error)
        else:
            put(None, StopIteration())

    thread = threading.Thread(target=fill, name="clips ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        unwanted.set()
        thread.join()


def placed(batch: Mapping[str, Any], place: Callable[[Any], Any]) -> dict[str, Any]:
    """Returns a batch with its clips on the device; the rest is small, and needed on the host."""
    return {**batch, "clips": place(batch["clips"])}


class StreamAhead:
    """A stream whose next batches are on the device already. Its place is that of the batch handed out last, not of
    those in advance, so that a resumed run reads the same batches.

    Args:
      stream: nothing else may read it.
      place: puts clips on the device.
      depth: batches in advance.
    """

    def __init__(self, stream: Stream, place: Callable[[Any], Any], depth: int) -> None:
        self._stream, self._place, self._depth = stream, place, depth
        self._state = copy.deepcopy(stream.get_state())
        self._batches = self._begin()

    def _begin(self) -> Generator[tuple[dict[str, Any], dict[str, Any]]]:
        return ahead(_told(self._stream, self._place), self._depth)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> dict[str, Any]:
        batch, self._state = next(self._batches)
        return batch

    def get_state(self) -> dict[str, Any]:
        """Returns the place in the stream, to be kept as JSON."""
        return copy.deepcopy(self._state)

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes to a place that :meth:`get_state` returned: the same batches follow.

        Raises:
          InvalidInputError: as ``Stream.set_state``; the place then stays as it is.
        """
        self._batches.close()
        try:
            self._stream.set_state(state)
            self._state = copy.deepcopy(state)
        except BaseException:
            self._stream.set_state(self._state)
            raise
        finally:
            self._batches = self._begin()


def _told(stream: Stream, place: Callable[[Any], Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each batch, with the place behind it."""
    for batch in stream:
        yield placed(batch, place), copy.deepcopy(stream.get_state())
