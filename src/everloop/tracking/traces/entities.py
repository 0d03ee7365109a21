"""What a trace is: its spans, what is known of it as a whole, and what was said of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from everloop.kernel.events import Event

TraceState = Literal["in_progress", "ok", "error", "unspecified"]
SpanStatus = Literal["unset", "ok", "error"]
AssessmentKind = Literal["feedback", "expectation", "issue"]
Attributes = dict[str, Any]
"""What a span says of itself: any JSON, and bytes (`Any`, because the shape is each application's own)."""


class SpanEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened during a span, at a time in nanoseconds since 1970."""

    name: str
    at: int = 0
    attributes: Attributes = {}


class SpanLink(msgspec.Struct, frozen=True, omit_defaults=True):
    """Another span that one has to do with; it may be of another trace."""

    trace: str
    span: str
    attributes: Attributes = {}


class Span(msgspec.Struct, frozen=True, omit_defaults=True):
    """One piece of work in a trace. Its times are nanoseconds since 1970, its id is 16 hexadecimal digits.

    The one without a parent is the root: when it has come, the trace has ended. `trace` is what OpenTelemetry calls
    the trace, in 32 hexadecimal digits, where the trace's own id does not say it.
    """

    id: str
    name: str = ""
    parent: str = ""
    started: int = 0
    ended: int = 0
    status: SpanStatus = "unset"
    message: str = ""
    attributes: Attributes = {}
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    trace: str = ""


class Source(msgspec.Struct, frozen=True):
    """Who says something of a trace: a human, a judge that is a model, or code."""

    kind: str
    id: str = ""


class Assessment(msgspec.Struct, frozen=True):
    """What somebody says of a trace or of one of its spans: feedback, what was expected, or an issue that it shows.

    One that overrides another makes that one invalid for as long as it is there.
    """

    id: str
    kind: AssessmentKind
    name: str
    value: Any
    source: Source
    created: datetime
    updated: datetime
    span: str = ""
    rationale: str = ""
    metadata: dict[str, str] = {}
    error: dict[str, str] = {}
    overrides: str = ""
    valid: bool = True


class Trace(msgspec.Struct, frozen=True):
    """What is known of a trace as a whole. Its times are whole milliseconds; its spans come where one is asked for.

    `client_id` is what the application calls the request, `request` and `response` are the beginnings of what went in
    and came out, `run` is the run that it was made in.
    """

    id: str
    experiment: str
    state: TraceState
    started: datetime
    milliseconds: int | None = None
    name: str = ""
    run: str = ""
    client_id: str = ""
    request: str | None = None
    response: str | None = None
    tags: dict[str, str] = {}
    metadata: dict[str, str] = {}
    has_spans: bool = False
    assessments: tuple[Assessment, ...] = ()
    spans: tuple[Span, ...] = ()


class TracePage(msgspec.Struct, frozen=True):
    """Some of the traces that were searched for, and where the next page begins; empty after the last."""

    traces: tuple[Trace, ...]
    next: str = ""


class TraceStarted(Event, frozen=True, kw_only=True, tag="traces.started"):
    """The first that we heard of a trace that goes on."""

    experiment: str


class TraceEnded(Event, frozen=True, kw_only=True, tag="traces.ended"):
    """A trace ended."""

    experiment: str
    state: TraceState


class TraceTagged(Event, frozen=True, kw_only=True, tag="traces.tagged"):
    """Tags of a trace were set, or taken away."""

    tags: dict[str, str] = {}
    lost: str = ""


class TraceLinked(Event, frozen=True, kw_only=True, tag="traces.linked"):
    """A trace was linked to runs or to versions of prompts."""

    to: Literal["run", "prompt"]
    targets: tuple[str, ...]


class TraceAssessed(Event, frozen=True, kw_only=True, tag="traces.assessed"):
    """Something was said of a trace, or what was said was changed or taken back."""

    assessment: str
    name: str
    gone: bool = False


class TraceDeleted(Event, frozen=True, kw_only=True, tag="traces.deleted"):
    """A trace is gone, with its spans, files and all that was said of it."""
