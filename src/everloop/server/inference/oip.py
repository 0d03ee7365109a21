"""The Open Inference Protocol, version 2, over REST: requests in, responses out, with JSON or binary tensors.

A binary tensor stands after the JSON, and its parameter `binary_data_size` says how long it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isinf
from typing import Any

import msgspec
import numpy as np

from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.registry.entities import Field
from everloop.server.inference.tensors import (
    DATATYPES,
    MALFORMED,
    Values,
    datatype_of,
    from_base64,
    from_bytes,
    from_json,
    from_lists,
    shape_of,
    to_bytes,
    to_json,
)

BINARY_HEADER = "inference-header-content-length"
"""The header that says where the JSON ends and binary tensors begin."""
PLATFORM = "everloop"
"""What runs the models."""
EXTENSIONS = (
    "binary_tensor_data",
    "binary_tensor_data_output",
    "model_repository",
    "model_configuration",
    "statistics",
)
"""What this server can do beyond the protocol."""
UNSUPPORTED = {
    "shared_memory_region": "Shared memory is not supported.",
    "classification": "The classification extension is not supported.",
}
"""Parameters that a client must not believe to have worked."""


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
    parameters: dict[str, Json] = {}


class InferRequest(msgspec.Struct):
    """A request for predictions."""

    inputs: list[Tensor]
    id: str = ""
    outputs: list[Wish] = []
    parameters: dict[str, Json] = {}


class Output(msgspec.Struct, frozen=True, omit_defaults=True):
    """An output: a value for each place of the shape, row by row; a number that is none is null."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[Json] | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, Json] = {}


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

    BYTES are texts where they came in JSON, and bytes where they came as binary data; `columns_of` makes them one.

    Raises:
        InvalidInput: it is no JSON, no request, or a tensor is not what it says.
    """
    end = _end(header, len(body))
    head = body if end == len(body) else body[:end]
    try:
        request = _requests.decode(head)
    except MALFORMED as error:
        return _lenient(head, memoryview(body)[end:], error)
    if request.outputs:
        check_wishes(request.outputs)
    return request, _tensors(request, [tensor.data for tensor in request.inputs], memoryview(body)[end:])


def encode(
    response: InferResponse, values: Mapping[str, Values], wishes: Sequence[Wish] = (), binary: bool = False
) -> tuple[bytes, int]:
    """A response with these outputs, and where its JSON ends (0 where there is no more than that).

    Without wishes all outputs go out; `binary` ones do unless their wish says otherwise.

    Raises:
        InvalidInput: an output that should be JSON holds bytes that are no text.
    """
    tails: list[bytes] = []
    outputs = []
    for wish in wishes or [Wish(name) for name in values]:
        found = values[wish.name]
        if wish.parameters.get("binary_data", binary) is True:
            tails.append(to_bytes(found))
            size: dict[str, Json] = {"binary_data_size": len(tails[-1])}
            outputs.append(Output(wish.name, datatype_of(found), shape_of(found), parameters=size))
        else:
            outputs.append(Output(wish.name, datatype_of(found), shape_of(found), to_json(wish.name, found)))
    head = msgspec.json.encode(InferResponse(response.model_name, response.model_version, outputs, response.id))
    return (b"".join((head, *tails)), len(head)) if tails else (head, 0)


def outputs_of(values: Mapping[str, Values], names: Sequence[str]) -> list[Output]:
    """The outputs with these names; all of them when there are none."""
    found = {name: values[name] for name in names or values}
    return [Output(name, datatype_of(one), shape_of(one), to_json(name, one)) for name, one in found.items()]


def wants_binary(request: InferRequest) -> bool:
    """Whether outputs shall be binary that say nothing else."""
    return request.parameters.get("binary_data_output") is True


def check_wishes(wishes: Sequence[Wish]) -> None:
    """Refuse outputs that are wanted twice, or in a way that there is not.

    Raises:
        InvalidInput: one is.
    """
    names = [wish.name for wish in wishes]
    if len(set(names)) != len(names):
        raise InvalidInput(f"An output is asked for twice: {', '.join(names)}.")
    for wish in wishes:
        check_parameters(f"Output {wish.name!r}", wish.parameters)


def check_outputs(wishes: Sequence[Wish], outputs: Sequence[Field]) -> None:
    """Refuse outputs that a model has not.

    Raises:
        InvalidInput: there is one.
    """
    known = [field.name for field in outputs]
    unknown = [wish.name for wish in wishes if wish.name not in known]
    if unknown:
        raise InvalidInput(f"There is no output {', '.join(unknown)}.", hint=f"There are {', '.join(sorted(known))}.")


def with_beside(wishes: Sequence[Wish], beside: Mapping[str, Values]) -> Sequence[Wish]:
    """The wishes, and what comes whichever outputs are wished for; all outputs when there are no wishes."""
    if not (wishes and beside):
        return wishes
    wished = {wish.name for wish in wishes}
    return [*wishes, *(Wish(name) for name in beside if name not in wished)]


def check_parameters(what: str, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that would change the meaning of a tensor and are not supported; others are let be.

    Raises:
        InvalidInput: there is one.
    """
    for name in UNSUPPORTED.keys() & parameters.keys():
        raise InvalidInput(f"{what}: {UNSUPPORTED[name]}", hint=f"Leave the parameter {name} out.")


def described(fields: Sequence[Field]) -> list[TensorMetadata]:
    """Fields as the protocol describes tensors."""
    return [TensorMetadata(field.name, DATATYPES[field.type], (-1, *field.shape)) for field in fields]


def _end(header: str, size: int) -> int:
    if not header:
        return size
    if not header.isdecimal() or len(header) > 18 or int(header) > size:
        raise InvalidInput(f"The header {BINARY_HEADER} is {header[:40]!r}, the body has {size} bytes.")
    return int(header)


def _tensors(request: InferRequest, data: Sequence[object], rest: memoryview) -> dict[str, np.ndarray]:
    tensors: dict[str, np.ndarray] = {}
    for tensor, values in zip(request.inputs, data, strict=True):
        name = tensor.name
        if name in tensors:
            raise InvalidInput(f"Input {name!r} is there twice.")
        parameters = tensor.parameters
        if parameters:
            check_parameters(f"Input {name!r}", parameters)
        size = parameters.get("binary_data_size")
        if size is not None:
            raw = _cut(name, size, values, rest)
            rest = rest[len(raw) :]
            found = from_bytes(name, tensor.datatype, tensor.shape, raw)
        elif isinstance(values, msgspec.Raw):
            found = from_json(name, tensor.datatype, tensor.shape, memoryview(values))
        else:
            found = from_lists(name, tensor.datatype, tensor.shape, values)
        coded = tensor.datatype == "BYTES" and parameters.get("content_type") == "base64"
        tensors[name] = from_base64(name, found) if coded else found
    if rest:
        raise InvalidInput(f"After the last tensor {len(rest)} binary bytes are left.")
    return tensors


def _cut(name: str, size: Json, values: object, rest: memoryview) -> memoryview:
    if values:
        raise InvalidInput(f"Input {name!r} has both data and binary_data_size.", hint="Send one of them.")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(rest):
        raise InvalidInput(f"Input {name!r} has {size!r} binary bytes; {len(rest)} are left in the body.")
    return rest[:size]


def _lenient(head: bytes, rest: memoryview, strict: Exception) -> tuple[InferRequest, dict[str, np.ndarray]]:
    """A request as some clients write it: with null for what is not given, and NaN and Infinity, which is no JSON."""
    try:
        loaded = json.loads(head, parse_float=_finite)
        if b"\\ud" in head.lower():
            json.dumps(loaded, ensure_ascii=False).encode()  # Half a surrogate is no text.
        payload = _given(loaded)
        for key in payload.keys() & {"inputs", "outputs"}:
            payload[key] = [_given(one) for one in payload[key]]
        data = [tensor.pop("data", None) for tensor in payload["inputs"]]
        request = msgspec.convert(payload, InferRequest)
    except (*MALFORMED, ValueError, TypeError, KeyError, AttributeError):
        raise InvalidInput(
            f"The body is no inference request: {strict}.",
            hint='Send {"inputs": [{"name", "shape", "datatype", "data"}]}.',
        ) from None
    check_wishes(request.outputs)
    return request, _tensors(request, data, rest)


def _finite(number: str) -> float:
    if isinf(found := float(number)):
        raise ValueError(f"{number[:40]} is out of range")
    return found


def _given(one: Any) -> Any:
    return {key: value for key, value in one.items() if value is not None}
