"""Requests for predictions as gRPC has them: tensors out of messages, answers into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message

from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.server.inference import oip
from everloop.server.inference.grpc import inference_pb2 as pb
from everloop.server.inference.served import Answered
from everloop.server.inference.statistics import ModelConfig, ModelStatistics
from everloop.server.inference.tensors import (
    datatype_of,
    from_base64,
    from_bytes,
    from_items,
    shape_of,
    to_bytes,
    to_items,
)

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
    """The inputs of a request, by name; BYTES are bytes.

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
        name = tensor.name
        if name in tensors:
            raise InvalidInput(f"Input {name!r} is there twice.")
        parameters = parameters_of(tensor.parameters)
        oip.check_parameters(f"Input {name!r}", parameters)
        found = _raw(tensor, raw[at]) if raw else _typed(tensor)
        coded = tensor.datatype == "BYTES" and parameters.get("content_type") == "base64"
        tensors[name] = from_base64(name, found) if coded else found
    return tensors


def wishes_of(request: pb.ModelInferRequest) -> list[oip.Wish]:
    """The outputs that a request asks for.

    Raises:
        InvalidInput: one is wanted twice, or in a way that there is not.
    """
    wishes = [oip.Wish(wish.name, parameters_of(wish.parameters)) for wish in request.outputs]
    oip.check_wishes(wishes)
    return wishes


def parameters_of(parameters: Mapping[str, Any]) -> dict[str, Json]:
    """Parameters as JSON would have them; one that says nothing is left out."""
    found = {name: (value, value.WhichOneof("parameter_choice")) for name, value in parameters.items()}
    return {name: getattr(value, choice) for name, (value, choice) in found.items() if choice}


def response_of(name: str, answer: Answered, outputs: Sequence[str], raw: bool) -> pb.ModelInferResponse:
    """An answer as a message, with these outputs; raw where the request was, or one of them has no other form."""
    response = pb.ModelInferResponse(model_name=name, model_version=answer.model_version, id=answer.id)
    given = answer.all
    datatypes = {output: datatype_of(given[output]) for output in outputs}
    raw = raw or not set(datatypes.values()) <= _LISTS.keys()
    for output, datatype in datatypes.items():
        values = given[output]
        message = response.outputs.add(name=output, datatype=datatype, shape=shape_of(values))
        if raw:
            response.raw_output_contents.append(to_bytes(values))
        else:
            getattr(message.contents, _LISTS[datatype]).extend(_items(values, datatype))
    return response


def config_message(config: ModelConfig) -> pb.ModelConfigResponse:
    """A configuration as a message."""
    response = pb.ModelConfigResponse()
    response.config.name, response.config.platform, response.config.backend = (
        config.name,
        config.platform,
        config.backend,
    )
    for configured, messages in ((config.input, response.config.input), (config.output, response.config.output)):
        for one in configured:
            messages.add(name=one.name, data_type=pb.DataType.Value(one.data_type), dims=one.dims)
    return response


def statistics_message(found: Sequence[ModelStatistics]) -> pb.ModelStatisticsResponse:
    """Statistics as a message."""
    response = pb.ModelStatisticsResponse()
    for one in found:
        message = response.model_stats.add(
            name=one.name,
            version=one.version,
            inference_count=one.inference_count,
            execution_count=one.execution_count,
        )
        for name in one.inference_stats.__struct_fields__:
            duration = getattr(one.inference_stats, name)
            getattr(message.inference_stats, name).MergeFrom(pb.StatisticDuration(count=duration.count, ns=duration.ns))
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
