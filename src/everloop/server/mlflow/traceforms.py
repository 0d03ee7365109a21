"""Traces, spans and assessments in the forms in which MLflow's clients write and read them: protobuf as JSON."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from everloop.kernel.clock import from_micros, micros
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.server.mlflow.endpoint import pairs
from everloop.tracking.traces.entities import Attributes, Span, Trace, TraceState

NAME = "mlflow.traceName"
RUN = "mlflow.sourceRun"
ARTIFACTS = "mlflow.artifactLocation"
SPANS = "mlflow.trace.spansLocation"
OURS = (ARTIFACTS, SPANS)
"""The tags that say where we keep what: nobody can set them."""
PREFIX = "tr-"
_STATES: dict[TraceState, str] = {
    "ok": "OK",
    "error": "ERROR",
    "in_progress": "IN_PROGRESS",
    "unspecified": "STATE_UNSPECIFIED",
}
_BY_WORD: dict[str, TraceState] = {word: state for state, word in _STATES.items()} | {
    "TRACE_STATUS_UNSPECIFIED": "unspecified"
}
_STATUSES = {"unset": "STATUS_CODE_UNSET", "ok": "STATUS_CODE_OK", "error": "STATUS_CODE_ERROR"}
_DURATION = re.compile(r"(-?\d{1,12}(?:\.\d{1,9})?)s")
_LATEST = 253_402_300_799_999


def tags_of(trace: Trace, location: str) -> dict[str, str]:
    """All tags of a trace as clients know them: with its name, and with where its spans and files are."""
    named = {NAME: trace.name} if trace.name else {}
    kept = {SPANS: "TRACKING_STORE"} if trace.has_spans else {}
    return trace.tags | named | kept | {ARTIFACTS: f"{location}/traces/{trace.id}/artifacts"}


def metadata_of(trace: Trace) -> dict[str, str]:
    """All metadata of a trace as clients know them: with the run that it was made in."""
    return trace.metadata | ({RUN: trace.run} if trace.run else {})


def info_of(trace: Trace, experiment_id: str, location: str) -> dict[str, Json]:
    """A trace without its spans, as clients of version 3 read it."""
    texts = {"client_request_id": trace.client_id or None}
    texts |= {"request_preview": trace.request, "response_preview": trace.response}
    found: dict[str, Json] = {name: value for name, value in texts.items() if value is not None}
    if trace.milliseconds is not None:
        found["execution_duration"] = f"{trace.milliseconds / 1000:.3f}s"
    return found | {
        "trace_id": trace.id,
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}},
        "request_time": moment(trace.started),
        "state": _STATES[trace.state],
        "trace_metadata": dict(metadata_of(trace)),
        "tags": dict(tags_of(trace, location)),
    }


def old_info_of(trace: Trace, experiment_id: str, location: str) -> dict[str, Json]:
    """A trace without its spans, as clients of version 2 read it."""
    status = "TRACE_STATUS_UNSPECIFIED" if trace.state == "unspecified" else _STATES[trace.state]
    return {
        "request_id": trace.id,
        "experiment_id": experiment_id,
        "timestamp_ms": milliseconds(trace.started),
        "execution_time_ms": trace.milliseconds or 0,
        "status": status,
        "request_metadata": pairs(metadata_of(trace)),
        "tags": pairs(tags_of(trace, location)),
    }


def span_of(span: Span, trace: str) -> Json:
    """A span as clients read it: OTLP's message as JSON, ids in base64."""
    found: dict[str, Json] = {
        "trace_id": _base64(span.trace or trace.removeprefix(PREFIX)),
        "span_id": _base64(span.id),
        "name": span.name,
        "start_time_unix_nano": span.started,
        "attributes": _attributes(span.attributes),
        "status": {"code": _STATUSES[span.status]} | ({"message": span.message} if span.message else {}),
    }
    if span.parent:
        found["parent_span_id"] = _base64(span.parent)
    if span.ended:
        found["end_time_unix_nano"] = span.ended
    if span.events:
        found["events"] = [
            {"name": it.name, "time_unix_nano": it.at, "attributes": _attributes(it.attributes)} for it in span.events
        ]
    if span.links:
        found["links"] = [
            {
                "trace_id": _base64(it.trace.removeprefix(PREFIX)),
                "span_id": _base64(it.span),
                "attributes": _attributes(it.attributes),
            }
            for it in span.links
        ]
    return found


def data_of(trace: str, spans: Sequence[Span]) -> Json:
    """The spans of a trace as MLflow's file `traces.json` holds them."""
    return {"spans": [_in_file(trace, span) for span in spans]}


def _in_file(trace: str, span: Span) -> Json:
    attributes = {key: _dumped(value) for key, value in span.attributes.items()}
    return {
        "trace_id": _base64(span.trace or trace.removeprefix(PREFIX)),
        "span_id": _base64(span.id),
        "parent_span_id": _base64(span.parent) if span.parent else None,
        "name": span.name,
        "start_time_unix_nano": span.started,
        "end_time_unix_nano": span.ended or None,
        "events": [{"name": it.name, "time_unix_nano": it.at, "attributes": it.attributes} for it in span.events],
        "status": {"code": _STATUSES[span.status], "message": span.message},
        "attributes": attributes | {"mlflow.traceRequestId": _dumped(trace)},
        "links": [{"trace_id": it.trace, "span_id": it.span, "attributes": it.attributes} for it in span.links],
    }


def state_of(word: str) -> TraceState:
    """The state that a client's word stands for.

    Raises:
        InvalidInput: it stands for none.
    """
    if word not in _BY_WORD:
        raise InvalidInput(f"Invalid state {word[:40]!r} of a trace.", hint=f"There are {', '.join(_BY_WORD)}.")
    return _BY_WORD[word]


def moment(at: datetime) -> str:
    """A time as protobuf's JSON has it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def milliseconds(at: datetime) -> int:
    """A time in milliseconds since 1970."""
    return micros(at) // 1000


def at_millisecond(value: int) -> datetime:
    """The time that many milliseconds after 1970.

    Raises:
        InvalidInput: it is before 1970, or after the year 9999.
    """
    if not 0 <= value <= _LATEST:
        raise InvalidInput(f"{value} is no time in milliseconds since 1970.")
    return from_micros(value * 1000)


def read_moment(text: str) -> datetime:
    """A time that a client wrote, in whole milliseconds.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return at_millisecond(milliseconds(msgspec.convert(text, datetime)))
    except msgspec.ValidationError:
        raise InvalidInput(f"{text[:60]!r} is no time.", hint="Write it like 2026-01-31T12:00:00.000Z.") from None


def read_duration(text: str) -> int:
    """The milliseconds of a duration that a client wrote, such as `1.5s`.

    Raises:
        InvalidInput: it is none.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise InvalidInput(f"{text[:60]!r} is no duration.", hint="Write seconds, like 1.5s.")
    return math.floor(float(found[1]) * 1000 + 0.5)


def _attributes(attributes: Attributes) -> Json:
    return [{"key": key, "value": _any(value)} for key, value in attributes.items()]


def _any(value: Any) -> dict[str, Json]:
    """A value of whatever type, as OTLP's `AnyValue`."""
    match value:
        case None:
            return {}
        case bool():
            return {"bool_value": value}
        case str():
            return {"string_value": value}
        case int():
            return {"int_value": str(value)}
        case float():
            return {"double_value": value if math.isfinite(value) else _WORDS.get(value, "NaN")}
        case bytes():
            return {"bytes_value": base64.b64encode(value).decode()}
        case Mapping():
            return {"kvlist_value": {"values": [{"key": str(key), "value": _any(it)} for key, it in value.items()]}}
        case _:
            return {"array_value": {"values": [_any(item) for item in value]}}


_WORDS = {math.inf: "Infinity", -math.inf: "-Infinity"}


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=lambda raw: base64.b64encode(raw).decode())


def _base64(digits: str) -> str:
    """Hexadecimal digits as base64 of the bytes; of what has none, the text's own bytes."""
    try:
        return base64.b64encode(bytes.fromhex(digits)).decode()
    except ValueError:
        return base64.b64encode(digits.encode()[:16].ljust(16, b"\0")).decode()
