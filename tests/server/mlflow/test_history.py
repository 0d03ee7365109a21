"""The history of metrics below `ajax-api`, as MLflow's pages ask for it: of many runs, whole or some steps of it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from everloop.server.mlflow.history import _spread

API = "/ajax-api/2.0/mlflow"
BULK, INTERVAL = f"{API}/metrics/get-history-bulk", f"{API}/metrics/get-history-bulk-interval"


def run_of(http: TestClient, steps: int, key: str = "loss") -> str:
    """A run with a metric of so many steps, each a millisecond after the one before."""
    id = str(http.post(f"{API}/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]["run_id"])
    metrics = [{"key": key, "value": step / 4, "timestamp": 1000 + step, "step": step} for step in range(steps)]
    assert http.post(f"{API}/runs/log-batch", json={"run_id": id, "metrics": metrics}).status_code == 200
    return id


def steps(answer: Any) -> list[tuple[str, int]]:
    """The run and step of each value of an answer."""
    assert answer.status_code == 200, answer.text
    return [(it["run_id"], it["step"]) for it in answer.json()["metrics"]]


def test_many_runs_are_told_one_after_the_other_up_to_the_limit(http: TestClient) -> None:
    one, two = sorted((run_of(http, 3), run_of(http, 2)))
    both = http.get(BULK, params={"run_id": [two, one, one], "metric_key": "loss"})
    assert [run for run, _ in steps(both)] == sorted(run for run, _ in steps(both))
    assert len(steps(both)) == 5
    assert (
        steps(http.get(BULK, params={"run_id": [one, two], "metric_key": "loss", "max_results": 4})) == steps(both)[:4]
    )


def test_a_run_that_is_not_there_has_no_values(http: TestClient) -> None:
    assert steps(http.get(BULK, params={"run_id": ["none"], "metric_key": "loss"})) == []
    assert steps(http.get(INTERVAL, params={"run_ids": ["none"], "metric_key": "loss"})) == []


def test_a_value_that_json_has_no_numeral_for_is_a_text(http: TestClient) -> None:
    run = run_of(http, 1)
    for step, value in ((7, math.nan), (8, -math.inf)):
        text = {"value": "NaN" if math.isnan(value) else "-Infinity"}
        http.post(f"{API}/runs/log-metric", json={"run_id": run, "key": "loss", "timestamp": 9000, "step": step} | text)
    told = http.get(BULK, params={"run_id": [run], "metric_key": "loss"}).json()["metrics"]
    assert [it["value"] for it in told] == [0, "NaN", "-Infinity"]


def test_some_steps_of_many_runs_are_the_same_steps_with_both_ends_of_each(http: TestClient) -> None:
    long, short = run_of(http, 100), run_of(http, 10)
    told = steps(http.get(INTERVAL, params={"run_ids": [long, short], "metric_key": "loss", "max_results": 5}))
    assert sorted(step for run, step in told if run == long) == [0, 9, 20, 40, 60, 80, 99]
    assert sorted(step for run, step in told if run == short) == [0, 9]


def test_steps_between_two_are_told_alone(http: TestClient) -> None:
    run = run_of(http, 20)
    told = http.get(INTERVAL, params={"run_ids": [run], "metric_key": "loss", "start_step": 5, "end_step": 7})
    assert [step for _, step in steps(told)] == [5, 6, 7]


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        (BULK, {}, "at least one run_id"),
        (BULK, {"run_id": ["r"] * 101, "metric_key": "m"}, "more than 100 run_ids. Received 101"),
        (BULK, {"run_id": ["r"]}, "must specify a metric_key"),
        (BULK, {"run_id": ["r"], "metric_key": "m", "max_results": "many"}, "max_results"),
        (INTERVAL, {"metric_key": "m"}, "Missing value for required parameter 'run_ids'"),
        (INTERVAL, {"run_ids": ["r"] * 101, "metric_key": "m"}, "at most 100 run_ids"),
        (INTERVAL, {"run_ids": ["r"]}, "Missing value for required parameter 'metric_key'"),
        (INTERVAL, {"run_ids": ["r"], "metric_key": "m", "max_results": 2501}, "between 1 and 2500"),
        (INTERVAL, {"run_ids": ["r"], "metric_key": "m", "start_step": 1}, "both must be specified"),
        (
            INTERVAL,
            {"run_ids": ["r"], "metric_key": "m", "start_step": 2, "end_step": 1},
            "start_step=2 and end_step=1",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(http: TestClient, path: str, query: dict[str, Any], message: str) -> None:
    answer = http.get(path, params=query)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert message in answer.json()["message"]


def test_a_page_token_that_never_was_is_refused(http: TestClient) -> None:
    query = {"run_id": run_of(http, 1), "metric_key": "loss", "page_token": "²"}
    answer = http.get(f"{API}/metrics/get-history", params=query)
    assert answer.status_code == 400
    assert "Invalid page token" in answer.json()["message"]


@given(st.sets(st.integers()), st.integers(1, 50))
def test_the_spread_steps_are_few_and_reach_the_last(found: set[int], most: int) -> None:
    chosen = _spread(sorted(found), most)
    assert chosen <= found
    assert len(chosen) <= most + 1
    assert len(chosen) >= min(len(found), most)
    assert not found or max(found) in chosen
