"""What a turn of requests gives before it is durable: answers first, and word of the log when it has them."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Generic, TypeVar

from everloop.kernel.errors import EverloopError

A = TypeVar("A")
Done = Callable[[EverloopError | None], None]
"""What is told, from any thread and once, that the answers may be given, or why none of them may."""


class Computed(Generic[A]):
    """Answers in the requests' order, each with an error of its own if it comes to that.

    This one is kept nowhere, so that its answers may be given at once.
    """

    __slots__ = ("answers",)

    def __init__(self, answers: list[A | EverloopError]) -> None:
        self.answers = answers

    def commit(self, done: Done) -> None:
        """Have the answers kept. Returns at once; `done` is called when they are, or cannot be. Call it once."""
        done(None)

    def wait(self) -> list[A | EverloopError]:
        """The answers, once they are kept; errors instead of those that could not be."""
        kept, why = Event(), list[EverloopError]()

        def done(error: EverloopError | None) -> None:
            if error is not None:
                why.append(error)
            kept.set()

        self.commit(done)
        kept.wait()
        return [why[0] if why and not isinstance(answer, EverloopError) else answer for answer in self.answers]
