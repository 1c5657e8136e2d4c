"""SIGTERM and Ctrl-C: keep where the work is, say how to go on, and be gone within ten seconds."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tvnjax.core.printable import say

_PATIENCE_S = 7.0
"""Seconds the work has to end by itself; XLA hears no signal while it compiles."""
_LAST_S = 2.0
"""Seconds for a last checkpoint where it did not."""


class Stopped(KeyboardInterrupt):
    """The process was asked to end. No mistake, so ``except Exception`` lets it pass."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def status(self) -> int:
        """What the process ends with: 130 for Ctrl-C, 143 for SIGTERM, as a shell reports them."""
        return 128 + self.number


@contextlib.contextmanager
def stoppable(keep: Callable[[], None], hint: str, *, insisting: bool = True) -> Iterator[None]:
    """Turns the first signal into ``Stopped`` in the main thread; where that does not get through in time, keeps the
    last place from another thread and ends the process. A second signal ends it at once: all that is on the disk is
    whole at any moment.

    Outside the main thread nothing is done.

    Args:
        keep: writes the last place; called from any thread.
        hint: how to go on, printed where the process is ended from here.
        insisting: whether it is; a notebook's process is not.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    listening, waking = socket.socketpair()
    waking.setblocking(False)
    asked = threading.Event()
    done = threading.Event()

    heard = [signal.SIGINT]

    def first(number: int, _: Any) -> None:
        if not asked.is_set():
            asked.set()
            heard[0] = signal.Signals(number)
            raise Stopped(number)

    def watch() -> None:
        # Python's own handlers run between two steps of the interpreter; this thread hears the signal at once.
        numbers = 0
        while data := listening.recv(1):
            number = data[0]
            if number not in (signal.SIGINT, signal.SIGTERM):
                continue
            numbers += 1
            if not insisting:
                continue
            if numbers > 1:
                _end(number, hint)
            threading.Thread(target=insist, args=(number,), daemon=True).start()

    def insist(number: int) -> None:
        if done.wait(_PATIENCE_S):
            return
        threading.Timer(_LAST_S, _end, args=(number, hint)).start()
        with contextlib.suppress(Exception):
            keep()
        _end(number, hint)

    before = {number: signal.signal(number, first) for number in (signal.SIGINT, signal.SIGTERM)}
    woken = signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=watch, name="stopping", daemon=True).start()
    try:
        yield
    except KeyboardInterrupt as error:
        with contextlib.suppress(Exception):
            keep()
        # Libraries that wait in a language of their own, as Ray does, make their own interrupt of whatever they heard.
        raise error if isinstance(error, Stopped) else Stopped(heard[0]) from error
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        waking.close()
        done.set()


def end_soon(status: int) -> None:
    """Ends the process in two seconds at the latest: threads that compile would keep it for minutes."""
    ending = threading.Timer(_LAST_S, os._exit, args=(status,))
    ending.daemon = True
    ending.start()


def _end(number: int, hint: str) -> None:
    say(f"stopped; {hint}", error=True)
    os._exit(128 + number)
