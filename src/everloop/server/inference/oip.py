"""The Open Inference Protocol, version 2, over REST: requests in, responses out. Inputs may be binary tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.registry.entities import Field
from everloop.server.inference.tensors import DATATYPES, MALFORMED, datatype_of, from_bytes, from_json

BINARY_HEADER = "inference-header-content-length"
"""The request header that says where the JSON ends and binary tensors begin."""


class Tensor(msgspec.Struct):
    """An input as it is sent: its values in `data`, or after the JSON in `binary_data_size` bytes."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.Raw(b"")
    parameters: dict[str, Json] = {}


class Wish(msgspec.Struct):
    """An output that the client wants."""

    name: str


class InferRequest(msgspec.Struct):
    """A request for predictions."""

    inputs: list[Tensor]
    id: str = ""
    outputs: list[Wish] = []


class Output(msgspec.Struct, frozen=True):
    """An output: a value for each place of the shape, row by row; a number that is none is null."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[Json]


class InferResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """Predictions."""

    model_name: str
    model_version: str
    outputs: list[Output]
    id: str = ""


class TensorMetadata(msgspec.Struct, frozen=True):
    """What a model takes or gives under a name."""

    name: str
    datatype: str
    shape: tuple[int, ...] = (-1,)


class ModelMetadata(msgspec.Struct, frozen=True):
    """What a client must know to ask a model."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


_requests = msgspec.json.Decoder(InferRequest)


def decode(body: bytes, header: str = "") -> tuple[InferRequest, dict[str, np.ndarray]]:
    """A request and its tensors, by name. `header` is the value of the header that says where the JSON ends.

    Raises:
        InvalidInput: it is no JSON, no request, or a tensor is not what it says.
    """
    end = int(header) if header.isdecimal() else len(body)
    if header and (not header.isdecimal() or end > len(body)):
        raise InvalidInput(f"The header {BINARY_HEADER} is {header!r}, the body has {len(body)} bytes.")
    try:
        request = _requests.decode(body[:end])
    except MALFORMED as error:
        raise InvalidInput(
            f"The body is no inference request: {error}.",
            hint='Send {"inputs": [{"name", "shape", "datatype", "data"}]}.',
        ) from None
    tensors: dict[str, np.ndarray] = {}
    rest = memoryview(body)[end:]
    for tensor in request.inputs:
        if tensor.name in tensors:
            raise InvalidInput(f"Input {tensor.name!r} is there twice.")
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            tensors[tensor.name] = from_json(tensor.name, tensor.datatype, tensor.shape, tensor.data)
            continue
        if not isinstance(size, int) or not 0 <= size <= len(rest):
            raise InvalidInput(f"Input {tensor.name!r} has {size!r} binary bytes; {len(rest)} are left in the body.")
        tensors[tensor.name] = from_bytes(tensor.name, tensor.datatype, tensor.shape, rest[:size])
        rest = rest[size:]
    return request, tensors


def outputs_of(values: Mapping[str, Sequence[str] | np.ndarray], names: Sequence[str]) -> list[Output]:
    """The outputs with these names; all of them when there are none."""
    return [_output(name, values[name]) for name in names or values]


def described(fields: Sequence[Field]) -> list[TensorMetadata]:
    """Fields as the protocol describes tensors."""
    return [TensorMetadata(field.name, DATATYPES[field.type]) for field in fields]


def _output(name: str, values: Sequence[str] | np.ndarray) -> Output:
    if isinstance(values, np.ndarray):
        return Output(name, datatype_of(values), values.shape, values.ravel().tolist())
    return Output(name, datatype_of(values), (len(values),), list(values))
