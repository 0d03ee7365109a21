"""What no client sends on purpose, and what those send that speak the protocol without a library."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import httpx

from tests.server.inference.conformance.checks import Check, Target, table

LENGTH = "Inference-Header-Content-Length"


class Raw:
    """Sends bodies as they are."""

    def __init__(self, target: Target) -> None:
        self.http = httpx.Client(base_url=target.url, timeout=60)

    def close(self) -> None:
        """Hang up."""
        self.http.close()

    def infer(self, body: object, model: str = "echo_fp32", **headers: str) -> httpx.Response:
        """The response to a body; names of headers have underscores for dashes."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(f"/v2/models/{model}/infer", content=content, headers=named)


def one(datatype: str = "FP32", shape: object = (2,), data: object = (1, 2), **more: object) -> dict[str, Any]:
    """A request for an echo."""
    return {"inputs": [{"name": "x", "datatype": datatype, "shape": shape, "data": data} | more]}


def binary(head: Mapping[str, Any], tail: bytes, length: str = "") -> tuple[bytes, dict[str, str]]:
    """A request with binary data, and its header."""
    text = json.dumps(head).encode()
    return text + tail, {"Inference_Header_Content_Length": length or str(len(text))}


def tensor(size: object, **more: object) -> dict[str, Any]:
    """A request whose input is binary."""
    return {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": size}} | more]
    }


BAD: dict[str, Callable[[], tuple[object, dict[str, str], str]]] = {
    "a body that is no JSON": lambda: (b"{", {}, "echo_fp32"),
    "an empty body": lambda: (b"", {}, "echo_fp32"),
    "a list for a request": lambda: (b"[]", {}, "echo_fp32"),
    "a request without inputs": lambda: ({}, {}, "echo_fp32"),
    "an empty list of inputs": lambda: ({"inputs": []}, {}, "echo_fp32"),
    "inputs that are no list": lambda: ({"inputs": {"x": 1}}, {}, "echo_fp32"),
    "an input without a name": lambda: ({"inputs": [{"shape": [1], "datatype": "FP32", "data": [1]}]}, {}, "echo_fp32"),
    "an input without data": lambda: (
        {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]},
        {},
        "echo_fp32",
    ),
    "an unknown input": lambda: (one(name="z"), {}, "echo_fp32"),
    "an input twice": lambda: ({"inputs": one()["inputs"] * 2}, {}, "echo_fp32"),
    "an unknown datatype": lambda: (one("FP65"), {}, "echo_fp32"),
    "another datatype than the model's": lambda: (one("BYTES", data=["a", "b"]), {}, "echo_fp32"),
    "a text among numbers": lambda: (one(data=[1, "2"]), {}, "echo_fp32"),
    "a truth among numbers": lambda: (one(data=[1, True]), {}, "echo_fp32"),
    "a number among texts": lambda: (one("BYTES", data=["a", 2]), {}, "echo_bytes"),
    "a fraction among whole numbers": lambda: (one("INT32", data=[1, 2.5]), {}, "echo_int32"),
    "a number for a truth": lambda: (one("BOOL", data=[1, 0]), {}, "echo_bool"),
    "a whole number over its range": lambda: (one("INT8", data=[1, 128]), {}, "echo_int8"),
    "a negative number for an unsigned one": lambda: (one("UINT8", data=[1, -1]), {}, "echo_uint8"),
    "a whole number over 64 bits": lambda: (one("INT64", data=[1, 1 << 63]), {}, "echo_int64"),
    "a number over the range of FP32": lambda: (one(data=[1, 1e300]), {}, "echo_fp32"),
    "a number over the range of FP64": lambda: (
        json.dumps(one("FP64")).replace("2]}", "1e999]}").encode(),
        {},
        "echo_fp64",
    ),
    "fewer values than the shape": lambda: (one(shape=[3]), {}, "echo_fp32"),
    "more values than the shape": lambda: (one(shape=[1]), {}, "echo_fp32"),
    "another rank than the model's": lambda: (one(shape=[1, 2]), {}, "echo_fp32"),
    "other dimensions than the model's": lambda: (one(shape=[1, 3, 2], data=[1] * 6), {}, "image"),
    "lists that nest another way than the shape": lambda: (
        one(shape=[1, 2, 3], data=[[[1, 2], [3, 4], [5, 6]]]),
        {},
        "image",
    ),
    "ragged lists": lambda: (one(shape=[1, 2, 3], data=[[[1, 2], [3, 4, 5, 6]]]), {}, "image"),
    "a negative dimension": lambda: (one(shape=[-2]), {}, "echo_fp32"),
    "an absurd dimension": lambda: (one(shape=[1 << 62]), {}, "echo_fp32"),
    "absurd dimensions beside none": lambda: (one(shape=[1 << 40, 1 << 40, 0], data=[]), {}, "echo_fp32"),
    "thousands of dimensions": lambda: (one(shape=[1 << 62] * 20_000), {}, "echo_fp32"),
    "a dimension that is no number": lambda: (one(shape=["2"]), {}, "echo_fp32"),
    "no rows": lambda: (one(shape=[0], data=[]), {}, "echo_fp32"),
    "deep nesting": lambda: (b'{"inputs":' + b"[" * 100_000, {}, "echo_fp32"),
    "deeply nested data": lambda: (
        one(data="?")["inputs"] and json.dumps(one(data="?")).replace('"?"', "[" * 5000 + "]" * 5000).encode(),
        {},
        "echo_fp32",
    ),
    "text that is no UTF-8": lambda: (b'{"inputs": [{"name": "\xff"}]}', {}, "echo_fp32"),
    "an id that is no text": lambda: (one() | {"id": 7}, {}, "echo_fp32"),
    "parameters that are no record": lambda: (one() | {"parameters": 7}, {}, "echo_fp32"),
    "an output that there is not": lambda: (one() | {"outputs": [{"name": "price"}]}, {}, "echo_fp32"),
    "outputs that are no list": lambda: (one() | {"outputs": "y"}, {}, "echo_fp32"),
    "a header that is no number": lambda: (*binary(tensor(8), bytes(8), "eight"), "echo_fp32"),
    "a negative header": lambda: (*binary(tensor(8), bytes(8), "-5"), "echo_fp32"),
    "a header over the body": lambda: (*binary(tensor(8), bytes(8), "100000"), "echo_fp32"),
    "a header of a thousand digits": lambda: (*binary(tensor(8), bytes(8), "9" * 5000), "echo_fp32"),
    "a header that cuts the JSON": lambda: (*binary(tensor(8), bytes(8), "12"), "echo_fp32"),
    "binary data that is cut": lambda: (*binary(tensor(8), bytes(5)), "echo_fp32"),
    "binary data that is left over": lambda: (*binary(tensor(8), bytes(12)), "echo_fp32"),
    "fewer binary bytes than the shape": lambda: (*binary(tensor(4), bytes(4)), "echo_fp32"),
    "no whole number of values": lambda: (*binary(tensor(7), bytes(7)), "echo_fp32"),
    "a negative size of binary data": lambda: (*binary(tensor(-8), bytes(8)), "echo_fp32"),
    "a size that is no number": lambda: (*binary(tensor("8"), bytes(8)), "echo_fp32"),
    "both data and binary data": lambda: (*binary(tensor(8, data=[1, 2]), bytes(8)), "echo_fp32"),
    "binary text that is cut": lambda: (
        *binary(tensor(7, datatype="BYTES", shape=[1]), b"\x09\x00\x00\x00abc"),
        "echo_bytes",
    ),
    "binary text that is no UTF-8 where text is wanted": lambda: (
        {"inputs": [{"name": "s", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}}]},
        {},
        "table",
    ),
    "a body that is no gzip": lambda: (b"no gzip", {"Content_Encoding": "gzip"}, "echo_fp32"),
    "gzip that is cut": lambda: (
        gzip.compress(json.dumps(one()).encode())[:-9],
        {"Content_Encoding": "gzip"},
        "echo_fp32",
    ),
    "a body that is no deflate": lambda: (b"no deflate", {"Content_Encoding": "deflate"}, "echo_fp32"),
    "an unknown encoding": lambda: (json.dumps(one()).encode(), {"Content_Encoding": "br"}, "echo_fp32"),
    "a bomb of zeros": lambda: (zlib.compress(bytes(600 << 20), 9), {"Content_Encoding": "deflate"}, "echo_fp32"),
    "an unknown model": lambda: (one(), {}, "nothing"),
}
"""Requests that must be refused: the body, headers, and the model."""


def is_refused(case: Callable[[], tuple[object, dict[str, str], str]], raw: Raw) -> None:
    """A 4xx in the protocol's form, and the next request is served."""
    body, headers, model = case()
    response = raw.infer(body, model, **headers)
    assert 400 <= response.status_code < 500, (response.status_code, response.text[:200])
    error = response.json()["error"]
    assert isinstance(error, str), error
    assert error
    served = raw.infer(one())
    assert (served.status_code, served.json()["outputs"][0]["data"]) == (200, [1, 2])


def answered(body: object, model: str, expected: object, raw: Raw) -> None:
    """The values of the first output."""
    response = raw.infer(body, model)
    assert response.status_code == 200, response.text
    assert response.json()["outputs"][0]["data"] == expected, response.text


def paths(raw: Raw) -> None:
    for path in ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/table", "/v2/models/table/ready"):
        assert raw.http.get(path).status_code == 200, path
    assert raw.http.get("/v2/models/table/versions/1").json()["name"] == "table"
    assert raw.http.get("/v2/models/table/versions/1/ready").status_code == 200


def methods(raw: Raw) -> None:
    for method, path in (("GET", "/v2/models/table/infer"), ("POST", "/v2/models/table"), ("DELETE", "/v2")):
        response = raw.http.request(method, path)
        assert response.status_code == 405, (path, response.status_code)
        assert response.json()["error"]
    nowhere = raw.http.get("/v2/nowhere")
    assert nowhere.status_code == 404
    assert nowhere.json()["error"]


def no_content_type(raw: Raw) -> None:
    request = raw.http.build_request("POST", "/v2/models/echo_fp32/infer", content=json.dumps(one()).encode())
    request.headers.pop("content-type", None)
    assert raw.http.send(request).status_code == 200


def content_types(raw: Raw) -> None:
    plain = raw.infer(one())
    assert plain.headers["content-type"].startswith("application/json")
    assert LENGTH not in plain.headers
    packed = raw.infer(one() | {"parameters": {"binary_data_output": True}})
    assert packed.headers["content-type"].startswith("application/octet-stream")
    end = int(packed.headers[LENGTH])
    [output] = json.loads(packed.content[:end])["outputs"]
    assert output["parameters"]["binary_data_size"] == len(packed.content) - end == 8


def says_otherwise(raw: Raw) -> None:
    wish = {"name": "y", "parameters": {"binary_data": False}}
    response = raw.infer(one() | {"parameters": {"binary_data_output": True}, "outputs": [wish]})
    assert response.json()["outputs"][0]["data"] == [1, 2]


def large_body(raw: Raw) -> None:
    values = list(range(1_000_000))
    response = raw.infer(one(shape=[len(values)], data=values))
    assert response.json()["outputs"][0]["data"] == values


def bfloat(raw: Raw) -> None:
    """It is refused in so many words, or read."""
    head = {"inputs": [{"name": "x", "datatype": "BF16", "shape": [2], "parameters": {"binary_data_size": 4}}]}
    body, headers = binary(head, b"\x80\x3f\x00\x40")
    response = raw.infer(body, **headers)
    if response.status_code == 200:
        assert response.json()["outputs"][0]["data"] == [1, 2]
    else:
        assert "BF16" in response.json()["error"]


GOOD: list[tuple[str, Callable[[Raw], None]]] = [
    ("the protocol's paths are there", paths),
    ("a wrong method is a 405 and a wrong path a 404, in the protocol's form", methods),
    ("JSON needs no Content-Type", no_content_type),
    ("answers say their Content-Type and where their JSON ends", content_types),
    ("an output's own wish wins over the request's", says_otherwise),
    (
        "nested lists are read",
        partial(answered, one(shape=[1, 2, 3], data=[[[1, 2, 3], [4, 5, 6]]]), "image", [1, 2, 3, 4, 5, 6]),
    ),
    (
        "flat lists fill matrices",
        partial(answered, one(shape=[1, 2, 3], data=[1, 2, 3, 4, 5, 6]), "image", [1, 2, 3, 4, 5, 6]),
    ),
    ("a column may be [n, 1]", partial(answered, one(shape=[2, 1], data=[[1], [2]]), "echo_fp32", [1, 2])),
    ("whole numbers may stand for fractions", partial(answered, one("FP64"), "echo_fp64", [1, 2])),
    (
        "large whole numbers lose nothing",
        partial(answered, one("INT64", data=[2**53 + 1, -(2**63)]), "echo_int64", [2**53 + 1, -(2**63)]),
    ),
    (
        "large unsigned numbers lose nothing",
        partial(answered, one("UINT64", data=[2**64 - 1, 2**53 + 1]), "echo_uint64", [2**64 - 1, 2**53 + 1]),
    ),
    (
        "what is null is not given",
        partial(
            answered, one(parameters=None) | {"id": None, "outputs": None, "parameters": None}, "echo_fp32", [1, 2]
        ),
    ),
    ("fields that nobody knows are let be", partial(answered, one(mine=1) | {"mine": [2]}, "echo_fp32", [1, 2])),
    ("a body of 7 MB goes through", large_body),
    ("BF16 is read, or refused in so many words", bfloat),
]


def checks() -> list[Check]:
    """All of them."""
    bad = [(f"{name} is refused, and the next request served", partial(is_refused, case)) for name, case in BAD.items()]
    return table("plain HTTP", [*GOOD, *bad], Raw)
