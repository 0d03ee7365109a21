"""Configured deployments, as clients meet them: a real process, a real model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from everloop.app.platform import Platform
from tests.serving.processes import Process, furnish, open_home, tensors

pytestmark = pytest.mark.slow
MEAN = {
    "kind": "ensemble",
    "members": [{"kind": "member"}, {"kind": "member", "model": "late", "version": 2}],
}


def deploy(platform: Platform, configuration: dict[str, object]) -> None:
    """Give all traffic to version 1 with a configuration."""
    made = platform.call("endpoints.deploy", {"name": "delay", "version": 1, "configuration": configuration})
    share = {"deployment": made.revision, "percent": 100}
    platform.call("endpoints.set_traffic", {"name": "delay", "shares": [share]})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose endpoint `delay` answers with the mean of two versions, or else a rule."""
    folder = tmp_path_factory.mktemp("configured") / "home"
    furnish(folder)
    platform = open_home(folder)
    warm = [{"hour": 7, "distance": 500, "carrier": "AA", "origin": "JFK", "airport.weather_0": 1}]
    rule = {"kind": "rule", "expression": "0.9 if hour > 15 else airport.weather_0 / 10"}
    deploy(platform, {"graph": MEAN, "fallback": rule, "timeout_ms": 5_000, "slo_ms": 100, "warm_up": warm})
    platform.close()
    return folder


@pytest.fixture(scope="module")
def endpoint(home: Path) -> Iterator[Process]:
    """The process of the endpoint."""
    with Process(home, ["delay"]) as process:
        yield process


@pytest.fixture(scope="module")
def direct(home: Path) -> Iterator[Process]:
    """A process with both versions."""
    with Process(home, ["models:/late/1", "models:/late/2"]) as process:
        yield process


def outputs(process: Process, path: str, inputs: list[dict[str, object]], **more: object) -> dict[str, list[object]]:
    response = process.http.post(path, json={"inputs": inputs} | more)
    assert response.status_code == 200, response.text
    return {output["name"]: output["data"] for output in response.json()["outputs"]}


def whole(rows: int) -> list[dict[str, object]]:
    """The rows of `tensors` with the features that the endpoint looks up."""
    origins = [n % 3 + 1.0 for n in range(rows)]
    features = [
        {"name": f"airport.weather_{n}", "datatype": "FP64", "shape": [rows], "data": origins} for n in range(8)
    ]
    return [*features, *(one for one in tensors(rows) if one["name"] != "flight_id")]


def test_a_graph_answers_with_the_mean_of_its_members(endpoint: Process, direct: Process) -> None:
    both = [outputs(direct, f"/v2/models/late/versions/{version}/infer", whole(5)) for version in (1, 2)]
    (name,) = both[0]
    expected = np.mean([np.array(one[name], dtype=float) for one in both], axis=0)
    found = outputs(endpoint, "/v2/models/delay/infer", tensors(5))
    assert np.allclose(np.array(found[name], dtype=float), expected, atol=1e-12)
    assert "role" not in found


def test_a_trace_tells_the_parts_of_a_graph(endpoint: Process) -> None:
    found = outputs(endpoint, "/v2/models/delay/infer", tensors(1), parameters={"trace": True})
    assert '"0.self@1":' in str(found["trace"][0])
    assert '"1.late@2":' in str(found["trace"][0])


def test_a_graph_refuses_to_explain_itself_and_the_next_request_is_answered(endpoint: Process) -> None:
    refused = endpoint.infer(1, parameters={"explain": True})
    assert refused.status_code in (400, 403, 409, 422)
    assert "graph" in refused.json()["error"]
    assert endpoint.infer(1).status_code == 200


def test_explanations_add_up_to_the_log_odds(direct: Process) -> None:
    found = outputs(direct, "/v2/models/late/versions/1/infer", whole(5), parameters={"explain": True})
    (name,) = (one for one in found if not one.startswith("explanation:"))
    moved = sum(np.array(v, dtype=float) for one, v in found.items() if one.startswith("explanation:"))
    score = np.array(found[name], dtype=float)
    base = np.log(score / (1 - score)) - moved
    assert np.ptp(base) < 1e-9
    assert len(found) == 13


def test_explanations_come_whichever_outputs_were_asked_for(direct: Process) -> None:
    path = "/v2/models/late/versions/1/infer"
    (name,) = outputs(direct, path, whole(1))
    found = outputs(direct, path, whole(1), outputs=[{"name": name}], parameters={"explain": True})
    assert "explanation:hour" in found


def test_the_scoring_protocol_explains_too(direct: Process) -> None:
    record = {f"airport.weather_{n}": 1.0 for n in range(8)}
    record |= {"origin": "EWR", "carrier": "AA", "distance": 500.0, "hour": 17}
    body = {"dataframe_records": [record], "params": {"explain": True}}
    found = direct.http.post("/invocations", json=body).json()
    assert set(found["explanations"]) == set(record)


def test_too_many_rows_are_not_explained(direct: Process) -> None:
    body = {"inputs": whole(21), "parameters": {"explain": True}}
    response = direct.http.post("/v2/models/late/versions/1/infer", json=body)
    assert response.status_code == 400
    assert "20" in response.json()["error"]
