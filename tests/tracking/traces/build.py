"""Spans for tests, in a few words."""

from __future__ import annotations

from everloop.catalog.session import Session
from everloop.tracking.traces import service, writing
from everloop.tracking.traces.entities import Attributes, Span, SpanStatus, Trace

START = 1_767_225_600_000_000_000
"""The first nanosecond of 2026."""
MS = 1_000_000


def span(name: str, parent: str = "root", at: int = 0, ms: int = 1, attributes: Attributes | None = None) -> Span:
    """A span that is called as its id, so many milliseconds after the start; the one called root is the root."""
    above = "" if name == "root" else parent
    return Span(name, name, above, START + at * MS, START + (at + ms) * MS, attributes=attributes or {})


def root(status: SpanStatus = "ok", ms: int = 10, attributes: Attributes | None = None) -> Span:
    """The span that ends a trace."""
    return Span("root", "answer", "", START, START + ms * MS, status, attributes=attributes or {})


def record(
    session: Session, trace: str, *spans: Span, experiment: str = "chat", tags: dict[str, str] | None = None
) -> None:
    """Send spans of a trace."""
    service.place(session, experiment)
    writing.record(session, experiment, {trace: writing.Batch(spans, tags or {})})


def whole(session: Session, trace: str) -> Trace:
    """The trace as it is kept."""
    return service.get(session, trace)
