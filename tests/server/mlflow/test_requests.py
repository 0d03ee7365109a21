"""The MLflow door request by request: its error form, what it refuses, and who may come in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.server.mlflow.door import VERSION, answers
from everloop.server.mlflow.endpoint import ENDPOINTS
from tests.server.conftest import client_of

API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture
def run(http: TestClient) -> dict[str, Any]:
    """The info of a run that is going on."""
    return dict(http.post(f"{API}/runs/create", json={"experiment_id": "0"}).json()["run"]["info"])


def error(answer: Any) -> tuple[int, str]:
    """Status and code of a refusal, which has a message and nothing else."""
    body = answer.json()
    assert set(body) == {"error_code", "message"}
    assert body["message"]
    return answer.status_code, body["error_code"]


def uploaded_to(info: dict[str, Any], path: str) -> str:
    """Where a file of a run is uploaded."""
    return f"{FILES}/{info['experiment_id']}/{info['run_id']}/artifacts/{path}"


def test_it_tells_health_and_version_as_mlflow_does(http: TestClient) -> None:
    assert http.get("/health").text == "OK"
    assert http.get("/version").text == VERSION


def test_it_answers_below_both_roots(http: TestClient) -> None:
    for root in ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow"):
        assert (
            http.get(f"{root}/experiments/get", params={"experiment_id": "0"}).json()["experiment"]["name"] == "Default"
        )


def test_a_path_that_begins_with_two_slashes_is_the_one_that_was_meant(http: TestClient) -> None:
    for path in ("//health", "//api/2.0/mlflow/experiments/get?experiment_id=0"):
        assert http.get(f"{http.base_url}{path}").status_code == 200


@pytest.mark.parametrize(
    "path", ["/api/2.0/mlflow/gateway/routes", "/api/3.0/mlflow/scorers/list", "/ajax-api/3.0/mlflow/ui-telemetry"]
)
def test_what_is_out_of_scope_is_a_404_in_mlflow_s_form(http: TestClient, path: str) -> None:
    assert error(http.get(path)) == (404, "ENDPOINT_NOT_FOUND")


def test_the_other_doors_keep_their_own_form(http: TestClient) -> None:
    assert not answers("/api/v1/runs")
    assert "error" in http.get("/api/v1/runs/none").json()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("runs/create", {"experiment_id": 5.5}),
        ("runs/create", {"experiment_id": "0", "tags": "x"}),
        ("runs/create", []),
        ("runs/search", {"experiment_ids": ["0"], "filter": "metrics.auc >"}),
        ("runs/search", {"experiment_ids": ["0"], "filter": "metrics.auc = 'x'"}),
        ("runs/search", {"experiment_ids": ["0"], "filter": "params.a > 'x'"}),
        ("runs/search", {"experiment_ids": ["0"], "filter": "attributes.nothing = 'x'"}),
        ("runs/search", {"experiment_ids": ["0"], "filter": "status = 'x' OR status = 'y'"}),
        ("runs/search", {"experiment_ids": ["0"], "order_by": ["metrics.auc UP"]}),
        ("runs/search", {"experiment_ids": ["0"], "max_results": 0}),
        ("runs/search", {"experiment_ids": ["0"], "page_token": "²"}),
        ("runs/search", {"experiment_ids": ["0"], "run_view_type": "SOME"}),
        ("runs/update", {"status": "FINISHED"}),
        ("experiments/create", {"name": ""}),
        ("experiments/create", {"name": "x" * 501}),
        ("experiments/create", {"name": "a\u202eb"}),
        ("experiments/create", {}),
        ("registered-models/create", {"name": "no/name"}),
        ("registered-models/create", {"name": "x" * 300}),
    ],
)
def test_bad_input_is_a_400_that_says_what_is_wrong(http: TestClient, path: str, body: Any) -> None:
    assert error(http.post(f"{API}/{path}", json=body)) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "", "value": 1, "timestamp": 0},
        {"key": "k" * 251, "value": 1, "timestamp": 0},
        {"key": "a\x00b", "value": 1, "timestamp": 0},
        {"key": "auc", "value": "much", "timestamp": 0},
        {"key": "auc", "timestamp": 0},
        {"key": "auc", "value": 1, "timestamp": 10**17},
        {"key": "auc", "value": 1, "timestamp": 0, "step": 2**63},
        {"key": "auc", "value": 1, "timestamp": "soon"},
    ],
)
def test_a_metric_that_cannot_be_is_refused_and_nothing_is_kept(
    http: TestClient, run: dict[str, Any], wrong: dict[str, Any]
) -> None:
    id = {"run_id": run["run_id"]}
    assert error(http.post(f"{API}/runs/log-metric", json=id | wrong)) == (400, "INVALID_PARAMETER_VALUE")
    good = {"key": "good", "value": 1, "timestamp": 0}
    assert error(http.post(f"{API}/runs/log-batch", json=id | {"metrics": [good, wrong]}))[0] == 400
    assert http.get(f"{API}/runs/get", params=id).json()["run"]["data"]["metrics"] == []


@pytest.mark.parametrize(("field", "most"), [("metrics", 1000), ("params", 100), ("tags", 100)])
def test_a_batch_over_mlflow_s_limits_is_refused(http: TestClient, run: dict[str, Any], field: str, most: int) -> None:
    entry = {"value": 1, "timestamp": 0} if field == "metrics" else {"value": "x"}
    body = {"run_id": run["run_id"], field: [{"key": f"k{number}"} | entry for number in range(most + 1)]}
    assert error(http.post(f"{API}/runs/log-batch", json=body)) == (400, "INVALID_PARAMETER_VALUE")
    body[field].pop()
    assert http.post(f"{API}/runs/log-batch", json=body).status_code == 200


def test_one_parameter_with_two_values_in_a_batch_is_refused(http: TestClient, run: dict[str, Any]) -> None:
    twins = [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]
    answer = http.post(f"{API}/runs/log-batch", json={"run_id": run["run_id"], "params": twins})
    assert error(answer) == (400, "INVALID_PARAMETER_VALUE")


def test_numbers_of_64_bits_come_as_numbers_or_texts_and_nan_as_text(http: TestClient, run: dict[str, Any]) -> None:
    for step, value in ((1, "NaN"), ("2", "-Infinity")):
        body = {"run_id": run["run_id"], "key": f"m{step}", "value": value, "timestamp": "1700000000000", "step": step}
        assert http.post(f"{API}/runs/log-metric", json=body).status_code == 200
    metrics = http.get(f"{API}/runs/get", params={"run_id": run["run_id"]}).json()["run"]["data"]["metrics"]
    assert [(it["value"], it["step"], it["timestamp"]) for it in metrics] == [
        ("NaN", 1, 1_700_000_000_000),
        ("-Infinity", 2, 1_700_000_000_000),
    ]


@pytest.mark.parametrize("wrong", [{"name": ""}, {"digest": "d" * 37}, {"source": "s" * 70_000}, {"schema": "a\0b"}])
def test_a_dataset_that_cannot_be_is_refused(http: TestClient, run: dict[str, Any], wrong: dict[str, Any]) -> None:
    dataset = {"name": "zeros", "digest": "d", "source_type": "code", "source": "{}"} | wrong
    body = {"run_id": run["run_id"], "datasets": [{"dataset": dataset}]}
    assert error(http.post(f"{API}/runs/log-inputs", json=body)) == (400, "INVALID_PARAMETER_VALUE")


def test_long_values_are_cut(http: TestClient, run: dict[str, Any]) -> None:
    id = {"run_id": run["run_id"]}
    http.post(f"{API}/runs/log-parameter", json=id | {"key": "p", "value": "x" * 7000})
    http.post(f"{API}/runs/set-tag", json=id | {"key": "t", "value": "x" * 9000})
    data = http.get(f"{API}/runs/get", params=id).json()["run"]["data"]
    assert len(data["params"][0]["value"]) == 6000
    assert max(len(tag["value"]) for tag in data["tags"]) == 8000


def test_null_means_not_given_and_old_clients_say_run_uuid(http: TestClient, run: dict[str, Any]) -> None:
    body = {"run_uuid": run["run_id"], "run_id": None, "key": "a", "value": "1"}
    assert http.post(f"{API}/runs/log-parameter", json=body).status_code == 200


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("experiments/get", {"experiment_id": "17"}),
        ("experiments/get-by-name", {"experiment_name": "nothing"}),
        ("runs/get", {"run_id": "0" * 32}),
        ("metrics/get-history", {"run_id": "0" * 32, "metric_key": "auc"}),
        ("artifacts/list", {"run_id": "0" * 32}),
        ("registered-models/get", {"name": "nothing"}),
        ("model-versions/get", {"name": "nothing", "version": "1"}),
        ("model-versions/get", {"name": "nothing", "version": "-1"}),
    ],
)
def test_what_does_not_exist_is_a_404(http: TestClient, path: str, query: dict[str, str]) -> None:
    assert error(http.get(f"{API}/{path}", params=query)) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_broken_json_and_another_type_are_refused(http: TestClient) -> None:
    headers = {"content-type": "application/json"}
    for content in (b"{", b"\xff", b"[" * 100_000, b'"x"', b"1e999"):
        assert error(http.post(f"{API}/runs/create", content=content, headers=headers))[0] == 400
    plain = http.post(f"{API}/runs/create", content=b"{}", headers={"content-type": "text/plain"})
    assert error(plain) == (400, "INVALID_PARAMETER_VALUE")


def test_a_wrong_method_says_which_ones_there_are(http: TestClient) -> None:
    answer = http.delete(f"{API}/runs/create")
    assert error(answer)[0] == 405
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "path",
    ["../x", "%2e%2e/x", "%2E%2E%2Fx", "a/..%2f..%2fx", "%5c..%5cx", "C:%5cx", "file:%2f%2fx", "a%00b", "a%0ab", ""],
)
def test_no_path_leads_out_of_a_run(http: TestClient, run: dict[str, Any], path: str) -> None:
    sent = http.build_request("PUT", f"http://127.0.0.1:7410{uploaded_to(run, 'x')}", content=b"x")
    sent.url = sent.url.copy_with(raw_path=uploaded_to(run, path).encode())
    assert error(http.send(sent))[0] in (400, 404)
    assert http.get(f"{API}/artifacts/list", params={"run_id": run["run_id"]}).json()["files"] == []


def test_a_file_belongs_to_the_experiment_of_its_run(http: TestClient, run: dict[str, Any]) -> None:
    answer = http.put(uploaded_to(run | {"experiment_id": "7"}, "a.txt"), content=b"x")
    assert error(answer) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_nothing_is_uploaded_where_no_run_is(http: TestClient) -> None:
    for path in ("x", "0/x/y", "0/none/artifacts/x", "models/delay/1/x"):
        assert error(http.put(f"{FILES}/{path}", content=b"x"))[0] in (400, 404)


def test_a_file_is_kept_by_content_and_its_bytes_come_back(http: TestClient, run: dict[str, Any]) -> None:
    assert http.put(uploaded_to(run, "a/%25b$.txt"), content=b"bytes").status_code == 200
    files = http.get(FILES, params={"path": f"0/{run['run_id']}/artifacts/a"}).json()["files"]
    assert files == [{"path": "%b$.txt", "is_dir": False, "file_size": 5}]
    assert http.get(uploaded_to(run, "a/%25b$.txt")).content == b"bytes"


def test_a_source_on_the_server_s_own_disk_is_never_read(http: TestClient) -> None:
    http.post(f"{API}/registered-models/create", json={"name": "delay"})
    for source in ("/etc", "file:///etc", "etc/passwd", "mlflow-artifacts:/0/../etc", ""):
        answer = http.post(f"{API}/model-versions/create", json={"name": "delay", "source": source})
        assert error(answer)[0] in (400, 404)
    assert http.get(f"{API}/model-versions/search").json()["model_versions"] == []


def test_an_experiment_made_elsewhere_has_an_id_too(http: TestClient, platform: Platform) -> None:
    platform.call("experiments.create", {"name": "delay"})
    id = http.get(f"{API}/experiments/get-by-name", params={"experiment_name": "delay"}).json()["experiment"][
        "experiment_id"
    ]
    made = http.post(f"{API}/runs/create", json={"experiment_id": id}).json()["run"]["info"]
    assert platform.call("runs.get", {"id": made["run_id"]}).experiment == "delay"


def test_what_a_client_deleted_is_in_no_list_of_ours(http: TestClient, platform: Platform, run: dict[str, Any]) -> None:
    http.post(f"{API}/runs/delete", json={"run_id": run["run_id"]})
    http.post(f"{API}/experiments/delete", json={"experiment_id": "0"})
    assert platform.call("runs.search", {}) == []
    assert platform.call("experiments.list", {}) == []


def test_a_run_from_elsewhere_has_the_client_s_revision_and_not_ours(http: TestClient, platform: Platform) -> None:
    tags = [{"key": "mlflow.source.git.commit", "value": "abc123"}]
    made = http.post(f"{API}/runs/create", json={"experiment_id": "0", "tags": tags}).json()["run"]["info"]
    kept = platform.call("runs.get", {"id": made["run_id"]})
    assert (kept.code.revision, kept.code.diff_digest, kept.environment) == ("abc123", "", "")


def test_the_default_artifact_root_is_the_one_that_was_set(home: Path, tmp_path: Path) -> None:
    arguments = {"home": str(home), "artifacts": "s3://bucket/prefix/"}
    platform = open_platform(load(arguments, environment={}, folder=tmp_path))
    with client_of(platform) as http:
        info = http.post(f"{API}/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]
        assert info["artifact_uri"] == f"s3://bucket/prefix/0/{info['run_id']}/artifacts"
    platform.close()


def test_a_stranger_is_refused_in_mlflow_s_form_and_a_reader_reads_only(platform: Platform) -> None:
    platform.call("governance.grant", {"principal": "eve", "roles": ["reader"]})
    secret = platform.call("tokens.create", {"principal": "eve"}).secret
    with client_of(platform, host="192.0.2.7") as http:
        assert http.get("/health").status_code == 200
        assert error(http.get(f"{API}/experiments/search")) == (401, "UNAUTHENTICATED")
        bearer = {"authorization": f"Bearer {secret}"}
        assert http.get(f"{API}/experiments/search", headers=bearer).status_code == 200
        refused = http.post(f"{API}/runs/create", json={"experiment_id": "0"}, headers=bearer)
        assert error(refused) == (403, "PERMISSION_DENIED")


def test_each_project_has_experiments_of_its_own(http: TestClient) -> None:
    other = {"x-everloop-project": "other"}
    http.post(f"{API}/experiments/create", json={"name": "delay"}, headers=other)
    assert len(http.get(f"{API}/experiments/search", headers=other).json()["experiments"]) == 2
    assert len(http.get(f"{API}/experiments/search").json()["experiments"]) == 1


ODD: list[Any] = [None, "", "x" * 5000, "a\x00b", "\ud800", -1, 2**63, 2**70, 1.5, True, [], [1], ["x"], {}, {"key": 1}]


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(ENDPOINTS))
def test_nothing_that_is_sent_is_a_500(http: TestClient, run: dict[str, Any], path: str) -> None:
    good = {"run_id": run["run_id"], "experiment_id": "0", "name": "delay", "version": "1", "source": "s3://b/x"}
    good |= {"key": "k", "value": "1", "timestamp": 1, "metric_key": "k", "alias": "a", "experiment_name": "x"}
    sent = path.replace("{model_id}", "m-%00").replace("{tag_key}", "%ff")
    for method, endpoint in ENDPOINTS[path].items():
        for field in endpoint.fields:
            for odd in ODD:
                body = good | {field: odd}
                if method == "GET":
                    answer = http.get(
                        f"{API}/{sent}", params={k: str(v).encode("utf-8", "replace") for k, v in body.items()}
                    )
                else:
                    content = json.dumps(body)
                    answer = http.request(
                        method, f"{API}/{sent}", content=content, headers={"content-type": "application/json"}
                    )
                assert answer.status_code < 500, (method, field, odd, answer.text)


NULLS: list[tuple[str, dict[str, object]]] = [
    ("runs/log-metric", {"key": "a", "value": 1.0, "timestamp": 1, "step": None}),
    ("runs/log-batch", {"metrics": [{"key": "b", "value": 1.0, "timestamp": 1, "step": None, "model_id": None}]}),
    ("runs/log-batch", {"params": [{"key": "p", "value": None}], "tags": None}),
    ("runs/log-parameter", {"key": "n", "value": None}),
    ("runs/set-tag", {"key": "t", "value": None}),
]


def test_what_is_null_was_not_given_as_mlflow_has_it(http: TestClient, run: dict[str, Any]) -> None:
    for path, fields in NULLS:
        answer = http.post(f"{API}/{path}", json={"run_id": run["run_id"]} | fields)
        assert answer.status_code == 200, answer.text
    data = http.get(f"{API}/runs/get", params={"run_id": run["run_id"]}).json()["run"]["data"]
    assert {(it["key"], it["step"]) for it in data["metrics"]} == {("a", 0), ("b", 0)}
    assert {it["key"]: it["value"] for it in data["params"]} == {"p": "", "n": ""}


@pytest.mark.parametrize(
    ("metric", "missing"),
    [
        ({"key": "c", "value": None, "timestamp": 1}, "metrics[0].value"),
        ({"key": "c", "value": 1.0, "timestamp": None}, "metrics[0].timestamp"),
        ({"key": None, "value": 1.0, "timestamp": 1}, "metrics[0].key"),
    ],
)
def test_what_must_be_given_is_missed_where_it_is_null(
    http: TestClient, run: dict[str, Any], metric: dict[str, object], missing: str
) -> None:
    answer = http.post(f"{API}/runs/log-batch", json={"run_id": run["run_id"], "metrics": [metric]})
    assert error(answer) == (400, "INVALID_PARAMETER_VALUE")
    assert f"Missing value for required parameter '{missing}'" in answer.json()["message"]


def test_an_error_does_not_give_back_an_endless_text(http: TestClient) -> None:
    answer = http.post(f"{API}/runs/search", json={"experiment_ids": ["0"], "run_view_type": "x" * 100_000})
    assert answer.status_code == 400
    assert len(answer.content) < 10_000
