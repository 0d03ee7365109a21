"""How runs are begun, changed and read back, apart from what is logged to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import insert, select

from everloop.catalog import driver
from everloop.catalog.session import Session
from everloop.kernel.errors import NotFound
from everloop.tracking import rows, sealing
from everloop.tracking.documents import NO_METRICS, NO_TEXTS, Texts, document_of, latest_in, texts_in
from everloop.tracking.entities import (
    CodeRevision,
    Run,
    RunChanged,
    RunDeleted,
    RunFinished,
    RunLogged,
    RunRestored,
    RunResumed,
    RunStarted,
    RunStatus,
)
from everloop.tracking.points import Latest
from everloop.tracking.tables import runs
from everloop.tracking.writes import check_open

LONGEST_NOTE = 1 << 20
_PAGE = 500


class Row(msgspec.Struct, frozen=True):
    """A run as its row holds it, with its documents unread."""

    id: str
    experiment: str
    name: str
    status: RunStatus
    inputs: tuple[str, ...]
    code: CodeRevision
    environment: str
    started: datetime
    ended: datetime | None
    parent: str
    deleted: datetime | None
    user: str
    group: str
    note: str
    changed: int
    texts: bytes
    latest: bytes


def add(session: Session, run: Run, revision: str) -> None:
    """Keep a run that begins now."""
    fields = msgspec.structs.asdict(run) | {"project": session.project, "changed": rows.next_change(session)}
    texts = document_of(Texts(run.parameters, run.tags)) if run.parameters or run.tags else NO_TEXTS
    tails = {"tail_next": 0, "tail_points": 0, "tail_bytes": 0}
    fields = {name: value for name, value in fields.items() if name in runs.c}
    session.connection.execute(_ADD, fields | tails | {"texts": texts, "latest": NO_METRICS})
    urn = session.urn("run", run.id)
    session.emit(RunStarted(subject=urn, experiment=run.experiment, revision=revision))
    if run.parameters or run.tags:
        texts_told = {"parameters": tuple(sorted(run.parameters)), "tags": tuple(sorted(run.tags))}
        session.emit(RunLogged(subject=urn, points=0, **texts_told))


def first(session: Session, id: str) -> Row | None:
    """The row of a run, if there is one."""
    return _ROWS.first(session.connection, session.project, id)


def row_of(session: Session, id: str) -> Row:
    """The row of a run.

    Raises:
        NotFound: there is none.
    """
    found = first(session, id)
    if found is None:
        raise NotFound(f"There is no run {id[:80]!r}.", hint="everloop runs search lists them.")
    return found


def rows_of(session: Session, ids: Sequence[str]) -> list[Row]:
    """The rows of those runs that are there, in the order in which they were asked for."""
    found: dict[str, Row] = {}
    for start in range(0, len(ids), _PAGE):
        page = runs.c.project == session.project, runs.c.id.in_(ids[start : start + _PAGE])
        found |= {row.id: row for row in session.all(Row, select(runs).where(*page))}
    return [found[id] for id in ids if id in found]


def running(session: Session, id: str) -> Row:
    """The row of a run that can still be logged to.

    Raises:
        Conflict: it has ended, or was deleted.
    """
    return _open(session, id, amend=False)


def assemble(found: Sequence[Row]) -> list[Run]:
    """The runs with their parameters, tags and latest metrics."""
    return [_assembled(row) for row in found]


def texts_of(row: Row) -> Texts:
    """The parameters and tags of a run."""
    return texts_in(row.texts)


def latest_of(row: Row) -> dict[str, Latest]:
    """The latest point of each metric of a run."""
    return latest_in(row.latest)


def _assembled(row: Row) -> Run:
    texts, latest = texts_in(row.texts), latest_in(row.latest)
    parameters, tags = dict(sorted(texts.parameters.items())), dict(sorted(texts.tags.items()))
    metrics: dict[str, float | None] = {key: latest[key].value for key in sorted(latest)}
    before = row.id, row.experiment, row.name, row.status, parameters, tags, metrics
    after = row.started, row.ended, row.parent, row.deleted, row.user, row.group, row.note
    return Run(*before, row.inputs, row.code, row.environment, *after)


def end(session: Session, id: str, status: RunStatus, at: datetime | None = None) -> None:
    """End a run that is running: its points are sealed, and it stays as it is.

    Raises:
        Conflict: it has ended already, or was deleted.
    """
    running(session, id)
    (held,) = rows.read(session, [id])
    if held.tail_points:
        sealing.seal(session, held)
        rows.write(session, [held])
    change(session, id, status=status, ended=at or session.clock.now())
    session.emit(RunFinished(subject=session.urn("run", id), status=status))


def resume(session: Session, id: str) -> None:
    """Let a run that has ended go on; one that is running does.

    Raises:
        Conflict: it was deleted.
    """
    row = _open(session, id, amend=True)
    if row.status != "running":
        change(session, id, status="running", ended=None)
        session.emit(RunResumed(subject=session.urn("run", id)))


def rename(session: Session, id: str, name: str, *, amend: bool = False) -> None:
    """Give a running run another name; with `amend` also one that has ended."""
    row = _open(session, id, amend=amend)
    if name != row.name:
        change(session, id, name=name)
        session.emit(RunChanged(subject=session.urn("run", id), name=name))


def describe(session: Session, id: str, note: str) -> None:
    """Give a run another note, also when it has ended: a note is about a run, no part of what it did."""
    row = _open(session, id, amend=True)
    if note != row.note:
        change(session, id, note=note)
        session.emit(RunChanged(subject=session.urn("run", id), name=row.name, noted=True))


def delete_tag(session: Session, id: str, key: str, *, amend: bool = False) -> None:
    """Take a tag from a running run; with `amend` also from one that has ended.

    Raises:
        NotFound: it has no such tag.
    """
    row = _open(session, id, amend=amend)
    texts = texts_in(row.texts)
    if texts.tags.pop(key, None) is None:
        raise NotFound(f"Run {id} has no tag {key[:80]!r}.")
    change(session, id, texts=document_of(texts))
    session.emit(RunChanged(subject=session.urn("run", id), name=row.name, lost_tag=key))


def hide(session: Session, id: str) -> None:
    """Put a run out of sight, with all that it holds; once is enough."""
    if row_of(session, id).deleted is None:
        change(session, id, deleted=session.clock.now())
        session.emit(RunDeleted(subject=session.urn("run", id)))


def restore(session: Session, id: str) -> None:
    """Bring a run back that was put out of sight."""
    if row_of(session, id).deleted is not None:
        change(session, id, deleted=None)
        session.emit(RunRestored(subject=session.urn("run", id)))


def change(session: Session, id: str, **columns: object) -> None:
    """Change columns of a run; whatever changes one goes through here, so that searches learn of it."""
    columns["changed"] = rows.next_change(session)
    _ROWS.change(session.connection, (session.project, id), columns)


def _open(session: Session, id: str, *, amend: bool) -> Row:
    row = row_of(session, id)
    check_open(row.id, row.status, row.deleted is not None, amend=amend)
    return row


_ADD = insert(runs)
_ROWS = driver.Rows(Row, runs)
