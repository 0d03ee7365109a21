"""AWS Lambda: every kind of event, through AWS's own runtime client and an emulated runtime API."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.server.inference.lambdaruntime import LambdaFunction
from tests.server.inference.packages import unpacked

pytest.importorskip("awslambdaric")
pytestmark = pytest.mark.slow
ROW = {"distance": 1.5, "hour": 2, "carrier": "AA", "wet": True}
TABLE = {"dataframe_records": [ROW]}
INFER = {
    "inputs": [
        {"name": "distance", "datatype": "FP64", "shape": [1], "data": [1.5]},
        {"name": "hour", "datatype": "INT64", "shape": [1], "data": [2]},
        {"name": "carrier", "datatype": "BYTES", "shape": [1], "data": ["AA"]},
        {"name": "wet", "datatype": "BOOL", "shape": [1], "data": [True]},
    ]
}


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LambdaFunction]:
    """The function of a package, whose domain puts /models in front of every path."""
    with LambdaFunction(unpacked(tmp_path_factory.mktemp("lambda") / "late"), EVERLOOP_BASE_PATH="/models") as function:
        yield function


def url(path: str, body: str = "", method: str = "POST", stage: str = "$default", **more: Any) -> dict[str, Any]:
    """An event of a function URL, or of an HTTP API (payload 2.0)."""
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "abc.lambda-url.eu-west-1.on.aws"},
        "requestContext": {"http": {"method": method, "path": path, "sourceIp": "192.0.2.1"}, "stage": stage},
        "body": body,
        "isBase64Encoded": False,
    } | more


def gateway(path: str, body: str = "", method: str = "POST", **more: Any) -> dict[str, Any]:
    """An event of a REST API (payload 1.0)."""
    return {
        "resource": "/{proxy+}",
        "httpMethod": method,
        "path": path,
        "headers": {"Content-Type": "application/json", "Host": "abc.execute-api.eu-west-1.amazonaws.com"},
        "multiValueHeaders": {"Content-Type": ["application/json"]},
        "queryStringParameters": None,
        "requestContext": {"stage": "prod", "identity": {"sourceIp": "192.0.2.1"}},
        "body": body or None,
        "isBase64Encoded": False,
    } | more


def balancer(path: str, body: str = "", method: str = "POST", **more: Any) -> dict[str, Any]:
    """An event of a load balancer."""
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/late/1"}},
        "httpMethod": method,
        "path": path,
        "queryStringParameters": {},
        "headers": {"content-type": "application/json", "host": "late.example.org"},
        "body": body,
        "isBase64Encoded": False,
    } | more


SCORED = {"predictions": [23.5], "model_version": "3"}
EVENTS: dict[str, dict[str, Any]] = {
    "function URL": url("/invocations", json.dumps(TABLE)),
    "HTTP API with a stage": url("/prod/invocations", json.dumps(TABLE), stage="prod"),
    "a domain's base path": url("/models/invocations", json.dumps(TABLE)),
    "REST API": gateway("/invocations", json.dumps(TABLE)),
    "REST API without a context": gateway("/invocations", json.dumps(TABLE), requestContext=None),
    "load balancer": balancer("/invocations", json.dumps(TABLE)),
    "a body in base64": url(
        "/invocations", base64.b64encode(json.dumps(TABLE).encode()).decode(), isBase64Encoded=True
    ),
}


@pytest.mark.parametrize("kind", EVENTS)
def test_every_kind_of_event_is_answered(late: LambdaFunction, kind: str) -> None:
    outcome, answer = late.call(EVENTS[kind])
    assert (outcome, answer["statusCode"], answer["isBase64Encoded"]) == ("response", 200, False)
    assert json.loads(answer["body"]) == SCORED


def test_a_plain_event_gets_the_predictions_themselves(late: LambdaFunction) -> None:
    assert late.call(TABLE) == ("response", SCORED)
    assert late.call({"instances": [ROW], "params": {}}) == ("response", SCORED)


def test_a_plain_event_of_tensors_is_answered_by_the_inference_protocol(late: LambdaFunction) -> None:
    outcome, answer = late.call(INFER)
    assert (outcome, answer["model_name"], answer["outputs"][0]["data"]) == ("response", "late", [23.5])


def test_a_plain_event_that_is_wrong_is_an_error_of_the_function(late: LambdaFunction) -> None:
    outcome, answer = late.call({"rows": []})
    assert (outcome, answer["errorType"]) == ("error", "InvalidInput")
    assert "dataframe_split" in answer["errorMessage"]


def test_binary_tensors_go_in_and_come_out_in_base64(late: LambdaFunction) -> None:
    request = json.loads(json.dumps(INFER))
    request["inputs"][0] = {"name": "distance", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}}
    request["parameters"] = {"binary_data_output": True}
    head = json.dumps(request).encode()
    event = url("/v2/models/late/infer", base64.b64encode(head + np.array([1.5]).tobytes()).decode())
    event["headers"] |= {"inference-header-content-length": str(len(head)), "content-type": "application/octet-stream"}
    _, answer = late.call(event | {"isBase64Encoded": True})
    body = base64.b64decode(answer["body"])
    assert answer["isBase64Encoded"]
    assert np.frombuffer(body[int(answer["headers"]["inference-header-content-length"]) :])[0] == 23.5


def test_a_large_answer_is_packed_for_those_who_ask(late: LambdaFunction) -> None:
    event = url("/invocations", json.dumps({"instances": [ROW] * 1000}))
    event["headers"]["accept-encoding"] = "gzip"
    _, answer = late.call(event)
    assert (answer["isBase64Encoded"], answer["headers"]["content-encoding"]) == (True, "gzip")
    assert json.loads(gzip.decompress(base64.b64decode(answer["body"])))["predictions"] == [23.5] * 1000


def test_the_answer_names_the_call_or_the_request(late: LambdaFunction) -> None:
    _, answer = late.call(EVENTS["function URL"])
    assert answer["headers"]["x-request-id"].startswith("call-")
    event = url("/invocations", json.dumps(TABLE))
    _, answer = late.call(event | {"headers": event["headers"] | {"X-Request-Id": "r1"}})
    assert answer["headers"]["x-request-id"] == "r1"


def test_a_gateway_and_a_balancer_get_their_own_extras(late: LambdaFunction) -> None:
    assert late.call(EVENTS["REST API"])[1]["multiValueHeaders"]["content-type"] == ["application/json"]
    assert late.call(EVENTS["load balancer"])[1]["statusDescription"] == "200 OK"


def test_the_clouds_own_signature_is_none_of_ours(late: LambdaFunction) -> None:
    event = url("/v2/models/late", method="GET")
    event["headers"]["authorization"] = "AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/lambda/aws4_request"
    assert late.call(event)[1]["statusCode"] == 200


WRONG: dict[str, tuple[dict[str, Any], int, str]] = {
    "no JSON": (url("/invocations", "{"), 400, "scoring request"),
    "no body": (gateway("/invocations"), 400, "scoring request"),
    "no base64": (url("/invocations", "*", isBase64Encoded=True), 400, "base64"),
    "unknown path": (url("/nothing"), 404, "/nothing"),
    "unknown model": (balancer("/v2/models/nothing", method="GET"), 404, "nothing"),
    "wrong method": (gateway("/invocations", method="GET"), 405, "GET"),
    "a path of another alphabet": (url("/é%2Fø", method="GET"), 404, "é/ø"),
    "a header of another alphabet": (url("/invocations", "{", headers={"x-request-id": "日本"}), 400, "scoring"),
    "a model that raises": (url("/invocations", json.dumps(TABLE).replace("1.5", "-1")), 500, "failed"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused_and_the_next_call_is_answered(late: LambdaFunction, case: str) -> None:
    event, status, said = WRONG[case]
    outcome, answer = late.call(event)
    assert (outcome, answer["statusCode"]) == ("response", status)
    assert said in json.loads(answer["body"])["error"]
    assert late.call(TABLE) == ("response", SCORED)
