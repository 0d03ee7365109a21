"""Values in `contents`, which Triton's client never sends, and what gRPC must refuse."""

from __future__ import annotations

from functools import partial

import numpy as np

from everloop.server.inference.grpc import inference_pb2 as pb
from tests.server.inference.conformance.checks import Check, table
from tests.server.inference.conformance.models import TYPES, echo, sample
from tests.server.inference.grpcclient import Client, answers, request


class Typed(Client):
    """A client that can be closed."""

    def close(self) -> None:
        """Hang up."""
        self._channel.close()


def gives_back(datatype: str, client: Typed) -> None:
    values = sample(datatype).tolist()
    tensor = {"name": "x", "datatype": datatype, "shape": [len(values)], "data": values}
    response = client.call("ModelInfer", request(echo(datatype), [tensor]))
    assert not response.raw_output_contents
    assert response.outputs[0].datatype == datatype
    found = answers(response)["y"]
    assert found == [value.decode() if isinstance(value, bytes) else value for value in values], found


def half(client: Typed) -> None:
    """FP16 has no list, so it is raw in both ways."""
    values = sample("FP16")
    tensor = {"name": "x", "datatype": "FP16", "shape": [3], "data": values.tolist()}
    response = client.call("ModelInfer", request(echo("FP16"), [tensor], raw=True))
    assert np.frombuffer(response.raw_output_contents[0], "<f2").tolist() == values.tolist()


X = {"name": "x", "datatype": "FP32", "shape": [2], "data": [1.0, 2.0]}
BAD: dict[str, tuple[pb.ModelInferRequest, str]] = {
    "an unknown model": (request("nothing", [X]), "NOT_FOUND"),
    "an unknown input": (request("echo_fp32", [X | {"name": "z"}]), "INVALID_ARGUMENT"),
    "no input": (request("echo_fp32", []), "INVALID_ARGUMENT"),
    "a shape that its values do not fill": (request("echo_fp32", [X | {"shape": [3]}]), "INVALID_ARGUMENT"),
    "a negative shape": (request("echo_fp32", [X | {"shape": [-2]}]), "INVALID_ARGUMENT"),
    "an absurd shape": (request("echo_fp32", [X | {"shape": [2**62, 2**62]}]), "INVALID_ARGUMENT"),
    "raw contents that are cut": (request("echo_fp32", [X | {"shape": [3]}], raw=True), "INVALID_ARGUMENT"),
    "a number over its range": (
        request("echo_int8", [X | {"datatype": "INT8", "data": [300, 1]}]),
        "INVALID_ARGUMENT",
    ),
    "another datatype": (request("echo_fp32", [X | {"datatype": "BYTES", "data": ["a", "b"]}]), "INVALID_ARGUMENT"),
}


def is_refused(message: pb.ModelInferRequest, code: str, client: Typed) -> None:
    found, why = client.refusal("ModelInfer", message)
    assert found == code, (found, why)
    assert why
    assert client.infer(request("echo_fp32", [X]))["y"] == [1.0, 2.0]


def checks() -> list[Check]:
    """All of them."""
    lists = [(f"{d} goes in and out in contents", partial(gives_back, d)) for d in TYPES if d != "FP16"]
    bad = [(f"{name} is refused, and the next call answered", partial(is_refused, *case)) for name, case in BAD.items()]
    rows = [*lists, ("FP16 goes in and out raw where there is no list", half), *bad]
    return table("plain gRPC", rows, lambda target: Typed(target.grpc))
