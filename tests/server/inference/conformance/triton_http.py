"""What Triton's HTTP client asks."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.server.inference.conformance.checks import Check, Target, refused, same, table
from tests.server.inference.conformance.models import TYPES, echo, sample

Client = triton.InferenceServerClient
Refusal = InferenceServerException


def given(name: str, values: np.ndarray, datatype: str, binary: bool = True) -> triton.InferInput:
    """An input."""
    made = triton.InferInput(name, list(values.shape), datatype)
    return made.set_data_from_numpy(values, binary_data=binary)


def wished(name: str, binary: bool = True, **more: Any) -> triton.InferRequestedOutput:
    """An output that is asked for."""
    return triton.InferRequestedOutput(name, binary_data=binary, **more)


def rows(binary: bool = True) -> list[triton.InferInput]:
    """Two rows for the table."""
    return [
        given("a", np.array([1.5, 2.5]), "FP64", binary),
        given("n", np.array([1, 2]), "INT64", not binary),
        given("s", np.array([b"x", "ü".encode()], dtype=object), "BYTES", binary),
    ]


def asked(client: Client, datatype: str, values: np.ndarray, **more: Any) -> Any:
    """The answer of an echo."""
    return client.infer(echo(datatype), [given("x", values, datatype)], **more)


def gives_back(datatype: str, binary_in: bool, binary_out: bool, client: Client) -> None:
    """A datatype goes in and comes out."""
    values = sample(datatype)
    inputs = [given("x", values, datatype, binary_in)]
    found = client.infer(echo(datatype), inputs, outputs=[wished("y", binary_out)])
    assert found.get_output("y")["datatype"] == datatype
    assert ("data" in found.get_output("y")) is not binary_out
    expected = values if binary_out or datatype != "BYTES" else np.array([v.decode() for v in values], dtype=object)
    same(found.as_numpy("y"), expected)


def describes(client: Client) -> None:
    """Metadata of a model."""
    for name, inputs, outputs in (
        ("image", [("x", "FP32", [-1, 2, 3])], [("y", "FP32", [-1, 2, 3])]),
        (
            "table",
            [("a", "FP64", [-1]), ("n", "INT64", [-1]), ("s", "BYTES", [-1])],
            [("total", "FP64", [-1]), ("text", "BYTES", [-1])],
        ),
    ):
        found = client.get_model_metadata(name)
        assert found["name"] == name
        assert found["platform"]
        for key, expected in (("inputs", inputs), ("outputs", outputs)):
            assert [(one["name"], one["datatype"], [int(d) for d in one["shape"]]) for one in found[key]] == expected


def describes_datatypes(client: Client) -> None:
    """Metadata of the echoes."""
    for datatype in TYPES:
        found = client.get_model_metadata(echo(datatype))
        assert (found["inputs"][0]["datatype"], found["outputs"][0]["datatype"]) == (datatype, datatype), found


def server_metadata(client: Client) -> None:
    found = client.get_server_metadata()
    assert found["name"], found
    assert found["version"], found
    assert "binary_tensor_data" in found["extensions"], found


def versions(client: Client) -> None:
    assert sorted(client.get_model_metadata("table")["versions"]) == ["1", "2"]
    assert client.get_model_metadata("table", "1")["name"] == "table"


def answers_by_version(client: Client) -> None:
    for version in ("1", "2"):
        found = asked(client, "FP32", np.ones(1, np.float32), model_version=version)
        assert found.get_response()["model_version"] == version


def mixes_in(client: Client) -> None:
    for binary in (True, False):
        found = client.infer("table", rows(binary))
        same(found.as_numpy("total"), np.array([2.5, 4.5]))


def mixes_out(client: Client) -> None:
    found = client.infer("table", rows(), outputs=[wished("text", binary=False), wished("total")])
    assert [one["name"] for one in found.get_response()["outputs"]] == ["text", "total"]
    assert "data" in found.get_output("text")
    assert "binary_data_size" in found.get_output("total")["parameters"]
    assert found.as_numpy("text").tolist() == ["x", "ü"]
    same(found.as_numpy("total"), np.array([2.5, 4.5]))


def all_outputs_without_wishes(client: Client) -> None:
    found = client.infer("table", rows())
    assert [one["name"] for one in found.get_response()["outputs"]] == ["total", "text"]
    assert found.as_numpy("text").tolist() == [b"x", "ü".encode()]


def in_order(client: Client) -> None:
    found = client.infer("table", rows(), outputs=[wished("text"), wished("total")])
    assert [one["name"] for one in found.get_response()["outputs"]] == ["text", "total"]


def only_wished(client: Client) -> None:
    found = client.infer("table", rows(), outputs=[wished("total")])
    assert [one["name"] for one in found.get_response()["outputs"]] == ["total"]


def compressed(request: str | None, response: str | None, client: Client) -> None:
    values = np.arange(50_000, dtype=np.float32)
    found = asked(
        client, "FP32", values, request_compression_algorithm=request, response_compression_algorithm=response
    )
    same(found.as_numpy("y"), values)


def really_compressed(client: Client) -> None:
    body, size = client.generate_request_body([given("x", np.zeros(50_000, np.float32), "FP32")])
    headers = {"Inference-Header-Content-Length": str(size), "Accept-Encoding": "gzip"}
    response = client._post("v2/models/echo_fp32/infer", body, headers, None)  # To see the body itself.
    assert response.get("Content-Encoding") == "gzip"
    assert len(response.read()) < 20_000


def at_once(client: Client) -> None:
    calls = [client.async_infer("echo_int64", [given("x", np.array([n]), "INT64")]) for n in range(20)]
    assert [int(call.get_result().as_numpy("y")[0]) for call in calls] == list(range(20))


def large(client: Client) -> None:
    values = np.arange(4 << 20, dtype=np.float32)
    same(asked(client, "FP32", values).as_numpy("y"), values)


def repository_index(client: Client) -> None:
    found = {(one["name"], one["version"]): one["state"] for one in client.get_model_repository_index()}
    assert found["table", "1"] == found["table", "2"] == "READY"
    assert any(name == "spare" and state != "READY" for (name, _), state in found.items())


def comes_and_goes(client: Client) -> None:
    assert not client.is_model_ready("spare")
    client.load_model("spare")
    try:
        assert client.is_model_ready("spare")
        found = client.infer("spare", [given("x", np.ones(2, np.float32), "FP32")])
        same(found.as_numpy("y"), np.ones(2, np.float32))
    finally:
        client.unload_model("spare")
    assert not client.is_model_ready("spare")
    refused(lambda: client.infer("spare", [given("x", np.ones(2, np.float32), "FP32")]), Refusal, "spare")


def loads_what_is_loaded(client: Client) -> None:
    client.load_model("table")
    assert client.is_model_ready("table", "2")
    client.load_model("table", config=None)
    assert client.is_model_ready("table")


def statistics(client: Client) -> None:
    def count() -> int:
        [one] = client.get_inference_statistics("echo_fp64", "2")["model_stats"]
        return int(one["inference_stats"]["success"]["count"])

    before = count()
    asked(client, "FP64", np.ones(3))
    assert count() == before + 1
    assert len(client.get_inference_statistics()["model_stats"]) > 10


def configuration(client: Client) -> None:
    found = client.get_model_config("image")
    assert found["name"] == "image"
    assert found["input"][0]["data_type"] == "TYPE_FP32"
    assert [int(size) for size in found["input"][0]["dims"]][-2:] == [2, 3]


def shared_memory(client: Client) -> None:
    refused(lambda: client.register_system_shared_memory("region", "/region", 64), Refusal, "upport")
    one = triton.InferInput("x", [1], "FP32")
    one.set_shared_memory("region", 4)
    refused(lambda: client.infer("echo_fp32", [one]), Refusal, "hared memory")


def classification(client: Client) -> None:
    """It is refused in so many words, or it gives BYTES."""
    try:
        found = client.infer("table", rows(), outputs=[wished("total", class_count=1)])
    except InferenceServerException as error:
        assert "lassification" in str(error), error  # noqa: PT017  # Either is right.
        return
    assert found.get_output("total")["datatype"] == "BYTES"


def keeps_shape(shape: tuple[int, ...], client: Client) -> None:
    values = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    for binary in (True, False):
        found = client.infer("image", [given("x", values, "FP32", binary)], outputs=[wished("y", binary)])
        same(found.as_numpy("y"), values)


def repeats_id(client: Client) -> None:
    assert asked(client, "FP32", np.ones(1, np.float32), request_id="one of mine").get_response()["id"] == "one of mine"


def lets_parameters_be(client: Client) -> None:
    found = asked(client, "FP32", np.ones(1, np.float32), parameters={"mine": "yes", "many": 3, "sure": True})
    same(found.as_numpy("y"), np.ones(1, np.float32))


def not_numbers(client: Client) -> None:
    values = np.array([np.nan, np.inf, -np.inf, -0.0])
    same(asked(client, "FP64", values).as_numpy("y"), values)
    found = client.infer(
        "echo_fp64", [given("x", np.array([np.nan, 1.0]), "FP64", False)], outputs=[wished("y", False)]
    )
    same(found.as_numpy("y").astype(float), np.array([np.nan, 1.0]))


def raw_bytes(client: Client) -> None:
    values = np.array([b"\xff\xfe\x00", bytes(range(256))], dtype=object)
    same(asked(client, "BYTES", values).as_numpy("y"), values)


def foreign_output(client: Client) -> None:
    refused(lambda: client.infer("table", rows(), outputs=[wished("price")]), Refusal, "price")


def unknown_model(client: Client) -> None:
    assert not client.is_model_ready("nothing")
    assert not client.is_model_ready("table", "9")
    refused(lambda: client.get_model_metadata("nothing"), Refusal, "nothing")
    refused(lambda: client.infer("nothing", rows()), Refusal, "nothing")
    refused(lambda: client.load_model("nothing"), Refusal, "nothing")
    refused(lambda: client.unload_model("nothing"), Refusal, "nothing")


def missing_and_foreign_inputs(client: Client) -> None:
    refused(lambda: client.infer("table", rows()[:2]), Refusal, "s")
    refused(lambda: client.infer("table", [*rows(), given("z", np.ones(2), "FP64")]), Refusal, "z")


def other_datatype(client: Client) -> None:
    one = given("a", np.array([b"1", b"2"], dtype=object), "BYTES")
    refused(lambda: client.infer("table", [one, *rows()[1:]]), Refusal, "a")


ROWS = [
    ("the server is live", lambda client: _true(client.is_server_live())),
    ("the server is ready", lambda client: _true(client.is_server_ready())),
    ("a model is ready", lambda client: _true(client.is_model_ready("table"))),
    ("a version of a model is ready", lambda client: _true(client.is_model_ready("table", "1"))),
    ("an unknown model is not ready, and is refused by name", unknown_model),
    ("the server says what it is and can", server_metadata),
    ("a model's metadata has its inputs and outputs with their shapes", describes),
    ("metadata has the real datatypes", describes_datatypes),
    ("metadata lists the versions", versions),
    ("each version answers for itself", answers_by_version),
    *((f"{d} goes in and out as binary data", partial(gives_back, d, True, True)) for d in TYPES),
    *((f"{d} goes in and out as JSON", partial(gives_back, d, False, False)) for d in TYPES),
    *((f"{d} goes in as JSON and out as binary data", partial(gives_back, d, False, True)) for d in ("FP16", "BYTES")),
    ("JSON and binary inputs may be mixed", mixes_in),
    ("JSON and binary outputs may be mixed", mixes_out),
    ("without a wish all outputs come, as binary data", all_outputs_without_wishes),
    ("outputs come in the order they were asked for", in_order),
    ("only the outputs that were asked for come", only_wished),
    ("an output that there is not is refused by name", foreign_output),
    ("a request's id comes back", repeats_id),
    ("parameters of the client's own are let be", lets_parameters_be),
    ("matrices in rows keep their shape", partial(keeps_shape, (4, 2, 3))),
    ("one matrix in one row keeps its shape", partial(keeps_shape, (1, 2, 3))),
    ("NaN and infinity are what they are", not_numbers),
    ("BYTES need not be UTF-8", raw_bytes),
    *((f"a request may be packed by {a}", partial(compressed, a, None)) for a in ("gzip", "deflate")),
    *((f"a response may be packed by {a}", partial(compressed, None, a)) for a in ("gzip", "deflate")),
    ("a response that may be packed is", really_compressed),
    ("requests at once get their own answers", at_once),
    ("a tensor of 16 MB goes through", large),
    ("the repository lists what is served and what is not", repository_index),
    ("a model is loaded and unloaded", comes_and_goes),
    ("to load what is loaded does no harm", loads_what_is_loaded),
    ("statistics count", statistics),
    ("a model has a configuration", configuration),
    ("shared memory is refused in so many words", shared_memory),
    ("classification is supported, or refused in so many words", classification),
    ("missing and unknown inputs are refused by name", missing_and_foreign_inputs),
    ("another datatype is refused", other_datatype),
]


def _true(value: object) -> None:
    assert value is True, value


def checks() -> list[Check]:
    """All of them."""

    def client(target: Target) -> Client:
        return Client(target.place, concurrency=4, network_timeout=60, connection_timeout=60)

    return table("Triton's client, HTTP", ROWS, client)
