"""What is said of traces: kept, changed and taken back."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, delete, insert, select, update

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.store.service import digest_of
from everloop.tracking.traces import rows
from everloop.tracking.traces.entities import Assessment, TraceAssessed
from everloop.tracking.traces.summary import text
from everloop.tracking.traces.tables import assessments

LONGEST_NAME = 250


class Stored(msgspec.Struct, frozen=True):
    """An assessment as it is kept."""

    document: Assessment


def id_of(trace: str, said: Assessment) -> str:
    """An id for what has none yet; the same said again by the same at the same moment has the same."""
    return f"a-{digest_of(msgspec.json.encode((trace, said.name, said.source, said.created, said.span)))[:32]}"


def add(session: Session, trace: str, said: Assessment) -> Assessment:
    """Keep what somebody says of a trace that is there; what it overrides is no longer valid.

    Raises:
        NotFound: there is no such trace, or what it overrides is not there.
    """
    rows.one(session, trace)
    if said.overrides:
        _set_valid(session, trace, get(session, trace, said.overrides), valid=False)
    return keep(session, trace, said)


def keep(session: Session, trace: str, said: Assessment) -> Assessment:
    """Keep what somebody says; under an id that is known it takes the place of what was said."""
    if not said.name.strip() or len(said.name) > LONGEST_NAME:
        raise InvalidInput(
            f"{said.name[:80]!r} is no name of an assessment.", hint=f"Use 1 to {LONGEST_NAME} characters."
        )
    values = _columns(said)
    if not session.execute(update(assessments).where(_here(session, trace, said.id)).values(values)):
        row = {"project": session.project, "trace": trace, "id": said.id} | values
        session.connection.execute(insert(assessments).values(row))
    session.emit(TraceAssessed(subject=session.urn("trace", trace), assessment=said.id, name=said.name))
    return said


def get(session: Session, trace: str, id: str) -> Assessment:
    """One assessment of a trace.

    Raises:
        NotFound: there is no such trace, or nothing with that id was said of it.
    """
    query = select(assessments.c.document).where(_here(session, trace, id))
    found = session.first(Stored, query)
    if found is None:
        if not rows.of(session, [trace]):
            raise NotFound(f"Trace with request_id '{trace[: rows.LONGEST_ID]}' not found.")
        raise NotFound(f"Assessment with ID '{id[:80]}' not found for trace '{trace}'.")
    return found.document


def take_back(session: Session, trace: str, id: str) -> None:
    """Forget what was said; what it overrode is valid again. What is gone already is no error.

    Raises:
        NotFound: there is no such trace.
    """
    rows.one(session, trace)
    said = session.first(Stored, select(assessments.c.document).where(_here(session, trace, id)))
    if said is None:
        return
    session.execute(delete(assessments).where(_here(session, trace, id)))
    overridden = session.first(
        Stored, select(assessments.c.document).where(_here(session, trace, said.document.overrides))
    )
    if overridden is not None:
        _set_valid(session, trace, overridden.document, valid=True)
    session.emit(TraceAssessed(subject=session.urn("trace", trace), assessment=id, name=said.document.name, gone=True))


def _set_valid(session: Session, trace: str, said: Assessment, *, valid: bool) -> None:
    changed = _columns(msgspec.structs.replace(said, valid=valid))
    session.execute(update(assessments).where(_here(session, trace, said.id)).values(changed))


def _columns(said: Assessment) -> dict[str, Any]:
    value = said.value
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    number = float(value) if numeric and abs(value) < 1e300 else None
    found = {"kind": said.kind, "name": said.name, "valid": said.valid, "text": text(value), "number": number}
    return found | {"document": said}


def _here(session: Session, trace: str, id: str) -> ColumnElement[bool]:
    mine = (assessments.c.project == session.project) & (assessments.c.trace == trace)
    return mine & (assessments.c.id == id)
