"""Calls that may take no longer than a given time: they run in a thread, which is given up when it hangs."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread
from typing import Generic, TypeVar

T = TypeVar("T")
MOST_HUNG = 4
"""So many calls may hang at once; no further one is made, since each keeps a thread, and what it holds, for good."""


class TimedOut(Exception):  # It never leaves this area: a model that is late has failed.
    """A call took too long, or too many others hang."""


class Timed:
    """Makes calls, one at a time. A native call cannot be stopped: what hangs goes on in its thread."""

    def __init__(self, seconds: float, name: str) -> None:
        self._seconds = seconds
        self._name = name
        self._calls: SimpleQueue[_Call[object] | None] | None = None
        self._hung: list[_Call[object]] = []

    @property
    def hung(self) -> int:
        """How many calls hang now."""
        self._hung = [call for call in self._hung if not call.ended.is_set()]
        return len(self._hung)

    def run(self, function: Callable[[], T]) -> T:
        """What the function gives, or raises.

        Raises:
            TimedOut: it takes too long.
        """
        if self._hung and self.hung >= MOST_HUNG:
            raise TimedOut(f"{len(self._hung)} runs hang")
        if self._calls is None:
            self._calls = SimpleQueue()
            # Not an executor: Python would wait at exit for a thread that hangs.
            Thread(target=_work, args=(self._calls,), name=self._name, daemon=True).start()
        call: _Call[T] = _Call(function)
        self._calls.put(call)  # type: ignore[arg-type]  # The thread takes calls of any type.
        if not call.ended.wait(self._seconds):
            self._calls.put(None)  # The thread ends when its call does.
            self._calls = None
            self._hung.append(call)  # type: ignore[arg-type]  # The same.
            raise TimedOut(f"it took longer than {self._seconds * 1e3:g} ms")
        return call.outcome()

    def close(self) -> None:
        """End the thread."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None


class _Call(Generic[T]):
    """A call and what came of it."""

    def __init__(self, function: Callable[[], T]) -> None:
        self.ended = Event()
        self._function = function
        self._values: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Make the call."""
        try:
            self._values.append(self._function())
        except BaseException as error:  # noqa: BLE001  # It belongs to whoever asked.
            self._error = error
        self.ended.set()

    def outcome(self) -> T:
        """What the function gave, or raised."""
        if self._error is not None:
            raise self._error
        return self._values[0]


def _work(calls: SimpleQueue[_Call[object] | None]) -> None:
    while (call := calls.get()) is not None:
        call.run()
        del call  # What it gave is not kept until the next one comes.
