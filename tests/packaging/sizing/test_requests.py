"""Requests: a model's own examples as whole HTTP requests."""

from __future__ import annotations

import msgspec
import pytest

from everloop.packaging.sizing.requests import datatype, infer_requests
from everloop.registry.entities import Field, Signature

SIGNATURE = Signature((Field("distance", "float64"), Field("carrier", "string", True, ("AA",))), ())


def test_each_request_is_whole_and_asks_for_one_row() -> None:
    for request in infer_requests("delay", SIGNATURE):
        head, _, body = request.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /v2/models/delay/infer HTTP/1.1\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        tensors = msgspec.json.decode(body)["inputs"]
        assert [(each["name"], each["shape"], each["datatype"]) for each in tensors] == [
            ("distance", [1], "FP64"),
            ("carrier", [1], "BYTES"),
        ]


def test_rows_differ_and_none_is_missing() -> None:
    requests = infer_requests("delay", SIGNATURE)
    assert len(set(requests)) > 20
    assert all(b"null" not in request for request in requests)


@pytest.mark.parametrize(
    ("type_", "name"), [("float32", "FP32"), ("int64", "INT64"), ("uint8", "UINT8"), ("bool", "BOOL")]
)
def test_every_type_has_its_name_in_the_protocol(type_: str, name: str) -> None:
    assert datatype(Field("x", type_)) == name  # type: ignore[arg-type]  # a Literal
