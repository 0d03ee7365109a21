"""Traces: the list with its filter, and one as the tree of its spans over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from markupsafe import Markup

from everloop.kernel.errors import InvalidInput
from everloop.server.pages import strips
from everloop.server.pages.site import Page, Visit
from everloop.server.pages.words import pretty
from everloop.tracking.entities import Experiment
from everloop.tracking.traces.entities import Span, SpanEvent, Trace, TracePage

LIMIT = 100
SHOWN = 1_000
"""So many spans of a trace are shown, parents before their children."""
LONGEST = 20_000
"""So many characters of an input, an output or an attribute are shown."""
DEEPEST = 8
_INPUTS, _OUTPUTS, _TYPE = "mlflow.spanInputs", "mlflow.spanOutputs", "mlflow.spanType"
_TOKENS = "mlflow.trace.tokenUsage"
_UNTOLD = {_INPUTS, _OUTPUTS, _TYPE, "mlflow.traceRequestId", "mlflow.spanFunctionName"}


class TracesPage(msgspec.Struct, frozen=True):
    """Traces of an experiment, or of all, that meet a filter."""

    experiments: Sequence[Experiment]
    experiment: str
    where: str
    order: str
    traces: Sequence[Trace]
    next: str
    first: str
    problem: str
    hint: str


class Row(msgspec.Struct, frozen=True):
    """A span as a row of the waterfall: how deep it stands, its bar, and what it says of itself as texts.

    It `opens` by itself where something failed, and nothing below it did.
    """

    span: Span
    depth: int
    kind: str
    opens: bool
    seconds: float
    bar: Markup
    inputs: str
    outputs: str
    attributes: Mapping[str, str]
    events: Sequence[tuple[str, SpanEvent, str]]


class TracedPage(msgspec.Struct, frozen=True):
    """A trace; `hidden` is how many of its spans are too many to show."""

    trace: Trace
    rows: Sequence[Row]
    hidden: int
    request: str
    response: str
    tokens: Mapping[str, object]
    metadata: Mapping[str, str]


def traces(visit: Visit) -> Page:
    """The list of traces; `experiment`, `where` and `order` as the use case has them."""
    asked = {name: visit.query.get(name, "") for name in ("experiment", "where", "order")}
    after = visit.query.get("after", "")
    found, problem, hint = TracePage(()), "", ""
    try:
        found = visit.ask("traces.search", **asked, after=after, limit=LIMIT)
    except InvalidInput as error:
        problem, hint = error.message, error.hint
    kept = {name: value for name, value in asked.items() if value}
    it = TracesPage(
        experiments=visit.ask("experiments.list"),
        **asked,
        traces=found.traces,
        next=f"/traces?{urlencode(kept | {'after': found.next})}" if found.next else "",
        first=f"/traces?{urlencode(kept)}" if after else "",
        problem=problem,
        hint=hint,
    )
    return Page("traces.html", "Traces", it, status=400 if problem else 200)


def trace(visit: Visit) -> Page:
    """A trace."""
    found: Trace = visit.ask("traces.get", id=visit.path["id"])
    ordered = tree(found.spans)
    shown = ordered[:SHOWN]
    bars = strips.spans(_times([span for span, _ in shown]))
    root = next((span for span in found.spans if not span.parent), None)
    said = root.attributes if root else {}
    blamed = {span.parent for span in found.spans if span.status == "error"}
    it = TracedPage(
        trace=found,
        rows=[_row(span, depth, bar, span.id not in blamed) for (span, depth), bar in zip(shown, bars, strict=True)],
        hidden=len(ordered) - len(shown),
        request=_text(said[_INPUTS]) if _INPUTS in said else _text(found.request),
        response=_text(said[_OUTPUTS]) if _OUTPUTS in said else _text(found.response),
        tokens=_tokens(found.metadata.get(_TOKENS, "")),
        metadata={key: value for key, value in found.metadata.items() if key != _TOKENS},
    )
    return Page("traced.html", found.name or f"Trace {found.id}", it)


def tree(spans: Sequence[Span]) -> list[tuple[Span, int]]:
    """Spans with how deep each stands: behind its parent, those of one parent by time; every span is there once.

    A span whose parent is not there (it has not come yet, or never will) stands at the top, and so does the first one
    of a ring.
    """
    here = {span.id for span in spans}
    below: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: (span.started, span.id)):
        below.setdefault(span.parent if span.parent in here and span.parent != span.id else "", []).append(span)
    found: list[tuple[Span, int]] = []
    seen: set[str] = set()
    waiting = [(span, 0) for span in [*sorted(spans, key=lambda s: s.started, reverse=True), *below.get("", [])[::-1]]]
    while waiting:
        span, depth = waiting.pop()
        if span.id in seen:
            continue
        seen.add(span.id)
        found.append((span, min(depth, DEEPEST)))
        waiting += [(each, depth + 1) for each in reversed(below.get(span.id, []))]
    return found


def _times(spans: Sequence[Span]) -> list[tuple[float, float, str]]:
    """When each began after the first, how long it took, in seconds; and its tone."""
    first = min((span.started for span in spans), default=0)
    return [((span.started - first) / 1e9, _seconds(span), "bad" if span.status == "error" else "") for span in spans]


def _seconds(span: Span) -> float:
    return max(span.ended - span.started, 0) / 1e9


def _row(span: Span, depth: int, bar: Markup, is_lowest: bool) -> Row:
    said = span.attributes
    return Row(
        span,
        depth,
        kind=str(said.get(_TYPE) or "").strip('"').lower(),
        opens=is_lowest and span.status == "error",
        seconds=_seconds(span),
        bar=bar,
        inputs=_text(said.get(_INPUTS)),
        outputs=_text(said.get(_OUTPUTS)),
        attributes={key: _text(value) for key, value in said.items() if key not in _UNTOLD},
        events=[
            (_moment(each.at), each, "\n".join(_line(*one) for one in each.attributes.items())) for each in span.events
        ],
    )


def _line(key: str, value: object) -> str:
    return f"{key}: {_text(value)}"


def _moment(nanoseconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(nanoseconds / 1e9, UTC):%H:%M:%S.%f}"[:-3]
    except (ValueError, OverflowError, OSError):
        return ""


def _text(value: Any) -> str:
    """A value as one reads it: texts as they are, JSON with indentation, also where a text holds it (OpenTelemetry)."""
    if value is None:
        return ""
    if isinstance(value, str):
        value = _parsed(value)
    shown = value if isinstance(value, str) else _pretty(value)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}… ({len(shown):,} characters)"


def _parsed(text: str) -> Any:
    if not text.startswith(("{", "[", '"')):
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _pretty(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    try:
        return pretty(value)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def _tokens(text: str) -> dict[str, object]:
    told = _parsed(text)
    return {str(key).removesuffix("_tokens"): value for key, value in told.items()} if isinstance(told, dict) else {}
