"""A client of the inference protocol over gRPC, and requests for it, typed or raw."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import grpc
import numpy as np

from everloop.server.inference.grpc import inference_pb2 as pb
from tests.serving.processes import Process

LISTS = {
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
DTYPES = {
    "BOOL": "?",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


def packed(datatype: str, values: Sequence[Any]) -> bytes:
    """Values as raw contents."""
    if datatype != "BYTES":
        return np.array(values, dtype=DTYPES[datatype]).tobytes()
    texts = [value.encode() if isinstance(value, str) else value for value in values]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def request(
    model: str, inputs: Sequence[Mapping[str, Any]], raw: bool = False, outputs: Sequence[str] = (), id: str = ""
) -> pb.ModelInferRequest:
    """A request out of tensors as JSON has them."""
    made = pb.ModelInferRequest(model_name=model, id=id)
    for name in outputs:
        made.outputs.add(name=name)
    for tensor in inputs:
        datatype, values = tensor["datatype"], tensor["data"]
        one = made.inputs.add(name=tensor["name"], datatype=datatype, shape=tensor["shape"])
        if raw:
            made.raw_input_contents.append(packed(datatype, values))
        else:
            items = [value.encode() if isinstance(value, str) else value for value in values]
            getattr(one.contents, LISTS[datatype]).extend(items)
    return made


def answers(response: pb.ModelInferResponse) -> dict[str, list[Any]]:
    """The outputs of a response, by name, raw or typed."""
    found: dict[str, list[Any]] = {}
    for at, output in enumerate(response.outputs):
        if response.raw_output_contents:
            assert not output.contents.ListFields()
            values = _unpacked(output.datatype, response.raw_output_contents[at])
        else:
            values = list(getattr(output.contents, LISTS[output.datatype]))
        found[output.name] = [value.decode() if isinstance(value, bytes) else value for value in values]
    return found


def _unpacked(datatype: str, data: bytes) -> list[Any]:
    if datatype != "BYTES":
        return list(np.frombuffer(data, DTYPES[datatype]).tolist())
    texts, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        texts.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return texts


class Client:
    """Calls methods by name."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.insecure_channel(target)

    @classmethod
    def of(cls, process: Process) -> Client:
        """A client of a process that was started with --grpc-port; it announces gRPC after HTTP."""
        assert process.process.stdout is not None
        line = process.process.stdout.readline()
        assert line, process.errors.read_text()
        return cls(str(json.loads(line)["address"]).removeprefix("grpc://"))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._channel.close()

    def call(self, method: str, message: Any, timeout: float = 30, **metadata: str) -> Any:
        """The response; the request may be bytes."""
        answer = getattr(pb, f"{method}Response").FromString
        made = self._channel.unary_unary(
            f"/inference.GRPCInferenceService/{method}",
            request_serializer=lambda body: body if isinstance(body, bytes) else body.SerializeToString(),
            response_deserializer=answer,
        )
        pairs = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
        return made(message, timeout=timeout, metadata=pairs)

    def infer(self, message: pb.ModelInferRequest, **metadata: str) -> dict[str, list[Any]]:
        """The outputs, by name."""
        return answers(self.call("ModelInfer", message, **metadata))

    def stream(self, bodies: Sequence[bytes], **metadata: str) -> list[Any]:
        """The responses to a stream of requests."""
        made = self._channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            response_deserializer=pb.ModelStreamInferResponse.FromString,
        )
        return list(made(iter(bodies), timeout=30, metadata=tuple(metadata.items())))

    def refusal(self, method: str, message: Any, **metadata: str) -> tuple[str, str]:
        """The code and the message with which a call is refused."""
        try:
            answer = self.call(method, message, **metadata)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        raise AssertionError(f"{method} was answered: {str(answer)[:200]}")

    def refused_bytes(self, method: str, body: bytes, compression: Any = grpc.Compression.NoCompression) -> str:
        """The code with which bytes are refused by a method that may not exist."""
        try:
            path = f"/inference.GRPCInferenceService/{method}"
            self._channel.unary_unary(path)(body, timeout=30, compression=compression)
        except grpc.RpcError as error:
            return str(error.code().name)
        raise AssertionError(f"{method} was answered")
