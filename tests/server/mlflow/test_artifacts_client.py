"""Artifacts by MLflow's own client, unmodified, over a real server; and by clients that hang up."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from tests.server.test_process import address, process

os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
pytestmark = pytest.mark.slow
API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
LARGE = Random(2).randbytes(7_000_001)


def opened(home: Path) -> Platform:
    """The platform of a home."""
    return open_platform(load({"home": str(home)}, environment={}, folder=home.parent))


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The address of a server of the test's own."""
    with process(tmp_path / "home", "server", "--port", "0") as server:
        yield address(server)


@pytest.fixture
def client(url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow's client, which sends large files in parts of a megabyte."""
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "5000000")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", "1000000")
    monkeypatch.setenv("MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE", "2000000")
    return MlflowClient(url)


def sent_and_fetched(client: Any, tmp_path: Path) -> bytes:
    """What comes back of a large file that a client has sent to a run of its own."""
    run = client.create_run("0").info.run_id
    (tmp_path / "weights.bin").write_bytes(LARGE)
    client.log_artifact(run, str(tmp_path / "weights.bin"), "model")
    assert [(it.path, it.file_size) for it in client.list_artifacts(run, "model")] == [
        ("model/weights.bin", len(LARGE))
    ]
    (tmp_path / "back").mkdir()
    return Path(client.download_artifacts(run, "model/weights.bin", str(tmp_path / "back"))).read_bytes()


def test_a_large_file_goes_up_and_down_in_one_stream(client: Any, tmp_path: Path) -> None:
    assert sent_and_fetched(client, tmp_path) == LARGE


def test_a_large_file_goes_up_and_down_in_parallel_parts(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "true")
    assert sent_and_fetched(client, tmp_path) == LARGE


def test_parts_are_let_in_by_the_client_s_own_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    platform = opened(tmp_path / "home")
    platform.call("governance.grant", {"principal": "eve", "roles": ["owner"]})
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", platform.call("tokens.create", {"principal": "eve"}).secret)
    for name, value in {"ENABLE_PROXY_MULTIPART_UPLOAD": "true", "MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "1"}.items():
        monkeypatch.setenv(f"MLFLOW_{name}", value)
    platform.close()
    (tmp_path / "everloop.toml").write_text('authentication = "required"\n')
    monkeypatch.chdir(tmp_path)
    with process(tmp_path / "home", "server", "--port", "0") as server:
        url = address(server)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        assert httpx.get(f"{url}{FILES}").status_code == 401
        assert sent_and_fetched(MlflowClient(url), tmp_path) == LARGE


def test_files_are_deleted_by_the_client(client: Any, url: str) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    run = client.create_run("0")
    client.log_text(run.info.run_id, "x", "a/b.txt")
    get_artifact_repository(run.info.artifact_uri).delete_artifacts("a")
    assert client.list_artifacts(run.info.run_id) == []


def test_text_that_is_logged_again_takes_the_place_of_the_first(client: Any) -> None:
    run = client.create_run("0").info.run_id
    for text in ("one", "two"):
        client.log_text(run, text, "notes.txt")
    assert Path(client.download_artifacts(run, "notes.txt")).read_text() == "two"


@pytest.mark.parametrize("sent", [0, 1000, 3_000_000])
def test_of_an_upload_that_is_cut_nothing_is_kept(url: str, tmp_path: Path, sent: int) -> None:
    id = httpx.post(f"{url}{API}/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]["run_id"]
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = f"PUT {FILES}/0/{id}/artifacts/a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(LARGE)}\r\n\r\n"
        connection.sendall(head.encode() + LARGE[:sent])
        time.sleep(0.2)
    assert httpx.get(f"{url}{API}/artifacts/list", params={"run_id": id}).json()["files"] == []
    assert httpx.get(f"{url}/healthz").status_code == 200
    partial = [path for path in (tmp_path / "home").rglob("*") if "upload" in path.name or path.suffix == ".partial"]
    assert partial == []


def test_a_refused_upload_is_told_why_though_it_is_long(url: str) -> None:
    answer = httpx.put(f"{url}{FILES}/0/none/artifacts/a", content=LARGE)
    assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_who_stops_reading_in_the_middle_hurts_nobody(url: str) -> None:
    id = httpx.post(f"{url}{API}/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]["run_id"]
    httpx.put(f"{url}{FILES}/0/{id}/artifacts/a", content=LARGE)
    for _ in range(12):
        with httpx.stream("GET", f"{url}{FILES}/0/{id}/artifacts/a") as answer:
            next(answer.iter_raw(100))
    assert httpx.get(f"{url}{FILES}/0/{id}/artifacts/a").content == LARGE


def test_the_server_says_what_it_can(url: str) -> None:
    told = httpx.get(f"{url}/api/3.0/mlflow/server-info").json()
    assert (told["store_type"], told["multipart_uploads_enabled"]) == ("SqlStore", False)
    id = httpx.post(f"{url}{API}/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]["run_id"]
    refused = httpx.post(f"{url}{API}/artifacts/presigned-upload-url", json={"run_id": id, "path": "a"})
    assert (refused.status_code, refused.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
