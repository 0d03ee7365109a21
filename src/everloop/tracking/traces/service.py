"""What one can do with traces."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import delete as delete_rows
from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.tracking import experiments
from everloop.tracking.entities import Experiment
from everloop.tracking.tables import artifacts
from everloop.tracking.traces import language, parts, rows, writing
from everloop.tracking.traces import search as finding
from everloop.tracking.traces.entities import Span, Trace, TraceDeleted, TracePage, TraceTagged
from everloop.tracking.traces.tables import OF_A_TRACE, traces

MOST = 10_000
_PAGE = 500


@usecase("traces.log", permission="tracking:write", route="POST /traces")
def log(
    session: Session,
    id: str,
    experiment: Name,
    spans: tuple[Span, ...],
    tags: dict[str, str] = {},  # noqa: B006 - the doors need the default, nobody changes it
    run: str = "",
) -> Trace:
    """Keep spans of a trace: it begins with the first and ends with its root. The same again changes nothing."""
    check_spans(spans)
    place(session, experiment)
    writing.record(session, experiment, {id: writing.Batch(spans, writing.checked_tags(tags), run)})
    return get(session, id)


@usecase("traces.search", permission="tracking:read", route="GET /traces")
def search(
    session: Session, experiment: str = "", where: str = "", order: str = "", limit: int = 100, after: str = ""
) -> TracePage:
    """A page of the traces that meet a filter such as `status = 'ERROR' AND tags.team LIKE 'a%'`, newest first.

    `order` names another order, such as `execution_time_ms DESC`; `after` is what the page before gave as its next.
    """
    wanted = finding.Search(
        experiments=(experiment,) if experiment else None,
        conditions=tuple(language.parse(where)),
        orders=(language.parse_order(order),) if order else (),
        limit=max(1, min(limit, MOST)),
        after=after,
    )
    found = finding.page(session, wanted)
    return TracePage(tuple(rows.assembled(session, found.rows)), found.next)


@usecase("traces.get", permission="tracking:read", route="GET /traces/{id}")
def get(session: Session, id: str) -> Trace:
    """A trace with its spans, and with all that was said of it."""
    return rows.assembled(session, [rows.one(session, id)], parts.of(session, [id]))[0]


@usecase("traces.set_tags", permission="tracking:write", route="PATCH /traces/{id}/tags")
def set_tags(session: Session, id: str, tags: dict[str, str]) -> Trace:
    """Set tags of a trace, beside those that it has."""
    row = rows.one(session, id)
    checked = writing.checked_tags(tags)
    rows.change(session, msgspec.structs.replace(row, tags=row.tags | checked))
    session.emit(TraceTagged(subject=session.urn("trace", id), tags=checked))
    return get(session, id)


@usecase("traces.delete_tag", permission="tracking:write", route="DELETE /traces/{id}/tags")
def delete_tag(session: Session, id: str, key: str) -> Trace:
    """Take a tag of a trace away."""
    row = rows.one(session, id)
    if key not in row.tags:
        raise NotFound(f"No trace tag with key '{key[:80]}' for trace with ID '{id}'.")
    left = {name: value for name, value in row.tags.items() if name != key}
    rows.change(session, msgspec.structs.replace(row, tags=left))
    session.emit(TraceTagged(subject=session.urn("trace", id), lost=key))
    return get(session, id)


@usecase("traces.delete", permission="tracking:write", route="DELETE /traces/{id}")
def delete(session: Session, id: str) -> None:
    """Delete a trace for good: its spans, its files and all that was said of it are gone, and the space is free."""
    rows.one(session, id)
    remove(session, [id])


def place(session: Session, experiment: str) -> None:
    """See that there is an experiment for traces to begin in.

    Raises:
        Conflict: it was deleted.
    """
    known = experiments.first(session, experiment)
    if known is None:
        experiments.add(session, Experiment(experiment, "", session.clock.now()))
    elif known.deleted is not None:
        raise Conflict(f"Experiment {experiment!r} was deleted.", hint="Restore it, or send traces to another.")


def remove(session: Session, ids: Sequence[str]) -> None:
    """Delete some traces that are there."""
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        for table in OF_A_TRACE:
            session.execute(delete_rows(table).where(table.c.project == session.project, table.c.trace.in_(page)))
        held = artifacts.c.run.in_([rows.holder_of(id) for id in page])
        session.execute(delete_rows(artifacts).where(artifacts.c.project == session.project, held))
        session.execute(delete_rows(traces).where(rows.mine(session), traces.c.id.in_(page)))
    for id in ids:
        session.emit(TraceDeleted(subject=session.urn("trace", id)))


def oldest(session: Session, experiment: str, until: datetime, limit: int) -> list[str]:
    """The ids of the traces of an experiment that started until a time, oldest first."""
    query = select(traces.c.id).where(rows.mine(session), traces.c.experiment == experiment, traces.c.started <= until)
    return list(session.scalars(query.order_by(traces.c.started, traces.c.id).limit(limit)))


def check_spans(spans: Sequence[Span]) -> None:
    """Refuse spans that cannot be such.

    Raises:
        InvalidInput: there is none, or one has no id or an impossible time.
    """
    if not spans:
        raise InvalidInput("There are no spans in it.", hint="Send one at least.")
    for span in spans:
        if not 0 < len(span.id) <= 32 or not (0 <= span.started < 2**64 and 0 <= span.ended < 2**64):
            raise InvalidInput(
                f"Span {span.id[:40]!r} cannot be kept.", hint="It needs an id, and times in nanoseconds since 1970."
            )
