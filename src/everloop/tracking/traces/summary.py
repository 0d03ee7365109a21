"""What spans tell of the trace that they are in: its times, its state, its name, and what went in and came out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from everloop.kernel.clock import from_micros
from everloop.tracking.traces.entities import Span, TraceState

LONGEST_PREVIEW = 1000
SESSION = "mlflow.trace.session"
USER = "mlflow.trace.user"
"""The metadata that sessions and users are found under, as MLflow's clients search for them."""
_TAG = "mlflow.traceTag."
_INPUTS = ("mlflow.spanInputs", "input.value", "gen_ai.input.messages")
_OUTPUTS = ("mlflow.spanOutputs", "output.value", "gen_ai.output.messages")
_SESSIONS = ("session.id", "gen_ai.conversation.id")
_USERS = ("user.id",)


class Summary(msgspec.Struct, frozen=True):
    """What some spans tell of their trace; what only the root could say is empty without it."""

    started: datetime
    ended: datetime | None
    state: TraceState | None = None
    name: str | None = None
    request: str | None = None
    response: str | None = None
    tags: dict[str, str] = {}
    metadata: dict[str, str] = {}


def of(spans: Sequence[Span]) -> Summary:
    """What these spans tell of their trace."""
    started = moment(min(span.started for span in spans))
    ends = [span.ended for span in spans if span.ended]
    ended = moment(max(ends)) if ends else None
    known = {SESSION: _first(spans, _SESSIONS), USER: _first(spans, _USERS)}
    metadata = {key: value[:LONGEST_PREVIEW] for key, value in known.items() if value}
    root = root_of(spans)
    if root is None:
        return Summary(started, ended, metadata=metadata)
    return Summary(
        started,
        ended,
        "error" if root.status == "error" else "ok",
        root.name or None,
        _preview(root, _INPUTS, "user"),
        _preview(root, _OUTPUTS, "assistant"),
        {key[len(_TAG) :]: text(value) for key, value in root.attributes.items() if key.startswith(_TAG)},
        metadata,
    )


def root_of(spans: Sequence[Span]) -> Span | None:
    """The span without a parent, if it is among these."""
    return next((span for span in spans if not span.parent), None)


def moment(nanoseconds: int) -> datetime:
    """A span's time, in whole milliseconds."""
    return from_micros(nanoseconds // 1_000_000 * 1000)


def text(value: Any) -> str:
    """An attribute's value as text: texts as they are, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _first(spans: Sequence[Span], keys: Sequence[str]) -> str:
    return next((text(span.attributes[key]) for span in spans for key in keys if key in span.attributes), "")


def _preview(root: Span, keys: Sequence[str], role: str) -> str | None:
    """The beginning of what went in or came out; of a chat, what was said last by that side."""
    value = next((root.attributes[key] for key in keys if key in root.attributes), None)
    if value is None:
        return None
    whole = _said(value, role) or text(value)
    return whole if len(whole) <= LONGEST_PREVIEW else f"{whole[: LONGEST_PREVIEW - 3]}..."


def _said(value: Any, role: str) -> str:
    """The last message of a side, in the shape of OpenAI's chats; empty where it is none."""
    messages = value.get("messages") if isinstance(value, dict) else None
    if isinstance(value, dict) and isinstance(value.get("choices"), list) and value["choices"]:
        first = value["choices"][0]
        messages = [first.get("message")] if isinstance(first, dict) else None
    if not isinstance(messages, list):
        return ""
    said = [it for it in messages if isinstance(it, dict) and isinstance(it.get("content"), str)]
    mine = [it for it in said if it.get("role") == role] or said
    return str(mine[-1]["content"]) if mine else ""
