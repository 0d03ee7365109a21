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
from sqlalchemy import BigInteger, Text, bindparam, func, select, type_coerce, union_all

from everloop.catalog.database import Database
from everloop.catalog.session import Session
from everloop.tracking.index.columns import BLOCK
from everloop.tracking.index.table import TEXTS, TIMES, Batch, Measured, RunTable
from everloop.tracking.tables import run_purges, runs

_AT_ONCE = 500
_COLUMNS = (
    runs.c.changed,
    runs.c.id,
    runs.c.texts,
    runs.c.latest,
    *(type_coerce(runs.c[name], Text) for name in TEXTS),
    *(type_coerce(runs.c[name], BigInteger) for name in TIMES),
)
_CHANGED = (
    select(*_COLUMNS)
    .where(runs.c.project == bindparam("project"), runs.c.changed > bindparam("seen"))
    .order_by(runs.c.changed)
    .limit(BLOCK)
)
_NAMED = select(*_COLUMNS).where(
    runs.c.project == bindparam("project"), runs.c.id.in_(bindparam("ids", expanding=True))
)
_PURGED = (
    select(run_purges.c.changed, run_purges.c.runs)
    .where(run_purges.c.project == bindparam("project"), run_purges.c.changed > bindparam("seen"))
    .order_by(run_purges.c.changed)
)
_LAST_PURGE = select(func.max(run_purges.c.changed)).where(run_purges.c.project == bindparam("project"))
_CHANGES = union_all(
    select(func.max(runs.c.changed).label("changed")).where(runs.c.project == bindparam("project")),
    select(func.max(run_purges.c.changed).label("changed")).where(run_purges.c.project == bindparam("project")),
).subquery()
_NEWEST = select(func.max(_CHANGES.c.changed))


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
        while found := session.connection.execute(_CHANGED, {"project": session.project, "seen": seen}).all():
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
        project = {"project": session.project}
        if self._purged is None:
            if not session.writes:
                self._purged = session.connection.execute(_LAST_PURGE, project).scalar() or -1
            return
        found = session.connection.execute(_PURGED, project | {"seen": self._purged}).all()
        if found:
            self.doubt([id for _, ids in found for id in _ids(ids)])
            if not session.writes:
                self._purged = found[-1][0]

    def _settle(self, session: Session) -> None:
        """Read again what may have been rolled back, or removed."""
        newest = session.connection.execute(_NEWEST, {"project": session.project}).scalar()
        if (newest or 0) < self._seen:
            return  # This reader began before the last one: it cannot tell what has become of them.
        doubtful = sorted(self._unsettled)
        for start in range(0, len(doubtful), _AT_ONCE):
            ids = doubtful[start : start + _AT_ONCE]
            found = session.connection.execute(_NAMED, {"project": session.project, "ids": ids}).all()
            self.table.remove(ids)
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
            return projects.setdefault(session.project, Index())

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
