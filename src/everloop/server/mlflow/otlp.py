"""Spans as OpenTelemetry's exporters send them: OTLP over HTTP at `/v1/traces`, in protobuf or JSON."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from everloop.kernel.errors import InvalidInput, Misconfigured
from everloop.server.mlflow.traceforms import PREFIX
from everloop.tracking.traces.entities import Attributes, Span, SpanEvent, SpanLink, SpanStatus
from everloop.tracking.traces.rows import check_id
from everloop.tracking.traces.summary import text
from everloop.tracking.traces.writing import Batch

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

DEPTH = 32
"""How deeply an attribute may be nested."""
_STATUSES: tuple[SpanStatus, ...] = ("unset", "ok", "error")
_NAMED = "mlflow.traceRequestId"
_OF_SDK = ("telemetry.sdk.", "mlflow.")
_LATEST = 2**63 - 1


class Received(msgspec.Struct, frozen=True):
    """What a request brought: spans by the id of their trace, and how many were none, and why the first was not."""

    batches: dict[str, Batch]
    rejected: int = 0
    reason: str = ""


class _Value(msgspec.Struct, rename="camel"):
    """OTLP's `AnyValue` in JSON: one of these; a 64-bit number may be a text."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    array_value: _Values | None = None
    kvlist_value: _Pairs | None = None
    bytes_value: str | None = None


class _Values(msgspec.Struct):
    values: list[_Value] = []


class _Pair(msgspec.Struct):
    key: str = ""
    value: _Value = msgspec.field(default_factory=_Value)


class _Pairs(msgspec.Struct):
    values: list[_Pair] = []


class _Status(msgspec.Struct):
    code: int | str = 0
    message: str = ""


class _Event(msgspec.Struct, rename="camel"):
    name: str = ""
    time_unix_nano: int | str = 0
    attributes: list[_Pair] = []


class _Link(msgspec.Struct, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    attributes: list[_Pair] = []


class _Span(msgspec.Struct, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    name: str = ""
    start_time_unix_nano: int | str = 0
    end_time_unix_nano: int | str = 0
    attributes: list[_Pair] = []
    events: list[_Event] = []
    links: list[_Link] = []
    status: _Status = msgspec.field(default_factory=_Status)


class _Scope(msgspec.Struct, rename="camel"):
    spans: list[_Span] = []


class _Resource(msgspec.Struct):
    attributes: list[_Pair] = []


class _OfResource(msgspec.Struct, rename="camel"):
    resource: _Resource = msgspec.field(default_factory=_Resource)
    scope_spans: list[_Scope] = []


class _Request(msgspec.Struct, rename="camel"):
    resource_spans: list[_OfResource] = []


_STATUS_WORDS = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}


class _Collector:
    """Puts spans together by their traces, and counts what is none."""

    def __init__(self) -> None:
        self._spans: dict[str, list[Span]] = {}
        self._tags: dict[str, dict[str, str]] = {}
        self._rejected = 0
        self._reason = ""

    def take(self, trace: str, read: Callable[[], Span], tags: dict[str, str]) -> None:
        """Keep a span, if it is one. Its trace is what it says itself, which is how MLflow's clients name their own."""
        try:
            span = read()
            id = PREFIX + _checked_id(trace, 32, "trace")
            named = span.attributes.get(_NAMED)
            if isinstance(named, str) and named != id:
                id, span = check_id(named), msgspec.structs.replace(span, trace=trace)
        except (InvalidInput, ValueError, RecursionError) as error:
            self._rejected += 1
            self._reason = self._reason or str(error)[:500]
            return
        self._spans.setdefault(id, []).append(span)
        self._tags.setdefault(id, tags)

    def received(self, run: str) -> Received:
        """All that came."""
        batches = {id: Batch(spans, self._tags[id], run) for id, spans in self._spans.items()}
        return Received(batches, self._rejected, self._reason)


def read_protobuf(body: bytes, run: str) -> Received:
    """The spans of a request in protobuf.

    Raises:
        InvalidInput: it is no such request.
        Misconfigured: the library that reads it is not installed.
    """
    try:
        from google.protobuf.message import DecodeError
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    except ImportError:
        raise Misconfigured(
            "Spans in protobuf cannot be read here.", hint="Install everloop[traces], or send OTLP in JSON."
        ) from None
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except (DecodeError, RecursionError):
        raise InvalidInput("Invalid OpenTelemetry format: the body is no ExportTraceServiceRequest.") from None
    collector = _Collector()
    for of_resource in request.resource_spans:
        tags = _tags(_attributes(of_resource.resource.attributes))
        for scope in of_resource.scope_spans:
            for message in scope.spans:
                collector.take(message.trace_id.hex(), partial(_of_message, message), tags)
    return _unless_empty(collector.received(run))


def read_json(body: bytes, run: str) -> Received:
    """The spans of a request in JSON.

    Raises:
        InvalidInput: it is no such request.
    """
    try:
        request = msgspec.json.decode(body, type=_Request)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"Invalid OpenTelemetry format: {error}.") from None
    collector = _Collector()
    for of_resource in request.resource_spans:
        tags = _tags(_pairs(of_resource.resource.attributes))
        for scope in of_resource.scope_spans:
            for sent in scope.spans:
                collector.take(sent.trace_id.lower(), partial(_of_json, sent), tags)
    return _unless_empty(collector.received(run))


def _unless_empty(received: Received) -> Received:
    if not received.batches and not received.rejected:
        raise InvalidInput("Invalid OpenTelemetry format - no spans found")
    return received


def _of_message(message: Message) -> Span:
    return Span(
        _checked_id(message.span_id.hex(), 16, "span"),
        message.name,
        message.parent_span_id.hex(),
        _time(message.start_time_unix_nano),
        _time(message.end_time_unix_nano),
        _STATUSES[message.status.code],
        message.status.message,
        _attributes(message.attributes),
        tuple(SpanEvent(it.name, _time(it.time_unix_nano), _attributes(it.attributes)) for it in message.events),
        tuple(
            SpanLink(PREFIX + it.trace_id.hex(), it.span_id.hex(), _attributes(it.attributes)) for it in message.links
        ),
    )


def _attributes(pairs: Iterable[KeyValue], depth: int = 0) -> Attributes:
    return {pair.key: _value(pair.value, depth) for pair in pairs}


def _value(value: AnyValue, depth: int) -> Any:
    """The value in an `AnyValue`, of whatever type it is."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item, _deeper(depth)) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values, _deeper(depth))
    return getattr(value, kind)


def _of_json(sent: _Span) -> Span:
    code = sent.status.code
    status = code if isinstance(code, int) else _STATUS_WORDS.get(code, 3)
    if not 0 <= status < len(_STATUSES):
        raise InvalidInput(f"{code!r} is no status of a span.")
    return Span(
        _checked_id(sent.span_id.lower(), 16, "span"),
        sent.name,
        _checked_id(sent.parent_span_id.lower(), 16, "parent span") if sent.parent_span_id else "",
        _time(sent.start_time_unix_nano),
        _time(sent.end_time_unix_nano),
        _STATUSES[status],
        sent.status.message,
        _pairs(sent.attributes),
        tuple(SpanEvent(it.name, _time(it.time_unix_nano), _pairs(it.attributes)) for it in sent.events),
        tuple(SpanLink(PREFIX + it.trace_id.lower(), it.span_id.lower(), _pairs(it.attributes)) for it in sent.links),
    )


def _pairs(pairs: Sequence[_Pair], depth: int = 0) -> Attributes:
    return {pair.key: _json_value(pair.value, depth) for pair in pairs}


def _json_value(value: _Value, depth: int) -> Any:
    """The value in an `AnyValue` in JSON, of whatever type it is."""
    if value.array_value is not None:
        return [_json_value(item, _deeper(depth)) for item in value.array_value.values]
    if value.kvlist_value is not None:
        return _pairs(value.kvlist_value.values, _deeper(depth))
    if value.int_value is not None:
        return _integer(value.int_value)
    if value.double_value is not None:
        return float(value.double_value)
    if value.bytes_value is not None:
        try:
            return base64.b64decode(value.bytes_value, validate=True)
        except binascii.Error:
            raise InvalidInput("An attribute's bytes are no base64.") from None
    return value.string_value if value.string_value is not None else value.bool_value


def _integer(value: int | str) -> int:
    number = int(value)
    if abs(number) > _LATEST:
        raise InvalidInput("An attribute's whole number has more than 64 bits.")
    return number


def _time(value: int | str) -> int:
    number = int(value)
    if not 0 <= number <= _LATEST:
        raise InvalidInput(f"{number} is no time in nanoseconds since 1970.")
    return number


def _deeper(depth: int) -> int:
    if depth >= DEPTH:
        raise InvalidInput(f"An attribute is nested more than {DEPTH} levels deep.")
    return depth + 1


def _checked_id(digits: str, length: int, kind: str) -> str:
    if len(digits) != length or not digits.strip("0") or digits.strip("0123456789abcdef"):
        raise InvalidInput(
            f"A span's {kind} id is {digits[:40]!r}.", hint=f"It has {length} hexadecimal digits, not all 0."
        )
    return digits


def _tags(resource: Mapping[str, Any]) -> dict[str, str]:
    """What the sender says of itself, as tags of its traces."""
    return {key: text(value) for key, value in resource.items() if not key.startswith(_OF_SDK) and _finite(value)}


def _finite(value: Any) -> bool:
    return not isinstance(value, (float, bytes)) or (isinstance(value, float) and math.isfinite(value))
