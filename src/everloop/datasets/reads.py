"""Who reads and writes which snapshot: a watcher (the memo of a running step) is told before rows are handed out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from everloop.datasets.entities import Snapshot


class ReadWatcher(Protocol):
    """Something that wants to know which snapshots are used."""

    def read(self, snapshot: Snapshot) -> None:
        """A snapshot is about to be read; raising refuses it."""
        ...

    def wrote(self, snapshot: Snapshot) -> None:
        """A snapshot was committed."""
        ...


_watcher: ContextVar[ReadWatcher | None] = ContextVar("everloop_read_watcher", default=None)


@contextmanager
def watching(watcher: ReadWatcher) -> Iterator[None]:
    """Tell a watcher of every snapshot that the block reads or writes."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def read(snapshot: Snapshot) -> None:
    """Say that a snapshot is about to be read."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher.read(snapshot)


def wrote(snapshot: Snapshot) -> None:
    """Say that a snapshot was committed."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher.wrote(snapshot)
