"""Signs of life of a process that runs trials, for those on other machines, which cannot see its lease."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

BEAT = 15.0
"""Seconds between two signs: one may be lost or late before the minute is over after which silence is death."""


@contextmanager
def beating(beat: Callable[[], None], every: float = BEAT) -> Iterator[None]:
    """Have `beat` called by a thread beside, every so many seconds, until the block ends."""
    ended = Event()

    def run() -> None:
        while not ended.wait(every):
            with suppress(Exception):  # A database that is away for a moment: the next sign makes up for this one.
                beat()

    thread = Thread(target=run, name="everloop-sweep-beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
