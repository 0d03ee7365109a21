"""A trace as its row, and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, insert, select, update

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.store.service import digest_of
from everloop.tracking.traces.entities import Assessment, Span, Trace, TraceState
from everloop.tracking.traces.tables import assessments, traces

LONGEST_ID = 128
_PAGE = 500
_NO_SPANS: Mapping[str, list[Span]] = {}


class Row(msgspec.Struct, frozen=True):
    """What is kept of a trace in one row; `told` is when its client said itself what is known of the whole."""

    id: str
    experiment: str
    state: TraceState
    started: datetime
    milliseconds: int | None = None
    name: str | None = None
    run: str | None = None
    client_id: str | None = None
    request: str | None = None
    response: str | None = None
    tags: dict[str, str] = {}
    metadata: dict[str, str] = {}
    told: bool = False
    parts: int = 0


def holder_of(id: str) -> str:
    """The id under which the files of a trace are kept, among those of runs: as long as theirs."""
    return digest_of(f"trace/{id}".encode())[:32]


def check_id(id: str) -> str:
    """The id of a trace, if it can be one.

    Raises:
        InvalidInput: it is empty, too long, or holds what cannot be seen.
    """
    if not 0 < len(id) <= LONGEST_ID or not id.isprintable() or "/" in id:
        raise InvalidInput(
            f"{id[:80]!r} is no id of a trace.",
            hint=f"It has 1 to {LONGEST_ID} characters that can be seen, without /.",
        )
    return id


def of(session: Session, ids: Collection[str]) -> dict[str, Row]:
    """The rows of those of some traces that are there, by id."""
    wanted = sorted(set(ids))
    found: dict[str, Row] = {}
    for start in range(0, len(wanted), _PAGE):
        query = select(traces).where(mine(session), traces.c.id.in_(wanted[start : start + _PAGE]))
        found |= {row.id: row for row in read(session.connection.execute(query).mappings())}
    return found


def one(session: Session, id: str) -> Row:
    """The row of a trace.

    Raises:
        NotFound: there is none.
    """
    found = of(session, [id]).get(id)
    if found is None:
        raise NotFound(f"Trace with ID '{id[:LONGEST_ID]}' not found.")
    return found


def read(mappings: Iterable[Mapping[Any, Any]]) -> list[Row]:
    """Rows as they come out of the database."""
    fields = Row.__struct_fields__
    return [Row(**{name: mapping[name] for name in fields}) for mapping in mappings]


def add(session: Session, rows: Sequence[Row]) -> None:
    """Keep new traces."""
    if rows:
        values = [msgspec.structs.asdict(row) | {"project": session.project} for row in rows]
        session.connection.execute(insert(traces), values)


def change(session: Session, row: Row) -> None:
    """Keep what a trace has become."""
    session.execute(update(traces).where(mine(session), traces.c.id == row.id).values(msgspec.structs.asdict(row)))


def mine(session: Session) -> ColumnElement[bool]:
    """The traces of this project."""
    return traces.c.project == session.project


def assembled(session: Session, rows: Sequence[Row], spans: Mapping[str, list[Span]] = _NO_SPANS) -> list[Trace]:
    """Traces of their rows, with all that was said of them, and with their spans where those are given."""
    said = assessed(session, [row.id for row in rows])
    return [_trace(row, said.get(row.id, []), spans.get(row.id, [])) for row in rows]


def assessed(session: Session, ids: Sequence[str]) -> Mapping[str, list[Assessment]]:
    """What was said of some traces, in the order in which it was."""
    found: dict[str, list[Assessment]] = defaultdict(list)
    for start in range(0, len(ids), _PAGE):
        page = assessments.c.trace.in_(ids[start : start + _PAGE])
        query = select(assessments.c.trace, assessments.c.document).where(
            assessments.c.project == session.project, page
        )
        for trace, said in session.connection.execute(query):
            found[trace].append(said)
    return {trace: sorted(all_said, key=lambda it: (it.created, it.id)) for trace, all_said in found.items()}


def _trace(row: Row, said: Sequence[Assessment], spans: Sequence[Span]) -> Trace:
    return Trace(
        row.id,
        row.experiment,
        row.state,
        row.started,
        row.milliseconds,
        row.name or "",
        row.run or "",
        row.client_id or "",
        row.request,
        row.response,
        row.tags,
        row.metadata,
        row.parts > 0,
        tuple(said),
        tuple(spans),
    )
