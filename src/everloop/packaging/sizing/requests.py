"""Requests to put a server under load with: a model's own examples, by the Open Inference Protocol."""

from __future__ import annotations

import msgspec

from everloop.packaging.verification import examples
from everloop.registry.entities import Field, Signature

DATATYPES = {
    "bool": "BOOL",
    "string": "BYTES",
    "bytes": "BYTES",
    "float64": "FP64",
    "float32": "FP32",
    "float16": "FP16",
}


def infer_requests(model: str, signature: Signature) -> list[bytes]:
    """Whole HTTP requests, each for one row, each row another."""
    columns = examples(signature)
    filled = {name: [value for value in values if value is not None] for name, values in columns.items()}
    rows = min(map(len, filled.values()))
    return [_request(model, {name: values[row] for name, values in filled.items()}, signature) for row in range(rows)]


def _request(model: str, row: dict[str, object], signature: Signature) -> bytes:
    tensors = [
        {
            "name": field.name,
            "shape": [1, *(abs(length) for length in field.shape)],
            "datatype": datatype(field),
            "data": [row[field.name]],
        }
        for field in signature.inputs
    ]
    body = msgspec.json.encode({"inputs": tensors})
    head = (
        f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def datatype(field: Field) -> str:
    """A field's type as the protocol has it.

    >>> datatype(Field("age", "uint8"))
    'UINT8'
    """
    return DATATYPES.get(field.type, field.type.upper())
