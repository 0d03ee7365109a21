"""An exporter as OpenTelemetry's SDK has it, which sends each span by OTLP in protobuf."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

_CODES = {
    StatusCode.UNSET: Status.STATUS_CODE_UNSET,
    StatusCode.OK: Status.STATUS_CODE_OK,
    StatusCode.ERROR: Status.STATUS_CODE_ERROR,
}


class Exporter(SpanExporter):
    """Sends spans to a server, into one of its experiments."""

    def __init__(self, url: str, experiment: str) -> None:
        self._url = f"{url}/v1/traces"
        self._headers = {"content-type": "application/x-protobuf", "x-mlflow-experiment-id": experiment}

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send some spans."""
        body = request_of(spans).SerializeToString()
        response = httpx.post(self._url, content=body, headers=self._headers)
        return SpanExportResult.SUCCESS if response.is_success else SpanExportResult.FAILURE


def request_of(spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
    """The request that carries some spans."""
    request = ExportTraceServiceRequest()
    for span in spans:
        carried = request.resource_spans.add()
        carried.resource.attributes.extend(_pairs(span.resource.attributes))
        carried.scope_spans.add().spans.append(_message(span))
    return request


def _message(span: ReadableSpan) -> Span:
    context = span.get_span_context()
    assert context is not None
    message = Span(
        trace_id=context.trace_id.to_bytes(16, "big"),
        span_id=context.span_id.to_bytes(8, "big"),
        parent_span_id=span.parent.span_id.to_bytes(8, "big") if span.parent else b"",
        name=span.name,
        start_time_unix_nano=span.start_time or 0,
        end_time_unix_nano=span.end_time or 0,
        attributes=_pairs(span.attributes),
        status=Status(code=_CODES[span.status.status_code]),
    )
    for event in span.events:
        message.events.add(name=event.name, time_unix_nano=event.timestamp, attributes=_pairs(event.attributes))
    return message


def _pairs(attributes: Any) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in (attributes or {}).items()]


def _value(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case str():
            return AnyValue(string_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case _:
            return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))
