"""What Triton's gRPC client asks."""

from __future__ import annotations

import queue
from functools import partial
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from tests.server.inference.conformance.checks import Check, refused, same, table
from tests.server.inference.conformance.models import TYPES, echo, sample

Client = triton.InferenceServerClient
Refusal = InferenceServerException


def given(name: str, values: np.ndarray, datatype: str) -> triton.InferInput:
    """An input."""
    return triton.InferInput(name, list(values.shape), datatype).set_data_from_numpy(values)


def rows() -> list[triton.InferInput]:
    """Two rows for the table."""
    return [
        given("a", np.array([1.5, 2.5]), "FP64"),
        given("n", np.array([1, 2]), "INT64"),
        given("s", np.array([b"x", "ü".encode()], dtype=object), "BYTES"),
    ]


def asked(client: Client, datatype: str, values: np.ndarray, **more: Any) -> Any:
    """The answer of an echo."""
    return client.infer(echo(datatype), [given("x", values, datatype)], **more)


def gives_back(datatype: str, client: Client) -> None:
    values = sample(datatype)
    found = asked(client, datatype, values)
    assert found.get_output("y").datatype == datatype
    same(found.as_numpy("y"), values)


def server_metadata(client: Client) -> None:
    found = client.get_server_metadata()
    assert found.name, found
    assert found.version, found
    assert list(found.extensions), found


def describes(client: Client) -> None:
    found = client.get_model_metadata("image")
    assert [(one.name, one.datatype, list(one.shape)) for one in found.inputs] == [("x", "FP32", [-1, 2, 3])]
    assert sorted(client.get_model_metadata("table").versions) == ["1", "2"]
    for datatype in TYPES:
        assert client.get_model_metadata(echo(datatype)).outputs[0].datatype == datatype


def outputs(client: Client) -> None:
    wishes = [triton.InferRequestedOutput(name) for name in ("text", "total")]
    found = client.infer("table", rows(), outputs=wishes)
    assert [one.name for one in found.get_response().outputs] == ["text", "total"]
    same(found.as_numpy("total"), np.array([2.5, 4.5]))
    [only] = client.infer("table", rows(), outputs=wishes[:1]).get_response().outputs
    assert only.name == "text"
    refused(lambda: client.infer("table", rows(), outputs=[triton.InferRequestedOutput("price")]), Refusal, "price")


def identity(client: Client) -> None:
    found = asked(client, "FP32", np.ones(1, np.float32), request_id="mine", model_version="1").get_response()
    assert (found.id, found.model_version, found.model_name) == ("mine", "1", "echo_fp32")


def streams(client: Client) -> None:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(5):
        model = "nothing" if number == 2 else "echo_int64"
        client.async_stream_infer(model, [given("x", np.array([number]), "INT64")], request_id=str(number))
    found = [answers.get(timeout=20) for _ in range(5)]
    client.stop_stream()
    assert ["nothing" if error else int(result.as_numpy("y")[0]) for result, error in found] == [0, 1, "nothing", 3, 4]
    assert "nothing" in str(found[2][1])


def codes(client: Client) -> None:
    def code(call: Any) -> str:
        try:
            call()
        except InferenceServerException as error:
            return str(error.status())
        raise AssertionError("it was not refused")

    ones = given("x", np.ones(2, np.float32), "FP32")
    wrong = triton.InferInput("x", [3], "FP32").set_data_from_numpy(np.ones(3, np.float32))
    wrong.set_shape([5])
    assert code(lambda: client.infer("nothing", [ones])) == "StatusCode.NOT_FOUND"
    assert code(lambda: client.get_model_metadata("nothing")) == "StatusCode.NOT_FOUND"
    assert code(lambda: client.infer("echo_fp32", [ones], model_version="9")) == "StatusCode.NOT_FOUND"
    assert code(lambda: client.infer("echo_fp32", [wrong])) == "StatusCode.INVALID_ARGUMENT"
    assert (
        code(lambda: client.infer("echo_fp32", [given("z", np.ones(1, np.float32), "FP32")]))
        == "StatusCode.INVALID_ARGUMENT"
    )


def comes_and_goes(client: Client) -> None:
    assert not client.is_model_ready("spare")
    client.load_model("spare")
    try:
        assert client.is_model_ready("spare")
    finally:
        client.unload_model("spare")
    assert not client.is_model_ready("spare")
    states = {one.name: one.state for one in client.get_model_repository_index().models}
    assert states["table"] == "READY"
    assert states["spare"] != "READY"


def large(client: Client) -> None:
    values = np.arange(4 << 20, dtype=np.float32)
    same(asked(client, "FP32", values).as_numpy("y"), values)


def statistics(client: Client) -> None:
    def count() -> int:
        [one] = client.get_inference_statistics("echo_uint8", "2").model_stats
        return int(one.inference_stats.success.count)

    before = count()
    asked(client, "UINT8", np.ones(3, np.uint8))
    assert count() == before + 1


def configuration(client: Client) -> None:
    found = client.get_model_config("image", as_json=True)["config"]
    assert (found["name"], found["input"][0]["data_type"]) == ("image", "TYPE_FP32")


def at_once(client: Client) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    for number in range(20):
        client.async_infer(
            "echo_int64", [given("x", np.array([number]), "INT64")], lambda result, error: answers.put(result or error)
        )
    assert sorted(int(answers.get(timeout=20).as_numpy("y")[0]) for _ in range(20)) == list(range(20))


def shared_memory(client: Client) -> None:
    refused(lambda: client.register_system_shared_memory("region", "/region", 64), Refusal, "upport")


def parameters(client: Client) -> None:
    values = np.ones(1, np.float32)
    same(asked(client, "FP32", values, parameters={"mine": "yes", "many": 3, "sure": True}).as_numpy("y"), values)


def packed(algorithm: str, client: Client) -> None:
    values = np.arange(10_000, dtype=np.float32)
    same(asked(client, "FP32", values, compression_algorithm=algorithm).as_numpy("y"), values)


def patience(client: Client) -> None:
    values = np.ones(1, np.float32)
    same(asked(client, "FP32", values, client_timeout=20).as_numpy("y"), values)


def image(client: Client) -> None:
    values = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    same(client.infer("image", [given("x", values, "FP32")]).as_numpy("y"), values)


def raw_bytes(client: Client) -> None:
    values = np.array([b"\xff\xfe\x00", bytes(range(256))], dtype=object)
    same(asked(client, "BYTES", values).as_numpy("y"), values)


ROWS = [
    ("the server is live", lambda client: _true(client.is_server_live())),
    ("the server is ready", lambda client: _true(client.is_server_ready())),
    ("a model and its version are ready", lambda client: _true(client.is_model_ready("table", "1"))),
    ("the server says what it is and can", server_metadata),
    ("metadata has the real datatypes, shapes and versions", describes),
    *((f"{datatype} goes in and out raw", partial(gives_back, datatype)) for datatype in TYPES),
    ("outputs come as they were asked for, and an unknown one is refused", outputs),
    ("id, version and name come back", identity),
    ("matrices in rows keep their shape", image),
    ("BYTES need not be UTF-8", raw_bytes),
    ("a stream gets an answer for each request, and goes on after an error", streams),
    ("refusals have the right codes", codes),
    ("a model is loaded and unloaded, and the index says so", comes_and_goes),
    ("a tensor of 16 MB goes through", large),
    ("statistics count", statistics),
    ("a model has a configuration", configuration),
    ("requests at once get their own answers", at_once),
    ("shared memory is refused in so many words", shared_memory),
    ("parameters of the client's own are let be", parameters),
    *((f"messages may be packed by {algorithm}", partial(packed, algorithm)) for algorithm in ("gzip", "deflate")),
    ("a client may set a deadline", patience),
]


def _true(value: object) -> None:
    assert value is True, value


def checks() -> list[Check]:
    """All of them."""
    return table("Triton's client, gRPC", ROWS, lambda target: Client(target.grpc))
