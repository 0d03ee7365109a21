"""The spans of a trace as they are kept: parts, each as it came, that become one when the trace has ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import delete, insert, select

from everloop.catalog.session import Session
from everloop.tracking.traces.entities import Span
from everloop.tracking.traces.tables import trace_parts

_PAGE = 500
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Span])


def pack(spans: Sequence[Span]) -> bytes:
    """Spans as compressed MessagePack."""
    import zstandard

    return zstandard.compress(_encoder.encode(spans), 3)


def unpack(packed: bytes) -> list[Span]:
    """The spans of a part."""
    import zstandard

    return _decoder.decode(zstandard.decompress(packed))


def merged(parts: Iterable[Iterable[Span]]) -> list[Span]:
    """The spans of all parts: the root, then by the time when they started; what came again as it came last."""
    latest = {span.id: span for part in parts for span in part}
    return sorted(latest.values(), key=lambda span: (span.parent != "", span.started, span.id))


def of(session: Session, ids: Sequence[str]) -> Mapping[str, list[Span]]:
    """The spans of some traces; nothing for one that has none."""
    found: dict[str, list[list[Span]]] = defaultdict(list)
    for start in range(0, len(ids), _PAGE):
        page = trace_parts.c.trace.in_(ids[start : start + _PAGE])
        query = select(trace_parts.c.trace, trace_parts.c.spans).where(trace_parts.c.project == session.project, page)
        for trace, packed in session.connection.execute(query.order_by(trace_parts.c.trace, trace_parts.c.part)):
            found[trace].append(unpack(packed))
    return {trace: merged(parts) for trace, parts in found.items()}


def add(session: Session, trace: str, part: int, spans: Sequence[Span]) -> None:
    """Keep what came as a part of its own."""
    row = {"project": session.project, "trace": trace, "part": part, "spans": pack(spans)}
    session.connection.execute(insert(trace_parts), row)


def replace(session: Session, trace: str, spans: Sequence[Span]) -> None:
    """Keep all spans of a trace as its one part."""
    mine = (trace_parts.c.project == session.project) & (trace_parts.c.trace == trace)
    session.execute(delete(trace_parts).where(mine))
    add(session, trace, 0, spans)
