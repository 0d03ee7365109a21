"""The Open Inference Protocol over gRPC, as clients meet it: a real process that answers HTTP beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from everloop.registry import service as models
from everloop.registry.columns import InputMatrix, signature_of
from everloop.registry.save import save_model
from everloop.server.inference.grpc import inference_pb2 as pb
from tests.server.inference.grpcclient import Client, answers, request
from tests.serving.processes import Process, furnish, open_home, tensors

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A furnished home, with a model `mixed` that takes a column of each type."""
    folder = tmp_path_factory.mktemp("grpc") / "home"
    furnish(folder)
    register_mixed(folder)
    return folder


def register_mixed(home: Path) -> None:
    import lightgbm

    random = np.random.default_rng(3)
    rows = 2_000
    columns = {
        "x": random.normal(size=rows),
        "n": random.integers(0, 24, rows),
        "b": random.random(rows) > 0.5,
        "s": random.choice(np.array(["AA", "ü", "DL"], dtype=object), rows),
    }
    signature = signature_of(columns)
    matrix = InputMatrix(signature.inputs)
    truth = (columns["x"] + columns["b"] + columns["n"] / 24 + (columns["s"] == "ü") > 1.2).astype(float)
    data = lightgbm.Dataset(matrix(columns), truth, categorical_feature=matrix.categorical)
    booster = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": 3}, data, 20)
    platform = open_home(home)
    with platform.session().begin() as unit, unit.activate():
        models.register(unit, "mixed", save_model(booster, flavor="lightgbm", signature=signature))
    platform.close()


@pytest.fixture(scope="module")
def endpoint(home: Path) -> Iterator[Process]:
    """The process of the endpoint `delay`, which takes messages up to a megabyte."""
    with Process(home, ["delay", "--grpc-port", "0"], EVERLOOP_MAX_BODY_MB="1") as process:
        yield process


@pytest.fixture(scope="module")
def delay(endpoint: Process) -> Iterator[Client]:
    """A client of the endpoint."""
    with Client.of(endpoint) as client:
        yield client


@pytest.fixture(scope="module")
def direct(home: Path) -> Iterator[Process]:
    """A process that serves registered models."""
    with Process(home, ["models:/late@champion", "models:/late/1", "models:/mixed/1", "--grpc-port", "0"]) as process:
        yield process


@pytest.fixture(scope="module")
def client(direct: Process) -> Iterator[Client]:
    """A client of the models."""
    with Client.of(direct) as client:
        yield client


def flights(rows: int = 24, first: int = 0, **more: Any) -> pb.ModelInferRequest:
    return request("delay", tensors(rows, first), **more)


def over_http(process: Process, model: str, inputs: list[dict[str, Any]]) -> list[float]:
    response = process.http.post(f"/v2/models/{model}/infer", json={"inputs": inputs})
    assert response.status_code == 200, response.text
    found: list[float] = response.json()["outputs"][0]["data"]
    return found


def test_it_lives_and_is_ready(delay: Client) -> None:
    assert delay.call("ServerLive", pb.ServerLiveRequest()).live
    assert delay.call("ServerReady", pb.ServerReadyRequest()).ready
    assert delay.call("ModelReady", pb.ModelReadyRequest(name="delay")).ready


def test_it_says_what_it_is(delay: Client, endpoint: Process) -> None:
    found = delay.call("ServerMetadata", pb.ServerMetadataRequest())
    assert (found.name, found.version) == ("everloop", endpoint.http.get("/v2").json()["version"])


def test_the_metadata_is_that_of_http(client: Client, direct: Process) -> None:
    for name in ("late", "mixed"):
        found = client.call("ModelMetadata", pb.ModelMetadataRequest(name=name))
        expected = direct.http.get(f"/v2/models/{name}").json()
        assert [found.name, list(found.versions), found.platform] == [
            expected["name"],
            expected["versions"],
            expected["platform"],
        ]
        for field in ("inputs", "outputs"):
            told = [
                {"name": one.name, "datatype": one.datatype, "shape": list(one.shape)} for one in getattr(found, field)
            ]
            assert told == expected[field]


@pytest.mark.parametrize("raw", [False, True])
def test_an_endpoint_answers_what_it_answers_over_http(delay: Client, endpoint: Process, raw: bool) -> None:
    expected = over_http(endpoint, "delay", tensors(24))
    assert len(set(expected)) > 2
    assert delay.infer(flights(raw=raw))["probability"] == expected


def columns(**datatypes: str) -> list[dict[str, Any]]:
    values: dict[str, list[Any]] = {
        "x": [-1.5, 0.25, 0.5, 2.0, 1.0, 0.75],
        "n": [0, 5, 23, 12, 1, 7],
        "b": [True, False, True, False, True, True],
        "s": ["AA", "ü", "DL", "", "ü", "new"],
    }
    kinds = {"x": "FP64", "n": "INT64", "b": "BOOL", "s": "BYTES"} | datatypes
    return [{"name": n, "datatype": kinds[n], "shape": [6], "data": data} for n, data in values.items()]


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("kinds", [{}, {"x": "FP32"}, {"n": "INT32"}, {"n": "UINT8"}, {"n": "UINT64"}, {"n": "FP32"}])
def test_every_datatype_gives_what_it_gives_over_http(
    client: Client, direct: Process, kinds: dict[str, str], raw: bool
) -> None:
    expected = over_http(direct, "mixed", columns(**kinds))
    assert len(set(expected)) > 4
    assert client.infer(request("mixed", columns(**kinds), raw=raw))["probability"] == expected


def test_half_precision_is_raw(client: Client, direct: Process) -> None:
    expected = over_http(direct, "mixed", columns())
    assert client.infer(request("mixed", columns(x="FP16"), raw=True))["probability"] == expected


def test_a_missing_number_is_no_number(client: Client, direct: Process) -> None:
    gaps, nulls = columns(), columns()
    gaps[0]["data"], nulls[0]["data"] = [float("nan")] * 6, [None] * 6
    assert client.infer(request("mixed", gaps))["probability"] == over_http(direct, "mixed", nulls)


def test_the_answer_is_raw_where_the_request_was(delay: Client) -> None:
    typed, raw = (delay.call("ModelInfer", flights(2, raw=raw)) for raw in (False, True))
    assert (len(typed.raw_output_contents), len(raw.raw_output_contents)) == (0, 3)
    assert [(one.name, one.datatype, list(one.shape)) for one in raw.outputs] == [
        ("probability", "FP64", [2]),
        ("prediction_id", "BYTES", [2]),
        ("model_version", "INT64", [2]),
    ]
    assert answers(typed)["probability"] == answers(raw)["probability"]


def test_each_row_has_an_id_that_is_in_the_log(delay: Client, home: Path) -> None:
    found = delay.infer(flights(3))
    platform = open_home(home)
    record = platform.call("endpoints.prediction", {"name": "delay", "id": found["prediction_id"][2]})
    platform.close()
    assert (record.key, record.output) == ("flight 2", found["probability"][2])


def test_only_the_wished_outputs_are_sent(delay: Client) -> None:
    assert list(delay.infer(flights(outputs=["model_version", "probability"]))) == ["model_version", "probability"]


def test_an_id_makes_a_retry_harmless_by_whichever_door(delay: Client, endpoint: Process) -> None:
    first = delay.call("ModelInfer", flights(2, first=70, id="by gRPC"))
    again = endpoint.infer(rows=2, first=70, id="by gRPC").json()["outputs"][1]["data"]
    assert first.id == "by gRPC"
    assert answers(first)["prediction_id"] == again
    by_key = delay.infer(flights(2, first=70), idempotency_key="by gRPC")
    assert by_key["prediction_id"] == again


def test_versions_answer_by_number_and_the_first_one_by_default(client: Client) -> None:
    weather = [{"name": f"airport.weather_{n}", "datatype": "FP32", "shape": [1], "data": [1.0]} for n in range(8)]
    message = request("late", [*weather, *(one for one in tensors(1) if one["name"] != "flight_id")])
    found = {}
    for version in ("", "1", "2"):
        message.model_version = version
        response = client.call("ModelInfer", message)
        found[version] = (response.model_version, answers(response)["probability"])
    assert [found[version][0] for version in ("", "1", "2")] == ["2", "1", "2"]
    assert found[""] == found["2"]
    assert found["1"][1] != found["2"][1]


def test_a_model_that_nobody_serves_is_not_found(delay: Client) -> None:
    for method, message in (
        ("ModelReady", pb.ModelReadyRequest(name="nothing")),
        ("ModelMetadata", pb.ModelMetadataRequest(name="nothing")),
        ("ModelInfer", request("nothing", tensors(1))),
        ("ModelReady", pb.ModelReadyRequest(name="delay", version="9")),
    ):
        code, why = delay.refusal(method, message)
        assert code == "NOT_FOUND", method
        assert "delay" in why


def changed(which: str, **change: object) -> pb.ModelInferRequest:
    """A request in which one tensor is wrong."""
    return request("delay", [tensor | change if tensor["name"] == which else tensor for tensor in tensors(2)])


def edited(raw: bool, edit: Callable[[pb.ModelInferRequest], object]) -> pb.ModelInferRequest:
    """A request that was edited after it was made."""
    message = flights(2, raw=raw)
    edit(message)
    return message


BAD: dict[str, tuple[Any, str, str]] = {
    "no message": (b"\xff\xff\xff", "INVALID_ARGUMENT", "ModelInferRequest"),
    "a name that is no UTF-8": (b"\x0a\x02\xff\xfe", "INVALID_ARGUMENT", "ModelInferRequest"),
    "an empty message": (b"", "NOT_FOUND", "delay"),
    "no inputs": (pb.ModelInferRequest(model_name="delay"), "INVALID_ARGUMENT", "Missing"),
    "missing input": (request("delay", tensors(2)[1:]), "INVALID_ARGUMENT", "Missing: origin"),
    "unknown input": (changed("hour", name="minute"), "INVALID_ARGUMENT", "Unknown: minute"),
    "input twice": (changed("hour", name="distance"), "INVALID_ARGUMENT", "twice"),
    "wrong shape": (changed("hour", shape=[2, 2], data=[1, 2, 3, 4]), "INVALID_ARGUMENT", "[2, 2]"),
    "no shape": (changed("hour", shape=[]), "INVALID_ARGUMENT", "shape"),
    "negative shape": (changed("hour", shape=[-2]), "INVALID_ARGUMENT", "[-2]"),
    "absurd shape": (changed("hour", shape=[2**62, 2**62]), "INVALID_ARGUMENT", "2 values"),
    "absurd and empty shape": (changed("hour", shape=[2**62, 2**62, 0], data=[]), "INVALID_ARGUMENT", "shape"),
    "too many dimensions": (changed("hour", shape=[2, *[1] * 100]), "INVALID_ARGUMENT", "shape"),
    "shape against data": (changed("hour", shape=[3]), "INVALID_ARGUMENT", "2 values"),
    "other length": (changed("hour", shape=[3], data=[1, 2, 3]), "INVALID_ARGUMENT", "differ in length"),
    "no rows": (request("delay", [t | {"shape": [0], "data": []} for t in tensors(1)]), "INVALID_ARGUMENT", "no rows"),
    "wrong datatype": (changed("distance", datatype="BYTES", data=["a", "b"]), "INVALID_ARGUMENT", "distance"),
    "fractions in whole numbers": (changed("hour", datatype="FP64", data=[1.5, 2.0]), "INVALID_ARGUMENT", "hour"),
    "out of range": (changed("hour", datatype="INT8", data=[300, 1]), "INVALID_ARGUMENT", "INT8"),
    "another list": (
        edited(False, lambda message: setattr(message.inputs[2], "datatype", "FP32")),
        "INVALID_ARGUMENT",
        "fp32_contents",
    ),
    "unknown datatype": (
        edited(True, lambda message: setattr(message.inputs[2], "datatype", "FP65")),
        "INVALID_ARGUMENT",
        "FP65",
    ),
    "typed half precision": (
        edited(False, lambda message: setattr(message.inputs[2], "datatype", "FP16")),
        "INVALID_ARGUMENT",
        "raw_input_contents",
    ),
    "texts that are no UTF-8": (changed("carrier", data=[b"\xff", b"AA"]), "INVALID_ARGUMENT", "UTF-8"),
    "raw and typed": (
        edited(True, lambda message: message.inputs[0].contents.bytes_contents.append(b"EWR")),
        "INVALID_ARGUMENT",
        "beside",
    ),
    "raw for some": (
        edited(True, lambda message: message.raw_input_contents.pop()),
        "INVALID_ARGUMENT",
        "raw_input_contents for 4",
    ),
    "raw that is cut": (
        edited(True, lambda message: message.raw_input_contents.__setitem__(2, b"1234567")),
        "INVALID_ARGUMENT",
        "whole number",
    ),
    "raw text that is cut": (
        edited(True, lambda message: message.raw_input_contents.__setitem__(0, b"\x09\x00\x00\x00EWR")),
        "INVALID_ARGUMENT",
        "middle of a text",
    ),
    "unknown output": (flights(2, outputs=["price"]), "INVALID_ARGUMENT", "price"),
    "a version beside the traffic": (
        edited(False, lambda message: setattr(message, "model_version", "9")),
        "NOT_FOUND",
        "version 9",
    ),
    "a name that fills the answer": (request("飛" * 100_000, []), "NOT_FOUND", "飛"),
    "too large": (bytes(2 << 20), "RESOURCE_EXHAUSTED", "1048576"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_by_name_and_the_next_request_is_served(delay: Client, case: str) -> None:
    message, expected, why = BAD[case]
    code, words = delay.refusal("ModelInfer", message)
    assert (code, why in words) == (expected, True), words
    assert len(delay.infer(flights(2))["probability"]) == 2


def test_a_method_that_there_is_not_is_unimplemented(delay: Client) -> None:
    assert delay.refused_bytes("TraceSetting", b"") == "UNIMPLEMENTED"


def test_a_compressed_message_counts_as_what_it_becomes(delay: Client) -> None:
    assert delay.refused_bytes("ModelInfer", bytes(1 << 24), grpc.Compression.Gzip) == "RESOURCE_EXHAUSTED"
    assert len(delay.infer(flights(2))["probability"]) == 2


def test_a_stream_answers_each_request_and_goes_on_after_what_it_refuses(delay: Client) -> None:
    bodies = [
        flights(2, id="one").SerializeToString(),
        b"\xff\xff",
        request("nothing", [], id="two").SerializeToString(),
    ]
    found = delay.stream([*bodies, flights(3, raw=True, id="three").SerializeToString()])
    assert [one.infer_response.id for one in found] == ["one", "", "two", "three"]
    assert [bool(one.error_message) for one in found] == [False, True, True, False]
    assert len(answers(found[3].infer_response)["probability"]) == 3


def test_requests_at_once_by_both_doors_each_get_their_own_rows(delay: Client, endpoint: Process) -> None:
    expected = {first: over_http(endpoint, "delay", tensors(7, first)) for first in range(16)}
    wrong: list[int] = []

    def ask(first: int) -> None:
        for _ in range(10):
            found = delay.infer(flights(7, first))["probability"]
            if first % 4 == 0:
                found = found if over_http(endpoint, "delay", tensors(7, first)) == expected[first] else []
            if found != expected[first]:
                wrong.append(first)

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_metrics_count_calls_and_rows(delay: Client, endpoint: Process) -> None:
    delay.infer(flights(5))
    delay.refusal("ModelReady", pb.ModelReadyRequest(name="nothing"))
    text = endpoint.http.get("/metrics").text
    assert 'everloop_grpc_requests_total{method="ModelInfer",code="OK"}' in text
    assert 'everloop_grpc_requests_total{method="ModelReady",code="NOT_FOUND"}' in text
    assert 'everloop_predictions_total{model="delay",version="1"}' in text


def test_sigterm_ends_both_doors_cleanly(home: Path) -> None:
    process = Process(home, ["delay", "--grpc-port", "0"])
    with Client.of(process) as client:
        assert len(client.infer(flights(2))["probability"]) == 2
        before = process.errors.read_text()
        assert process.stop() == 0
        assert client.refusal("ServerLive", pb.ServerLiveRequest())[0] == "UNAVAILABLE"
    assert process.errors.read_text() == before
    segments = (home / "inference" / "default" / "delay").glob(f"*-{process.process.pid}-*.arrows")
    assert all(segment.stat().st_size % (1 << 20) for segment in segments)
