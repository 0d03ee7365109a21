"""The rows of runs as writers read and write them: statements made once, given to the driver as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import msgspec

from everloop.catalog import driver
from everloop.catalog.session import Session
from everloop.kernel.clock import micros
from everloop.tracking.documents import Texts, document_of, latest_in, texts_in
from everloop.tracking.entities import Points
from everloop.tracking.points import Latest

_SIZES = (1, 8, 32, 128, 512)
"""So many names a statement asks for; it is filled up with the last one, so that few statements have to be known."""
_READ = (
    "SELECT id, status, coalesce(deleted, (SELECT e.deleted FROM experiments AS e WHERE e.project = runs.project"
    " AND e.name = runs.experiment)), inputs, tail_next, tail_points, tail_bytes, texts, latest"
    " FROM runs WHERE project = ? AND id IN ({})"
)
_WRITE = (
    "UPDATE runs SET inputs = ?, tail_next = ?, tail_points = ?, tail_bytes = ?, texts = ?, latest = ?, changed = ?"
    " WHERE project = ? AND id = ?"
)
_NEWEST = (
    "SELECT max(changed) FROM (SELECT max(changed) AS changed FROM runs WHERE project = ?"
    " UNION ALL SELECT max(changed) AS changed FROM run_purges WHERE project = ?) AS changes"
)
_ADD_TAIL = "INSERT INTO metric_tail (project, run, sequence, segment) VALUES (?, ?, ?, ?)"
_TAILS = "SELECT segment FROM metric_tail WHERE project = ? AND run = ? ORDER BY sequence"
_DROP_TAILS = "DELETE FROM metric_tail WHERE project = ? AND run = ?"
_WRITERS = "SELECT run, writer, sequence FROM run_writers WHERE project = ? AND run IN ({})"
_SET_WRITER = (
    "INSERT INTO run_writers (project, run, writer, sequence) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (project, run, writer) DO UPDATE SET sequence = excluded.sequence"
)


class Held(msgspec.Struct):
    """A run while it is written to: its row, with documents that are read when they are needed.

    It counts as deleted when its experiment is.
    """

    project: str
    id: str
    status: str
    deleted: int | None
    inputs: str
    tail_next: int
    tail_points: int
    tail_bytes: int
    texts_document: bytes
    latest_document: bytes
    fresh: list[Points] = []
    changed: bool = False
    writer: str = ""
    """Who wrote to it last in this transaction."""
    _texts: Texts | None = None
    _latest: dict[str, Latest] | None = None

    @property
    def texts(self) -> Texts:
        """Its parameters and tags; what is put into their mappings is written."""
        if self._texts is None:
            self._texts = texts_in(self.texts_document)
        return self._texts

    @property
    def latest(self) -> dict[str, Latest]:
        """The latest point of each of its metrics; what is put into the mapping is written."""
        if self._latest is None:
            self._latest = latest_in(self.latest_document)
        return self._latest

    @property
    def used(self) -> tuple[str, ...]:
        """The URNs of what it used."""
        return msgspec.json.decode(self.inputs, type=tuple[str, ...])

    def values(self, change: int) -> tuple[object, ...]:
        """What its row holds from now on."""
        texts = self.texts_document if self._texts is None else document_of(self._texts)
        latest = self.latest_document if self._latest is None else document_of(self._latest)
        counts = self.tail_next, self.tail_points, self.tail_bytes
        return (self.inputs, *counts, texts, latest, change, self.project, self.id)


def read(session: Session, ids: Iterable[str]) -> list[Held]:
    """Those of some runs of the session's project that are there."""
    found = asked_of(session, _READ, ids)
    return [Held(session.project, *row) for row in found]


def write(session: Session, held: Sequence[Held]) -> None:
    """Write what has become of some runs of the session's project, each with the next number of a change."""
    first = next_change(session)
    driver.run(session.connection, _WRITE, [run.values(first + number) for number, run in enumerate(held)])


def next_change(session: Session) -> int:
    """The number of the next change of a run of the session's project; the numbers rise in the order of commits.

    It is the time, in microseconds, unless that was taken. None comes again when its run is gone: that was a change.
    """
    return max(newest_change(session) + 1, micros(session.clock.now()))


def newest_change(session: Session) -> int:
    """The number of the last change of a run of the session's project, 0 where there was none."""
    ((newest,),) = driver.asked(session.connection, _NEWEST, (session.project, session.project))
    return newest or 0


def add_tails(session: Session, tails: Sequence[tuple[str, str, int, bytes]]) -> None:
    """Add tails: project, run, number and packed points."""
    driver.run(session.connection, _ADD_TAIL, tails)


def tails_of(session: Session, run: str) -> list[bytes]:
    """The tails of a run, in the order in which they were written."""
    return [row[0] for row in driver.asked(session.connection, _TAILS, (session.project, run))]


def drop_tails(session: Session, run: str) -> None:
    """Remove the tails of a run, whose points are in blocks now."""
    driver.run(session.connection, _DROP_TAILS, [(session.project, run)])


def last_sequences(session: Session, runs: Iterable[str]) -> dict[tuple[str, str], int]:
    """The last number of each (run, writer) that was taken."""
    return {(run, writer): number for run, writer, number in asked_of(session, _WRITERS, runs)}


def set_sequences(session: Session, last: Iterable[tuple[tuple[str, str], int]]) -> None:
    """Keep the last number of each (run, writer)."""
    driver.run(
        session.connection, _SET_WRITER, [(session.project, run, writer, number) for (run, writer), number in last]
    )


def asked_of(session: Session, statement: str, names: Iterable[str]) -> list[Any]:
    """The rows of a statement about names, for which it has `{}` after the project, however many there are."""
    found: list[Any] = []
    distinct = list(dict.fromkeys(names))
    for start in range(0, len(distinct), _SIZES[-1]):
        page = distinct[start : start + _SIZES[-1]]
        size = next(size for size in _SIZES if size >= len(page))
        filled = page + page[-1:] * (size - len(page))
        found += driver.asked(session.connection, _sized(statement, size), (session.project, *filled))
    return found


@cache
def _sized(statement: str, size: int) -> str:
    return statement.format(", ".join("?" * size))
