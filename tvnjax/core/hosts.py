"""The processes of a run on several hosts: what process 0 decides and tells the others, and what becomes of them when
one ends.

JAX's own ``initialize`` keeps the coordination service in process 0 and ends every process without a word when that is
lost. Here the service has a process of its own (``core.coordinator``), and each process watches over the others.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.host_keys import ALIVE, DONE, ENDED, GONE
from tvnjax.core.joining import Address, connect
from tvnjax.core.printable import on_one_line, say
from tvnjax.core.to_json import jsonable

_LOOK_S = 1.0
"""Seconds between two looks at the others."""
_SILENT_S = 20.0
"""Seconds without a sign of life after which a process counts as lost."""
_GRACE_S = 4.0
"""Seconds the work has to end by itself once a process is lost; XLA hears nothing while it waits for the others."""
_WAIT_MS, _FETCH_MS = 1000, 60_000
"""Of waiting between two looks at whether all are there, and of fetching what is there."""
_GONE_S = 5.0
"""Seconds that process 0 waits for the others to let go of its service."""
_MEET_S = 45.0
"""Seconds that others have to meet what one has met."""
_PIECE = 2**20
"""Bytes of a message; the service takes a few times as many."""


class HostLostError(InvalidInputError):
    """Another process of the run has ended, so this one cannot go on."""


class OtherHostError(InvalidInputError):
    """The processes of a run do not agree."""


class Hosts:
    """One process of a run, and its ties to the others. By itself (``ALONE``) it is the whole run.

    Every process calls the same methods in the same order.
    """

    def __init__(self, index: int = 0, count: int = 1, client: Any = None, hint: str = "", *, insisting: bool = False):
        self.index, self.count, self.hint = index, count, hint
        self._client, self._insisting = client, insisting
        self._said = 0
        self._over = threading.Event()
        self._lost: str | None = None
        if count > 1:
            threading.Thread(target=self._watch, name="hosts", daemon=True).start()

    @property
    def leads(self) -> bool:
        """Whether this is process 0: it decides what clocks and measurements decide, and writes."""
        return self.index == 0

    def same(self, what: str, make: Callable[[], Any]) -> Any:
        """What process 0 makes, as JSON knows it, on every process.

        Raises:
            OtherHostError: another process asked for something else.
            HostLostError: one has ended.
        """
        if self.count == 1:
            return make()
        if not self.leads:
            told = json.loads(self._hear(0))
            if told["what"] != what:
                raise OtherHostError(
                    f"all processes of a run take the same course; process 0 tells of {told['what']!r:.100}, process "
                    f"{self.index} waits for {what!r:.100}: begin again, and report it"
                )
            return told["value"]
        value = jsonable(make())
        self._tell(json.dumps({"what": what, "value": value}).encode())
        return value

    def each(self, what: str, value: Any) -> list[Any]:
        """What every process says, by their numbers.

        Raises:
            HostLostError: one has ended.
        """
        if self.count == 1:
            return [value]
        self._tell(json.dumps({"what": what, "value": jsonable(value)}).encode())
        self._said -= 1
        told = []
        for index in range(self.count):
            told.append(json.loads(self._hear(index))["value"])
            self._said -= 1
        self._said += 1
        return told

    def least(self, what: str, value: float | None) -> float | None:
        """The least number that a process says; ``None`` where none says any."""
        said = [one for one in self.each(what, value) if one is not None]
        return min(said, default=None)

    def met(self, what: str) -> None:
        """Where something has happened that must have happened to all: waits for them.

        Raises:
            OtherHostError: something else has happened to another.
            HostLostError: another has not come in time.
        """
        if self.count == 1:
            return
        late = threading.Timer(_MEET_S, self._give_up, args=(f"process {self.index} had {what}, another had not",))
        late.daemon = True
        late.start()
        try:
            said = self.each("what has happened", what)
        finally:
            late.cancel()
        for index, other in enumerate(said):
            if other != what:
                raise OtherHostError(
                    f"what happens to one process of a run happens to all; process {self.index} had {what!r:.200}, "
                    f"process {index} {other!r:.200}: {self.hint}"
                )

    def _give_up(self, reason: str) -> None:
        self._lost = self._lost or f"{reason}; a run needs all of its processes: {self.hint}"

    def check(self) -> None:
        """Raises ``HostLostError`` where a process has ended."""
        if self._lost is not None:
            raise HostLostError(self._lost)

    def loss(self, within_s: float = _SILENT_S + 3 * _LOOK_S) -> HostLostError | None:
        """The loss of a process that explains an error, waited for: signs of life stay out for a while before one
        counts as lost."""
        until = time.monotonic() + within_s
        while self.count > 1 and self._lost is None and time.monotonic() < until:
            time.sleep(0.1)
        return None if self._lost is None else HostLostError(self._lost)

    def leave(self) -> None:
        """This process is done with what all do together."""
        if self.count > 1 and not self._over.is_set():
            self._over.set()
            with contextlib.suppress(Exception):
                self._client.key_value_set(f"{DONE}/{self.index}", "done", allow_overwrite=True)

    def fail(self, reason: str) -> None:
        """Tells the others why this process ends before its time."""
        if self.count > 1 and not self._over.is_set():
            self._over.set()
            with contextlib.suppress(Exception):
                self._client.key_value_set(f"{ENDED}/{self.index}", on_one_line(reason)[:1000], allow_overwrite=True)

    def see_off(self) -> None:
        """The last that is done: process 0 waits until the others have let go of its service, which ends with it; JAX
        would end a process that still holds on to it."""
        with contextlib.suppress(Exception):
            if not self.leads:
                self._client.key_value_set(f"{GONE}/{self.index}", "gone", allow_overwrite=True)
                return
            until = time.monotonic() + _GONE_S
            while time.monotonic() < until:
                if all(self._get(f"{GONE}/{index}") is not None for index in range(1, self.count)):
                    time.sleep(_LOOK_S)  # between word of it and the deed
                    return
                time.sleep(0.1)

    def _tell(self, text: bytes) -> None:
        self.check()
        pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
        place = f"tvnjax/said/{self._said}/{self.index}"
        for number, piece in enumerate(pieces):
            self._client.key_value_set_bytes(f"{place}/{number}", piece)
        self._client.key_value_set(f"{place}/pieces", str(len(pieces)))
        self._said += 1

    def _hear(self, index: int) -> bytes:
        place = f"tvnjax/said/{self._said}/{index}"
        count = self._wait(f"{place}/pieces", index)
        self._said += 1
        return b"".join(
            self._client.blocking_key_value_get_bytes(f"{place}/{number}", _FETCH_MS) for number in range(count)
        )

    def _wait(self, key: str, index: int) -> int:
        """The number another process leaves under a key."""
        import jax

        while True:
            self.check()
            try:
                return int(self._client.blocking_key_value_get(key, _WAIT_MS))
            except jax.errors.JaxRuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise
            if self._get(f"{DONE}/{index}") is not None and self._get(key) is None:
                raise HostLostError(
                    f"process {index} of {self.count} is done, and process {self.index} waits for it; a run needs all "
                    f"of its processes: {self.hint}"
                )

    def _watch(self) -> None:
        """In a thread: gives signs of life, looks for those of the others, and ends a process that waits for one that
        is gone."""
        beats, seen = 0, {index: ("", time.monotonic()) for index in range(self.count) if index != self.index}
        while not self._over.wait(_LOOK_S):
            beats += 1
            try:
                self._client.key_value_set(f"{ALIVE}/{self.index}", str(beats), allow_overwrite=True)
                reason = self._found(seen)
            except Exception as error:
                reason = f"the coordinator of process 0 cannot be reached any more ({str(error).splitlines()[0]:.100})"
            if reason is not None and not self._over.is_set():
                self._lost = f"{reason}; a run needs all of its processes: {self.hint}"
                if not self._over.wait(_GRACE_S) and self._insisting:
                    say(f"error: {self._lost}", error=True)
                    os._exit(2)
                return

    def _found(self, seen: dict[int, tuple[str, float]]) -> str | None:
        """What has become of another process, if it has ended."""
        now = time.monotonic()
        for index, (before, since) in seen.items():
            if self._get(f"{DONE}/{index}") is not None:
                continue
            ended = self._get(f"{ENDED}/{index}")
            if ended is not None:
                return f"process {index} of {self.count} has ended: {ended}"
            beat = self._get(f"{ALIVE}/{index}") or ""
            if beat != before:
                seen[index] = (beat, now)
            elif now - since > _SILENT_S:
                return f"process {index} of {self.count} gives no sign of life for {now - since:.0f} s"
        return None

    def _get(self, key: str) -> str | None:
        import jax

        try:
            return self._client.key_value_try_get(key)
        except jax.errors.JaxRuntimeError as error:
            if "NOT_FOUND" in str(error):
                return None
            raise


ALONE = Hosts()
"""The one process of a run."""


@contextlib.contextmanager
def joined(address: Address | None, hint: str, *, insisting: bool = True) -> Iterator[Hosts]:
    """The processes of a run, until it ends; what ends one is told the others.

    Args:
        address: of the coordinator; ``None``: this process alone.
        hint: how to go on when a process is lost.
        insisting: whether this process may be ended where it waits for one that is gone.

    Raises:
        InvalidInputError: the coordinator does not answer, or a process does not come.
        HostLostError: another process has ended.
    """
    if address is None or address.count == 1:
        yield ALONE
        return
    with _service(address), connect(address) as client:
        hosts = Hosts(address.index, address.count, client, hint, insisting=insisting)
        try:
            yield hosts
        except InvalidInputError as error:
            hosts.fail(str(error))
            raise
        except Exception as error:
            # A collective that breaks says that its neighbour is gone, not which process and why.
            lost = hosts.loss() if "jax" in type(error).__module__ or "Gloo" in str(error) else None
            if lost is not None:
                raise lost from None
            hosts.fail(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
            raise
        except BaseException as error:
            hosts.fail(f"it was stopped ({str(error) or type(error).__name__})")
            raise
        finally:
            hosts.leave()
            hosts.see_off()


@contextlib.contextmanager
def _service(address: Address) -> Iterator[None]:
    """The coordination service, beside process 0."""
    if address.index != 0:
        yield
        return
    port = address.coordinator.rpartition(":")[2]
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-m", "tvnjax.core.coordinator", port, str(address.count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        # Ctrl-C is for process 0; it says when it ends.
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        if process.stdout.readline().strip() != "serving":
            raise InvalidInputError(
                f"process 0 serves the others at --distributed.coordinator {address.coordinator}; port {port} is taken "
                "here: name another one to all processes"
            )
        yield
    finally:
        with contextlib.suppress(OSError):
            process.stdin.write("end\n")
            process.stdin.close()
        process.wait()
