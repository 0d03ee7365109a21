"""The index of a project's runs, kept current: before each search the runs that changed since are read.

Writers are serialised and number their changes in the order of commits, so whatever changed has a larger number than
all that was seen, also when another server wrote it. What a unit of work reads that may write itself is not counted as
seen, and is read again by whoever comes next: it may never be committed. Runs that are freed for good leave their ids
in `run_purges`, under the next number of a change.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from everloop.catalog import driver
from everloop.catalog.database import Database
from everloop.catalog.session import Session
from everloop.tracking import rows
from everloop.tracking.index.columns import BLOCK
from everloop.tracking.index.table import TEXTS, TIMES, Batch, Measured, RunTable

_COLUMNS = ", ".join(f'"{name}"' for name in ("changed", "id", "texts", "latest", *TEXTS, *TIMES))
_CHANGED = f"SELECT {_COLUMNS} FROM runs WHERE project = ? AND changed > ? ORDER BY changed LIMIT {BLOCK}"  # noqa: S608  # Our columns.
_NAMED = f"SELECT {_COLUMNS} FROM runs WHERE project = ? AND id IN ({{}})"  # noqa: S608
_PURGED = "SELECT changed, runs FROM run_purges WHERE project = ? AND changed > ? ORDER BY changed"
_LAST_PURGE = "SELECT max(changed) FROM run_purges WHERE project = ?"


class _Texts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A run's `documents.Texts`."""

    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}


_texts = msgspec.msgpack.Decoder(_Texts).decode
_latest = msgspec.msgpack.Decoder(dict[str, Measured]).decode
_ids = msgspec.msgpack.Decoder(list[str]).decode


class Index:
    """The runs of a project in memory, for one thread at a time."""

    def __init__(self) -> None:
        self.table = RunTable()
        self.lock = threading.RLock()
        self._seen = -1
        self._purged: int | None = None  # Before the first time nothing is known that could have been freed.
        self._unsettled: set[str] = set()

    def refresh(self, session: Session) -> None:
        """Read what has changed since the last time."""
        if self._unsettled:
            self._settle(session)
        self._bury(session)
        seen = self._seen
        while found := driver.asked(session.connection, _CHANGED, (session.project, seen)):
            with _uncollected():
                self.table.put(_batch(found))
            seen = found[-1][0]
            if session.writes:
                self._unsettled.update(row[1] for row in found)
            if len(found) < BLOCK:
                break
        if not session.writes:
            self._seen = seen

    def doubt(self, ids: Sequence[str]) -> None:
        """Leave runs out that are not there for a reader, until they are found again."""
        self.table.remove(ids)
        self._unsettled.update(ids)

    def _bury(self, session: Session) -> None:
        """Leave out what was freed for good since the last time."""
        if self._purged is None:
            if not session.writes:
                self._purged = driver.asked(session.connection, _LAST_PURGE, (session.project,))[0][0] or -1
            return
        found = driver.asked(session.connection, _PURGED, (session.project, self._purged))
        if found:
            self.doubt([id for _, ids in found for id in _ids(ids)])
            if not session.writes:
                self._purged = found[-1][0]

    def _settle(self, session: Session) -> None:
        """Read again what may have been rolled back, or removed."""
        if rows.newest_change(session) < self._seen:
            return  # This reader began before the last one: it cannot tell what has become of them.
        found = rows.asked_of(session, _NAMED, sorted(self._unsettled))
        self.table.remove(list(self._unsettled))
        if found:
            self.table.put(_batch(found))
        if not session.writes:
            self._unsettled.clear()


class _Indexes:
    """The indexes of the databases that are open in this process, by project."""

    def __init__(self) -> None:
        self._making = threading.Lock()
        self._known: WeakKeyDictionary[Database, dict[str, Index]] = WeakKeyDictionary()

    def of(self, session: Session) -> Index:
        with self._making:
            projects = self._known.setdefault(session.resources.database, {})
            if session.project not in projects:
                projects[session.project] = Index()
            return projects[session.project]

    def forget(self) -> None:
        """Begin anew."""
        self.__init__()  # type: ignore[misc]  # A lock that another thread may hold cannot be freed, only replaced.


_indexes = _Indexes()
# In a process that was forked another thread may have held the locks, in the middle of a change: it begins anew.
forget = _indexes.forget
os.register_at_fork(after_in_child=forget)


@contextmanager
def current(session: Session) -> Iterator[Index]:
    """The index of the session's project as its reader sees the catalog, for this thread alone in the meantime."""
    index = _indexes.of(session)
    with index.lock:
        index.refresh(session)
        yield index


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector away from thousands of short-lived documents: it doubles what loading costs."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _batch(found: Sequence[Any]) -> Batch:
    _, ids, texts, latest, *attributes = zip(*found, strict=True)
    read = list(map(_texts, texts))
    return Batch(
        ids,
        dict(zip(TEXTS, attributes[: len(TEXTS)], strict=True)),
        dict(zip(TIMES, attributes[len(TEXTS) :], strict=True)),
        [one.parameters for one in read],
        [one.tags for one in read],
        list(map(_latest, latest)),
    )
