"""How traces come in: spans as they end, in any order and more than once, and what a client says of the whole."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput
from everloop.tracking.traces import assessing, links, parts, rows, summary, usage
from everloop.tracking.traces.entities import Assessment, Span, Trace, TraceEnded, TraceStarted
from everloop.tracking.traces.rows import Row

LONGEST_TAG = 8_000
LONGEST_NAME = 500
PARTS = 64
"""So many parts of a trace that goes on are kept before they become one."""
_KEY = re.compile(r"[/\w.\- :]{1,250}")
_MILLISECOND = timedelta(milliseconds=1)
_NAME_TAG = "mlflow.traceName"


class Batch(msgspec.Struct, frozen=True):
    """Spans of one trace that came together, with the tags that their sender gives the trace, and the run it was in."""

    spans: Sequence[Span]
    tags: dict[str, str] = {}
    run: str = ""


def record(session: Session, experiment: str, batches: Mapping[str, Batch]) -> None:
    """Keep spans by the id of their trace: all of them or none. What came before stays as it is.

    A trace that is not there yet begins in `experiment`; with its root it has ended.
    """
    known = rows.of(session, batches)
    for id, batch in batches.items():
        _record(session, known.get(id) or _begun(id, experiment, batch), batch, new=id not in known)


def tell(session: Session, told: Trace) -> None:
    """Keep what a client says of a trace as a whole: it knows better than what its spans tell, before and after."""
    rows.check_id(told.id)
    known = rows.of(session, [told.id]).get(told.id)
    before = known or Row(told.id, told.experiment, "in_progress", told.started)
    now = msgspec.structs.replace(
        before,
        experiment=told.experiment,
        state=told.state,
        started=told.started,
        milliseconds=told.milliseconds,
        name=told.name[:LONGEST_NAME] or before.name,
        run=told.run or before.run,
        client_id=told.client_id or None,
        request=before.request if told.request is None else told.request,
        response=before.response if told.response is None else told.response,
        tags=before.tags | checked_tags(told.tags),
        metadata=before.metadata | told.metadata,
        told=True,
    )
    _keep(session, None if known is None else before, now)
    if now.parts > 1 and now.state != "in_progress":
        _merge(session, now)
    for said in told.assessments:
        assessing.keep(session, told.id, said)


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as they are kept: long values cut.

    Raises:
        InvalidInput: a name cannot be that of a tag.
    """
    for key in tags:
        if not _KEY.fullmatch(key) or key.startswith("/") or ".." in key:
            raise InvalidInput(
                f"Invalid tag name: {key[:80]!r}.", hint="Use up to 250 letters, digits, spaces and any of /_-.: in it."
            )
    return {key: value[:LONGEST_TAG] for key, value in tags.items()}


def _begun(id: str, experiment: str, batch: Batch) -> Row:
    rows.check_id(id)
    return Row(id, experiment, "in_progress", summary.moment(min(span.started for span in batch.spans)))


def _record(session: Session, before: Row, batch: Batch, *, new: bool) -> None:
    now = msgspec.structs.replace(_folded(before, batch), parts=before.parts + 1)
    whole = summary.root_of(batch.spans) is not None or before.state in ("ok", "error") or before.parts >= PARTS
    if not whole or (new and not usage.tells(batch.spans)):
        _keep(session, None if new else before, now)
        parts.add(session, now.id, before.parts, batch.spans)
    else:
        spans = parts.merged([parts.of(session, [now.id]).get(now.id, []), batch.spans])
        used = usage.metadata_of(spans)
        metadata = used | now.metadata if now.told else now.metadata | used
        now = msgspec.structs.replace(now, metadata=metadata, parts=1)
        _keep(session, None if new else before, now)
        parts.replace(session, now.id, spans)
    if batch.run and summary.root_of(batch.spans) is not None:
        links.add(session, now.id, "run", [batch.run])


def _folded(before: Row, batch: Batch) -> Row:
    """The row with what the spans tell, as far as nobody who knows better has spoken."""
    tells = summary.of(batch.spans)
    tags = {key: value[:LONGEST_TAG] for key, value in (batch.tags | tells.tags).items() if _KEY.fullmatch(key)}
    name = tags.pop(_NAME_TAG, None)
    open = before.state in ("in_progress", "unspecified")
    seen = msgspec.structs.replace(
        before,
        state=tells.state if open and tells.state else before.state,
        name=name or before.name or (tells.name and tells.name[:LONGEST_NAME]),
        request=tells.request if before.request is None else before.request,
        response=tells.response if before.response is None else before.response,
        tags=before.tags | tags,
        metadata=tells.metadata | before.metadata,
    )
    return seen if before.told else _spanning(seen, tells.started, tells.ended)


def _spanning(row: Row, started: datetime, ended: datetime | None) -> Row:
    """The row with its times stretched over those of more spans."""
    ends = [ended] if ended else []
    if row.milliseconds is not None:
        ends.append(row.started + row.milliseconds * _MILLISECOND)
    first = min(row.started, started)
    length = (max(ends) - first) // _MILLISECOND if ends else None
    return msgspec.structs.replace(row, started=first, milliseconds=length)


def _keep(session: Session, before: Row | None, now: Row) -> None:
    """Write the row, and say in the ledger if the trace began or ended."""
    urn = session.urn("trace", now.id)
    ended = now.state != "in_progress"
    if before is None:
        rows.add(session, [now])
    elif now != before:
        rows.change(session, now)
    if ended and (before is None or before.state == "in_progress"):
        session.emit(TraceEnded(subject=urn, experiment=now.experiment, state=now.state))
    elif before is None:
        session.emit(TraceStarted(subject=urn, experiment=now.experiment))


def _merge(session: Session, row: Row) -> None:
    parts.replace(session, row.id, parts.of(session, [row.id]).get(row.id, []))
    rows.change(session, msgspec.structs.replace(row, parts=1))


def assessments_of(id: str, said: Sequence[Assessment]) -> tuple[Assessment, ...]:
    """What was said of a trace, each with an id: the same said again gets the same one, and adds nothing."""
    return tuple(msgspec.structs.replace(it, id=it.id or assessing.id_of(id, it)) for it in said)
