"""Who may ask an endpoint's process, where it may listen, and which clock it goes by."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from everloop.app.platform import Platform
from everloop.kernel.clock import SharedClock
from tests.serving.processes import Process, furnish, open_home, tensors

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A furnished home."""
    folder = tmp_path_factory.mktemp("access") / "home"
    furnish(folder)
    return folder


@pytest.fixture(scope="module")
def platform(home: Path) -> Iterator[Platform]:
    """The platform in that home, in this process."""
    opened = open_home(home)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def guarded(home: Path) -> Iterator[Process]:
    """A process that wants a token from everybody."""
    with Process(home, ["delay"], EVERLOOP_AUTHENTICATION="required") as process:
        yield process


def token(platform: Platform, name: str, *roles: str) -> dict[str, str]:
    platform.call("governance.grant", {"principal": name, "roles": list(roles)})
    secret = platform.call("tokens.create", {"principal": name}).secret
    return {"Authorization": f"Bearer {secret}"}


def ask(process: Process, headers: dict[str, str]) -> httpx.Response:
    return process.http.post("/v2/models/delay/infer", json={"inputs": tensors(1)}, headers=headers)


def test_without_a_token_only_probes_are_answered(guarded: Process) -> None:
    for path in ("/healthz", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready"):
        assert guarded.http.get(path).status_code == 200, path
    for path in ("/v2", "/v2/models/delay", "/metrics"):
        assert guarded.http.get(path).status_code == 401, path
    for path in ("/v2/models/delay/infer", "/invocations", "/feedback", "/refresh"):
        refused = guarded.http.post(path, json={})
        assert (refused.status_code, "error" in refused.json()) == (401, True), path


def test_a_wrong_token_is_refused(guarded: Process) -> None:
    assert ask(guarded, {"Authorization": "Bearer nothing"}).status_code == 401


def test_a_contributor_may_predict_but_not_move_traffic_in(guarded: Process, platform: Platform) -> None:
    headers = token(platform, "caller", "contributor")
    assert ask(guarded, headers).status_code == 200
    assert guarded.http.post("/refresh", headers=headers).status_code == 403


def test_a_reader_may_look_but_not_predict(guarded: Process, platform: Platform) -> None:
    headers = token(platform, "watcher", "reader")
    assert guarded.http.get("/v2/models/delay", headers=headers).status_code == 200
    refused = ask(guarded, headers)
    assert (refused.status_code, list(refused.json())) == (403, ["error"])


def test_a_deployer_may_refresh(guarded: Process, platform: Platform) -> None:
    headers = token(platform, "pilot", "deployer")
    assert guarded.http.post("/refresh", headers=headers).json() == {"revision": 1}


def test_it_does_not_listen_beyond_this_machine_without_authentication(home: Path) -> None:
    words = ["serve", "delay", "--host", "0.0.0.0", "--port", "0"]
    command = [sys.executable, "-m", "everloop", "--home", str(home), *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 10
    assert "EVERLOOP_AUTHENTICATION=required" in ended.stderr


def test_a_port_that_is_taken_is_named(home: Path, guarded: Process) -> None:
    port = guarded.address.rpartition(":")[2]
    command = [sys.executable, "-m", "everloop", "--home", str(home), "serve", "delay", "--port", port]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 9
    assert port in ended.stderr


def test_it_goes_by_the_shared_clock(home: Path, platform: Platform) -> None:
    SharedClock(home / "clock").advance(datetime(2031, 5, 6, 7, tzinfo=UTC))
    with Process(home, ["delay"], EVERLOOP_CLOCK="shared") as process:
        prediction = process.infer(rows=1).json()["outputs"][1]["data"][0]
    record = platform.call("endpoints.prediction", {"name": "delay", "id": prediction})
    assert record.at == datetime(2031, 5, 6, 7, tzinfo=UTC)


def test_traffic_that_moves_is_followed_within_a_second(home: Path, platform: Platform) -> None:
    with Process(home, ["delay"]) as process:
        platform.call("endpoints.set_traffic", {"name": "delay", "shares": [{"deployment": 2, "percent": 100}]})
        for _ in range(100):
            if process.http.get("/v2/models/delay").json()["versions"] == ["2"]:
                break
            threading.Event().wait(0.05)
        assert process.infer(rows=1).json()["model_version"] == "2"
        platform.call("endpoints.rollback", {"name": "delay"})
