"""MLflow's registry door, over HTTP on a fresh platform: names, versions, stages, searches, and who may move what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from everloop.app.platform import Platform
from everloop.registry.policies.entities import Policy
from everloop.tracking import service as tracking
from tests.server.conftest import TestClient

ROOT = "/api/2.0/mlflow"


def post(http: TestClient, path: str, **fields: object) -> dict[str, Any]:
    """What a POST answers that goes through."""
    answer = http.post(f"{ROOT}/{path}", json=fields)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def get(http: TestClient, path: str, **fields: str) -> dict[str, Any]:
    """What a GET answers that goes through."""
    answer = http.get(f"{ROOT}/{path}", params=fields)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refused(http: TestClient, method: str, path: str, **fields: object) -> tuple[str, str]:
    """The code and the message of an error, which is never one of the server's own."""
    answer = http.request(method, f"{ROOT}/{path}", **({"params": fields} if method == "GET" else {"json": fields}))
    assert 400 <= answer.status_code < 500, answer.text
    return answer.json()["error_code"], answer.json()["message"]


def version(http: TestClient, name: str = "Late flights", **fields: object) -> dict[str, Any]:
    """A new version of a name, which is made if it is new."""
    http.post(f"{ROOT}/registered-models/create", json={"name": name})
    given = {"name": name, "source": "s3://bucket/model"} | fields
    return dict(post(http, "model-versions/create", **given)["model_version"])


@pytest.mark.parametrize("name", ["Late flights (EU)", "Früh & spät", "模型", "a@b", "x" * 256, "a%2fb", "'; DROP --"])
def test_a_model_may_be_called_anything_that_can_be_read(http: TestClient, name: str) -> None:
    post(http, "registered-models/create", name=name)
    assert get(http, "registered-models/get", name=name)["registered_model"]["name"] == name
    assert version(http, name)["name"] == name


@pytest.mark.parametrize(
    "name", ["", " ", "a/b", "a:b", "a\x00b", "a\nb", "a\u202eb", "a\u200bb", "x" * 257, "../a", "\ud800"]
)
def test_what_cannot_be_read_is_no_name(http: TestClient, name: str) -> None:
    body = f'{{"name": "{name.encode("unicode_escape").decode()}"}}'.replace("\\x", "\\u00")
    headers = {"content-type": "application/json"}
    answer = http.post(f"{ROOT}/registered-models/create", content=body.encode(), headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert get(http, "registered-models/search")["registered_models"] == []


def test_a_name_is_taken_once_and_free_after_a_rename(http: TestClient) -> None:
    version(http, "late")
    assert refused(http, "POST", "registered-models/create", name="late")[0] == "RESOURCE_ALREADY_EXISTS"
    answer = http.post(f"{ROOT}/registered-models/rename", json={"name": "late", "new_name": "Too late"})
    assert answer.json()["registered_model"]["name"] == "Too late"
    assert version(http, "late")["version"] == "1"
    assert get(http, "model-versions/get", name="Too late", version="1")["model_version"]["name"] == "Too late"


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("x", "must be an integer, got 'x'"),
        ("1.5", "must be an integer"),
        ("", "'version'"),
        ("0", "not found"),
        ("-1", "not found"),
        ("7", "not found"),
        ("9" * 12, "not found"),
        ("9" * 30, "must be an integer"),
    ],
)
def test_what_is_no_version_is_told(http: TestClient, number: str, told: str) -> None:
    version(http)
    assert told in refused(http, "GET", "model-versions/get", name="Late flights", version=number)[1]


def test_a_version_keeps_what_its_run_measured(http: TestClient, platform: Platform) -> None:
    with platform.session().begin() as unit:
        run = tracking.start(unit, "trial")
    platform.call("runs.log", {"id": run.id, "metrics": [{"key": "auc", "value": 0.7}, {"key": "no", "value": None}]})
    version(http, "late", run_id=run.id)
    assert platform.call("models.version", {"name": "late"}).trained.metrics == {"auc": 0.7}


def test_a_version_of_a_logged_model_is_noted_there_whatever_its_tag_held(http: TestClient) -> None:
    id = post(http, "logged-models", experiment_id="0")["model"]["info"]["model_id"]
    tags = [{"key": "mlflow.modelVersions", "value": "nonsense"}]
    assert http.patch(f"{ROOT}/logged-models/{id}/tags", json={"tags": tags}).status_code == 200
    version(http, "late", source=f"models:/{id}", model_id=id)
    (tag,) = get(http, f"logged-models/{id}")["model"]["info"]["tags"]
    assert json.loads(tag["value"]) == [{"name": "late", "version": 1}]


def test_a_run_of_elsewhere_is_only_pointed_to(http: TestClient) -> None:
    made = version(http, "late", source="runs:/elsewhere/model", run_id="elsewhere", run_link="https://ci/7")
    assert (made["run_id"], made["run_link"]) == ("elsewhere", "https://ci/7")
    found = get(http, "model-versions/get-download-uri", name="late", version="1")
    assert found == {"artifact_uri": "runs:/elsewhere/model"}


@pytest.mark.parametrize(
    "source",
    [
        "/etc",
        "file:///etc",
        "etc/passwd",
        "file://host/etc",
        "s3://bucket/../x",
        "http://h/..%2f..%2fx",
        "http://[x",
        "mlflow-artifacts:/a/%252e%252e/b",
        "http://h/a%00",
        "s3://b/a\u202eb",
        "http://h/..\\..\\x",
        "s3://" + "a" * 2_001,
    ],
)
def test_a_source_that_leads_elsewhere_is_refused(http: TestClient, source: str) -> None:
    post(http, "registered-models/create", name="late")
    code, message = refused(http, "POST", "model-versions/create", name="late", source=source)
    assert (code, "Invalid model version source" in message) == ("INVALID_PARAMETER_VALUE", True)


def test_stages_go_along_with_aliases(http: TestClient) -> None:
    for _ in range(2):
        version(http, "late")
    for number in ("1", "2"):
        post(http, "model-versions/transition-stage", name="late", version=number, stage="production")
    newest = get(http, "registered-models/get-latest-versions", name="late")["model_versions"]
    assert [(one["version"], one["current_stage"], one["aliases"]) for one in newest] == [
        ("2", "Production", ["production"])
    ]
    assert refused(http, "POST", "model-versions/transition-stage", name="late", version="1", stage="x")[0] == (
        "INVALID_PARAMETER_VALUE"
    )


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("registered-models/alias", {"alias": "champion", "version": "1"}),
        ("registered-models/alias", {"alias": "production", "version": "1"}),
        ("model-versions/transition-stage", {"stage": "Production", "version": "1"}),
        ("model-versions/transition-stage", {"stage": "PRODUCTION", "version": "1", "archive_existing_versions": True}),
    ],
)
def test_four_eyes_stand_before_each_of_mlflows_doors(
    http: TestClient, platform: Platform, path: str, fields: dict[str, object]
) -> None:
    version(http, "late")
    platform.call("models.set_policy", {"policy": Policy()})
    code, message = refused(http, "POST", path, name="late", **fields)
    assert code == "INVALID_STATE"
    assert "1 more approval(s) by others than its author" in message
    shown = get(http, "model-versions/get", name="late", version="1")["model_version"]
    assert (shown["current_stage"], shown["aliases"]) == ("None", [])


def test_deleting_a_model_takes_versions_and_aliases_along_unless_something_holds_them(
    http: TestClient, platform: Platform
) -> None:
    version(http, "late")
    post(http, "registered-models/alias", name="late", alias="champion", version="1")
    platform.call("models.set_policy", {"policy": Policy()})
    assert "guarded alias" in refused(http, "DELETE", "registered-models/delete", name="late")[1]
    platform.call("models.delete_policy", {})
    assert http.request("DELETE", f"{ROOT}/registered-models/delete", json={"name": "late"}).json() == {}
    assert version(http, "late")["version"] == "2"


@pytest.mark.parametrize("alias", ["", "a b", "a/b", "latest", "LATEST", "v1", "V22", "a\u200bb", "x" * 129])
def test_what_cannot_be_an_alias_is_refused(http: TestClient, alias: str) -> None:
    version(http, "late")
    code, _ = refused(http, "POST", "registered-models/alias", name="late", alias=alias, version="1")
    assert code == "INVALID_PARAMETER_VALUE"


def test_pages_stand_still_while_versions_are_written(http: TestClient) -> None:
    for _ in range(5):
        version(http, "late")
    first = get(http, "model-versions/search", max_results="2", order_by="version_number DESC")
    version(http, "late")
    token = first["next_page_token"]
    second = get(http, "model-versions/search", max_results="2", order_by="version_number DESC", page_token=token)
    assert [one["version"] for one in first["model_versions"] + second["model_versions"]] == ["5", "4", "3", "2"]


@pytest.mark.parametrize("size", ["0", "-1", "1001"])
def test_a_page_of_models_has_1_to_1000(http: TestClient, size: str) -> None:
    assert "max_results" in refused(http, "GET", "registered-models/search", max_results=size)[1]


def test_an_earlier_releases_description_is_shown_and_replaced(http: TestClient, platform: Platform) -> None:
    version(http, "late", description="old")
    platform.call("models.set_tags", {"name": "late", "version": 1, "tags": {"mlflow.note.content": "older"}})
    shown = get(http, "model-versions/get", name="late", version="1")["model_version"]
    assert (shown["description"], shown.get("tags")) == ("older", [])
    http.patch(f"{ROOT}/model-versions/update", json={"name": "late", "version": "1", "description": "new"})
    assert get(http, "model-versions/get", name="late", version="1")["model_version"]["description"] == "new"
    assert platform.call("models.version", {"name": "late"}).note == "new"


def test_a_webhook_is_managed_by_mlflows_clients(http: TestClient) -> None:
    event = {"entity": "MODEL_VERSION", "action": "CREATED"}
    given = {"name": "chat", "url": "https://example.com/x", "events": [event], "secret": "s"}
    made = post(http, "webhooks", **given)["webhook"]
    assert (made["events"], made["status"], "secret" in made) == ([event], "ACTIVE", False)
    answer = http.patch(f"{ROOT}/webhooks/{made['webhook_id']}", json={"status": "DISABLED"})
    assert answer.json()["webhook"]["status"] == "DISABLED"
    assert [one["webhook_id"] for one in get(http, "webhooks")["webhooks"]] == [made["webhook_id"]]
    assert http.delete(f"{ROOT}/webhooks/{made['webhook_id']}").json() == {}
    assert refused(http, "GET", f"webhooks/{made['webhook_id']}")[0] == "RESOURCE_DOES_NOT_EXIST"


def test_a_webhook_into_the_servers_own_network_is_refused(http: TestClient) -> None:
    event = {"entity": "MODEL_VERSION", "action": "CREATED"}
    told = refused(http, "POST", "webhooks", name="in", url="http://127.0.0.1:1/x", events=[event])[1]
    assert "no public address" in told
