"""The inference door, as clients meet it: a real process on a free port."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.serving.processes import Process, furnish, open_home, tensors

pytestmark = pytest.mark.slow
DELAY = "/v2/models/delay"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A furnished home."""
    folder = tmp_path_factory.mktemp("serving") / "home"
    furnish(folder)
    return folder


@pytest.fixture(scope="module")
def endpoint(home: Path) -> Iterator[Process]:
    """The process of the endpoint `delay`, which takes bodies up to a megabyte."""
    with Process(home, ["delay"], EVERLOOP_MAX_BODY_MB="1") as process:
        yield process


@pytest.fixture(scope="module")
def direct(home: Path) -> Iterator[Process]:
    """A process that serves both versions of the model `late`."""
    with Process(home, ["models:/late@champion", "models:/late/1"]) as process:
        yield process


def outputs(response: httpx.Response) -> dict[str, list[object]]:
    assert response.status_code == 200, response.text
    return {output["name"]: output["data"] for output in response.json()["outputs"]}


def test_it_lives_and_is_ready(endpoint: Process) -> None:
    for path in ("/healthz", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready", f"{DELAY}/ready"):
        assert endpoint.http.get(path).status_code == 200, path


def test_it_says_what_it_is(endpoint: Process) -> None:
    assert endpoint.http.get("/v2").json()["name"] == "everloop"


def test_the_metadata_says_what_a_request_brings_along(endpoint: Process) -> None:
    found = endpoint.http.get(DELAY).json()
    assert found["versions"] == ["1"]
    assert {(one["name"], one["datatype"]) for one in found["inputs"]} == {
        ("origin", "BYTES"),
        ("carrier", "BYTES"),
        ("distance", "FP64"),
        ("hour", "INT64"),
        ("flight_id", "BYTES"),
    }
    assert [one["name"] for one in found["outputs"]] == ["probability", "prediction_id", "model_version"]


def test_each_row_gets_a_probability_and_an_id_that_is_in_the_log(endpoint: Process, home: Path) -> None:
    response = endpoint.infer(rows=3)
    found = outputs(response)
    assert all(0 < probability < 1 for probability in found["probability"])
    assert response.json()["model_version"] == "1"
    platform = open_home(home)
    record = platform.call("endpoints.prediction", {"name": "delay", "id": found["prediction_id"][2]})
    platform.close()
    assert (record.key, record.output) == ("flight 2", found["probability"][2])
    assert record.features["airport.weather_0"] == 3.0


def test_tensors_may_be_columns_of_a_matrix(endpoint: Process) -> None:
    flat = outputs(endpoint.infer(rows=2))["probability"]
    inputs = [tensor | {"shape": [2, 1], "data": [[value] for value in tensor["data"]]} for tensor in tensors(2)]
    assert outputs(endpoint.http.post(f"{DELAY}/infer", json={"inputs": inputs}))["probability"] == flat


def test_only_the_wished_outputs_are_sent(endpoint: Process) -> None:
    assert list(outputs(endpoint.infer(outputs=[{"name": "probability"}]))) == ["probability"]


def test_a_missing_value_is_null(endpoint: Process) -> None:
    inputs = [tensor | ({"data": [None]} if tensor["name"] in ("distance", "carrier") else {}) for tensor in tensors(1)]
    assert len(outputs(endpoint.http.post(f"{DELAY}/infer", json={"inputs": inputs}))["probability"]) == 1


def test_the_requests_id_comes_back_and_makes_a_retry_harmless(endpoint: Process) -> None:
    first, again = endpoint.infer(id="twice", first=70), endpoint.infer(id="twice", first=70)
    assert first.json()["id"] == "twice"
    assert first.json() == again.json()


def test_binary_tensors_give_what_json_gives(endpoint: Process) -> None:
    expected = outputs(endpoint.infer(rows=3))["probability"]
    inputs, tail = [], b""
    for tensor in tensors(3):
        values = tensor.pop("data")
        packed = _packed(str(tensor["datatype"]), values)
        inputs.append(tensor | {"parameters": {"binary_data_size": len(packed)}})
        tail += packed
    head = json.dumps({"inputs": inputs}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    response = endpoint.http.post(f"{DELAY}/infer", content=head + tail, headers=headers)
    assert outputs(response)["probability"] == expected


def _packed(datatype: str, values: object) -> bytes:
    import numpy as np

    if datatype == "BYTES":
        assert isinstance(values, list)
        return b"".join(len(value).to_bytes(4, "little") + value.encode() for value in values)
    return np.array(values, dtype="<f8" if datatype == "FP64" else "<i8").tobytes()


def test_all_four_scoring_formats_give_the_same(endpoint: Process) -> None:
    expected = outputs(endpoint.infer(rows=2))["probability"]
    columns = {str(tensor["name"]): tensor["data"] for tensor in tensors(2)}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    split = {"columns": list(columns), "data": [list(row.values()) for row in rows]}
    for body in ({"dataframe_split": split}, {"dataframe_records": rows}, {"instances": rows}, {"inputs": columns}):
        response = endpoint.http.post("/invocations", json=body)
        assert response.json()["predictions"] == expected, body


def test_feedback_labels_a_prediction(endpoint: Process, home: Path) -> None:
    prediction = outputs(endpoint.infer(rows=1, first=500))["prediction_id"][0]
    labels = {"labels": [{"key": "flight 500", "value": 1.0, "at": "2026-01-02T03:04:05Z"}]}
    assert endpoint.http.post("/feedback", json=labels).json() == {"accepted": 1, "duplicates": 0}
    assert endpoint.http.post("/feedback", json=labels).json() == {"accepted": 0, "duplicates": 1}
    platform = open_home(home)
    record = platform.call("endpoints.prediction", {"name": "delay", "id": prediction})
    platform.close()
    assert (record.label, str(record.label_at)) == (1.0, "2026-01-02 03:04:05+00:00")


def test_metrics_count_what_was_answered(endpoint: Process) -> None:
    endpoint.infer(rows=5)
    text = endpoint.http.get("/metrics").text
    assert 'everloop_predictions_total{model="delay",version="1"}' in text
    assert "everloop_traffic_revision " in text


def changed(which: str, **change: object) -> bytes:
    """A request in which one tensor is wrong."""
    return json.dumps({"inputs": [t | change if t["name"] == which else t for t in tensors(2)]}).encode()


def without(name: str) -> bytes:
    """A request in which one tensor is missing."""
    return json.dumps({"inputs": [tensor for tensor in tensors(2) if tensor["name"] != name]}).encode()


BAD: dict[str, tuple[str, bytes, int, str]] = {
    "unknown model": ("/v2/models/nothing/infer", without(""), 404, "nothing"),
    "unknown version": (f"{DELAY}/versions/9/infer", without(""), 404, "version 9"),
    "unknown path": ("/v3", b"{}", 404, "/v3"),
    "missing input": (f"{DELAY}/infer", without("distance"), 400, "Missing: distance"),
    "missing key": (f"{DELAY}/infer", without("origin"), 400, "Missing: origin"),
    "unknown input": (f"{DELAY}/infer", changed("hour", name="minute"), 400, "Unknown: minute"),
    "input twice": (f"{DELAY}/infer", changed("hour", name="distance"), 400, "twice"),
    "wrong shape": (f"{DELAY}/infer", changed("hour", shape=[2, 2], data=[1, 2, 3, 4]), 400, "[2, 2]"),
    "no shape": (f"{DELAY}/infer", changed("hour", shape=[]), 400, "shape"),
    "negative shape": (f"{DELAY}/infer", changed("hour", shape=[-2]), 400, "[-2]"),
    "too many dimensions": (f"{DELAY}/infer", changed("hour", shape=[2, *[1] * 100]), 400, "shape"),
    "shape against data": (f"{DELAY}/infer", changed("hour", shape=[3]), 400, "2 values"),
    "other length": (f"{DELAY}/infer", changed("hour", shape=[3], data=[1, 2, 3]), 400, "differ in length"),
    "wrong datatype": (f"{DELAY}/infer", changed("distance", datatype="BYTES", data=["a", "b"]), 400, "distance"),
    "unknown datatype": (f"{DELAY}/infer", changed("distance", datatype="FP65"), 400, "FP65"),
    "text in numbers": (f"{DELAY}/infer", changed("distance", data=["1", "2"]), 400, "distance"),
    "numbers in texts": (f"{DELAY}/infer", changed("carrier", data=[1, 2]), 400, "carrier"),
    "fractions in whole numbers": (f"{DELAY}/infer", changed("hour", data=[1.5, 2]), 400, "hour"),
    "truth in numbers": (f"{DELAY}/infer", changed("distance", data=[True, False]), 400, "distance"),
    "too large for its type": (f"{DELAY}/infer", changed("hour", data=[2**63, 1]), 400, "hour"),
    "too large for any": (f"{DELAY}/infer", changed("hour", data=[10**400, 1]), 400, "hour"),
    "object as data": (f"{DELAY}/infer", changed("hour", data={"a": 1}), 400, "hour"),
    "no data": (f"{DELAY}/infer", changed("hour", data=None), 400, "hour"),
    "deeply nested data": (f"{DELAY}/infer", changed("hour", data=[[[1]], [[2]]]), 400, "hour"),
    "no rows": (
        f"{DELAY}/infer",
        json.dumps({"inputs": [t | {"shape": [0], "data": []} for t in tensors(1)]}).encode(),
        400,
        "no rows",
    ),
    "infinity": (f"{DELAY}/infer", without("").replace(b"500.0", b"1e999"), 400, "distance"),
    "broken JSON": (f"{DELAY}/infer", without("")[:-5], 400, "truncated"),
    "no JSON": (f"{DELAY}/infer", b"hello", 400, "inference request"),
    "empty body": (f"{DELAY}/infer", b"", 400, "inference request"),
    "a list": (f"{DELAY}/infer", b"[]", 400, "inference request"),
    "no inputs": (f"{DELAY}/infer", b"{}", 400, "inputs"),
    "empty inputs": (f"{DELAY}/infer", b'{"inputs": []}', 400, "Missing"),
    "invalid UTF-8": (f"{DELAY}/infer", without("").replace(b"JFK", b"J\xffK"), 400, ""),
    "half a surrogate": (f"{DELAY}/infer", without("").replace(b"JFK", b"\\ud800"), 400, ""),
    "deep nesting": (f"{DELAY}/infer", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "recursion"),
    "scoring: deep nesting": ("/invocations", b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "recursion"),
    "feedback: deep nesting": ("/feedback", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "recursion"),
    "unknown output": (f"{DELAY}/infer", without("")[:-1] + b', "outputs": [{"name": "price"}]}', 400, "price"),
    "huge body": (f"{DELAY}/infer", b" " * (1 << 20) + b"{}", 413, "1"),
    "scoring: no format": ("/invocations", b'{"rows": []}', 400, "dataframe_split"),
    "scoring: two formats": ("/invocations", b'{"inputs": {}, "instances": []}', 400, "inputs, instances"),
    "scoring: ragged": (
        "/invocations",
        b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1]]}}',
        400,
        "1 values",
    ),
    "scoring: column twice": (
        "/invocations",
        b'{"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}',
        400,
        "twice",
    ),
    "scoring: no table": ("/invocations", b'{"instances": 5}', 400, "not a table"),
    "scoring: missing column": ("/invocations", b'{"inputs": {"hour": [1]}}', 400, "Missing"),
    "scoring: text in numbers": ("/invocations", b'{"inputs": {"hour": ["1"]}}', 400, "hour"),
    "feedback: no labels": ("/feedback", b"{}", 400, "labels"),
    "feedback: no number": ("/feedback", b'{"labels": [{"key": "a", "value": "late"}]}', 400, "value"),
    "feedback: no key": ("/feedback", b'{"labels": [{"key": "", "value": 1}]}', 400, "key"),
    "feedback: no time": ("/feedback", b'{"labels": [{"key": "a", "value": 1, "at": "soon"}]}', 400, "at"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_by_name_and_the_next_request_is_served(endpoint: Process, case: str) -> None:
    path, body, status, why = BAD[case]
    response = endpoint.http.post(path, content=body, headers={"Content-Type": "application/json"})
    scoring = ["error_code", "message"] if path == "/invocations" else []
    assert (response.status_code, list(response.json())) == (status, [*scoring, "error"]), response.text
    assert isinstance(response.json()["error"], str)
    assert why in response.json()["error"]
    assert endpoint.infer().status_code == 200


def test_a_wrong_method_is_an_error_too(endpoint: Process) -> None:
    response = endpoint.http.get(f"{DELAY}/infer")
    assert (response.status_code, list(response.json())) == (405, ["error"])


@pytest.mark.parametrize("header", ["-1", "x", "999999"])
def test_a_binary_length_that_cannot_be_is_refused(endpoint: Process, header: str) -> None:
    response = endpoint.http.post(
        f"{DELAY}/infer", content=without(""), headers={"Inference-Header-Content-Length": header}
    )
    assert response.status_code == 400
    assert "Inference-Header".lower() in response.json()["error"].lower()


@pytest.mark.parametrize(("size", "why"), [(7, "whole number"), (999, "left in the body"), ("8", "left in the body")])
def test_binary_tensors_that_are_cut_are_refused(endpoint: Process, size: object, why: str) -> None:
    tensor = {"name": "hour", "datatype": "INT64", "shape": [1], "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    response = endpoint.http.post(f"{DELAY}/infer", content=head + bytes(16), headers=headers)
    assert response.status_code == 400
    assert why in response.json()["error"]


def test_a_strange_host_is_refused_in_the_doors_words(endpoint: Process) -> None:
    response = endpoint.http.get("/v2", headers={"Host": "evil.example"})
    assert (response.status_code, list(response.json())) == (403, ["error"])


def test_a_client_that_hangs_up_harms_nobody(endpoint: Process) -> None:
    where = urlsplit(endpoint.address)
    for _ in range(20):
        with socket.create_connection((where.hostname, where.port)) as connection:
            body = json.dumps({"inputs": tensors(50)}).encode()
            connection.sendall(
                b"POST /v2/models/delay/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            connection.sendall(body)
    assert endpoint.infer().status_code == 200


def test_requests_at_once_each_get_their_own_rows(endpoint: Process) -> None:
    expected = {first: outputs(endpoint.infer(rows=7, first=first))["probability"] for first in range(16)}
    wrong: list[int] = []

    def ask(first: int) -> None:
        with httpx.Client(base_url=endpoint.address, timeout=30) as http:
            for _ in range(10):
                found = outputs(http.post(f"{DELAY}/infer", json={"inputs": tensors(7, first)}))["probability"]
                if found != expected[first]:
                    wrong.append(first)

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_models_are_served_by_name_without_an_endpoint(direct: Process) -> None:
    found = direct.http.get("/v2/models/late").json()
    assert found["versions"] == ["2", "1"]
    assert "airport.weather_0" in [one["name"] for one in found["inputs"]]
    assert [one["name"] for one in found["outputs"]] == ["probability"]


def asked(direct: Process, path: str) -> float:
    weather = [{"name": f"airport.weather_{n}", "datatype": "FP32", "shape": [1], "data": [1.0]} for n in range(8)]
    inputs = [*weather, *(tensor for tensor in tensors(1) if tensor["name"] != "flight_id")]
    return float(str(outputs(direct.http.post(path, json={"inputs": inputs}))["probability"][0]))


def test_versions_answer_by_number_and_the_first_one_by_default(direct: Process) -> None:
    one, two = (asked(direct, f"/v2/models/late/versions/{version}/infer") for version in (1, 2))
    assert one != two
    assert asked(direct, "/v2/models/late/infer") == two


def test_a_model_answers_what_it_answers_in_process(direct: Process, home: Path) -> None:
    import numpy as np

    from everloop.registry.save import load_model

    platform = open_home(home)
    trained = platform.call("models.version", {"name": "late", "version": 1}).trained
    columns = {f"airport.weather_{n}": np.ones(1) for n in range(8)} | {
        "distance": np.array([500.0]),
        "hour": np.array([0]),
    }
    columns |= {name: np.array([value], dtype=object) for name, value in (("origin", "EWR"), ("carrier", "AA"))}
    expected = load_model(platform.session(), trained).predict(columns)[0]
    platform.close()
    assert asked(direct, "/v2/models/late/versions/1/infer") == expected


def test_a_served_model_has_no_feedback(direct: Process) -> None:
    assert direct.http.post("/feedback", json={"labels": []}).status_code == 404


@pytest.mark.parametrize(
    ("word", "code"), [("nothing", 3), ("models:/nothing@champion", 3), ("models:/late/99", 3), ("models:/late", 2)]
)
def test_what_cannot_be_served_is_said_at_the_start(home: Path, word: str, code: int) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "everloop", "--home", str(home), "serve", word, "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr


def test_sigterm_ends_the_process_cleanly(home: Path) -> None:
    process = Process(home, ["delay"])
    assert process.infer().status_code == 200
    assert process.stop() in (0, -signal.SIGTERM)
    segments = (home / "inference" / "default" / "delay").glob(f"*-{process.process.pid}-*.arrows")
    assert all(segment.stat().st_size % (1 << 20) for segment in segments)
