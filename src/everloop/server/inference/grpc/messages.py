"""Requests for predictions as gRPC has them: tensors out of messages, answers into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message

from everloop.kernel.errors import InvalidInput
from everloop.server.inference import oip
from everloop.server.inference.grpc import inference_pb2 as pb
from everloop.server.inference.served import Answered
from everloop.server.inference.tensors import datatype_of, from_bytes, from_items, to_bytes, to_items

M = TypeVar("M", bound=Message)
_LISTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The list that holds the values of each datatype."""


def parsed(kind: type[M], body: bytes) -> M:
    """The message of a kind that a body holds.

    Raises:
        InvalidInput: it holds none.
    """
    try:
        found: M = kind.FromString(body)
    except DecodeError as error:
        raise InvalidInput(f"The message is no {kind.DESCRIPTOR.name}: {error}.") from None
    return found


def tensors_of(request: pb.ModelInferRequest) -> dict[str, np.ndarray]:
    """The inputs of a request, by name.

    Raises:
        InvalidInput: a tensor is not what it says, or some are raw and some are not.
    """
    raw, inputs = request.raw_input_contents, request.inputs
    if raw and len(raw) != len(inputs):
        raise InvalidInput(
            f"There are {len(inputs)} inputs, and raw_input_contents for {len(raw)}.",
            hint="Send raw contents for every input, in their order, or for none.",
        )
    tensors: dict[str, np.ndarray] = {}
    for at, tensor in enumerate(inputs):
        if tensor.name in tensors:
            raise InvalidInput(f"Input {tensor.name!r} is there twice.")
        tensors[tensor.name] = _raw(tensor, raw[at]) if raw else _typed(tensor)
    return tensors


def response_of(name: str, answer: Answered, wishes: Sequence[str], raw: bool) -> pb.ModelInferResponse:
    """An answer as a message, with these outputs or all of them; raw where the request was."""
    response = pb.ModelInferResponse(model_name=name, model_version=answer.model_version, id=answer.id)
    for output in wishes or answer.values:
        values = answer.values[output]
        datatype = datatype_of(values)
        shape = values.shape if isinstance(values, np.ndarray) else (len(values),)
        message = response.outputs.add(name=output, datatype=datatype, shape=shape)
        if raw:
            response.raw_output_contents.append(to_bytes(values))
        else:
            getattr(message.contents, _LISTS[datatype]).extend(_items(values, datatype))
    return response


def metadata_of(found: oip.ModelMetadata) -> pb.ModelMetadataResponse:
    """What a model takes and gives, as a message."""
    response = pb.ModelMetadataResponse(name=found.name, versions=found.versions, platform=found.platform)
    for described, messages in ((found.inputs, response.inputs), (found.outputs, response.outputs)):
        for one in described:
            messages.add(name=one.name, datatype=one.datatype, shape=one.shape)
    return response


def _raw(tensor: pb.ModelInferRequest.InferInputTensor, data: bytes) -> np.ndarray:
    if tensor.HasField("contents") and tensor.contents.ListFields():
        raise InvalidInput(f"Input {tensor.name!r} has contents beside raw_input_contents.", hint="Send one of them.")
    return from_bytes(tensor.name, tensor.datatype, tensor.shape, memoryview(data))


def _typed(tensor: pb.ModelInferRequest.InferInputTensor) -> np.ndarray:
    wanted = _LISTS.get(tensor.datatype)
    for field, _ in tensor.contents.ListFields():
        if field.name != wanted:
            raise InvalidInput(
                f"Input {tensor.name!r} is {tensor.datatype} and has {field.name}.",
                hint=f"Send {wanted or 'raw_input_contents'}.",
            )
    items: Sequence[object] = list(getattr(tensor.contents, wanted)) if wanted else ()
    return from_items(tensor.name, tensor.datatype, tensor.shape, items)


def _items(values: Sequence[str] | np.ndarray, datatype: str) -> Sequence[object]:
    if datatype == "BYTES" or not isinstance(values, np.ndarray):
        return to_items(values)
    items: list[object] = values.ravel().tolist()
    return items
