"""What runs used and what came out of them, as MLflow's clients tell it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from everloop.app.platform import Platform

API = "/api/2.0/mlflow"


@pytest.fixture
def run(http: TestClient) -> str:
    """A run."""
    return run_in(http, "0")


def run_in(http: TestClient, experiment: str) -> str:
    """A run of an experiment."""
    made = http.post(f"{API}/runs/create", json={"experiment_id": experiment})
    return str(made.json()["run"]["info"]["run_id"])


def model_of(http: TestClient, **more: Any) -> str:
    """A logged model."""
    made = http.post(f"{API}/logged-models", json={"experiment_id": "0"} | more)
    return str(made.json()["model"]["info"]["model_id"])


def dataset(name: str, context: str = "", **more: str) -> dict[str, Any]:
    """A dataset as a client tells of it."""
    tags = [{"key": "mlflow.data.context", "value": context}] if context else []
    return {"dataset": {"name": name, "digest": "d1", "source_type": "code", "source": "{}"} | more, "tags": tags}


def log(http: TestClient, run: str, *datasets: dict[str, Any], models: tuple[str, ...] = ()) -> Any:
    """Log inputs of a run."""
    named = [{"model_id": id} for id in models]
    return http.post(f"{API}/runs/log-inputs", json={"run_id": run, "datasets": list(datasets), "models": named})


def known(http: TestClient, run: str) -> Any:
    """A run as it is told."""
    return http.get(f"{API}/runs/get", params={"run_id": run}).json()["run"]


def test_a_dataset_named_again_stays_as_it_was(http: TestClient, run: str) -> None:
    log(http, run, dataset("flights", "training", profile="first"))
    log(http, run, dataset("flights", "testing", profile="second"), dataset("weather"), dataset("weather"))
    used = known(http, run)["inputs"]["dataset_inputs"]
    told = [(it["dataset"]["name"], it["dataset"].get("profile")) for it in used]
    assert told == [("flights", "first"), ("weather", None)]
    assert used[0]["tags"] == [{"key": "mlflow.data.context", "value": "training"}]


@pytest.mark.parametrize(
    "content", [b"binary", b'{"dataset": {"name": "\xff", "digest": "a"}}', b'{"dataset": ' + b"[" * 5_000]
)
def test_an_object_that_describes_no_dataset_hides_no_run(
    http: TestClient, run: str, platform: Platform, content: bytes
) -> None:
    urn = platform.session().urn("object", platform.resources.store.put(content))
    platform.call("runs.log", {"id": run, "inputs": [urn]})
    assert known(http, run)["inputs"]["dataset_inputs"] == []
    assert platform.call("runs.page", {"where": "datasets.name = 'a'"}).runs == []


def test_models_that_a_run_used_are_told_with_their_lineage(http: TestClient, run: str, platform: Platform) -> None:
    id = model_of(http)
    log(http, run, models=(id,))
    assert known(http, run)["inputs"]["model_inputs"] == [{"model_id": id}]
    graph = platform.call("lineage.graph", {"urn": platform.session().urn("run", run)})
    assert any(id in edge.upstream for edge in graph.edges)


def test_a_model_that_is_not_there_is_no_input_and_nothing_is_noted(http: TestClient, run: str) -> None:
    assert log(http, run, dataset("flights"), models=("m-none",)).status_code == 404
    assert known(http, run)["inputs"] == {"dataset_inputs": [], "model_inputs": []}


def test_models_come_out_of_a_run_at_a_step(http: TestClient, run: str) -> None:
    one, two = model_of(http), model_of(http)
    for models in ([{"model_id": one, "step": 3}], [{"model_id": one, "step": 9}, {"model_id": two}]):
        assert http.post(f"{API}/runs/outputs", json={"run_id": run, "models": models}).status_code == 200
    came = known(http, run)["outputs"]["model_outputs"]
    assert {it["model_id"]: it["step"] for it in came} == {one: 3, two: 0}


def test_a_model_that_names_its_run_came_out_of_it(http: TestClient, run: str) -> None:
    id = model_of(http, source_run_id=run)
    assert known(http, run)["outputs"]["model_outputs"] == [{"model_id": id, "step": 0}]


def test_the_datasets_of_experiments_are_found_each_once_a_context(http: TestClient, run: str) -> None:
    made = http.post(f"{API}/experiments/create", json={"name": "other"}).json()["experiment_id"]
    for it, context in ((run, "training"), (run_in(http, "0"), "training"), (run_in(http, made), "eval")):
        log(http, it, dataset("flights", context))
    found = http.post("/ajax-api/2.0/mlflow/experiments/search-datasets", json={"experiment_ids": ["0"]}).json()
    assert found["dataset_summaries"] == [
        {"experiment_id": "0", "name": "flights", "digest": "d1", "context": "training"}
    ]


@pytest.mark.parametrize(("ids", "message"), [([], "at least one"), (["1"] * 21, "more than 20 experiment_ids")])
def test_datasets_of_no_or_too_many_experiments_are_refused(http: TestClient, ids: list[str], message: str) -> None:
    answer = http.post("/ajax-api/2.0/mlflow/experiments/search-datasets", json={"experiment_ids": ids})
    assert answer.status_code == 400
    assert message in answer.json()["message"]


def test_runs_are_searched_by_the_datasets_that_they_used(http: TestClient, run: str) -> None:
    other = run_in(http, "0")
    log(http, run, dataset("flights", "training"))
    log(http, other, dataset("weather", "training"))

    def found(filter: str) -> list[str]:
        answer = http.post(f"{API}/runs/search", json={"experiment_ids": ["0"], "filter": filter})
        return [it["info"]["run_id"] for it in answer.json()["runs"]]

    assert found("dataset.name = 'flights'") == [run]
    assert set(found("datasets.context LIKE 'train%'")) == {run, other}
    assert found("dataset.name = 'flights' AND dataset.name = 'weather'") == []


def test_what_is_measured_of_a_model_is_told_with_it_and_orders_models(http: TestClient, run: str) -> None:
    one, two = model_of(http, name="one"), model_of(http, name="two")
    point = {"key": "auc", "timestamp": 1, "dataset_name": "flights", "dataset_digest": "d1"}
    metrics = [point | {"value": 0.7, "model_id": one}, point | {"value": 0.9, "model_id": two}]
    http.post(f"{API}/runs/log-batch", json={"run_id": run, "metrics": metrics})
    query = {"experiment_ids": ["0"], "order_by": [{"field_name": "metrics.auc", "ascending": False}]}
    found = http.post(f"{API}/logged-models/search", json=query).json()["models"]
    assert [it["info"]["name"] for it in found] == ["two", "one"]
    assert found[0]["data"]["metrics"] == [point | {"value": 0.9, "step": 0, "run_id": run, "model_id": two}]
    on_other = query | {"datasets": [{"dataset_name": "weather"}]}
    assert http.post(f"{API}/logged-models/search", json=on_other).json()["models"] == []


def test_what_is_measured_of_a_model_that_is_not_there_is_not_kept_at_all(http: TestClient, run: str) -> None:
    metrics = [{"key": "auc", "value": 1, "timestamp": 1}, {"key": "f1", "value": 1, "timestamp": 1, "model_id": "m-x"}]
    assert http.post(f"{API}/runs/log-batch", json={"run_id": run, "metrics": metrics}).status_code == 404
    assert known(http, run)["data"]["metrics"] == []


def test_old_clients_find_the_models_that_they_logged_in_a_tag(http: TestClient, run: str) -> None:
    for path in ("a", "b"):
        body = {"run_id": run, "model_json": f'{{"artifact_path": "{path}"}}'}
        assert http.post(f"{API}/runs/log-model", json=body).status_code == 200
    tags = {it["key"]: it["value"] for it in known(http, run)["data"]["tags"]}
    assert tags["mlflow.log-model.history"] == '[{"artifact_path":"a"},{"artifact_path":"b"}]'
    assert http.post(f"{API}/runs/log-model", json={"run_id": run, "model_json": "{"}).status_code == 400


def test_the_list_of_models_that_old_clients_logged_stays_one_however_long_or_broken(
    http: TestClient, run: str
) -> None:
    http.post(f"{API}/runs/set-tag", json={"run_id": run, "key": "mlflow.log-model.history", "value": "nonsense"})
    for number in range(3):
        body = {"run_id": run, "model_json": f'{{"n": {number}, "signature": "{"x" * 5000}"}}'}
        assert http.post(f"{API}/runs/log-model", json=body).status_code == 200
    tags = {it["key"]: it["value"] for it in known(http, run)["data"]["tags"]}
    assert [it["n"] for it in json.loads(tags["mlflow.log-model.history"])] == [0, 1, 2]


def test_the_ledger_tells_what_was_written_to_a_run_that_had_ended(
    http: TestClient, run: str, platform: Platform
) -> None:
    http.post(f"{API}/runs/update", json={"run_id": run, "status": "FINISHED"})
    http.post(f"{API}/runs/set-tag", json={"run_id": run, "key": "late", "value": "yes"})
    told = platform.call("audit.entries", {"subject": platform.session().urn("run", run), "kind": "runs.amended"})
    assert len(told) == 1
