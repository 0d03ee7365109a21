"""Online features whose store is away: requests are refused with 503, and answered again when it is back."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from everloop.app.platform import open_platform
from everloop.app.settings import load
from everloop.features import service as features
from tests.server.inference.faults.faulty import until
from tests.serving.processes import NOW, Process, furnish

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed"),
]


def redis(port: int) -> subprocess.Popen[bytes]:
    """A Redis that listens."""
    words = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    until(lambda: answers(port))
    return process


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def fill(home: Path, url: str) -> None:
    """Bring the features online."""
    platform = open_platform(load({"home": str(home), "online_store_url": url}, environment={}, folder=home.parent))
    features.materialize(platform.session(), "flight", NOW)
    platform.close()


def test_requests_are_refused_while_redis_is_away_and_answered_when_it_is_back(tmp_path: Path) -> None:
    home = tmp_path / "home"
    furnish(home)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url, server = f"redis://127.0.0.1:{port}/0", redis(port)
    fill(home, url)
    patient = {"EVERLOOP_ONLINE_STORE_URL": url, "EVERLOOP_SERVING_SLO_MS": "10000"}
    with Process(home, ["delay", "--workers", "2"], **patient) as process:
        before = process.infer()
        assert before.status_code == 200
        server.kill()
        server.wait()
        refused = process.infer()
        assert refused.status_code == 503, refused.text
        server = redis(port)
        fill(home, url)
        until(lambda: process.infer().status_code == 200)
        assert process.infer().json()["outputs"][0] == before.json()["outputs"][0]
        assert "2 of 2" in process.http.get("/readyz").text
    server.kill()
    server.wait()
