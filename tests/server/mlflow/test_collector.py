"""The door for spans: what it takes, what it refuses in OTLP's own words, and that a refused request leaves nothing."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from everloop.app.platform import Platform
from everloop.server.mlflow import otlp
from everloop.server.mlflow.collector import decompressed
from everloop.tracking.traces.entities import Trace

TRACE, SPAN = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
PROTOBUF = {"content-type": "application/x-protobuf", "x-mlflow-experiment-id": "0"}
JSON = {"content-type": "application/json", "x-mlflow-experiment-id": "0"}


def sent(**more: Any) -> dict[str, Any]:
    """A request in JSON with one span."""
    span = {"traceId": TRACE, "spanId": SPAN, "name": "root", "startTimeUnixNano": "1767225600000000000"} | more
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def message(*spans: dict[str, Any]) -> bytes:
    """A request in protobuf with some spans."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for fields in spans:
        scope.spans.add(**({"trace_id": bytes.fromhex(TRACE), "span_id": bytes.fromhex(SPAN)} | fields))
    return bytes(request.SerializeToString())


def post(http: httpx.Client, body: Any, headers: dict[str, str], **more: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return http.post("/v1/traces", content=content, headers=headers | more)


def kept(platform: Platform) -> list[Trace]:
    return list(platform.call("traces.search", {}).traces)


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate"])
@pytest.mark.parametrize("form", ["json", "protobuf"])
def test_spans_are_taken_in_each_form(http: httpx.Client, platform: Platform, form: str, encoding: str) -> None:
    plain = json.dumps(sent()).encode() if form == "json" else message({"name": "root"})
    packed = {"": plain, "gzip": gzip.compress(plain), "deflate": zlib.compress(plain)}[encoding]
    headers = JSON if form == "json" else PROTOBUF
    response = post(http, packed, headers, **({"content-encoding": encoding} if encoding else {}))
    assert (response.status_code, response.headers["content-type"]) == (200, headers["content-type"])
    assert [(trace.id, trace.name, trace.experiment) for trace in kept(platform)] == [
        (f"tr-{TRACE}", "root", "Default")
    ]


def test_both_forms_mean_the_same(http: httpx.Client, platform: Platform) -> None:
    values = {"s": {"stringValue": "x"}, "b": {"boolValue": False}, "i": {"intValue": "-9223372036854775807"}}
    values |= {"d": {"doubleValue": 0.5}, "n": {}, "y": {"bytesValue": "AAE="}}
    values |= {
        "a": {"arrayValue": {"values": [{"intValue": 1}]}},
        "k": {"kvlistValue": {"values": [{"key": "q", "value": {"intValue": "2"}}]}},
    }
    pairs = [{"key": key, "value": value} for key, value in values.items()]
    event = {"name": "e", "timeUnixNano": "5", "attributes": pairs[:1]}
    link = {"traceId": TRACE, "spanId": SPAN, "attributes": pairs[1:2]}
    request = sent(
        attributes=pairs, events=[event], links=[link], status={"code": 2, "message": "late"}, parentSpanId=SPAN
    )
    binary = ExportTraceServiceRequest()
    from google.protobuf.json_format import ParseDict

    as_base64 = json.loads(json.dumps(request).replace(TRACE, "W47/95gDgQPSabYzgT/GDA==").replace(SPAN, "7uGbfsPBsXQ="))
    ParseDict(as_base64, binary)
    assert otlp.read_json(json.dumps(request).encode(), "") == otlp.read_protobuf(binary.SerializeToString(), "")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xfenonsense", PROTOBUF, 400),
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b"", PROTOBUF, 400),
        ({"resourceSpans": []}, JSON, 400),
        (sent(), JSON | {"content-type": "text/plain"}, 400),
        (sent(), JSON | {"content-encoding": "zstd"}, 400),
        (sent(), JSON | {"content-encoding": "gzip"}, 400),
        (sent(), {"content-type": "application/json"}, 422),
        (sent(), JSON | {"x-mlflow-experiment-id": "12345"}, 404),
        (sent(), JSON | {"x-mlflow-run-id": "0" * 32}, 404),
        (sent(traceId="1"), JSON, 422),
        (sent(traceId="0" * 32), JSON, 422),
        (sent(spanId="x" * 16), JSON, 422),
        (sent(startTimeUnixNano="-5"), JSON, 422),
        (sent(startTimeUnixNano="soon"), JSON, 422),
        (sent(attributes=[{"key": "i", "value": {"intValue": "1" * 40}}]), JSON, 422),
        (message({"span_id": b""}), PROTOBUF, 422),
        (message({"trace_id": b"1"}), PROTOBUF, 422),
    ],
)
def test_a_bad_request_is_refused_and_leaves_nothing(
    http: httpx.Client, platform: Platform, body: Any, headers: dict[str, str], status: int
) -> None:
    response = post(http, body, headers)
    assert response.status_code == status, response.content
    assert kept(platform) == []
    if headers["content-type"] == JSON["content-type"]:
        assert response.json()["message"]


def test_a_refusal_in_protobuf_is_a_status(http: httpx.Client) -> None:
    response = post(http, message({}), PROTOBUF | {"x-mlflow-experiment-id": "12345"})
    assert response.headers["content-type"] == "application/x-protobuf"
    assert response.content[:2] == b"\x08\x05"
    assert b"No Experiment with id=12345" in response.content


def test_what_is_no_span_is_left_out_and_counted(http: httpx.Client, platform: Platform) -> None:
    response = post(http, message({"name": "good"}, {"span_id": b"\0" * 8}, {"trace_id": b""}), PROTOBUF)
    answer = ExportTraceServiceResponse.FromString(response.content)
    assert (response.status_code, answer.partial_success.rejected_spans) == (200, 2)
    assert "span id" in answer.partial_success.error_message
    assert [trace.name for trace in kept(platform)] == ["good"]


def test_a_retried_request_changes_nothing(http: httpx.Client, platform: Platform) -> None:
    body = message({"name": "root"}, {"span_id": b"12345678", "parent_span_id": bytes.fromhex(SPAN)})
    for _ in range(3):
        assert post(http, body, PROTOBUF).status_code == 200
    assert len(platform.call("traces.get", {"id": f"tr-{TRACE}"}).spans) == 2


def test_a_small_request_that_grows_beyond_measure_is_refused(http: httpx.Client, platform: Platform) -> None:
    limit = platform.settings.values.max_body_mb
    bomb = gzip.compress(b"\0" * ((limit << 20) + 2))
    response = post(http, bomb, PROTOBUF, **{"content-encoding": "gzip"})
    assert response.status_code == 413
    assert kept(platform) == []


@pytest.mark.parametrize(("depth", "status"), [(20, (200,)), (500, (400, 422)), (100_000, (400, 422))])
def test_attributes_may_be_large_and_deep_up_to_a_measure(http: httpx.Client, depth: int, status: tuple[int]) -> None:
    value = '{"arrayValue":{"values":[' * depth + '{"stringValue":"%s"}' % ("x" * 1_000_000) + "]}}" * depth
    body = json.dumps(sent(attributes=[{"key": "deep", "value": "HERE"}])).replace('"HERE"', value)
    assert post(http, body.encode(), JSON).status_code in status


def test_only_post_means_something_here(http: httpx.Client) -> None:
    assert http.get("/v1/traces").status_code == 405


def test_what_is_cut_off_is_refused() -> None:
    packed = gzip.compress(b"x" * 1000)
    assert decompressed(packed, "GZIP", 2000) == b"x" * 1000
    with pytest.raises(Exception, match="cut off"):
        decompressed(packed[:-9], "gzip", 2000)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(body=st.binary(max_size=200), form=st.sampled_from([PROTOBUF, JSON]))
def test_whatever_comes_is_answered(http: httpx.Client, body: bytes, form: dict[str, str]) -> None:
    assert post(http, body, form).status_code in (200, 400, 422)
