"""Who may do what at every door of a real server, and that projects see nothing of each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from everloop.app.platform import open_platform
from everloop.app.settings import load
from everloop.kernel.usecase import published
from everloop.server.mlflow.endpoint import ENDPOINTS
from tests.server.test_process import address, process

pytestmark = pytest.mark.slow
ROLES = ("nobody", "reader", "contributor", "deployer", "owner")
LEAST = {
    "read": "reader",
    **dict.fromkeys(("write", "run", "predict"), "contributor"),
    **dict.fromkeys(("deploy", "approve"), "deployer"),
    **dict.fromkeys(("delete", "govern", "manage", "import", "reveal"), "owner"),
}
"""The least role that may do what permissions end in."""
ASKS_BY_POST = {"datasets.query", "datasets.subject", "features.lookup", "runs.export"}
"""What changes nothing though its arguments come as a body."""
TELLS_OWNERS = {"webhooks.list", "webhooks.get", "webhooks.deliveries", "tokens.list", "datasets.verify_import"}
"""What changes nothing and is yet not for every reader."""
MARK = "s3cr3t"
"""Stands in everything that the project has, and in nothing that others may see."""


class Row(NamedTuple):
    """A request, and the least role that it is answered for."""

    least: str
    request: str
    body: Any = None
    more: dict[str, str] = {}


class World:
    """A server with a token for each role, and a project in which there is one of each thing."""

    def __init__(self, url: str, secrets: dict[str, str]) -> None:
        self.client = httpx.Client(base_url=url, timeout=60)
        self.secrets = secrets
        self.experiment = self.made("experiments/create", {"name": MARK})["experiment_id"]
        tags = [{"key": MARK, "value": MARK}]
        run = self.made("runs/create", {"experiment_id": self.experiment, "run_name": MARK, "tags": tags})
        self.run = run["run"]["info"]["run_id"]
        self.made("runs/log-metric", {"run_id": self.run, "key": MARK, "value": 1, "timestamp": 1})
        logged = self.made("logged-models", {"experiment_id": self.experiment, "name": MARK})
        self.logged = logged["model"]["info"]["model_id"]
        self.file = f"{self.experiment}/{self.run}/artifacts/{MARK}.txt"
        self.ask("owner", f"PUT /api/2.0/mlflow-artifacts/artifacts/{self.file}", MARK.encode()).raise_for_status()
        self.made("registered-models/create", {"name": MARK})
        self.made("model-versions/create", {"name": MARK, "source": f"runs:/{self.run}/model", "run_id": self.run})
        self.trace = f"tr-{'a' * 32}"
        location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": self.experiment}}
        info = {"trace_id": self.trace, "trace_location": location, "request_time": "2026-01-01T00:00:00Z"}
        self.ask("owner", "POST /api/3.0/mlflow/traces", {"trace": {"trace_info": info | {"state": "OK"}}})
        events = [{"entity": "REGISTERED_MODEL", "action": "CREATED"}]
        hook = self.made("webhooks", {"name": MARK, "url": "https://hook.invalid/x", "events": events})
        self.webhook = hook["webhook"]["webhook_id"]

    def made(self, path: str, body: Any) -> Any:
        """What an owner makes."""
        answer = self.ask("owner", f"POST /api/2.0/mlflow/{path}", body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ask(self, role: str, request: str, body: Any = None, more: dict[str, str] | None = None) -> httpx.Response:
        """The answer to `METHOD path` for a role; bytes go as they are, and the rest as JSON, or as a GET's query."""
        method, _, path = request.partition(" ")
        headers = {"authorization": f"Bearer {self.secrets[role]}"} if role in self.secrets else {}
        headers |= more or {}
        if isinstance(body, bytes):
            return self.client.request(method, path, content=body, headers=headers)
        sent = {"params": body} if method == "GET" else {"json": body}
        return self.client.request(method, path, headers=headers, **sent)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server that lets nobody in without a token."""
    home = tmp_path_factory.mktemp("home") / "home"
    platform = open_platform(load({"home": str(home)}, environment={}, folder=home.parent))
    secrets = {}
    for role in ROLES[1:]:
        platform.call("governance.grant", {"principal": role, "roles": [role]})
        secrets[role] = platform.call("tokens.create", {"principal": role}).secret
    platform.close()
    (home / "everloop.toml").write_text('authentication = "required"')
    with process(home, "server", "--port", "0") as running:
        yield World(address(running), secrets)


def mlflow(world: World) -> list[Row]:
    """A request for every endpoint of MLflow's door; what destroys comes last."""
    run, of_run, name = {"run_id": world.run}, {"run_id": world.run, "path": "x"}, {"name": MARK}
    version, model, trace = {**name, "version": "1"}, f"logged-models/{world.logged}", world.trace
    experiment, tag = {"experiment_id": world.experiment}, {"key": "k", "value": "v"}
    metric = {"key": "k", "value": 1, "timestamp": 1}
    old = {"experiment_id": world.experiment, "timestamp_ms": 1}
    said = {"assessment_name": "a", "feedback": {"value": 1}, "source": {"source_type": "HUMAN", "source_id": "x"}}
    dataset = {"name": "d", "digest": "d", "source_type": "local", "source": "s"}
    where = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": experiment}
    new_trace = {
        "trace_info": {
            "trace_id": f"tr-{'b' * 32}",
            "trace_location": where,
            "request_time": "2026-01-01T00:00:00Z",
            "state": "OK",
        }
    }
    return [
        Row("reader", "GET 3.0/server-info"),
        Row("reader", "GET experiments/get", experiment),
        Row("reader", "GET experiments/get-by-name", {"experiment_name": MARK}),
        Row("reader", "GET experiments/search", {"max_results": 10}),
        Row("reader", "POST experiments/search", {"max_results": 10}),
        Row("reader", "POST experiments/search-datasets", {"experiment_ids": [world.experiment]}),
        Row("reader", "GET runs/get", run),
        Row("reader", "POST runs/search", {"experiment_ids": [world.experiment]}),
        Row("reader", "GET metrics/get-history", run | {"metric_key": MARK}),
        Row("reader", "GET metrics/get-history-bulk", {"run_id": [world.run], "metric_key": MARK}),
        Row(
            "reader",
            "GET metrics/get-history-bulk-interval",
            {"run_ids": [world.run], "metric_key": MARK, "max_results": 5},
        ),
        Row("reader", "GET artifacts/list", run),
        Row("reader", "POST artifacts/presigned-download-url", of_run),
        Row("reader", "POST artifacts/presigned-upload-url", of_run),
        Row("reader", "POST logged-models/search", {"experiment_ids": [world.experiment]}),
        Row("reader", f"GET {model}"),
        Row("reader", f"GET {model}/artifacts/directories"),
        Row("reader", "GET model-versions/get", version),
        Row("reader", "GET model-versions/get-download-uri", version),
        Row("reader", "GET model-versions/search"),
        Row("reader", "GET registered-models/alias", name | {"alias": "a"}),
        Row("reader", "GET registered-models/get", name),
        Row("reader", "GET registered-models/get-latest-versions", name),
        Row("reader", "POST registered-models/get-latest-versions", name),
        Row("reader", "GET registered-models/search"),
        Row("reader", "GET 3.0/traces/batchGet", {"trace_ids": [trace]}),
        Row("reader", "POST 3.0/traces/batchGetInfos", {"trace_ids": [trace]}),
        Row("reader", "POST 3.0/traces/search", {"locations": [where]}),
        Row(
            "reader",
            "POST 3.0/traces/calculate-filter-correlation",
            {
                "experiment_ids": [world.experiment],
                "filter_string1": "trace.status = 'OK'",
                "filter_string2": "trace.status = 'OK'",
            },
        ),
        Row("reader", "GET 3.0/traces/get", {"trace_id": trace}),
        Row("reader", f"GET 3.0/traces/{trace}"),
        Row("reader", f"GET 3.0/traces/{trace}/assessments/x"),
        Row("reader", "GET traces", {"experiment_ids": [world.experiment]}),
        Row("reader", f"GET traces/{trace}/info"),
        *(Row("owner", f"{method} webhooks{rest}", {}) for method, rest in (("GET", ""), ("GET", f"/{world.webhook}"))),
        Row(
            "owner",
            "POST webhooks",
            {
                "name": "h",
                "url": "https://hook.invalid/x",
                "events": [{"entity": "REGISTERED_MODEL", "action": "CREATED"}],
            },
        ),
        Row("owner", f"PATCH webhooks/{world.webhook}", {"description": "d"}),
        Row("contributor", "POST experiments/create", {"name": "new"}),
        Row("contributor", "POST experiments/update", experiment | {"new_name": "renamed"}),
        Row("contributor", "POST experiments/set-experiment-tag", experiment | tag),
        Row("contributor", "POST experiments/delete-experiment-tag", experiment | {"key": "k"}),
        Row("contributor", "POST runs/create", experiment),
        Row("contributor", "POST runs/update", run | {"run_name": "n"}),
        Row("contributor", "POST runs/log-metric", run | metric),
        Row("contributor", "POST runs/log-batch", run | {"metrics": [metric]}),
        Row("contributor", "POST runs/log-parameter", run | tag),
        Row("contributor", "POST runs/set-tag", run | tag),
        Row("contributor", "POST runs/delete-tag", run | {"key": "k"}),
        Row("contributor", "POST runs/log-inputs", run | {"datasets": [{"dataset": dataset}]}),
        Row(
            "contributor",
            "POST runs/log-model",
            run | {"model_json": '{"artifact_path": "m", "utc_time_created": "x", "run_id": "x", "flavors": {}}'},
        ),
        Row("contributor", "POST runs/outputs", run | {"models": [{"model_id": world.logged, "step": 0}]}),
        Row("contributor", "POST logged-models", experiment | {"name": "l"}),
        Row("contributor", f"PATCH {model}/tags", {"tags": [tag]}),
        Row("contributor", f"DELETE {model}/tags/k"),
        Row("contributor", f"POST {model}/params", {"params": [tag]}),
        Row("contributor", f"PATCH {model}", {"status": "LOGGED_MODEL_READY"}),
        Row("contributor", "POST registered-models/create", {"name": "new"}),
        Row("contributor", "PATCH registered-models/update", name | {"description": "d"}),
        Row("contributor", "POST registered-models/set-tag", name | tag),
        Row("contributor", "DELETE registered-models/delete-tag", name | {"key": "k"}),
        Row("contributor", "POST model-versions/create", name | {"source": f"runs:/{world.run}/model", **run}),
        Row("contributor", "PATCH model-versions/update", version | {"description": "d"}),
        Row("contributor", "POST model-versions/set-tag", version | tag),
        Row("contributor", "DELETE model-versions/delete-tag", version | {"key": "k"}),
        Row("deployer", "POST registered-models/alias", version | {"alias": "a"}),
        Row("deployer", "DELETE registered-models/alias", name | {"alias": "a"}),
        Row(
            "deployer",
            "POST model-versions/transition-stage",
            version | {"stage": "Staging", "archive_existing_versions": False},
        ),
        Row("contributor", "POST traces", old),
        Row("contributor", f"PATCH traces/{trace}", {"timestamp_ms": 2, "status": "OK"}),
        Row("contributor", f"PATCH traces/{trace}/tags", tag),
        Row("contributor", f"DELETE traces/{trace}/tags", {"key": "k"}),
        Row("contributor", "POST traces/link-to-run", run | {"trace_ids": [trace]}),
        Row(
            "contributor",
            "POST traces/link-prompts",
            {"trace_id": trace, "prompt_versions": [{"name": "p", "version": "1"}]},
        ),
        Row("contributor", "POST 3.0/traces", {"trace": new_trace}),
        Row("contributor", f"PATCH 3.0/traces/{trace}/tags", tag),
        Row("contributor", f"DELETE 3.0/traces/{trace}/tags", {"key": "k"}),
        Row("contributor", f"POST 3.0/traces/{trace}/assessments", {"assessment": said}),
        Row("contributor", f"PATCH 3.0/traces/{trace}/assessments/x", {"assessment": said, "update_mask": "feedback"}),
        Row("contributor", f"DELETE 3.0/traces/{trace}/assessments/x"),
        Row("contributor", "POST runs/delete", run),
        Row("contributor", "POST runs/restore", run),
        Row("contributor", "POST traces/delete-traces", experiment | {"request_ids": ["x"]}),
        Row("contributor", "POST 3.0/traces/delete-traces", experiment | {"request_ids": ["x"]}),
        Row("contributor", f"DELETE {model}"),
        Row("contributor", "POST registered-models/rename", {"name": "new", "new_name": "newer"}),
        Row("owner", "DELETE model-versions/delete", version),
        Row("owner", "DELETE registered-models/delete", name),
        Row("contributor", "POST experiments/delete", experiment),
        Row("contributor", "POST experiments/restore", experiment),
        Row("owner", f"POST webhooks/{world.webhook}/test"),
        Row("owner", f"DELETE webhooks/{world.webhook}"),
    ]


def bytes_and_pages(world: World) -> list[Row]:
    """A request for every route beside the endpoints and the use cases; what destroys comes last."""
    files, ui = "/api/2.0/mlflow-artifacts", "/ajax-api/2.0/mlflow"
    root, first = world.file.rpartition("/")[0], f"run_id={world.run}&path={MARK}.txt"
    spans = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%s","spanId":"%s","name":"n"}]}]}]}'
    otlp = {"content-type": "application/json", "x-mlflow-experiment-id": world.experiment}
    return [
        *(Row("reader", f"{method} {files}/artifacts/{world.file}") for method in ("GET", "HEAD")),
        Row("reader", f"GET {files}/artifacts?path={root}"),
        Row("reader", f"GET {files}/presigned/{world.file}"),
        *(Row("reader", f"{method} /get-artifact?{first}") for method in ("GET", "HEAD")),
        Row("reader", f"GET /model-versions/get-artifact?name={MARK}&version=1&path=x"),
        Row("reader", f"GET {ui}/logged-models/{world.logged}/artifacts/files?artifact_file_path=x"),
        Row("reader", f"GET {ui}/get-trace-artifact?request_id={world.trace}"),
        Row("reader", f"GET /api/v1/objects/{'0' * 64}"),
        Row("reader", "POST /api/v1/objects/missing", b"0" * 32),
        Row("reader", "POST /api/v1/objects/batch", b"0" * 32),
        *(Row("reader", f"GET {page}") for page in ("/", "/runs", f"/runs/{world.run}", "/metrics", "/reports/x")),
        Row("reader", f"GET /shown/{world.run}/{MARK}.txt"),
        Row("contributor", f"PUT {files}/artifacts/{root}/b.txt", b"x"),
        Row("contributor", f"POST {files}/mpu/create/{root}", {"path": "c.txt"}),
        Row("contributor", f"PUT {files}/mpu/part/u/1/{root}/c.txt", b"x"),
        Row(
            "contributor",
            f"POST {files}/mpu/complete/{root}",
            {"path": "c.txt", "parts": [{"part_number": 1, "etag": "0" * 64}]},
        ),
        Row("contributor", f"POST {ui}/upload-artifact?run_uuid={world.run}&path=d.txt", b"x"),
        Row("contributor", "POST /api/v1/objects", b"x"),
        Row("contributor", "POST /api/v1/packs", b"x"),
        Row("contributor", f"POST /api/v1/runs/{world.run}/points", b""),
        Row("contributor", "POST /v1/traces", spans % (b"c" * 32, b"d" * 16), otlp),
        Row("contributor", f"DELETE {files}/artifacts/{world.file}"),
    ]


def located(row: Row) -> Row:
    """A row of the table of endpoints with its whole path."""
    method, _, path = row.request.partition(" ")
    version = "" if path.startswith("3.0/") else "2.0/"
    return row._replace(request=f"{method} /api/{(version + path).replace('/', '/mlflow/', 1)}")


def every(world: World) -> list[Row]:
    """All requests."""
    return [*bytes_and_pages(world)[:-1], *map(located, mlflow(world)), bytes_and_pages(world)[-1]]


class TestTheTable:
    def test_it_has_every_endpoint_of_mlflow_s_door(self, world: World) -> None:
        asked = {row.request for row in mlflow(world)}
        known = {f"{method} {path}" for path, methods in ENDPOINTS.items() for method in methods}
        for route in known:
            pattern = re.compile(re.sub(r"\\{[^/]*\\}", "[^/]+", re.escape(route)))
            assert any(pattern.fullmatch(request) for request in asked), route
        assert len(asked) == len(known)

    def test_what_a_use_case_needs_follows_from_what_it_does(self) -> None:
        for usecase in published().values():
            action = usecase.permission.partition(":")[2]
            changes = not (usecase.reads_only or usecase.name in ASKS_BY_POST)
            assert (LEAST[action] == "reader") != (changes or usecase.name in TELLS_OWNERS), usecase.name


class TestProjects:
    """Before the others: it changes nothing."""

    def test_another_project_sees_and_changes_nothing_of_this_one(self, world: World) -> None:
        def state() -> list[str]:
            asked = [f"GET /api/v1/runs/{world.run}", f"GET /api/v1/runs/{world.run}/artifacts", "GET /api/v1/models"]
            return [world.ask("owner", request).text for request in (*asked, "GET /api/v1/webhooks")]

        before = state()
        for row in every(world):
            answer = world.ask("owner", row.request, row.body, {**row.more, "x-everloop-project": "other"})
            assert answer.status_code < 500, (row.request, answer.text)
            if answer.status_code == 200 and row.request not in ("GET /metrics", "POST /api/v1/objects"):
                echoed = answer.text.replace(str(answer.request.url), "")
                made = row.request.endswith(("/create", "registered-models/rename"))
                assert made or MARK not in echoed, (row.request, answer.text[:500])
        assert state() == before


class TestRoles:
    def test_nobody_and_a_token_that_is_none_get_nowhere(self, world: World) -> None:
        routes = [f"{it.method} /api/v1{re.sub('{[^}]*}', '1', it.path)}" for it in published().values()]
        for request in (*routes, *(row.request for row in every(world))):
            assert world.ask("nobody", request).status_code == 401, request
            wrong = {"authorization": "Bearer evl_wrong"}
            assert world.ask("nobody", request, more=wrong).status_code == 401, request

    def test_a_use_case_is_for_its_least_role_and_for_none_below(self, world: World) -> None:
        for usecase in published().values():
            least = LEAST[usecase.permission.partition(":")[2]]
            request = f"{usecase.method} /api/v1{re.sub('{[^}]*}', '1', usecase.path)}"
            below = ROLES[ROLES.index(least) - 1]
            if below != "nobody":
                assert world.ask(below, request).status_code == 403, usecase.name
            assert world.ask(least, request).status_code not in (401, 403, 500), usecase.name

    def test_each_other_route_is_for_its_least_role_and_for_none_below(self, world: World) -> None:
        for row in every(world):
            for below in ROLES[1 : ROLES.index(row.least)]:
                answer = world.ask(below, row.request, row.body, row.more)
                assert answer.status_code == 403, (below, row.request, answer.status_code, answer.text[:300])
            answer = world.ask(row.least, row.request, row.body, row.more)
            assert answer.status_code not in (401, 403), (row.request, answer.text)
            assert answer.status_code < 500, (row.request, answer.text)
